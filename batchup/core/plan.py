"""The plan of a stream: which samples make up each item, in any pass, from any position on.

A plan counts in *passes*. Iterating gives pass 0; `repeat` asks for the passes after it, and a shuffle gives
each pass its own order. `Plan` declares everything that a plan may say of itself, with a default that is
safe: what a plan doesn't say makes it slower, never wrong.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
from enum import Enum
from functools import cached_property
from itertools import chain
from typing import Any, ClassVar, NamedTuple, Self

from batchup.core.draws import Draws, Replay, Rng
from batchup.core.grid import Grid
from batchup.core.item import walk
from batchup.core.record import Count, over_each, record


class Kind(Enum):
    """What the items of a plan are, and to whom they belong."""

    VIEWS = "index blocks of which a part costs that part alone: ranges, views of an array"
    BLOCKS = "index blocks"
    BORROWED = "batches that belong to the source: copied before the caller gets them"
    OWN = "batches of the caller"

    @property
    def indexed(self) -> bool:
        """True for index blocks."""
        return self in (Kind.VIEWS, Kind.BLOCKS)


class Part(NamedTuple):
    """One rank's part of the samples, as `Plan.shards` lists them.

    Parameters
    ----------
    rank : int
        The rank, from 0 on.
    world : int
        The number of ranks.
    equal : bool
        True if each item has as many samples on every rank.
    aligned : bool
        True if item k is made of the same items of the plan below on every rank.
    """

    rank: int
    world: int  # the number of ranks
    equal: bool = True  # each item has as many samples on every rank
    aligned: bool = True  # item k is made of the same items of the plan below on every rank


_END = object()


class Plan(ABC):
    """The items of one pass, and of the passes after it. Subclasses are frozen records, so they pickle."""

    # The name of the plan in checkpoints, such as "chunk". Checkpoints need it, iterating doesn't.
    tag: ClassVar[str] = ""
    # What the plan draws from: the only thing besides the pass and the position that its items depend on.
    rng: Rng | None = None
    # True if `items` gives nothing from a position beyond the end, so that `start` needn't look for the end.
    _finds_end: ClassVar[bool] = False

    @property
    def length(self) -> Count:
        """The number of items of a pass. No item beyond it is asked for."""
        return None

    @property
    def grid(self) -> Grid | None:
        """Where the samples lie in the items, or how many they are in all."""
        return None

    @property
    def kind(self) -> Kind:
        """What the items are, and to whom they belong."""
        return Kind.BORROWED

    @property
    def starts_anywhere(self) -> bool:
        """True if `items` from position k on does no more work for item k than item k takes."""
        return False

    @property
    def shards(self) -> tuple[Part, ...]:
        """The parts of ranks that the plan is made of."""
        return tuple(part._replace(aligned=False) for part in parts_in(self))

    @abstractmethod
    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Any]:
        """The items of one pass, to be defined by each plan.

        If `k` is above 0, the items before it were received, and what they needed was drawn. So a plan over others
        starts these at what item `k` still needs, and draws nothing before it is asked for an item. The method calls
        `draws.begin`, and `start` of its children, before it returns, not at the first `next`.

        Parameters
        ----------
        pass_ : int
            The number of the pass.
        k : int
            The position of the first item. Either there is an item at `k`, or `k` is 0.
        draws : Draws
            Gives the draws of this plan, and is passed on to the plans below.

        Yields
        ------
        any
            The items from position `k` on.
        """

    def start(self, pass_: int, k: int, draws: Draws) -> Iterator[Any]:
        """The items of one pass, as plans over this one ask for them.

        Parameters
        ----------
        pass_ : int
            The number of the pass.
        k : int
            The position of the first item. It may lie beyond the end.
        draws : Draws
            Gives the draws.

        Returns
        -------
        iterator
            The items from position `k` on.
        """
        length = self.length
        if not isinstance(length, int):
            return self._start(pass_, k, draws)
        if k >= length:
            return iter(())
        items = self.items(pass_, k, draws)
        # Asking a generator for one item more, only to find the end, would draw in vain.
        return items if replay_of(self) is Replay.KEYED else walk(items, 0, length - k)

    def _start(self, pass_: int, k: int, draws: Draws) -> Iterator[Any]:
        """The items from position `k` on, of a plan without a known length."""
        known = not k or self._finds_end or self.length == math.inf
        if known or replay_of(self) is not Replay.KEYED:
            return self.items(pass_, k, draws)
        if cursors_in(self):  # the end is unknown before the items are made
            return self.items(pass_, k, draws) if draws.cursor(self) else walk(self.items(pass_, 0, draws), k)
        found = next(walk(without_work(self).items(pass_, 0, draws), k), _END)
        return iter(()) if found is _END else self.items(pass_, k, draws)

    def children(self) -> tuple[Plan, ...]:
        """The plans that this one is over.

        Returns
        -------
        tuple of Plan
            The plans below.
        """
        return ()

    def over(self, f: Callable[[Plan], Plan]) -> Plan:
        """The same plan over other plans. Every change of plans goes through it.

        Parameters
        ----------
        f : callable
            `f(child)` returns the plan to take in place of each child.

        Returns
        -------
        Plan
            The new plan.
        """
        return self

    def refusal(self, stage: str) -> str:
        """Why a stage can't follow this plan.

        Parameters
        ----------
        stage : str
            "cut" for stages that take parts of items or join them (`shard`, `chunk`, `merge`); "epochs" for `epoch` and
            `loader`.

        Returns
        -------
        str
            The end of an error message, with the remedy; empty if the stage can follow.
        """
        return next(filter(None, (child.refusal(stage) for child in self.children())), "")

    @cached_property
    def _replay(self) -> Replay:
        own = Replay.KEYED if self.rng is None else self.rng.replay
        return max([own, *map(replay_of, self.children())])

    def _without_work(self) -> Plan:
        return self.over(without_work)

    @property
    def _cursors(self) -> int:
        return sum(map(cursors_in, self.children()))


@record
class PlanOver(Plan):
    """A plan over one other plan.

    Parameters
    ----------
    up : Plan
        The plan below.
    """

    up: Plan

    def children(self) -> tuple[Plan, ...]:
        return (self.up,)

    def over(self, f: Callable[[Plan], Plan]) -> Self:
        up = f(self.up)
        return self if up is self.up else replace(self, up=up)


class Aligned(Plan):
    """A plan whose item k is made of the same items below on every rank."""

    @property
    def shards(self) -> tuple[Part, ...]:
        return parts_in(self)


@record
class SameItems(Aligned, PlanOver):
    """A plan that gives items of `up` as they are: some of them, or several times.

    Parameters
    ----------
    up : Plan
        The plan below.
    """

    _finds_end = True

    @property
    def kind(self) -> Kind:
        return self.up.kind

    @property
    def starts_anywhere(self) -> bool:
        return self.up.starts_anywhere


@record
class Itemwise(Aligned, PlanOver):
    """A plan with one item for each item of `up`, made of that item alone.

    Parameters
    ----------
    up : Plan
        The plan below.
    """

    _finds_end = True

    @property
    def length(self) -> Count:
        return self.up.length

    @property
    def starts_anywhere(self) -> bool:
        return self.up.starts_anywhere


@record
class SameSamples(Itemwise):
    """A plan whose items are made of the same samples as those of `up`, and are of the same kind.

    Parameters
    ----------
    up : Plan
        The plan below.
    """

    @property
    def grid(self) -> Grid | None:
        return self.up.grid

    @property
    def kind(self) -> Kind:
        return self.up.kind


@record
class EndlessSource(Plan):
    """A source without end, whose blocks have the size that `chunk` right behind it asks for.

    Parameters
    ----------
    size : int
        The number of samples in a block.
    cut : bool
        True if a `chunk` has asked for this size.
    """

    size: int
    cut: bool

    length = math.inf
    kind = Kind.BLOCKS


@record
class JointPlan(Plan):
    """A plan over several plans.

    Parameters
    ----------
    plans : tuple of Plan
        The plans below, as `members_of` gives them.
    """

    plans: tuple[Plan, ...]

    def children(self) -> tuple[Plan, ...]:
        return self.plans

    def over(self, f: Callable[[Plan], Plan]) -> Self:
        return over_each(self, "plans", f)


# --- what follows from what a plan says


def replay_of(plan: Plan) -> Replay:
    """How the items of a plan can be reproduced: by its draws and those of the plans below.

    Parameters
    ----------
    plan : Plan
        The plan.

    Returns
    -------
    Replay
        The kind of replay.
    """
    return plan._replay


def drawing_plans(plan: Plan) -> list[Plan]:
    """The plans in it that draw from generators."""
    own = [plan] if plan.rng is not None and plan.rng.replay in (Replay.DRAWN, Replay.UNKEPT) else []
    return [*own, *chain.from_iterable(map(drawing_plans, plan.children()))]


def is_drawn(plan: Plan) -> bool:
    """True if the plan, or one below, draws from a generator."""
    return bool(drawing_plans(plan))


def located(plan: Plan) -> Grid | None:
    """Where the samples lie in the items of a plan.

    Parameters
    ----------
    plan : Plan
        The plan.

    Returns
    -------
    Grid or None
        The grid; None if the places are unknown.
    """
    return plan.grid if plan.grid is not None and plan.grid.located else None


def samples_of(plan: Plan) -> Count:
    """The number of samples of a pass.

    Parameters
    ----------
    plan : Plan
        The plan.

    Returns
    -------
    int, math.inf or None
        The number; `math.inf` without end, None if it is unknown.
    """
    return None if plan.grid is None else plan.grid.samples


def parts_in(plan: Plan) -> tuple[Part, ...]:
    """The parts of ranks that the plans below a plan are made of.

    Parameters
    ----------
    plan : Plan
        The plan.

    Returns
    -------
    tuple of Part
        The parts.
    """
    return tuple(part for child in plan.children() for part in child.shards)


def is_uneven(plan: Plan) -> bool:
    """True if the plan is one rank's part, and other ranks may have other numbers of samples."""
    return not all(part.equal for part in plan.shards)


def without_work(plan: Plan) -> Plan:
    """The plan without the work of pools and of `rebatch`: its positions and draws, of items that are not made."""
    return plan._without_work()


def cursors_in(plan: Plan) -> int:
    """The number of plans in it whose number of items depends on the data; see `core.cursors`."""
    return plan._cursors


def trunk(plan: Plan) -> Iterator[Plan]:
    """The plan and the plans below, as long as each is over one other."""
    yield plan
    while isinstance(plan, PlanOver):
        plan = plan.up
        yield plan
