"""A pool of threads."""

from __future__ import annotations

import operator
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from queue import SimpleQueue
from typing import Any, Protocol

from batchup.core.global_seeds import seeds_globals
from batchup.core.memory import CURRENT, BatchMemory
from batchup.core.record import record
from batchup.core.work import Split, Work
from batchup.ops.parallel import Workers
from batchup.work_pool.base import CLOSED, WorkerPool, number_of_workers
from batchup.work_pool.forks import called
from batchup.work_pool.pending import Pending

__all__ = ["SharedWorkers", "WorkerThreadPool", "refuse_global_seeds"]


class WorkerThreadPool(WorkerPool):
    """Threads of this process.

    Use it for work that releases the interpreter lock: decoding images, reading files, NumPy on large arrays. Threads
    start at once, share all memory, and nothing needs to be picklable. Python code runs in one thread at a time; for
    that use `WorkerProcessPool`. If the work iterates a stream in the same pool, its own thread does the work of that
    stream.

    Parameters
    ----------
    processes : int or None
        The number of threads; None for the number of CPUs that this process may use.

    Examples
    --------
    >>> from batchup import ops
    >>> with WorkerThreadPool(processes=2) as pool:
    ...     sums = ops.indices(5) | ops.chunk(2) | ops.map(lambda block: int((block**2).sum()))
    ...     list(sums | ops.parallel(pool))
    [1, 13, 16]
    """

    def __init__(self, processes: int | None = None):
        super().__init__()
        self.processes = number_of_workers(processes, "WorkerThreadPool")
        self._queue = _Queue()
        self._at_work: dict[threading.Thread, Making] = {}  # the item that each thread makes
        # Daemon threads, since a program may end without closing the pool.
        self._threads = [
            threading.Thread(target=_serve, args=(self._queue, self._at_work), name=f"batchup_{n}", daemon=True)
            for n in range(self.processes)
        ]
        self._starting = threading.Lock()
        self._end = weakref.finalize(self, self._queue.close, self.processes)
        if self._starts_at_once:
            self._start()

    def _start(self) -> None:
        with self._starting:
            for thread in self._threads:
                if thread.ident is None and not self.closed:
                    thread.start()

    def employ(self, work: Work, where: str) -> Workers:
        self.check()
        refuse_global_seeds(work, where, self)
        return SharedWorkers(self, work, self._submit, self._submit_first)

    def _submit_first(self, pending: Making, run: Callable[[Any], Any], item: Any) -> None:
        self._queue.put_first((pending, run, item))

    def _submit(self, pending: Making, run: Callable[[Any], Any], item: Any) -> None:
        self._queue.put((pending, run, item))
        if self._queue.closed:  # closed since the check
            pending.fail(RuntimeError(CLOSED))

    def close(self) -> None:
        """End the threads when they have finished their items.

        A thread can't be ended by force, so threads that are stuck at an item of an iteration that has timed out are
        not waited for.
        """
        self.closed = True
        self._end()
        for thread in self._threads:
            if thread.ident is not None and thread is not threading.current_thread():
                self._join(thread)

    def _join(self, thread: threading.Thread) -> None:
        while thread.is_alive():
            making = self._at_work.get(thread)
            seconds = None if making is None else making.run.seconds_left()
            if seconds is not None and seconds <= 0:
                return
            thread.join(seconds)

    def __repr__(self) -> str:
        return f"WorkerThreadPool(processes={self.processes})"


_LOOK = object()  # wakes a thread that waits, to look for a task that comes first


class _Queue(SimpleQueue[Any]):
    """A queue of items.

    That of `concurrent.futures` won't do: Ctrl-C can leave it locked.
    """

    closed = False

    def __init__(self) -> None:
        self._first: deque[Any] = deque()

    def put_first(self, task: Any) -> None:
        """Add a task that comes before all others. Called by the workers alone."""
        self._first.append(task)
        self.put(_LOOK)

    def next(self) -> Any:
        """The next task, or None if the queue was closed."""
        while True:
            try:
                return self._first.popleft()
            except IndexError:
                task = self.get()
                if task is not _LOOK:
                    return task

    def close(self, threads: int) -> None:
        self.closed = True
        for _ in range(threads):
            self.put(None)


def _serve(queue: _Queue, at_work: dict[threading.Thread, Making]) -> None:
    """The loop of each thread. While it waits for an item, it keeps no reference to the last one."""
    thread = threading.current_thread()
    while (task := queue.next()) is not None:
        if queue.closed:
            task[0].fail(RuntimeError(CLOSED))
        else:
            at_work[thread] = task[0]
            make(*task)
            del at_work[thread]
        del task


class Making(Protocol):
    """An item, or a part of one, as a worker sees it."""

    @property
    def run(self) -> SharedRun: ...

    def begin(self) -> bool: ...

    def finish(self, value: Any) -> None: ...

    def fail(self, error: BaseException) -> None: ...


def refuse_global_seeds(work: Work, where: str, pool: WorkerPool) -> None:
    """Raise TypeError for work that seeds the global generators, which all threads share."""
    if step := seeds_globals(work):
        raise TypeError(
            f"{where}: seed_globals: expected a pool of processes; got {pool!r}, whose threads share the generators that "
            f"{step} seeds. Use WorkerProcessPool, or loader(..., workers=); or have the function draw from the generator "
            "that rng= gives"
        )


