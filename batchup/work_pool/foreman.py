"""The thread that talks with the worker processes of a pool. Nothing else touches their sockets.

Callers put tasks into a queue and wake the thread; it hands them to workers, collects what comes
back, sees workers die and starts others. Its state is its own, but for the deques, which other
threads append to, and the set of lines, which has a lock.
"""

from __future__ import annotations

import itertools
import os
import selectors
import signal
import socket
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any

from batchup.work_pool.errors import WorkerDied, end_of
from batchup.work_pool.process import Process
from batchup.work_pool.sharing import Segment
from batchup.work_pool.tasks import Assignment, Line, Task

__all__ = ["Foreman"]

# A worker that is busy reads nothing. This much fits into its socket, so that sending never waits.
BYTES_IN_HAND = 64 * 1024

GRACE = 1.0  # seconds for idle workers to end by themselves


class Foreman:
    """Keeps `processes` workers at work, until `close`."""

    def __init__(self, processes: int, start: Callable[[], Process]):
        self._processes = processes
        self._start = start
        self._owner = os.getpid()
        self._queue: deque[Task] = deque()
        self._dropped: deque[int] = deque()  # keys that no stream needs any more
        self._watched: set[int] = set()
        self._stuck: deque[Future[Any]] = deque()
        self._lines: set[Line] = set()
        # Reentrant, as an iteration may end wherever memory is freed: in this thread too.
        self._lines_lock = threading.RLock()
        self._workers: list[Process] = []
        self._unable: str | None = None  # why no worker is started, until the next iteration begins
        self._closing = False
        self._failure: Exception | None = None
        self._numbers = itertools.count()
        self._selector = selectors.DefaultSelector()
        self._alarm, self._woken_by = socket.socketpair()
        self._alarm.setblocking(False)
        self._woken_by.setblocking(False)
        self._selector.register(self._alarm, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._run, name="batchup-pool", daemon=True)
        self._thread.start()

    # --- called by any thread

    def open(self) -> Line:
        self._check_open()
        line = Line()
        with self._lines_lock:
            self._lines.add(line)
        self._unable = None
        self._wake()
        return line

    def submit(self, line: Line, assignment: Assignment, packed: bytes) -> Future[Any]:
        self._check_open()
        future: Future[Any] = Future()
        if line.broken is not None:
            future.set_exception(WorkerDied(line.broken))
            return future
        self._queue.append(Task(next(self._numbers), line, assignment, packed, future))
        self._wake()
        if self._closing:  # since it was checked; the thread may not have seen this one
            with suppress(InvalidStateError):
                future.set_exception(RuntimeError("the pool was closed"))
        return future

    def shut(self, line: Line, stuck: Future[Any] | None) -> None:
        with self._lines_lock:
            self._lines.discard(line)
        if stuck is not None and not self._closing:
            self._stuck.append(stuck)
            self._wake()

    def watch(self, *things: Assignment | Segment) -> None:
        """Let the workers forget each of these, once nobody here has it any more."""
        for thing in things:
            if thing.key not in self._watched:
                self._watched.add(thing.key)
                weakref.finalize(thing, self._drop, thing.key).atexit = False

    def _drop(self, key: int) -> None:
        # Called while memory is freed, wherever that is: no locks here.
        self._watched.discard(key)
        self._dropped.append(key)
        if not self._closing:
            self._wake()

    def close(self) -> None:
        """End all workers, and this thread."""
        if os.getpid() != self._owner:
            return  # in a fork of the process, which has neither the thread nor the workers
        if not self._closing:
            self._closing = True
            self._wake()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def pids(self) -> list[int]:
        return [worker.pid for worker in list(self._workers)]

    def _check_open(self) -> None:
        if self._closing:
            raise RuntimeError("expected an open pool to iterate; this one is closed")

    def _wake(self) -> None:
        with suppress(OSError):  # it has been woken often enough, or it has ended
            self._woken_by.send(b"x")

    # --- the thread

    def _run(self) -> None:
        # Workers inherit what is blocked, so a Ctrl-C can't end one that is still starting.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            while not self._closing:
                self._hire()
                self._end_stuck()
                self._forget()
                self._hand_over()
                for key, _ in self._selector.select():
                    if key.data is None:
                        self._alarm.recv(4096)
                    elif key.data in self._workers:
                        self._listen(key.data, is_end=key.fd == key.data.pidfd)
        except Exception as error:  # ours, not a user's; nobody must wait for ever because of it
            self._failure = error
            self._closing = True
            raise
        finally:
            self._dismiss_all()

    def _hire(self) -> None:
        while self._unable is None and len(self._workers) < self._processes:
            try:
                worker = self._start()
            except OSError as error:
                self._unable = f"could not start a worker process: {error}"
                break
            self._workers.append(worker)
            self._selector.register(worker.wire.socket, selectors.EVENT_READ, worker)
            if worker.pidfd is not None:
                self._selector.register(worker.pidfd, selectors.EVENT_READ, worker)
        if self._unable is not None and not self._workers:
            self._fail_queue(self._unable)

    def _hand_over(self) -> None:
        """Give tasks to workers, each to the one with the least in hand, while there is room."""
        queue = self._queue
        outgoing: dict[Process, list[tuple[Any, ...]]] = {}
        while queue:
            ready = [worker for worker in self._workers if worker.ready]
            if not ready:
                break
            worker = min(ready, key=lambda worker: len(worker.tasks))
            task = queue[0]
            known = task.assignment.key in worker.known
            size = len(task.packed) + (0 if known else task.assignment.size)
            if worker.tasks and (
                len(worker.tasks) >= task.assignment.tasks_in_hand
                or worker.bytes_in_hand + size > BYTES_IN_HAND
            ):
                break
            if not task.begin():
                queue.popleft()
                continue
            messages = outgoing.setdefault(worker, [])
            if not known:
                worker.known.add(task.assignment.key)
                worker.send_segments(task.assignment.segments)
                messages.append(("work", task.assignment.key, task.assignment.packed))
            messages.append(
                ("do", task.number, task.assignment.key, task.packed, worker.take_released())
            )
            worker.tasks.append(task)
            queue.popleft()
            worker.bytes_in_hand += size
            if worker.bytes_in_hand > BYTES_IN_HAND:
                worker.send(outgoing.pop(worker))
        for worker, messages in outgoing.items():
            worker.send(messages)

    def _listen(self, worker: Process, is_end: bool) -> None:
        """Take what a worker has said; all of it, and bury the worker, where it has ended."""
        if is_end:
            worker.wire.socket.setblocking(False)
        while True:
            try:
                messages = worker.wire.receive()
            except BlockingIOError:
                break
            except ConnectionError:
                messages = None
            if messages is None:
                is_end = True
                break
            for message in messages:
                self._heard(worker, message)
            if not is_end:
                return
        self._bury(worker)

    def _heard(self, worker: Process, message: tuple[Any, ...]) -> None:
        kind, *rest = message
        if kind == "done":
            number, seconds, well, packed, slab, places, squeezed = rest
            task = worker.tasks.popleft()
            assert task.number == number, "a worker does its tasks in the order they were given"
            worker.bytes_in_hand = worker.bytes_in_hand - len(task.packed) if worker.tasks else 0
            task.assignment.learn(seconds)
            buffers = places if slab is None else worker.views(slab, places)
            task.future.set_result((well, packed, buffers, squeezed))
        elif kind == "slab":
            worker.take_slab(*rest)
        elif kind == "gone":
            worker.slabs.pop(rest[0])
        else:
            worker.ready = True

    def _bury(self, worker: Process) -> None:
        """A worker has ended: whom it worked for hears of it; what it had not begun goes back."""
        self._workers.remove(worker)
        self._selector.unregister(worker.wire.socket)
        if worker.pidfd is not None:
            self._selector.unregister(worker.pidfd)
        status = worker.end()
        said = f"the worker process {worker.pid} {end_of(status)}"
        idle = f"{said} between two batches"
        if not worker.ready:  # the next might, too, and the next
            self._unable = idle = f"{said} while it started"
        tasks = worker.tasks
        at_work = tasks.popleft() if tasks else None
        if at_work is not None and not at_work.future.done():
            at_work.future.set_exception(WorkerDied(f"{said} while it made this batch"))
        if not worker.dismissed:
            with self._lines_lock:
                for line in self._lines - ({at_work.line} if at_work else set()):
                    line.broken = idle
        self._queue.extendleft(task for task in reversed(tasks) if task.line in self._lines)

    def _end_stuck(self) -> None:
        while self._stuck:
            future = self._stuck.popleft()
            for worker in self._workers:
                if any(task.future is future for task in worker.tasks):
                    worker.dismissed = True
                    worker.kill()

    def _forget(self) -> None:
        while self._dropped:
            key = self._dropped.popleft()
            for worker in self._workers:
                if key in worker.known:
                    worker.known.discard(key)
                    worker.send([("forget", key)])

    def _fail_queue(self, why: str) -> None:
        while self._queue:
            task = self._queue.popleft()
            if task.begin():
                task.future.set_exception(WorkerDied(why))

    def _dismiss_all(self) -> None:
        """Close the sockets, which ends workers that are idle; and kill those that are not, soon."""
        why = "the pool was closed" if self._failure is None else f"the pool failed: {self._failure!r}"
        workers, self._workers = self._workers, []
        pending = [task for worker in workers for task in worker.tasks] + list(self._queue)
        self._queue.clear()
        for worker in workers:
            worker.wire.close()
        deadline = time.monotonic() + GRACE
        for worker in workers:
            worker.end(deadline)
        for task in pending:
            with suppress(InvalidStateError):  # it is done, or was cancelled
                task.future.set_exception(RuntimeError(why))
        self._selector.close()
        self._alarm.close()
        self._woken_by.close()
