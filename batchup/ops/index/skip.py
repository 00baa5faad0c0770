"""Start at a later item: `skip`."""

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

from batchup.core.checks import whole_number
from batchup.core.draws import Draws, Replay
from batchup.core.grid import Grid, Sliced
from batchup.core.item import walk
from batchup.core.plan import Plan, SameItems, located, replay_of
from batchup.core.record import Count, record
from batchup.core.stream import Stage, Stream


def skip(count: int) -> Stage:
    """Leave out the first `count` items.

    Parameters
    ----------
    count : int
        The number of items to leave out, at least 0.

    Returns
    -------
    Stage
        Gives the remaining items. No work is done for the items that are left out, except behind a stage whose number
        of items depends on the data, such as `filter`.

    Raises
    ------
    ValueError
        If `count` is negative.

    Examples
    --------
    >>> from batchup import ops
    >>> list(ops.indices(10) | ops.chunk(4) | skip(1))
    [range(4, 8), range(8, 10)]
    """
    count = whole_number(count, "skip(count)")
    return Stage(Stream.with_plan, partial(sliced, start=count), text=f"skip({count})")


def sliced(plan: Plan, start: int = 0, stop: int | float = math.inf) -> Plan:
    """The plan of the items from `start` up to `stop`."""
    if not isinstance(plan, Between):
        return Between(plan, start, stop)
    # One plan for both, so that long chains of `skip` and `take` stay short.
    return Between(plan.up, plan.first + start, min(plan.stop, plan.first + stop))


@record
class Between(SameItems):
    """The items from position `first` up to `stop`, which is infinity for the end."""

    tag = "slice"

    first: int
    stop: int | float

    @property
    def length(self) -> Count:
        length = self.up.length
        return None if length is None else max(0, min(length, self.stop) - self.first)

    @property
    def grid(self) -> Grid | None:
        of, length = located(self.up), self.length
        if of is None or length is None or of.varies:  # the blocks at these positions differ from pass to pass
            return None
        return Sliced(of, length, self.first)

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Any]:
        start = self.first + k
        if k or replay_of(self) is Replay.KEYED:
            items = self.up.start(pass_, start, draws)
        else:  # the items that are skipped are drawn too
            items = walk(self.up.start(pass_, 0, draws), start)
        return walk(items, 0, max(0, self.stop - start))
