"""What a process pool is given to do: the work of streams, iterations over them, and single items."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from batchup.core.work import Work
from batchup.memory.shared import Segment
from batchup.work_pool.pending import Pending

__all__ = ["Job", "Run", "Task"]

# How much work a worker has in hand: so that it does not wait for the next batch, nor, where batches
# are small, for each of them.
SECONDS_IN_HAND = 0.005
TASKS_IN_HAND = 64

# So many workers may end that have a task in hand, and have not begun it.
TRIES = 5

# So often, one after another, a worker may end while it starts before it is clear that none can be had.
STARTS = 3


class Job:
    """The work of one stream, as it is sent to each worker once."""

    def __init__(self, key: int, work: Work, packed: bytes, segments: list[Segment], places: Sequence[Any] = ()):
        self.key = key
        self.places = places  # of the copies of its arrays
        self.work = work
        self.packed = packed
        self.segments = segments
        self.seconds = 1.0  # an item, as far as is known

    def learn(self, seconds: float) -> None:
        self.seconds = seconds if self.seconds == 1.0 else 0.8 * self.seconds + 0.2 * seconds

    @property
    def tasks_in_hand(self) -> int:
        return max(2, min(TASKS_IN_HAND, int(SECONDS_IN_HAND / max(self.seconds, 1e-6))))


class Run:
    """One iteration; `broken` says which death of a worker it has to report with its next item."""

    def __init__(self, settings: bytes) -> None:
        self.settings = settings  # what holds in the caller, and should in workers
        self.broken: str | None = None
        self.closed = False
        self.deadline: float | None = None  # after which no worker may be at it, once it has ended

    def end(self, timeout: float | None) -> None:
        """It has ended: what a worker is at has so many seconds more."""
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
        self.deaths = 0  # of workers that had it in hand
        self._begun = False

    def begin(self) -> bool:
        """Whether it is still wanted."""
        self._begun = self._begun or self.pending.begin()
        return self._begun and not self.run.closed
