"""A Dask cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchup.ops.checks import describe
from batchup.ops.plan import record
from batchup.ops.stream import Work
from batchup.ops.workers import Crew, Pending
from batchup.work_pool.base import WorkerPool

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["DaskPool"]


class DaskPool(WorkerPool):
    """The workers of the Dask cluster of `client`, a `distributed.Client`; it stays yours.

    The work of a stream goes to each worker once. A worker that dies is Dask's affair: it does the batch
    again elsewhere. BatchUp must be installed where the workers are: `pip install batchup[dask]`.
    Raises TypeError for what is no client, or an asynchronous one.
    """

    def __init__(self, client: Client):
        wanted = "DaskPool: expected a distributed.Client"
        if not (hasattr(client, "submit") and hasattr(client, "scheduler_info")):
            raise TypeError(f"{wanted}; got {describe(client)}")
        if client.asynchronous:
            raise TypeError(f"{wanted} that is not asynchronous; got {client!r}")
        self.client = client

    def employ(self, work: Work, where: str) -> Crew:
        import dask

        from batchup.work_pool.shipping import Package, pack_work

        package = Package(pack_work(work, where))
        # A task, and not data that is scattered: those are lost with the workers that have them.
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TB"}):
            future = self.client.submit(_itself, package, pure=False)
        return _Crew(self.client, future)

    def close(self) -> None:
        """Nothing: the cluster is the caller's."""

    def __repr__(self) -> str:
        return "DaskPool(<Client>)"


def _itself(package: Any) -> Any:
    return package


@record
class _Crew:
    client: Client
    package: Future[Any]

    def line(self) -> _Crew:
        return self

    def submit(self, item: Any) -> Pending:
        from batchup.work_pool.shipping import Shipment, pack_item, ship

        return Shipment(self.client.submit(ship, self.package, pack_item(item), pure=False))

    def close(self, stuck: Pending | None) -> None:
        """What was not begun has been cancelled; a Dask worker ends what it is at."""
