"""The thread that talks with the worker processes of a pool. Nothing else touches their sockets.

Callers put tasks into a queue and wake the thread; it hands them to workers, collects what comes
back, sees workers end and starts others. It never waits for a worker: what one does not take stays in its
connection until there is room. Its state is its own, but for the inbox, and a set of runs.
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
    """Keeps a worker for each of the `shares` at work, until `close`."""

    def __init__(self, shares: list[Share], launch: Callable[[Share], Handle]):
        self._launch = launch
        self._vacant = deque(shares)
        self._owner = os.getpid()
        self._inbox = Inbox()
        self._watched: set[int] = set()
        self.runs: set[Run] = set()
        self.workers: list[Handle] = []
        self._failed_starts = 0  # one after another
        self._unable: str | None = None  # why no worker is started, until the next run begins
        self._closing = False
        self._failure: Exception | None = None
        self._numbers = itertools.count()
        self._selector = selectors.DefaultSelector()
        self._no_room = False  # for what is in the queue
        self._suspects = False  # whether there may be a worker that is one
        self._selector.register(self._inbox, READ, None)
        # Workers end with the thread that has started them, so it must be this one that does.
        self._thread = threading.Thread(target=self._run, name="batchup-pool", daemon=True)
        self._thread.start()

    # --- called by any thread

    def open(self, settings: bytes) -> Run:
        run = Run(settings)
        self.runs.add(run)
        self._unable = None
        self._inbox.wake()
        return run

    def submit(self, run: Run, job: Job, packed: bytes) -> Pending:
        task = Task(next(self._numbers), run, job, packed)
        if run.broken is not None:
            task.pending.fail(WorkerDied(run.broken))
            return task.pending
        self._inbox.tasks.append(task)
        self._inbox.wake()
        if self._closing:  # since that was checked; the thread may not have seen this one
            task.pending.fail(RuntimeError(self._why_closed()))
        return task.pending

    def end(self, run: Run, stuck: Pending | None, timeout: float | None) -> None:
        """No more is wanted of a run; a worker that is stuck at its task is killed, or is after so many seconds."""
        run.end(timeout if stuck is None else 0)
        self.runs.discard(run)
        if not self._closing:
            self._inbox.ended.append((run, stuck))
            self._inbox.wake()

    def watch(self, *things: Job | Segment) -> None:
        """Let the workers forget each of these, once nobody here has it any more."""
        for thing in things:
            if thing.key not in self._watched:
                self._watched.add(thing.key)
                weakref.finalize(thing, self._drop, thing.key).atexit = False

    def _drop(self, key: int) -> None:
        # Called while memory is freed, wherever that is.
        self._watched.discard(key)
        self._inbox.dropped.append(key)
        if not self._closing:
            self._inbox.wake()

    def close(self) -> None:
        """End all workers, and this thread."""
        if os.getpid() != self._owner:
            return  # in a fork of the process, which has neither the thread nor the workers
        if not self._closing:
            self._closing = True
            self._inbox.wake()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def pids(self) -> list[int]:
        return [worker.pid for worker in list(self.workers)]

    def _why_closed(self) -> str:
        return CLOSED if self._failure is None else f"the pool failed: {self._failure!r}"

    # --- the thread

    def _run(self) -> None:
        # Workers inherit what is blocked, so a Ctrl-C can't end one that is still starting.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            while not self._closing:
                self._hire()
                self._end_runs()
                self._forget()
                self._hand_over()
                # What nobody tells is looked after now and then: the end of a worker without a pidfd,
                # and what a suspect begins.
                blind = any(worker.pidfd is None for worker in self.workers)
                for key, events in self._sleep(0.2 if blind or self._suspects else None):
                    if key.data is None:
                        self._inbox.hush()
                        continue
                    worker = key.data
                    if events & WRITE and worker in self.workers:
                        worker.flush()
                        self._heed(worker)
                    if events & READ and worker in self.workers:
                        self._listen(worker, is_end=key.fd == worker.pidfd)
                if blind:
                    for worker in [w for w in self.workers if w.pidfd is None and w.process.poll() is not None]:
                        self._listen(worker, is_end=True)
        except Exception as error:  # ours, not a user's; nobody must wait for ever because of it
            self._failure = error
            self._closing = True
            raise
        finally:
            self._dismiss_all()

    def _sleep(self, seconds: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait until there is something to do. What came before others saw it asleep is looked for here."""
        self._inbox.asleep = True
        news = self._inbox.dropped or self._inbox.ended or self._closing or self._can_hire()
        if news or (self._inbox.tasks and not self._no_room):
            seconds = 0
        events = self._selector.select(seconds)
        self._inbox.asleep = False
        return events

    def _can_hire(self) -> bool:
        return self._unable is None and bool(self._vacant)

    def _hire(self) -> None:
        while self._can_hire():
            try:
                worker = self._launch(self._vacant[0])
            except (OSError, MemoryError, subprocess.SubprocessError) as error:
                self._unable = f"could not start a worker process: {error}"
                break
            self._vacant.popleft()
            self.workers.append(worker)
            self._selector.register(worker.connection.socket, READ, worker)
            if worker.pidfd is not None:
                self._selector.register(worker.pidfd, READ, worker)
        if self._unable is not None and not self.workers:
            while self._inbox.tasks:
                self._inbox.tasks.popleft().pending.fail(WorkerDied(self._unable))

    def _hand_over(self) -> None:
        """Give tasks to workers, each to the one with the least in hand, while there is room."""
        queue = self._inbox.tasks
        outgoing: dict[Handle, list[tuple[Any, ...]]] = {}
        self._no_room = False
        while queue:
            ready = [w for w in self.workers if w.ready and not (self._suspects and w.is_suspect())]
            worker = min(ready, key=lambda worker: len(worker.tasks), default=None)
            if worker is None or not worker.has_room_for(queue[0]):
                self._no_room = bool(self.workers)  # until one of them has something to say
                break
            task = queue.popleft()
            if task.begin():
                outgoing.setdefault(worker, []).extend(worker.take(task))
        for worker, messages in outgoing.items():
            self._send(worker, *messages)

    def _send(self, worker: Handle, *messages: tuple[Any, ...]) -> None:
        worker.send(*messages)
        self._heed(worker)

    def _heed(self, worker: Handle) -> None:
        """Be told when a worker takes more, as long as there is something that it did not take."""
        self._selector.modify(worker.connection.socket, READ | WRITE if worker.sending else READ, worker)

    def _listen(self, worker: Handle, is_end: bool) -> None:
        """Take what a worker has said; all of it, and bury the worker, where it has ended."""
        while True:
            try:
                messages = worker.connection.receive()
            except BlockingIOError:
                break
            except (ConnectionError, MemoryError):  # without room for what it says there is no going on
                messages = None
            if messages is None:
                is_end = True
                break
            for message in messages:
                worker.hear(*message)
            self._heed(worker)
            if not is_end:
                return
        if is_end:
            self._bury(worker)

    def _bury(self, worker: Handle) -> None:
        """A worker has ended: whom it worked for hears of it; what it had not begun goes to others."""
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
            at_work.pending.fail(WorkerDied(f"{said} while it made this batch"))
        elif self._failed_starts == STARTS:
            self._unable = f"{said} while it started"
            for run in list(self.runs):
                run.broken = self._unable
        elif not worker.dismissed:
            when = "between two batches" if worker.ready else "while it started"
            getLogger("batchup.work_pool").warning("%s %s; another takes its place", said, when)
        for task in reversed(worker.tasks):
            task.deaths += not worker.dismissed
            if task.deaths < TRIES:
                self._inbox.tasks.appendleft(task)
            else:
                task.pending.fail(WorkerDied(f"{said} before it began this batch, as {TRIES - 1} others did"))

    def _end_runs(self) -> None:
        """What was not begun of a run is not done; a worker that is stuck is killed, if it is at nothing else."""
        while self._inbox.ended:
            run, stuck = self._inbox.ended.popleft()
            self._suspects |= run.deadline is not None
            for worker in self.workers:
                worker.end_run(run, stuck)
                self._heed(worker)
        if self._suspects:
            # One may go on with a batch, or begin one before it hears that the run has ended.
            self._suspects = bool([worker for worker in self.workers if worker.is_suspect()])

    def _forget(self) -> None:
        keys = set()
        while self._inbox.dropped:
            keys.add(self._inbox.dropped.popleft())
        if keys:
            for worker in self.workers:
                if known := keys & worker.known:
                    worker.known -= known
                    self._send(worker, ("forget", list(known)))

    def _dismiss_all(self) -> None:
        """Close the sockets, which ends workers that are idle; and kill those that are not, soon."""
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
