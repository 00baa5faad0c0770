"""Cursors: how an iteration goes on if its position alone doesn't say what comes next.

How many items come of a stage such as `filter` depends on the data. For each of these a checkpoint keeps a *cursor*: its
own position, the position of the plan below, and a few ints that say what it holds; () is the beginning. Its own
position is among them since a plan over it may leave out items. Such plans stand one over another, with only plans
over one other in between: on the trunk of a stream. Each of their items carries the cursors behind it.
"""

from collections.abc import Callable, Iterator
from typing import Any

from batchup.core.draws import Draw, Draws
from batchup.core.item import Cursors, Item, walk
from batchup.core.plan import Plan, cursors_in, trunk
from batchup.core.record import record

# How many of the items received last an iterator can be put back by, if a training loop prefetches.
BEHIND = 32

Cursor = tuple[int, ...]


def why_not_behind(plan: Plan) -> str:
    """Why a stage that counts positions can't follow a plan, and the remedy; empty if it can."""
    if not cursors_in(plan):
        return ""
    return (
        "has a number of items that depends on the data (of filter, or of rebatch behind a map that resizes): "
        "expected this stage before those"
    )


def cursors_of(item: Any) -> Cursors:
    """The cursors behind an item."""
    return item.cursors if type(item) is Item else ()


@record
class FromCursors:
    """The draws of an iteration that goes on from these cursors."""

    draws: Draws
    cursors: Cursors

    def begin(self, plan: Plan, pass_: int, number: int) -> Draw:
        return self.draws.begin(plan, pass_, number)

    @property
    def stamp(self) -> str | None:
        return self.draws.stamp

    def cursor(self, plan: Plan) -> Cursor:
        """The cursor of a plan; of a plan without one, that of the plan below."""
        return self.cursors[min(_below(plan), len(self.cursors) - 1)]


def gone_on(plan: Plan, k: int, draws: Draws, begin: Callable[[Cursor, Cursors], Iterator[Any]]) -> Iterator[Any]:
    """The items of a plan with a cursor from position `k` on.

    `begin(cursor, those below)` gives the items from a cursor on. The items between the cursor that the draws know and
    position `k` are made and left out.
    """
    cursor = draws.cursor(plan)
    below = [inner for inner in trunk(plan) if inner is not plan and cursors_in(inner) > _below(inner)]
    if not cursor or cursor[0] > k:
        return walk(begin((), ((),) * len(below)), k)
    return walk(begin(cursor, tuple(map(draws.cursor, reversed(below)))), k - cursor[0])


def _below(plan: Plan) -> int:
    return sum(map(cursors_in, plan.children()))


class Track:
    """The cursors behind each of the items received last."""

    def __init__(self, position: int, cursors: Cursors):
        self._kept = {position: cursors}

    def at(self, position: int) -> Cursors:
        """The cursors behind the first `position` items; () if they are unknown."""
        return self._kept.get(position, ())

    def through(self, items: Iterator[Any], position: int) -> Iterator[Any]:
        """The items from a position on, whose cursors are kept."""
        for behind, item in enumerate(items, position + 1):
            self._kept[behind] = cursors_of(item)
            self._kept.pop(behind - BEHIND - 2, None)
            yield item
            del item


def resumed(draws: Draws, cursors: Cursors) -> Draws:
    """The draws of an iteration that goes on from cursors, if there are some."""
    return FromCursors(draws, cursors) if cursors else draws