def make(pending: Making, run: Callable[[Any], Any], item: Any) -> None:
    if pending.begin():
        try:
            pending.finish(called(run, item))
        except BaseException as error:  # also a SystemExit: it ends the caller, as it would without a pool
            pending.fail(error)
            del pending  # otherwise the traceback of the error keeps the error alive


Put = Callable[[Making, Callable[[Any], Any], Any], None]


@record
class SharedWorkers:
    """Workers that share the memory of the caller."""

    pool: WorkerPool
    work: Work
    put: Put
    put_first: Put  # for further parts of an item, which others wait for
    split: bool = False

    def splitting(self) -> SharedWorkers:
        return replace(self, split=True)

    def start(self, buffer: int) -> SharedRun | _RunHere:
        self.pool.check()
        self.pool._start()
        # A worker that waits for the other workers of its pool could wait for ever.
        return _RunHere(self.work) if self.pool in _at_work_for.pools else SharedRun(self)


class _AtWorkFor(threading.local):
    """The pools that this thread makes a batch for."""

    pools: tuple[WorkerPool, ...] = ()


_at_work_for = _AtWorkFor()


class _RunHere:
    """An iteration by a worker of the same pool, which does the work itself."""

    def __init__(self, work: Work):
        self._work = work

    def submit(self, item: Any) -> _MadeHere:
        return _MadeHere(self._work, item)

    def close(self, stuck: Any, timeout: float | None) -> None:
        """Do nothing: the work is done when its result is asked for."""


class _MadeHere:
    def __init__(self, work: Work, item: Any):
        self._work, self._item = work, item

    def result(self, timeout: float | None = None) -> Any:
        return self._work.run(self._item)

    def done(self) -> bool:
        return True

    def cancel(self) -> bool:
        return True


class SharedRun:
    """One iteration."""

    def __init__(self, workers: SharedWorkers):
        self.workers = workers
        self._deadline: float | None = None
        self.memory = BatchMemory()
        self._weakly = weakref.ref(self)

    def at_work(self, run: Callable[[Any], Any], item: Any) -> Any:
        """Return `run(item)`, in a worker."""
        pools = _at_work_for.pools
        _at_work_for.pools = (*pools, self.workers.pool)
        CURRENT.owner = self._weakly
        try:
            return run(item)
        finally:
            _at_work_for.pools = pools

    def submit(self, item: Any) -> Pending:
        workers = self.workers
        workers.pool.check()
        pending = _Item(self)
        if not workers.split:
            workers.put(pending, partial(self.at_work, workers.work.run), item)
            return pending
        try:
            split = workers.work.split(item)
        except Exception as error:
            pending.fail(error)
        else:
            _Parts(pending, split).put(workers.put)
        return pending

    def close(self, stuck: Any, timeout: float | None) -> None:
        """End the iteration. A thread can't be ended by force: it finishes its item, but the caller doesn't wait for it."""
        if stuck is not None or timeout is not None:
            self._deadline = time.monotonic() + (0 if stuck is not None else timeout or 0)

    def seconds_left(self) -> float | None:
        """The seconds to wait for its items after its end; None for as long as they take."""
        return None if self._deadline is None else self._deadline - time.monotonic()


class _Item(Pending):
    __slots__ = ("run",)

    def __init__(self, run: SharedRun):
        super().__init__()
        self.run = run

    def result(self, timeout: float | None = None) -> Any:
        self.run.workers.pool.check_process()
        return super().result(timeout)


class _Parts:
    """The parts of an item. The worker that ends the last part makes the item of the results, or begins further parts."""

    def __init__(self, item: _Item, split: Split):
        self.item = item
        self.calls = split.calls or [_nothing]
        self.results = [Pending() for _ in self.calls]
        self._finish = split.finish if split.calls else lambda results: split.finish(())
        self._left = [True] * len(self.results)  # `pop` is atomic

    def put(self, put: Put) -> None:
        run = partial(self.item.run.at_work, operator.call)
        for n, call in enumerate(self.calls):
            put(_Part(self, n), run, call)

    def one_is_over(self) -> None:
        self._left.pop()
        if self._left or self.item.done():
            return
        workers = self.item.run.workers
        try:
            made = called(partial(self.item.run.at_work, self._finish), self.results)
            if isinstance(made, Split):
                _Parts(self.item, made).put(workers.put_first)
            else:
                self.item.finish(made)
        except BaseException as error:  # also of an executor that was shut down meanwhile
            self.item.fail(error)
            del self  # otherwise the traceback of the error keeps the error alive


def _nothing() -> None:
    """The only part of an item without samples."""


@record
class _Part:
    parts: _Parts
    number: int

    @property
    def run(self) -> SharedRun:
        return self.parts.item.run

    def begin(self) -> bool:
        return not self.parts.item.done()  # False if it was cancelled

    def finish(self, value: Any) -> None:
        self.parts.results[self.number].finish(value)
        self.parts.one_is_over()

    def fail(self, error: BaseException) -> None:
        self.parts.results[self.number].fail(error)
        self.parts.one_is_over()
