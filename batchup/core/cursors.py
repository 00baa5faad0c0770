"""Cursors: how an iteration goes on where its position alone does not say what comes next.

How many items come of a stage such as `filter` depends on the data. So a checkpoint has, for each of these, the
position of the stream below it and the few ints of what it holds: its *cursor*. Such plans stand one over another,
with nothing else but plans of one child in between: that is the trunk of a stream. Each of their items carries
the cursors behind it, in a `Mark`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from batchup.core.plan import Draw, Draws, Plan, trunk, walk
from batchup.core.record import record
from batchup.core.work import Made, Mark, Placed

# How many of the items received last an iterator can be put back by: of those who read ahead of the training.
BEHIND = 32

# Of one plan: its own position, the one below, and what it holds; () is its beginning. (Its own, as a plan over it may
# leave out items, so that it goes on further than the last one received.)
Place = tuple[int, ...]
Places = tuple[Place, ...]  # of all on a trunk, the innermost first


def cursors_in(plan: Plan) -> int:
    """How many plans with a cursor there are in it."""
    return plan.cursor + sum(map(cursors_in, plan.children()))


def why_not_behind(plan: Plan) -> str:
    """Why a stage that counts on positions can't follow a plan; nothing where it can."""
    if not cursors_in(plan):
        return ""
    return (
        "has a number of items that depends on the data (of filter, or of rebatch behind a map that resizes): "
        "expected this stage before those"
    )


def places_of(item: Any) -> Places:
    """The cursors behind an item."""
    while isinstance(item, Placed | Made):
        item = item.planned
    return item.places if isinstance(item, Mark) else ()


@record
class FromPlaces:
    """Draws, for an iteration that goes on from these places."""

    draws: Draws
    places: Places

    def begin(self, plan: Plan, pass_: int, number: int) -> Draw:
        return self.draws.begin(plan, pass_, number)

    @property
    def stamp(self) -> str | None:
        return self.draws.stamp

    def cursor(self, plan: Plan) -> Place:
        return self.places[sum(map(cursors_in, plan.children()))]


def places_below(plan: Plan, draws: Draws) -> Places:
    """The cursors of the plans below one on a trunk, where an iteration goes on."""
    below = [inner for inner in trunk(plan) if inner.cursor and inner is not plan]
    return tuple(map(draws.cursor, reversed(below)))


def gone_on(
    plan: Plan, k: int, draws: Draws, begin: Callable[[Place, Places], Iterator[Any]]
) -> Iterator[Any]:
    """The items of a plan with a cursor from position `k` on: `begin` gives those from a place on.

    That is where the draws say, as far as they do; from there the items before `k` are made, and left out.
    """
    place = draws.cursor(plan)
    if not place or place[0] > k:
        beginning: Places = ((),) * sum(map(cursors_in, plan.children()))
        return walk(begin((), beginning), k)
    return walk(begin(place, places_below(plan, draws)), k - place[0])


class Track:
    """Where the cursors were behind each of the items received last."""

    def __init__(self, position: int, places: Places):
        self._kept = {position: places}

    def at(self, position: int) -> Places:
        """The cursors behind the first items up to a position; () where they are not known."""
        return self._kept.get(position, ())

    def through(self, items: Iterator[Any], position: int) -> Iterator[Any]:
        """The items, from a position on."""
        for behind, item in enumerate(items, position + 1):
            self._kept[behind] = places_of(item)
            self._kept.pop(behind - BEHIND - 2, None)
            yield item
            del item


def resumed(draws: Draws, places: Places) -> Draws:
    """The draws for an iteration that goes on from there."""
    return FromPlaces(draws, places) if places else draws
