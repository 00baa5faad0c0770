"""One worker process, as its pool sees it."""

from __future__ import annotations

import errno
import os
import subprocess
import time
from collections import deque
from contextlib import suppress
from typing import Any

from numpy.typing import NDArray

from batchup.memory.leases import Leases
from batchup.memory.shared import Segment, map_file
from batchup.work_pool.pending import Pending
from batchup.work_pool.processes.jobs import Run, Task
from batchup.work_pool.processes.messages import Connection

__all__ = ["Handle", "Share"]

# So much of what a worker has in hand is enough, however many tasks that is.
BYTES_IN_HAND = 64 * 1024


class Share:
    """One worker's share of the memory for results, and its successors'.

    What the caller still holds of a worker that is dead is taken from the share of the next.
    """

    def __init__(self, size: int):
        self.size = size
        self._late: list[Leases] = []

    def inherit(self, leases: Leases) -> None:
        if leases.keep_held():
            self._late.append(leases)

    def left(self) -> int:
        if self._late:
            self._late = [leases for leases in self._late if leases.keep_held()]
        return max(0, self.size - sum(leases.size() for leases in self._late))


class Handle:
    """A worker process: what it has in hand, what it knows, and the memory that it sends results in."""

    def __init__(self, process: subprocess.Popen[bytes], connection: Connection, share: Share, at: NDArray[Any]):
        self.process = process
        self.connection = connection
        self.share = share
        self.leases = Leases()
        self.ready = False  # it has said so
        self.dismissed = False  # it is ended on purpose
        self.tasks: deque[Task] = deque()  # in its hand, in order
        self.bytes_in_hand = 0
        self.known: set[int] = set()  # keys of jobs and segments that it has been sent
        self.sending = False  # there is something that it did not take yet
        self.pidfd = _pidfd(process.pid)
        self._at = at
        self._limit = share.left()
        self._settings = b""
        self._unmapped: dict[int, int | None] = {}  # slabs: their files, where those are not lost too

    @property
    def pid(self) -> int:
        return self.process.pid

    def send(self, *messages: tuple[Any, ...], segment: Segment | None = None) -> None:
        try:
            self.sending = not self.connection.send(*messages, file=segment)
        except OSError:  # it has ended, which will be seen
            self.sending = False

    def flush(self) -> None:
        try:
            self.sending = not self.connection.flush()
        except OSError:
            self.sending = False

    def has_room_for(self, task: Task) -> bool:
        """Whether it should have the task in hand too. One to be at and one to go on with it always has."""
        return len(self.tasks) < 2 or (
            len(self.tasks) < task.job.tasks_in_hand and self.bytes_in_hand + len(task.packed) <= BYTES_IN_HAND
        )

    def take(self, task: Task) -> list[tuple[Any, ...]]:
        """Have it in hand: what to send it for that; the job too, where it does not know it."""
        job = task.job
        self.tasks.append(task)
        self.bytes_in_hand += len(task.packed)
        messages: list[tuple[Any, ...]] = []
        if job.key not in self.known:
            self.known.add(job.key)
            for segment in job.segments:
                if segment.key not in self.known:
                    self.known.add(segment.key)
                    self.send(("segment", segment.key, segment.size), segment=segment)
            messages.append(("job", job.key, job.packed))
        limit = self.share.left()
        if limit != self._limit:
            self._limit = limit
            messages.append(("limit", limit))
        settings = task.run.settings if task.run.settings != self._settings else None
        self._settings = task.run.settings
        messages.append(("do", task.number, job.key, task.packed, settings, self.leases.released()))
        return messages

    def hear(self, kind: str, *rest: Any) -> None:
        """What it has to say."""
        if kind == "done":
            self._hear_done(*rest)
        elif kind == "skipped":
            [numbers] = rest
            for task in [task for task in self.tasks if task.number in numbers]:
                self.tasks.remove(task)
                self.bytes_in_hand -= len(task.packed)
        elif kind == "slab":
            self._take_slab(*rest)
        elif kind == "gone":
            self.leases.drop(*rest)
        else:
            self.ready = True

    def _hear_done(
        self, number: int, seconds: float, outcome: Any, slab: int | None, places: Any, squeezed: bool
    ) -> None:
        task = self.tasks.popleft()
        assert task.number == number, "a worker does its tasks in the order they were given"
        self.bytes_in_hand -= len(task.packed)
        task.job.learn(seconds)
        try:
            if slab is not None:
                places, squeezed = self._buffers(slab, places)
        except (OSError, MemoryError) as error:
            task.pending.fail(error)
        else:
            task.pending.finish((*outcome, places, squeezed))

    def _take_slab(self, number: int, size: int) -> None:
        """Map memory that it announces, if that can be done."""
        file = self.connection.take_file()
        if file is None:
            self._unmapped[number] = None
            return
        try:
            self.leases.add(number, map_file(file, size))
        except OSError:
            self._unmapped[number] = file
        else:
            os.close(file)

    def _buffers(self, number: int, places: list[tuple[int, int]]) -> tuple[list[Any], bool]:
        """What it has put into a slab; and whether there was no room to map that. OSError if it is lost."""
        if number not in self._unmapped:
            return self.leases.views(number, places), False
        self.send(("drop", number))
        file = self._unmapped.pop(number)
        if file is None:
            raise OSError(
                errno.EMFILE,
                "expected a free file descriptor for a batch in shared memory; this process has all that it "
                "may have open. Close some, or raise the limit, `ulimit -n`",
            )
        try:
            return [_read(file, start, length) for start, length in places], True
        finally:
            os.close(file)

    def at_work(self) -> Task | None:
        """The task that it is at, or was when it ended."""
        if self.tasks and self.tasks[0].number == self._at[0]:
            return self.tasks[0]
        return None

    def end_run(self, run: Run, stuck: Pending | None) -> None:
        """Have it skip what it has not begun of a run; if that timed out and it is stuck, it is killed.

        Not if it is at a batch of another run, which somebody waits for.
        """
        at_work = self.at_work()
        at_nothing = at_work is None and any(task.pending is stuck for task in self.tasks)
        if stuck is not None and (at_nothing or (at_work is not None and at_work.run.closed)):
            self._dismiss()
        elif numbers := [task.number for task in self.tasks if task.run is run]:
            self.send(("skip", numbers))

    def is_suspect(self) -> bool:
        """Whether it has something in hand of a run that had a timeout; if it is at that too long, it is killed."""
        at_work = self.at_work()
        if at_work is not None and at_work.run.is_overdue():
            self._dismiss()
        return any(task.run.deadline is not None for task in self.tasks)

    def _dismiss(self) -> None:
        """Kill it; nothing that it is at is wanted any more."""
        self.dismissed = True
        with suppress(ProcessLookupError):
            self.process.kill()

    def end(self, deadline: float = 0.0) -> int:
        """How it ended, as `Popen.returncode` says; killed, if it lives after the deadline."""
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        finally:
            if self.pidfd is not None:
                os.close(self.pidfd)
                self.pidfd = None
            for file in self._unmapped.values():
                if file is not None:
                    os.close(file)
            self.connection.close()
            self.share.inherit(self.leases)
        return self.process.returncode


def _read(file: int, start: int, length: int) -> bytearray:
    data = bytearray()
    while len(data) < length:
        data += os.pread(file, min(length - len(data), 1 << 24), start + len(data))
    return data


def _pidfd(pid: int) -> int | None:
    """A file that tells the end of the process, even where children of its own keep its socket open."""
    try:
        return os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
    except OSError:  # an old kernel, a sandbox, too many open files: it is asked now and then
        return None
