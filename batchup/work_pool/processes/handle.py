"""One worker process, as the supervisor sees it."""

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

# The queue of a worker has at most so many bytes of tasks, or two tasks.
BYTES_QUEUED = 64 * 1024


class Share:
    """The memory for results that one worker, and then the worker that replaces it, may use.

    Batches of an ended worker that the caller still holds count for the next worker.
    """

    def __init__(self, size: int):
        self.size = size
        self._late: list[Leases] = []

    def add_held(self, leases: Leases) -> None:
        if leases.keep_held():
            self._late.append(leases)

    def remaining(self) -> int:
        if self._late:
            self._late = [leases for leases in self._late if leases.keep_held()]
        return max(0, self.size - sum(leases.size() for leases in self._late))


class Handle:
    """A worker process: its queue of tasks, the jobs and segments that it has, and its memory for results."""

    def __init__(self, process: subprocess.Popen[bytes], connection: Connection, share: Share, at: NDArray[Any]):
        self.process = process
        self.connection = connection
        self.share = share
        self.leases = Leases()
        self.ready = False  # True after its first message
        self.killed = False  # True if the pool has killed it
        self.tasks: deque[Task] = deque()  # sent to it, in order; it may have begun the first
        self.bytes_queued = 0
        self.known: set[int] = set()  # the keys of the jobs and segments that were sent to it
        self.sending = False  # True if there is data that it hasn't read yet
        self.pidfd = _pidfd(process.pid)
        self._at = at
        self._limit = share.remaining()
        self._settings = b""
        self._unmapped: dict[int, int | None] = {}  # the slabs that could not be mapped: their files, None if lost

    @property
    def pid(self) -> int:
        return self.process.pid

    def send(self, *messages: tuple[Any, ...], segment: Segment | None = None) -> None:
        try:
            self.sending = not self.connection.send(*messages, file=segment)
        except OSError:  # the worker has ended; the supervisor will notice
            self.sending = False

    def flush(self) -> None:
        try:
            self.sending = not self.connection.flush()
        except OSError:
            self.sending = False

    def has_room_for(self, task: Task) -> bool:
        """True if the queue of the worker has room for the task. It always has two: one to run and the next one."""
        return len(self.tasks) < 2 or (
            len(self.tasks) < task.job.queue_length and self.bytes_queued + len(task.packed) <= BYTES_QUEUED
        )

    def take(self, task: Task) -> list[tuple[Any, ...]]:
        """Put a task into the queue. Returns the messages to send: those for the job too, if the worker doesn't have it."""
        job = task.job
        self.tasks.append(task)
        self.bytes_queued += len(task.packed)
        messages: list[tuple[Any, ...]] = []
        if job.key not in self.known:
            self.known.add(job.key)
            for segment in job.segments:
                if segment.key not in self.known:
                    self.known.add(segment.key)
                    self.send(("segment", segment.key, segment.size), segment=segment)
            messages.append(("job", job.key, job.packed))
        limit = self.share.remaining()
        if limit != self._limit:
            self._limit = limit
            messages.append(("limit", limit))
        settings = task.run.settings if task.run.settings != self._settings else None
        self._settings = task.run.settings
        messages.append(("do", task.number, job.key, task.packed, settings, self.leases.released()))
        return messages

    def handle(self, kind: str, *rest: Any) -> None:
        """Handle a message of the worker."""
        if kind == "done":
            self._handle_done(*rest)
        elif kind == "skipped":
            [numbers] = rest
            for task in [task for task in self.tasks if task.number in numbers]:
                self.tasks.remove(task)
                self.bytes_queued -= len(task.packed)
        elif kind == "slab":
            self._take_slab(*rest)
        elif kind == "gone":
            self.leases.drop(*rest)
        else:
            self.ready = True

    def _handle_done(
        self, number: int, seconds: float, outcome: Any, slab: int | None, places: Any, squeezed: bool
    ) -> None:
        task = self.tasks.popleft()
        assert task.number == number, "a worker does its tasks in the order they were given"
        self.bytes_queued -= len(task.packed)
        task.job.learn(seconds)
        try:
            if slab is not None:
                places, squeezed = self._buffers(slab, places)
        except (OSError, MemoryError) as error:
            task.pending.fail(error)
        else:
            task.pending.finish((*outcome, places, squeezed))

    def _take_slab(self, number: int, size: int) -> None:
        """Map a slab that the worker has made, if possible."""
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
        """The buffers in a slab, and True if the slab could not be mapped. Raises OSError if its file is lost."""
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
        """The task that the worker runs, or ran when it ended."""
        if self.tasks and self.tasks[0].number == self._at[0]:
            return self.tasks[0]
        return None

    def end_run(self, run: Run, stuck: Pending | None) -> None:
        """Have the worker skip the tasks of a run. It is killed if it is stuck at a task of the run that timed out.

        It is not killed if it runs a task of another run, whose caller waits for it.
        """
        at_work = self.at_work()
        at_nothing = at_work is None and any(task.pending is stuck for task in self.tasks)
        if stuck is not None and (at_nothing or (at_work is not None and at_work.run.closed)):
            self._kill()
        elif numbers := [task.number for task in self.tasks if task.run is run]:
            self.send(("skip", numbers))

    def check_deadline(self) -> bool:
        """True if its queue has a task of a run with a deadline. Kills the worker if it still runs one after that."""
        at_work = self.at_work()
        if at_work is not None and at_work.run.is_overdue():
            self._kill()
        return any(task.run.deadline is not None for task in self.tasks)

    def _kill(self) -> None:
        """Kill the worker; no caller waits for its task."""
        self.killed = True
        with suppress(ProcessLookupError):
            self.process.kill()

    def end(self, deadline: float = 0.0) -> int:
        """Wait for the end of the worker, and kill it after the deadline. Returns its `Popen.returncode`."""
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
            self.share.add_held(self.leases)
        return self.process.returncode


def _read(file: int, start: int, length: int) -> bytearray:
    data = bytearray()
    while len(data) < length:
        data += os.pread(file, min(length - len(data), 1 << 24), start + len(data))
    return data


def _pidfd(pid: int) -> int | None:
    """A file that becomes readable when the process ends.

    A socket of the process won't do: its own children may keep that open.
    """
    try:
        return os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
    except OSError:  # an old kernel, a sandbox, too many open files: the supervisor polls the process
        return None
