"""A Dask cluster."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from batchup.core.checks import describe
from batchup.core.work import Work
from batchup.ops.parallel import Workers
from batchup.work_pool.base import WorkerPool
from batchup.work_pool.threads import refuse_global_seeds

if TYPE_CHECKING:
    from distributed import Client, Future

    from batchup.work_pool.remote import Package, Send

__all__ = ["DaskPool"]


class DaskPool(WorkerPool):
    """The workers of a Dask cluster.

    The work of a stream is sent to each worker once, and again if it has changed when an iteration begins. That is
    found by a hash, which takes 0.7 s a GB of arrays. Small batches are sent several at a time. Batches go through the
    scheduler, unless all workers are on this machine or the client was made with `direct_to_workers=True`. If a worker
    dies, Dask makes the batch again on another. The workers need `pip install batchup[dask]`.

    Parameters
    ----------
    client : distributed.Client
        A synchronous client of the cluster. `close` leaves it open.

    Raises
    ------
    TypeError
        For anything but a client, and for an asynchronous one.

    Examples
    --------
    >>> from batchup import ops, work_pool
    >>> from distributed import Client
    >>> with Client(processes=False, dashboard_address=None) as client:
    ...     pool = work_pool.DaskPool(client)
    ...     list(ops.indices(4) | ops.chunk(2) | ops.map(lambda block: int(block.sum())) | ops.parallel(pool))
    [1, 5]
    """

    def __init__(self, client: Client):
        super().__init__()
        wanted = "DaskPool: expected a distributed.Client"
        if not (hasattr(client, "submit") and hasattr(client, "scheduler_info")):
            raise TypeError(f"{wanted}; got {describe(client)}")
        if client.asynchronous:
            raise TypeError(f"{wanted} that is not asynchronous; got {client!r}")
        self.client = client

    def employ(self, work: Work, where: str) -> Workers:
        from batchup.work_pool.remote import RemoteWorkers

        if any(address.startswith("inproc:") for address in self._addresses()):  # threads of this process
            refuse_global_seeds(work, where, self)
        return RemoteWorkers(self, work, where, self._publish)

    def _publish(self, package: Package) -> Send:
        import dask

        from batchup.work_pool.remote import ship

        package = package.copied()
        # A task, since scattered data are lost when the workers that have them end.
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TB"}):
            future = self.client.submit(_itself, package, pure=False)
        task = _NearTask if self._is_near() else _itself
        return lambda items: task(self.client.submit(ship, future, items, pure=False))

    def _is_near(self) -> bool:
        """True if all workers are on this machine, so batches needn't go through the scheduler."""
        return all(re.match(r"\w+://(127\.|\[::1\])", address) for address in self._addresses())

    def _addresses(self) -> list[str]:
        return list(self.client.scheduler_info()["workers"])

    def close(self) -> None:
        """Do nothing: the cluster belongs to the caller."""

    def __repr__(self) -> str:
        return "DaskPool(<Client>)"


def _itself(package: Any) -> Any:
    return package


class _NearTask:
    """A task whose result comes directly from its worker."""

    def __init__(self, future: Future[Any]):
        self.future = future
        self.done = future.done
        self.cancel = future.cancel

    def result(self, timeout: float | None) -> Any:
        from distributed import wait

        wait(self.future, timeout)  # type: ignore[no-untyped-call]
        return self.future.client.gather(self.future, direct=True)
