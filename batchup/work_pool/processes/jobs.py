"""What a process pool works on: the work of a stream, an iteration over it, and its items."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from batchup.core.work import Work
from batchup.memory.shared import Segment
from batchup.work_pool.pending import Pending

__all__ = ["Job", "Run", "Task"]

# A worker has so many seconds of tasks, and at most so many tasks, in its queue: it then never waits for the next one.
SECONDS_QUEUED = 0.005
MOST_QUEUED = 64

# A task fails after so many workers have ended with it in their queue, without beginning it.
TRIES = 5

# The pool gives up after so many workers in a row have ended while they started.
STARTS = 3


class Job:
    """The work of one stream, pickled. It is sent to each worker once."""

    def __init__(self, key: int, work: Work, packed: bytes, segments: list[Segment], places: Sequence[Any] = ()):
        self.key = key
        self.places = places  # where the copies of its arrays are
        self.work = work
        self.packed = packed
        self.segments = segments
        self.seconds = 1.0  # the time of an item, a moving average; 1.0 until one is known

    def learn(self, seconds: float) -> None:
        self.seconds = seconds if self.seconds == 1.0 else 0.8 * self.seconds + 0.2 * seconds

    @property
    def queue_length(self) -> int:
        return max(2, min(MOST_QUEUED, int(SECONDS_QUEUED / max(self.seconds, 1e-6))))


class Run:
    """One iteration. `broken` is the text of the WorkerDied that its next item raises."""

    def __init__(self, settings: bytes) -> None:
        self.settings = settings  # see `processes.settings`
        self.broken: str | None = None
        self.closed = False
        self.deadline: float | None = None  # the time after which no worker may still run one of its tasks

    def end(self, timeout: float | None) -> None:
        """End the iteration. Workers have `timeout` seconds to finish its tasks; None for as long as they take."""
        self.closed = True
        self.deadline = None if timeout is None else time.monotonic() + timeout

    def is_overdue(self) -> bool:
        return self.deadline is not None and time.monotonic() >= self.deadline


class Task:
    """One item of a job, for one iteration."""

    __slots__ = ("_begun", "deaths", "job", "number", "packed", "pending", "run")

    def __init__(self, number: int, run: Run, job: Job, packed: bytes):
        self.number = number
        self.run = run
        self.job = job
        self.packed = packed
        self.pending: Pending = Pending()
        self.deaths = 0  # the number of workers that ended with it in their queue
        self._begun = False

    def begin(self) -> bool:
        """Begin the task. Returns False if it was cancelled, or its run has ended."""
        self._begun = self._begun or self.pending.begin()
        return self._begun and not self.run.closed
