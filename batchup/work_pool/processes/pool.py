"""Worker processes on this machine: for Python code, which threads can't run in parallel."""

from __future__ import annotations

import warnings
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from batchup.core.checks import whole_number
from batchup.core.record import record
from batchup.core.work import Work
from batchup.ops.parallel import Pool, Workers
from batchup.work_pool.base import WorkerPool, number_of_workers
from batchup.work_pool.pending import Pending, failed

if TYPE_CHECKING:
    from batchup.work_pool.processes.jobs import Job, Run

__all__ = ["WorkerProcessPool"]


class WorkerProcessPool(WorkerPool):
    """Worker processes on this machine, which share memory with the caller.

    The workers are started by fork and exec, in the background. Lambdas, closures and classes of a notebook or a script
    are pickled by cloudpickle. The work of a stream is sent to each worker once.

    NumPy arrays in the work are copied, once, to memory that all workers share; of a memory-mapped array the path is
    sent. Workers see everything as it is when an iteration begins: arrays are then compared with their copies, which
    takes 0.1 s a GB, and copied again where they differ, and the rest of the work is sent again if it has changed. With
    `work_pool.share(X)` there is neither a copy nor a comparison. What the work writes into its arrays is seen by that
    worker alone.

    Batches come back in shared memory, which is used again when the last array of a batch is garbage.

    The import path, the warnings filters and the level of the root logger are those of the caller when an iteration
    begins. It runs on Linux; macOS is untested.

    Parameters
    ----------
    processes : int or None
        The number of workers; None for the number of CPUs that this process may use.
    max_bytes : int or None
        The largest number of bytes of shared memory for batches; None for a quarter of the free memory. Batches that
        don't fit go through a pipe, with one RuntimeWarning.
    threads_per_worker : int or None
        The number of threads of BLAS and OpenMP in each worker. None divides the cores among the workers, unless
        OMP_NUM_THREADS or a similar variable is set.

    Examples
    --------
    >>> from batchup import ops
    >>> with WorkerProcessPool(processes=2) as pool:
    ...     sums = ops.indices(5) | ops.chunk(2) | ops.map(lambda block: int((block**2).sum()))
    ...     list(sums | ops.parallel(pool))
    [1, 13, 16]
    """

    def __init__(
        self, processes: int | None = None, max_bytes: int | None = None, threads_per_worker: int | None = None
    ):
        import socket

        if not hasattr(socket, "AF_UNIX") or not hasattr(socket, "send_fds"):
            raise OSError("WorkerProcessPool: expected a system with Unix sockets; use WorkerThreadPool")
        from batchup.memory.limits import available_memory
        from batchup.work_pool.processes.handle import Share
        from batchup.work_pool.processes.launch import launch, threads_in
        from batchup.work_pool.processes.supervisor import Supervisor

        super().__init__()
        self.processes = number_of_workers(processes, "WorkerProcessPool")
        if max_bytes is None:
            max_bytes = available_memory() // 4
        self.max_bytes = whole_number(max_bytes, "WorkerProcessPool: max_bytes")
        if threads_per_worker is not None:
            threads_per_worker = whole_number(threads_per_worker, "WorkerProcessPool: threads_per_worker", least=1)
        self._warned = False
        self._supervisor = Supervisor(
            [Share(self.max_bytes // self.processes) for _ in range(self.processes)],
            partial(launch, threads=threads_in(self.processes, threads_per_worker)),
        )
        self._close = weakref.finalize(self, self._supervisor.close)
        if self._starts_at_once:
            self._supervisor.start()

    def employ(self, work: Work, where: str) -> Workers:
        self.check()
        return _Workers(self, where, self._job(work, where))

    def _job(self, work: Any, where: str, before: Job | None = None) -> Job:
        """The work as it is now, pickled for the workers; the job `before` if nothing has changed."""
        from batchup.memory.shared import Segment, next_key
        from batchup.work_pool.pickling import pack_work
        from batchup.work_pool.processes.arrays import ArrayPickler, Copies, Place
        from batchup.work_pool.processes.jobs import Job

        used: dict[int, Segment] = {}
        places: list[Place | None] = []
        # Building a stream copies the arrays that have no copy. Beginning an iteration compares all of them.
        copies = Copies(compare=before is not None, places=() if before is None else before.places)
        pickler = partial(ArrayPickler, copies=copies, used=used, places=places)
        packed = pack_work(work, where, pickler)
        if before is not None and packed == before.packed:
            return before
        segments = list(used.values())
        job = Job(next_key(), work, packed, segments, places)
        self._supervisor.watch(job, *segments)
        return job

    def keeping(self, value: Any, where: str) -> Pool:
        self.check()
        return _Keeping(self, self._job(value, where))

    def close(self) -> None:
        """End the workers. A worker that makes an item has a second to finish it."""
        self.closed = True
        self._close()

    def _warn_of_no_room(self) -> None:
        """Warn, once, that a batch didn't fit into shared memory."""
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"{self!r}: no room for a batch in shared memory, of which max_bytes={self.max_bytes} "
                "may be taken; batches go through a pipe, which is slower. Keep fewer of them, use a "
                "smaller buffer, or a larger max_bytes where there is memory",
                RuntimeWarning,
                stacklevel=2,
            )

    def __repr__(self) -> str:
        return f"WorkerProcessPool(processes={self.processes})"


class _Keeping:
    """A pool with copies of the arrays of a data source in shared memory, which live as long as this object."""

    def __init__(self, pool: WorkerProcessPool, job: Job):
        self.pool = pool
        self.job = job

    def employ(self, work: Work, where: str) -> Workers:
        self.pool.check()
        return _Workers(self.pool, where, self.pool._job(work, where), self)

    def __repr__(self) -> str:
        return repr(self.pool)


class _Workers:
    """The workers of the pool, for the work of one stream."""

    def __init__(self, pool: WorkerProcessPool, where: str, job: Job, keeping: _Keeping | None = None):
        self.pool = pool
        self.where = where
        self.job = job
        self._keeping = keeping

    def start(self, buffer: int) -> _Run:
        from batchup.work_pool.processes.settings import present_settings

        self.pool.check()
        job = self.pool._job(self.job.work, self.where, self.job)
        if job is not self.job:
            self.job = job
            if self._keeping is not None:
                self._keeping.job = job
        return _Run(self.pool, job, self.pool._supervisor.open(present_settings()))


@record
class _Run:
    pool: WorkerProcessPool
    job: Job
    run: Run

    def submit(self, item: Any) -> _Item | Pending:
        from batchup.work_pool.pickling import pack_item

        self.pool.check()
        try:
            packed = pack_item(item)
        except TypeError as error:
            return failed(error)
        return _Item(self, self.pool._supervisor.submit(self.run, self.job, packed))

    def close(self, stuck: Any, timeout: float | None) -> None:
        """End the iteration. A worker that is stuck is killed and replaced."""
        pending = stuck.pending if isinstance(stuck, _Item) else None
        self.pool._supervisor.end(self.run, pending, timeout)


@record
class _Item:
    """An item in work."""

    run: _Run
    pending: Pending

    def result(self, timeout: float | None = None) -> Any:
        from batchup.work_pool.pickling import Outcome, opened

        self.run.pool.check_process()
        well, packed, drew, buffers, squeezed = self.pending.result(timeout)
        if squeezed:
            self.run.pool._warn_of_no_room()
        if drew:
            self.run.pool._warn_of_draws(drew)
        return opened(Outcome(well, packed, buffers), self.run.job.work)

    def done(self) -> bool:
        return self.pending.done()

    def cancel(self) -> bool:
        return self.pending.cancel()
