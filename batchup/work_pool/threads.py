"""Threads of this process."""

from __future__ import annotations

import operator
import threading
import weakref
from collections.abc import Callable
from dataclasses import replace
from queue import SimpleQueue
from typing import Any, Protocol

from batchup.core.record import record
from batchup.core.work import Work
from batchup.ops.workers import Crew
from batchup.work_pool.base import CLOSED, WorkerPool, number_of_workers
from batchup.work_pool.pending import Pending

__all__ = ["SharedCrew", "WorkerThreadPool"]


class WorkerThreadPool(WorkerPool):
    """`processes` threads of this process; None is as many as the CPUs that it may use.

    For work that lets go of the interpreter lock: decoding images, reading files, NumPy on large
    arrays. Threads start at once, share all memory, and nothing needs to be picklable. Python code
    runs in one of them at a time; for that use `WorkerProcessPool`.
    """

    def __init__(self, processes: int | None = None):
        super().__init__()
        self.processes = number_of_workers(processes, "WorkerThreadPool")
        self._queue = _Queue()
        # Daemons, as they wait for work for as long as there is a pool, which a program may not close.
        self._threads = [
            threading.Thread(target=_serve, args=(self._queue,), name=f"batchup_{n}", daemon=True)
            for n in range(self.processes)
        ]
        for thread in self._threads:
            thread.start()
        self._end = weakref.finalize(self, self._queue.close, self.processes)

    def employ(self, work: Work, where: str) -> Crew:
        self.check()
        return SharedCrew(self, work, self._submit)

    def _submit(self, pending: Making, run: Callable[[Any], Any], item: Any) -> None:
        self._queue.put((pending, run, item))
        if self._queue.closed:  # since it was checked
            pending.fail(RuntimeError(CLOSED))

    def close(self) -> None:
        """End the threads, once they have done what they are at."""
        self.closed = True
        self._end()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()

    def __repr__(self) -> str:
        return f"WorkerThreadPool(processes={self.processes})"


class _Queue(SimpleQueue[Any]):
    """Items to be made. `concurrent.futures` has a lock here, which a Ctrl-C can leave locked."""

    closed = False

    def close(self, threads: int) -> None:
        self.closed = True
        for _ in range(threads):
            self.put(None)


def _serve(queue: _Queue) -> None:
    """What each thread does. It keeps nothing of an item while it waits for the next."""
    while (task := queue.get()) is not None:
        if queue.closed:
            task[0].fail(RuntimeError(CLOSED))
        else:
            make(*task)
        del task


class Making(Protocol):
    """What a worker sees of an item, or of a part of one."""

    def begin(self) -> bool: ...

    def finish(self, value: Any) -> None: ...

    def fail(self, error: BaseException) -> None: ...


def make(pending: Making, run: Callable[[Any], Any], item: Any) -> None:
    if pending.begin():
        try:
            pending.finish(run(item))
        except (
            BaseException
        ) as error:  # a SystemExit too is the caller's, as it would be without a pool
            pending.fail(error)
            del pending  # else the error would keep itself, by its traceback


@record
class SharedCrew:
    """Workers that see the caller's memory; a crew and a run in one."""

    pool: WorkerPool
    work: Work
    put: Callable[[Making, Callable[[Any], Any], Any], None]
    split: bool = False

    def splitting(self) -> SharedCrew:
        return replace(self, split=True)

    def start(self, buffer: int) -> SharedCrew:
        self.pool.check()
        return self

    def submit(self, item: Any) -> Pending:
        self.pool.check()
        pending = _Item(self.pool)
        if not self.split:
            self.put(pending, self.work.run, item)
            return pending
        calls, finish = self.work.split(item)
        parts = _Parts(pending, [Pending() for _ in calls], finish)
        for n, call in enumerate(calls):
            self.put(_Part(parts, n), operator.call, call)
        if not calls:
            self.put(pending, finish, ())
        return pending

    def close(self, stuck: Any, timeout: float | None) -> None:
        """A thread can't be ended by force: it goes on with what it is at."""


class _Item(Pending):
    __slots__ = ("_pool",)

    def __init__(self, pool: WorkerPool):
        super().__init__()
        self._pool = pool

    def result(self, timeout: float | None = None) -> Any:
        self._pool.check_process()
        return super().result(timeout)


class _Parts:
    """The parts of an item; whoever has the last of them makes the item of the results."""

    def __init__(self, item: Pending, results: list[Pending], finish: Callable[[Any], Any]):
        self.item = item
        self.results = results
        self.finish = finish
        self._left = [True] * len(results)  # popping one is atomic

    def one_is_over(self) -> None:
        self._left.pop()
        if not self._left:
            make(self.item, self.finish, self.results)


@record
class _Part:
    parts: _Parts
    number: int

    def begin(self) -> bool:
        return not self.parts.item.done()  # it may have been cancelled

    def finish(self, value: Any) -> None:
        self.parts.results[self.number].finish(value)
        self.parts.one_is_over()

    def fail(self, error: BaseException) -> None:
        self.parts.results[self.number].fail(error)
        self.parts.one_is_over()
