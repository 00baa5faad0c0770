"""Processes on this machine: for work in Python, which threads can't do at once."""

from __future__ import annotations

import warnings
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from batchup.ops.checks import whole_number
from batchup.ops.plan import record
from batchup.ops.stream import Work
from batchup.ops.workers import Crew, Pool
from batchup.work_pool.base import WorkerPool, number_of_workers

if TYPE_CHECKING:
    from concurrent.futures import Future

    from batchup.work_pool.foreman import Foreman
    from batchup.work_pool.packing import Kept
    from batchup.work_pool.tasks import Assignment, Line

__all__ = ["WorkerProcessPool"]


class WorkerProcessPool(WorkerPool):
    """`processes` worker processes; None is as many as the CPUs that this process may use.

    Started by fork and exec, in the background; lambdas, closures and classes of a notebook or a script
    reach them by cloudpickle. The work of a stream is sent to each worker once, when `ops.parallel` or
    `parallel_data_source` is given the pool; NumPy arrays in it as they are then: a copy of each, in
    memory that all workers share (see `work_pool.share`), or the path of a memory-mapped one.
    What the work writes into them stays in that worker.

    Batches come back in shared memory, and a batch's memory is used again when the last of its arrays
    is gone. All that memory stays under `max_bytes`, None for a quarter of what is free; what
    does not fit goes through a pipe, with one RuntimeWarning. Linux and macOS.

    >>> from batchup import ops
    >>> with WorkerProcessPool(processes=2) as pool:
    ...     squares = ops.indices(5) | ops.chunk(2) | ops.map(lambda block: [i * i for i in block])
    ...     list(squares | ops.parallel(pool))
    [[0, 1], [4, 9], [16]]
    """

    def __init__(self, processes: int | None = None, max_bytes: int | None = None):
        import socket

        if not hasattr(socket, "AF_UNIX") or not hasattr(socket, "send_fds"):
            raise OSError(
                "WorkerProcessPool: expected a system with Unix sockets; use WorkerThreadPool"
            )
        from batchup.work_pool.foreman import Foreman
        from batchup.work_pool.memory import available_memory
        from batchup.work_pool.process import start_process

        self.processes = number_of_workers(processes, "WorkerProcessPool")
        if max_bytes is None:
            max_bytes = available_memory() // 4
        self.max_bytes = whole_number(max_bytes, "WorkerProcessPool: max_bytes")
        self._warned = False
        self._foreman = Foreman(
            self.processes, partial(start_process, self.max_bytes // self.processes)
        )
        self._close = weakref.finalize(self, self._foreman.close)

    def employ(self, work: Work, where: str) -> Crew:
        from batchup.work_pool.packing import Kept

        return self._employ(work, where, Kept())

    def _employ(self, work: Any, where: str, kept: Kept) -> Crew:
        from batchup.work_pool.packing import Packer
        from batchup.work_pool.sharing import Segment, next_key
        from batchup.work_pool.shipping import pack_work
        from batchup.work_pool.tasks import Assignment

        segments: list[Segment] = []
        packed = pack_work(work, where, partial(Packer, kept=kept, segments=segments))
        assignment = Assignment(next_key(), packed, segments)
        self._foreman.watch(assignment, *segments)
        return _Crew(self, self._foreman, assignment)

    def keeping(self, value: Any, where: str) -> Pool:
        from batchup.work_pool.packing import Kept

        kept = Kept()
        self._employ(value, where, kept)
        return _Keeping(self, kept)

    def close(self) -> None:
        """End the workers; those that are at work have a second to end it."""
        self._close()

    def _warn(self) -> None:
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


@record
class _Keeping:
    """A pool that has put the arrays of a data source into shared memory already."""

    pool: WorkerProcessPool
    kept: Kept

    def employ(self, work: Work, where: str) -> Crew:
        return self.pool._employ(work, where, self.kept)

    def __repr__(self) -> str:
        return repr(self.pool)


@record
class _Crew:
    pool: WorkerProcessPool
    foreman: Foreman
    assignment: Assignment

    def line(self) -> _Line:
        return _Line(self, self.foreman.open())


@record
class _Line:
    crew: _Crew
    line: Line

    def submit(self, item: Any) -> _Batch:
        from batchup.work_pool.shipping import pack_item

        crew = self.crew
        try:
            packed = pack_item(item)
        except TypeError as error:
            from concurrent.futures import Future

            future: Future[Any] = Future()
            future.set_exception(error)
            return _Batch(crew.pool, future)
        return _Batch(crew.pool, crew.foreman.submit(self.line, crew.assignment, packed))

    def close(self, stuck: Any) -> None:
        """A worker that is stuck is killed, and another takes its place."""
        self.crew.foreman.shut(self.line, None if stuck is None else stuck.future)


@record
class _Batch:
    """A batch that is being made."""

    pool: WorkerProcessPool
    future: Future[Any]

    def result(self, timeout: float | None = None) -> Any:
        from batchup.work_pool.shipping import opened

        well, packed, buffers, squeezed = self.future.result(timeout)
        if squeezed:
            self.pool._warn()
        return opened((well, packed, buffers))

    def done(self) -> bool:
        return self.future.done()

    def cancel(self) -> bool:
        return self.future.cancel()
