"""The thread that exchanges messages with the worker processes of a pool. No other thread uses their sockets.

Callers put tasks into a queue and wake the thread. It sends tasks to workers, receives results, notices when a worker
ends and starts another. It never blocks on a worker: data that a worker doesn't read yet stays in its connection. No
other thread uses the state of this one, except for the inbox and the set of runs.
"""

from __future__ import annotations

import itertools
import os
import selectors
import signal
import subprocess
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from logging import getLogger
from typing import Any

from batchup.memory.shared import Segment
from batchup.work_pool.base import CLOSED
from batchup.work_pool.errors import WorkerDied, end_of
from batchup.work_pool.pending import Pending
from batchup.work_pool.processes.handle import Handle, Share
from batchup.work_pool.processes.inbox import Inbox
from batchup.work_pool.processes.jobs import STARTS, TRIES, Job, Run, Task

__all__ = ["Supervisor"]

GRACE = 1.0  # seconds for idle workers to end by themselves

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Supervisor:
    """Runs one worker for each of the `shares`, until `close`."""

    def __init__(self, shares: list[Share], launch: Callable[[Share], Handle]):
        self._launch = launch
        self._vacant = deque(shares)
        self._owner = os.getpid()
        self._inbox = Inbox()
        self._watched: set[int] = set()
        self.runs: set[Run] = set()
        self.workers: list[Handle] = []
        self._failed_starts = 0  # in a row
        self._start_error: str | None = None  # why no worker can be started; tried again with the next run
        self._closing = False
        self._failure: Exception | None = None
        self._numbers = itertools.count()
        self._selector = selectors.DefaultSelector()
        self._no_room = False  # True if no worker has room for the next task
        self._deadlines = False  # True if a worker may have a task of a run with a deadline
        self._selector.register(self._inbox, READ, None)
        # A worker gets SIGKILL when the thread that started it ends, so this thread starts all workers.
        self._thread = threading.Thread(target=self._run, name="batchup-pool", daemon=True)
        self._starting = threading.Lock()

    # --- called by any thread

    def start(self) -> None:
        """Start the thread, which starts the workers, unless it runs already."""
        with self._starting:
            if self._thread.ident is None and not self._closing:
                self._thread.start()

    def open(self, settings: bytes) -> Run:
        self.start()
        run = Run(settings)
        self.runs.add(run)
        self._start_error = None
        self._inbox.wake()
        return run

    def submit(self, run: Run, job: Job, packed: bytes) -> Pending:
        task = Task(next(self._numbers), run, job, packed)
        if run.broken is not None:
            task.pending.fail(WorkerDied(run.broken))
            return task.pending
        self._inbox.tasks.append(task)
        self._inbox.wake()
        if self._closing:  # closed meanwhile: the thread may not have seen this task
            task.pending.fail(RuntimeError(self._why_closed()))
        return task.pending

    def end(self, run: Run, stuck: Pending | None, timeout: float | None) -> None:
        """End a run: kill the worker of the task `stuck`, and after `timeout` seconds workers that still run a task of it."""
        run.end(timeout if stuck is None else 0)
        self.runs.discard(run)
        if not self._closing:
            self._inbox.ended.append((run, stuck))
            self._inbox.wake()

    def watch(self, *things: Job | Segment) -> None:
        """Have the workers drop each of these when it is garbage here."""
        for thing in things:
            if thing.key not in self._watched:
                self._watched.add(thing.key)
                weakref.finalize(thing, self._drop, thing.key).atexit = False

    def _drop(self, key: int) -> None:
        # Called by the garbage collector, in any thread.
        self._watched.discard(key)
        self._inbox.dropped.append(key)
        if not self._closing:
            self._inbox.wake()

    def close(self) -> None:
        """End all workers and the thread."""
        if os.getpid() != self._owner:
            return  # a fork of the process has neither the thread nor the workers
        if not self._closing:
            self._closing = True
            self._inbox.wake()
            if self._thread.ident is None:
                self._end_workers()
        if self._thread.ident is not None and threading.current_thread() is not self._thread:
            self._thread.join()

    def pids(self) -> list[int]:
        return [worker.pid for worker in list(self.workers)]

    def _why_closed(self) -> str:
        return CLOSED if self._failure is None else f"the pool failed: {self._failure!r}"

    # --- the thread

    def _run(self) -> None:
        # Workers add_held the blocked signals, so Ctrl-C can't end a worker that is still starting.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            while not self._closing:
                self._start_workers()
                self._end_runs()
                self._forget()
                self._assign_tasks()
                # No file tells when a worker without a pidfd ends, nor when a task is beyond its deadline: both are polled.
                blind = any(worker.pidfd is None for worker in self.workers)
                for key, events in self._sleep(0.2 if blind or self._deadlines else None):
                    if key.data is None:
                        self._inbox.clear()
                        continue
                    worker = key.data
                    if events & WRITE and worker in self.workers:
                        worker.flush()
                        self._watch_socket(worker)
                    if events & READ and worker in self.workers:
                        self._receive(worker, is_end=key.fd == worker.pidfd)
                if blind:
                    for worker in [w for w in self.workers if w.pidfd is None and w.process.poll() is not None]:
                        self._receive(worker, is_end=True)
        except Exception as error:  # a defect of this module: no caller may wait for ever because of it
            self._failure = error
            self._closing = True
            raise
        finally:
            self._end_workers()

    def _sleep(self, seconds: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for events. Looks at the inbox once more after saying that it sleeps, so nothing is missed in between."""
        self._inbox.asleep = True
        news = self._inbox.dropped or self._inbox.ended or self._closing or self._can_start()
        if news or (self._inbox.tasks and not self._no_room):
            seconds = 0
        events = self._selector.select(seconds)
        self._inbox.asleep = False
        return events

    def _can_start(self) -> bool:
        return self._start_error is None and bool(self._vacant)

    def _start_workers(self) -> None:
        while self._can_start():
            try:
                worker = self._launch(self._vacant[0])
            except (OSError, MemoryError, subprocess.SubprocessError) as error:
                self._start_error = f"could not start a worker process: {error}"
                break
            self._vacant.popleft()
            self.workers.append(worker)
            self._selector.register(worker.connection.socket, READ, worker)
            if worker.pidfd is not None:
                self._selector.register(worker.pidfd, READ, worker)
        if self._start_error is not None and not self.workers:
            while self._inbox.tasks:
                self._inbox.tasks.popleft().pending.fail(WorkerDied(self._start_error))

    def _assign_tasks(self) -> None:
        """Send tasks to workers, each to the worker with the shortest queue, as long as one has room."""
        queue = self._inbox.tasks
        outgoing: dict[Handle, list[tuple[Any, ...]]] = {}
        self._no_room = False
        while queue:
            ready = [w for w in self.workers if w.ready and not (self._deadlines and w.check_deadline())]
            worker = min(ready, key=lambda worker: len(worker.tasks), default=None)
            if worker is None or not worker.has_room_for(queue[0]):
                self._no_room = bool(self.workers)  # until a worker sends a message
                break
            task = queue.popleft()
            if task.begin():
                outgoing.setdefault(worker, []).extend(worker.take(task))
        for worker, messages in outgoing.items():
            self._send(worker, *messages)

    def _send(self, worker: Handle, *messages: tuple[Any, ...]) -> None:
        worker.send(*messages)
        self._watch_socket(worker)

    def _watch_socket(self, worker: Handle) -> None:
        """Wait for room in the socket of a worker as long as there is data that it hasn't read."""
        self._selector.modify(worker.connection.socket, READ | WRITE if worker.sending else READ, worker)

    def _receive(self, worker: Handle, is_end: bool) -> None:
        """Receive the messages of a worker. If the worker has ended, receive all that are left, and replace it."""
        while True:
            try:
                messages = worker.connection.receive()
            except BlockingIOError:
                break
            except (ConnectionError, MemoryError):  # there is no memory for its message
                messages = None
            if messages is None:
                is_end = True
                break
            for message in messages:
                worker.handle(*message)
            self._watch_socket(worker)
            if not is_end:
                return
        if is_end:
            self._replace(worker)

    def _replace(self, worker: Handle) -> None:
        """Replace a worker that has ended: its task fails, and the tasks it hasn't begun go to others."""
        self.workers.remove(worker)
        self._vacant.append(worker.share)
        self._selector.unregister(worker.connection.socket)
        if worker.pidfd is not None:
            self._selector.unregister(worker.pidfd)
        said = f"the worker process {worker.pid} {end_of(worker.end())}"
        self._failed_starts = 0 if worker.ready else self._failed_starts + 1
        at_work = worker.at_work()
        if at_work is not None:
            worker.tasks.popleft()
            at_work.pending.fail(
                WorkerDied(f"{said} while it made this batch; making it here may end this process, too")
            )
        elif self._failed_starts == STARTS:
            self._start_error = f"{said} while it started"
            for run in list(self.runs):
                run.broken = self._start_error
        elif not worker.killed:
            when = "between two batches" if worker.ready else "while it started"
            getLogger("batchup.work_pool").warning("%s %s; another takes its place", said, when)
        for task in reversed(worker.tasks):
            task.deaths += not worker.killed
            if task.deaths < TRIES:
                self._inbox.tasks.appendleft(task)
            else:
                task.pending.fail(WorkerDied(f"{said} before it began this batch, as {TRIES - 1} others did"))

    def _end_runs(self) -> None:
        """Drop the tasks of ended runs that no worker has begun, and kill workers that are stuck at one."""
        while self._inbox.ended:
            run, stuck = self._inbox.ended.popleft()
            self._deadlines |= run.deadline is not None
            for worker in self.workers:
                worker.end_run(run, stuck)
                self._watch_socket(worker)
        if self._deadlines:
            # A worker may still be at a task of the run, or begin one before it reads that the run has ended.
            self._deadlines = bool([worker for worker in self.workers if worker.check_deadline()])

    def _forget(self) -> None:
        keys = set()
        while self._inbox.dropped:
            keys.add(self._inbox.dropped.popleft())
        if keys:
            for worker in self.workers:
                if known := keys & worker.known:
                    worker.known -= known
                    self._send(worker, ("forget", list(known)))

    def _end_workers(self) -> None:
        """Close the sockets, which ends idle workers. The others are killed after GRACE seconds."""
        why = self._why_closed()
        workers, self.workers = self.workers, []
        tasks = [task for worker in workers for task in worker.tasks] + list(self._inbox.tasks)
        self._inbox.tasks.clear()
        for worker in workers:
            worker.connection.close()
        deadline = time.monotonic() + GRACE
        for worker in workers:
            worker.end(deadline)
        for task in tasks:
            task.pending.fail(RuntimeError(why))
        self._selector.close()
        self._inbox.close()
