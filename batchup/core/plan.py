"""What a plan is: the cheap half of a stream, which says what each item is made of.

A plan counts in *passes*. Pass 0 is what you get by iterating; `repeat` asks for the further ones, and
a shuffle gives each of them an order of its own. What a plan does not say of itself makes it slower,
never wrong.
"""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
from enum import Enum, IntEnum
from itertools import chain, islice
from typing import Any, Protocol, Self

from batchup.core.grid import Grid
from batchup.core.record import Count, over_each, record


class Again(IntEnum):
    """How the items of a plan can be had again; of a plan over several, as of the worst of them."""

    KEYED = 0  # every time the same, from any position: a function of seeds and positions
    DRAWN = 1  # drawn from a generator: anew each time, but a checkpoint goes on with them
    UNKEPT = 2  # drawn from a generator whose state can't be read: no checkpoints
    NOT_RESUMABLE = 3  # what a user's iterator gives, from the start each time
    SINGLE_PASS = 4  # of an iterator that is there only once


class Kind(Enum):
    """What the items of a plan are, and whose."""

    BLOCKS = "index blocks, which may be views of others"
    BORROWED = "somebody else's: copied before anybody may write into them"
    OWN = "whoever gets them owns them"


class Draw(Protocol):
    """What one plan draws in one pass, from a seed or a generator."""

    def permutation(self, number: int, block: Any) -> Any:
        """The indices of a block, an intp array, permuted: draw `number` of the pass."""

    def uniforms(self, number: int, size: int) -> Iterator[Any]:
        """Endless float64 arrays of `size` uniform numbers: the draws from `number` on."""


class Draws(Protocol):
    """Where plans get what they draw."""

    def begin(self, plan: Plan, pass_: int, number: int) -> Draw:
        """What `plan` draws from its `rng` in this pass, from draw `number` on: when `items` is called."""

    def cursor(self, plan: Plan) -> tuple[int, ...]:
        """Where a plan with a `cursor` goes on; () where nobody knows."""

    @property
    def stamp(self) -> str | None:
        """A digest of the generators' states when the iteration began; None if it draws from seeds alone."""


class Plan(ABC):
    """The items of one pass, and of those after it. Subclasses are frozen records, hence picklable.

    One that draws has a field `rng`, its seed or generator.
    """

    # Whether it asks for items before it is asked for them, as a pool does.
    ahead = False
    # Whether item k is made of the same items below it, whichever part of its blocks a shard takes.
    same_for_all_ranks = False
    # What each item stands for as a whole, and what to write where parts of them are wanted; nothing, mostly.
    whole = ""

    @property
    def length(self) -> Count:
        """How many items a pass has; of a number, no more is ever asked for."""
        return None

    @property
    def grid(self) -> Grid | None:
        """Where the samples lie in the items, which are index blocks or what was made of some."""
        return None

    @property
    def samples(self) -> Count:
        """How many samples a pass has in all."""
        return None if self.grid is None else self.grid.samples

    @property
    def kind(self) -> Kind:
        return Kind.BORROWED

    @property
    def again(self) -> Again:
        each = [plan.again for plan in self.children()]
        if rng := rng_of(self):
            each.append(rng.again)
        return max(each, default=Again.NOT_RESUMABLE)

    @property
    def starts_anywhere(self) -> bool:
        """Whether `items` from position k on does no more work for item k than that item takes."""
        return False

    @property
    def is_view(self) -> bool:
        """Whether its items take no work: ranges, views of an array, or blocks computed when they are sliced."""
        return False

    @property
    def cursor(self) -> bool:
        """Whether how many items there are depends on the data: a checkpoint needs more than a position."""
        return False

    @property
    def shards(self) -> tuple[tuple[int, int], ...]:
        """Which parts of blocks there are in it, as (index, count)."""
        return tuple(part for plan in self.children() for part in plan.shards)

    @property
    def divided(self) -> bool:
        """Whether its items are one rank's parts of blocks, and may have fewer samples on other ranks."""
        return any(plan.divided for plan in self.children())

    @abstractmethod
    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Any]:
        """The items of pass `pass_` from position `k` on.

        Where `k` is above 0, those before it were received, and what they needed was drawn. So a plan
        over others starts those at what item `k` still needs, and draws nothing before it is asked for
        it. What it draws from, and what it is over, is begun in this call, not at the first `next`.
        """

    def start(self, pass_: int, k: int, draws: Draws) -> Iterator[Any]:
        """The items from position `k` on, and none beyond the length: what calls `items`.

        To find the end by asking for one more could draw from a generator, which going on from a
        checkpoint at the end would not.
        """
        length = self.length
        if not isinstance(length, int):
            return self.items(pass_, k, draws)
        if k >= length:
            return iter(())
        items = self.items(pass_, k, draws)
        return items if self.again is Again.KEYED else walk(items, 0, length - k)

    def children(self) -> tuple[Plan, ...]:
        """The plans that this one is over."""
        return ()

    def over(self, f: Callable[[Plan], Plan]) -> Plan:
        """The same plan over `f` of each child: how all plans are rewritten."""
        return self

    def with_epochs_told(self) -> Plan:
        """This plan, with users' sources that have a `set_epoch` told the number of each pass."""
        return self.over(lambda plan: plan.with_epochs_told())


