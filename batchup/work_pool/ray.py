"""A Ray cluster."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from batchup.ops.plan import record
from batchup.ops.stream import Work
from batchup.ops.workers import Crew, Pending
from batchup.work_pool.base import WorkerPool

if TYPE_CHECKING:
    from batchup.work_pool.shipping import Shipment

__all__ = ["RayPool"]


class RayPool(WorkerPool):
    """The workers of the Ray cluster that this process is connected to.

    If it is to none, `ray.init(**options)` connects it, or starts one on this machine, and `close` shuts
    that down. The work of a stream is put into Ray's object store once. A worker that dies is Ray's
    affair: it does the batch again elsewhere. BatchUp must be installed where the workers are:
    `pip install batchup[ray]`. Raises ValueError for options where Ray runs already.
    """

    def __init__(self, **options: Any):
        import ray

        if ray.is_initialized():
            if options:
                raise ValueError(
                    "RayPool: expected no options, as Ray is initialised already; "
                    f"got {', '.join(options)}"
                )
            self._close = weakref.finalize(self, bool)  # the cluster is the caller's
        else:
            ray.init(**options)
            self._close = weakref.finalize(self, ray.shutdown)

    def employ(self, work: Work, where: str) -> Crew:
        import ray

        from batchup.work_pool.shipping import Package, pack_work, ship

        return _Crew(self, ray.put(Package(pack_work(work, where))), ray.remote(ship))

    def close(self) -> None:
        """Shut Ray down, if this pool has started it."""
        self._close()

    def __repr__(self) -> str:
        return "RayPool()"


@record
class _Crew:
    pool: RayPool
    package: Any
    ship: Any

    def line(self) -> _Crew:
        return self

    def submit(self, item: Any) -> Pending:
        from batchup.work_pool.shipping import Shipment, pack_item

        reference = self.ship.remote(self.package, pack_item(item))
        return _Batch(reference, Shipment(reference.future()))

    def close(self, stuck: Pending | None) -> None:
        """The worker of a task that is stuck is ended."""
        if isinstance(stuck, _Batch):
            stuck.cancel(force=True)


@record
class _Batch:
    """A batch that is being made."""

    reference: Any
    shipment: Shipment

    def result(self, timeout: float | None = None) -> Any:
        return self.shipment.result(timeout)

    def done(self) -> bool:
        return self.shipment.done()

    def cancel(self, force: bool = False) -> None:
        import ray

        ray.cancel(self.reference, force=force)
