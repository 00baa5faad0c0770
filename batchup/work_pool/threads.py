"""Threads, and any `concurrent.futures.Executor`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchup.ops.checks import describe
from batchup.ops.plan import record
from batchup.ops.stream import Work
from batchup.ops.workers import Crew, Pending
from batchup.work_pool.base import WorkerPool, number_of_workers

if TYPE_CHECKING:
    from concurrent.futures import Executor

__all__ = ["ExecutorPool", "WorkerThreadPool"]


class WorkerThreadPool(WorkerPool):
    """`processes` threads of this process; None is as many as the CPUs that it may use.

    For work that lets go of the interpreter lock: decoding images, reading files, NumPy on large
    arrays. Threads start at once, share all memory, and nothing needs to be picklable. Python code
    runs in one of them at a time; for that use `WorkerProcessPool`.
    """

    def __init__(self, processes: int | None = None):
        from concurrent.futures import ThreadPoolExecutor

        self.processes = number_of_workers(processes, "WorkerThreadPool")
        self._executor = ThreadPoolExecutor(self.processes, thread_name_prefix="batchup")

    def employ(self, work: Work, where: str) -> Crew:
        return SharedCrew(self._executor, work)

    def close(self) -> None:
        """End the threads, once they have done what they are at."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def __repr__(self) -> str:
        return f"WorkerThreadPool(processes={self.processes})"


class ExecutorPool(WorkerPool):
    """The workers of any `concurrent.futures.Executor`, which stays yours: `close` leaves it running.

    A `ThreadPoolExecutor` shares memory with the caller. To any other executor the work is sent along
    with each batch, pickled by cloudpickle; for large arrays `WorkerProcessPool` is better. Raises
    TypeError for what is no executor.

    >>> from concurrent.futures import ThreadPoolExecutor
    >>> from batchup import ops
    >>> with ThreadPoolExecutor(2) as executor:
    ...     list(ops.indices(4) | ops.chunk(2) | ops.map(sum) | ops.parallel(ExecutorPool(executor)))
    [1, 5]
    """

    def __init__(self, executor: Executor):
        from concurrent.futures import Executor

        if not isinstance(executor, Executor):
            raise TypeError(
                f"ExecutorPool: expected a concurrent.futures.Executor; got {describe(executor)}"
            )
        self.executor = executor

    def employ(self, work: Work, where: str) -> Crew:
        from concurrent.futures import ThreadPoolExecutor

        if isinstance(self.executor, ThreadPoolExecutor):
            return SharedCrew(self.executor, work)
        from batchup.work_pool.shipping import Package, pack_work

        return RemoteCrew(self.executor, Package(pack_work(work, where)))

    def close(self) -> None:
        """Nothing: the executor is the caller's."""

    def __repr__(self) -> str:
        return f"ExecutorPool(<{type(self.executor).__name__}>)"


@record
class SharedCrew:
    """Workers that see the caller's memory; a crew and a line in one."""

    executor: Executor
    work: Work

    def line(self) -> SharedCrew:
        return self

    def submit(self, item: Any) -> Pending:
        return self.executor.submit(self.work.run, item)

    def close(self, stuck: Pending | None) -> None:
        """A thread can't be ended by force: it goes on with what it is at."""


@record
class RemoteCrew:
    """Workers in other processes: what goes there and back is pickled here."""

    executor: Executor
    package: Any

    def line(self) -> RemoteCrew:
        return self

    def submit(self, item: Any) -> Pending:
        from batchup.work_pool.shipping import Shipment, pack_item, ship

        return Shipment(self.executor.submit(ship, self.package, pack_item(item)))

    def close(self, stuck: Pending | None) -> None:
        """What the executor is at, it goes on with."""