@record
class PlanOver(Plan):
    """A plan over one other, `up`. It says for itself how long it is, and what its items are."""

    up: Plan

    def children(self) -> tuple[Plan, ...]:
        return (self.up,)

    def over(self, f: Callable[[Plan], Plan]) -> Self:
        up = f(self.up)
        return self if up is self.up else replace(self, up=up)


@record
class SameItems(PlanOver):
    """A plan that gives items of `up` as they are: some of them, or several times."""

    same_for_all_ranks = True

    @property
    def kind(self) -> Kind:
        return self.up.kind

    @property
    def starts_anywhere(self) -> bool:
        return self.up.starts_anywhere

    @property
    def is_view(self) -> bool:
        return self.up.is_view


@record
class Itemwise(PlanOver):
    """A plan with one item for each of those of `up`, made of that alone."""

    same_for_all_ranks = True

    @property
    def length(self) -> Count:
        return self.up.length

    @property
    def starts_anywhere(self) -> bool:
        return self.up.starts_anywhere


@record
class SameSamples(Itemwise):
    """A plan whose items are made of the same samples as those of `up`, and are of the same kind."""

    @property
    def samples(self) -> Count:
        return self.up.samples

    @property
    def grid(self) -> Grid | None:
        return self.up.grid

    @property
    def kind(self) -> Kind:
        return self.up.kind


@record
class EndlessSource(Plan):
    """A source without end, of blocks of whatever size `chunk`, right behind it, asks for."""

    size: int
    cut: bool

    length = math.inf
    kind = Kind.BLOCKS


@record
class JointPlan(Plan):
    """A plan over several, as `members_of` gives them."""

    plans: tuple[Plan, ...]

    def children(self) -> tuple[Plan, ...]:
        return self.plans

    def over(self, f: Callable[[Plan], Plan]) -> Self:
        return over_each(self, "plans", f)


def trunk(plan: Plan) -> Iterator[Plan]:
    """The plan, and those that it is over, as long as each is over one other."""
    yield plan
    while isinstance(plan, PlanOver):
        plan = plan.up
        yield plan


def walk(items: Iterator[Any], start: int, stop: Count = None) -> Iterator[Any]:
    """The items from `start` up to `stop`, gone to one by one: `islice`, for numbers of any size."""
    end = stop if isinstance(stop, int) and stop <= sys.maxsize else None
    return islice(items, min(start, sys.maxsize), end) if start or end is not None else items


def once(items: Iterator[Any]) -> Iterator[Any]:
    """The items of an iterator, which is not asked again after its end: some would go on, and a zip would draw."""
    yield from items


def rng_of(plan: Plan) -> Any:
    """The seed or generator that a plan draws from; None for none."""
    return getattr(plan, "rng", None)


def is_drawn(plan: Plan) -> bool:
    """Whether it draws from a generator, whatever `again` says of its other parts."""
    return plan.again in (Again.DRAWN, Again.UNKEPT) or bool(drawing_plans(plan))


def drawing_plans(plan: Plan) -> list[Plan]:
    """The plans in it that draw from generators."""
    own = [] if getattr(rng_of(plan), "again", Again.KEYED) is Again.KEYED else [plan]
    return [*own, *chain.from_iterable(map(drawing_plans, plan.children()))]
