"""A Ray cluster."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from batchup.core.work import Work
from batchup.ops.parallel import Workers
from batchup.work_pool.base import CLOSED, WorkerPool

if TYPE_CHECKING:
    from batchup.work_pool.remote import Package, Send

__all__ = ["RayPool"]


class RayPool(WorkerPool):
    """The workers of the Ray cluster that this process is connected to.

    The work of a stream is put into Ray's object store once, and again if it has changed when an iteration begins. That
    is found by a hash, which takes 0.7 s a GB of arrays. All workers of a node share one read-only copy of its arrays.
    Ray gets twice as many tasks at a time as it has CPUs; these are run even if the iteration has ended, unless
    `parallel` has a timeout. If a worker or its node dies, Ray makes the batch again on another. The workers need `pip
    install batchup[ray]`.

    Parameters
    ----------
    **options : any
        The arguments of `ray.init`, if there is no connection: it makes one, or starts a cluster on this machine, which
        `close` shuts down.

    Raises
    ------
    ValueError
        For options if Ray is initialised already.

    Examples
    --------
    >>> from batchup import ops, work_pool
    >>> with work_pool.RayPool(num_cpus=1, include_dashboard=False, log_to_driver=False) as pool:
    ...     list(ops.indices(4) | ops.chunk(2) | ops.map(lambda block: int(block.sum())) | ops.parallel(pool))
    [1, 5]
    """

    def __init__(self, **options: Any):
        import ray

        super().__init__()
        self._calls = threading.RLock()  # a signal handler may close the pool during a call
        self._ours = not ray.is_initialized()
        if self._ours:
            ray.init(**options)
        elif options:
            raise ValueError(f"RayPool: expected no options, as Ray is initialised already; got {', '.join(options)}")
        self._close = weakref.finalize(self, ray.shutdown if self._ours else bool)

    def employ(self, work: Work, where: str) -> Workers:
        self.check()
        import ray

        from batchup.work_pool.ray_tasks import RayWorkers
        from batchup.work_pool.remote import ship

        remote = ray.remote(ship)

        def publish(package: Package) -> Send:
            with self._connected():
                reference = ray.put(package)

            def send(items: list[bytes]) -> Any:
                with self._connected():
                    return remote.remote(reference, items)

            return send

        return RayWorkers(self, work, where, publish)

    @contextmanager
    def _connected(self) -> Iterator[None]:
        """Keep `close` waiting during a call of Ray. Raises RuntimeError if Ray is shut down: it would start a cluster."""
        import ray

        with self._calls:
            if self.closed or not ray.is_initialized():
                raise RuntimeError(CLOSED)
            yield

    def close(self) -> None:
        """Shut Ray down, if this pool started it."""
        with self._calls:
            self.closed = self._ours
            self._close()

    def __repr__(self) -> str:
        return "RayPool()"
