"""Any `concurrent.futures.Executor`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from batchup.core.checks import describe
from batchup.core.work import Work
from batchup.ops.parallel import Workers
from batchup.work_pool.base import WorkerPool
from batchup.work_pool.threads import Making, SharedWorkers, make, refuse_global_seeds

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

    from batchup.work_pool.remote import Package, Send

__all__ = ["ExecutorPool"]


class ExecutorPool(WorkerPool):
    """The workers of any `concurrent.futures.Executor`.

    A `ThreadPoolExecutor` shares memory with the caller. To any other executor the work, as it is when an iteration
    begins, is sent with each batch, or with several small ones, pickled by cloudpickle. For large arrays use
    `WorkerProcessPool`.

    Parameters
    ----------
    executor : concurrent.futures.Executor
        `close` leaves it running.

    Raises
    ------
    TypeError
        For anything but an executor.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> from batchup import ops
    >>> with ThreadPoolExecutor(2) as executor:
    ...     totals = ops.indices(4) | ops.chunk(2) | ops.map(lambda block: block.sum().item())
    ...     list(totals | ops.parallel(ExecutorPool(executor)))
    [1, 5]
    """

    def __init__(self, executor: Executor):
        from concurrent.futures import Executor

        super().__init__()
        if not isinstance(executor, Executor):
            raise TypeError(f"ExecutorPool: expected a concurrent.futures.Executor; got {describe(executor)}")
        self.executor = executor

    def employ(self, work: Work, where: str) -> Workers:
        from concurrent.futures import ThreadPoolExecutor

        if isinstance(self.executor, ThreadPoolExecutor):
            refuse_global_seeds(work, where, self)
            return SharedWorkers(self, work, self._submit, self._submit)
        from batchup.work_pool.remote import RemoteWorkers

        return RemoteWorkers(self, work, where, self._publish)

    def _publish(self, package: Package) -> Send:
        from batchup.work_pool.remote import ship

        copied = package.copied()
        return lambda items: self.executor.submit(ship, copied, items)

    def _submit(self, pending: Making, run: Callable[[Any], Any], item: Any) -> None:
        future = self.executor.submit(make, pending, run, item)
        future.add_done_callback(partial(_cancelled, pending))

    def close(self) -> None:
        """Do nothing: the executor belongs to the caller."""

    def __repr__(self) -> str:
        return f"ExecutorPool(<{type(self.executor).__name__}>)"


def _cancelled(pending: Making, future: Future[None]) -> None:
    """The error for an item that was cancelled from outside, by a shutdown of the executor for example."""
    if future.cancelled():
        from concurrent.futures import CancelledError

        pending.fail(CancelledError("the executor was shut down"))
