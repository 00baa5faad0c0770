"""One pass of a stream by itself: `stream.epoch(e)`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from batchup.core.grid import Grid, OfPass
from batchup.core.plan import Again, Draws, Plan, SameSamples, is_drawn, rng_of
from batchup.core.record import record


@record
class Epoch(SameSamples):
    """Pass `number` of a plan: each pass of this plan is that one."""

    number: int

    @property
    def is_view(self) -> bool:
        return self.up.is_view

    @property
    def grid(self) -> Grid | None:
        of = self.up.grid
        return None if of is None else OfPass(of, self.up.length, self.number)

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Any]:
        return self.up.start(self.number, k, draws)


def why_no_epochs(plan: Plan) -> str:
    """Why the passes of a plan can't be had each by itself, and what to do; nothing where they can."""
    drawn = "draws from a generator, whose passes come one after another: give a seed, or use a loader"
    return why_no_loader(plan) or drawn * is_drawn(plan)


def why_no_loader(plan: Plan) -> str:
    """Why a plan has no epochs, neither by themselves nor one after another."""
    if plan.length == math.inf:
        return "is endless: behind take(n) its epochs have n items each"
    if plan.again is Again.SINGLE_PASS:
        return "goes through a user's iterator, which has one epoch: make it a list"
    return _alike(plan)


def _alike(plan: Plan) -> str:
    return getattr(plan, "alike", "") or next(filter(None, map(_alike, plan.children())), "")


def pass_of(plan: Plan, pass_: int) -> Any:
    """The number of a pass, as random maps count it: that of the epoch where the plan is over one.

    A tuple where there are several: of the members of a join, and of a plan that draws anew in each pass of an epoch.
    """
    if isinstance(plan, Epoch):
        return pass_of(plan.up, plan.number)
    numbers = [pass_of(child, pass_) for child in plan.children()]
    if not numbers or rng_of(plan) is not None or hasattr(plan, "seed"):
        numbers.append(pass_)
    return tuple(numbers) if len(set(numbers)) > 1 else numbers[0]
