"""Start at a later item: `skip`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

from batchup.core.checks import whole_number
from batchup.core.grid import Grid, Sliced
from batchup.core.plan import Again, Draws, Plan, SameItems, walk
from batchup.core.record import Count, record
from batchup.core.stream import Stage, Stream


def skip(count: int) -> Stage:
    """Leave out the first `count` items: start there, doing no work for what lies before.

    >>> from batchup import ops
    >>> list(ops.indices(10) | ops.chunk(4) | skip(1))
    [range(4, 8), range(8, 10)]
    """
    count = whole_number(count, "skip(count)")
    return Stage(Stream.with_plan, partial(sliced, start=count), text=f"skip({count})")


def sliced(plan: Plan, start: int = 0, stop: int | float = math.inf) -> Plan:
    if not isinstance(plan, Between):
        return Between(plan, start, stop)
    # One of both: long chains of skips stay short.
    return Between(plan.up, plan.first + start, min(plan.stop, plan.first + stop))


@record
class Between(SameItems):
    """Items from position `first` up to `stop`, infinity for the end."""

    first: int
    stop: int | float

    @property
    def length(self) -> Count:
        length = self.up.length
        return None if length is None else max(0, min(length, self.stop) - self.first)

    @property
    def grid(self) -> Grid | None:
        of, length = self.up.grid, self.length
        if of is None or length is None or of.varies:  # some blocks hold others' numbers in each pass
            return None
        return Sliced(of, length, self.first)

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Any]:
        start = self.first + k
        if k or self.again is Again.KEYED:
            items = self.up.start(pass_, start, draws)
        else:  # what is skipped is drawn too
            items = walk(self.up.start(pass_, 0, draws), start)
        return walk(items, 0, max(0, self.stop - start))
