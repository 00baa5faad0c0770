"""What a process pool is given to do: the work of streams, iterations over them, and single batches."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

from batchup.ops.plan import record
from batchup.work_pool.sharing import Segment

__all__ = ["Assignment", "Line", "Task"]

# How much work a worker has in hand: so that it does not wait for the next batch, nor, where batches
# are small, for each of them.
SECONDS_IN_HAND = 0.005
TASKS_IN_HAND = 64


class Assignment:
    """The work of one stream, as it is sent to each worker once."""

    def __init__(self, key: int, packed: bytes, segments: list[Segment]):
        self.key = key
        self.packed = packed
        self.segments = segments
        self.size = len(packed)
        self.seconds = 1.0  # an item, as far as is known

    def learn(self, seconds: float) -> None:
        self.seconds = seconds if self.seconds == 1.0 else 0.8 * self.seconds + 0.2 * seconds

    @property
    def tasks_in_hand(self) -> int:
        return max(2, min(TASKS_IN_HAND, int(SECONDS_IN_HAND / max(self.seconds, 1e-6))))


class Line:
    """One iteration; `broken` says which death of a worker it has to report with its next item."""

    def __init__(self) -> None:
        self.broken: str | None = None


@record
class Task:
    number: int
    line: Line
    assignment: Assignment
    packed: bytes
    future: Future[Any]

    def begin(self) -> bool:
        """Whether it is still wanted. What a dead worker had in hand was begun before, in a way."""
        return self.future.running() or self.future.set_running_or_notify_cancel()
