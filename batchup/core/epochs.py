"""Epochs: each pass of a stream by itself."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from batchup.core.grid import Grid, Later
from batchup.core.plan import Again, Draws, Plan, SameSamples
from batchup.core.record import record


@record
class Epoch(SameSamples):
    """Pass `number` of a plan by itself; where it is repeated, those after it."""

    number: int

    @property
    def grid(self) -> Grid | None:
        of = self.up.grid
        return None if of is None else Later(of, self.up.length, self.number)

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Any]:
        return self.up.start(self.number + pass_, k, draws)


def why_no_epochs(plan: Plan) -> str:
    """Why the passes of a plan can't be had each by itself, and what to do; nothing where they can."""
    drawn = "draws from a generator, whose passes come one after another: give a seed, or use a loader"
    return why_no_loader(plan) or drawn * (plan.again is Again.DRAWN)


def why_no_loader(plan: Plan) -> str:
    """Why a plan has no epochs, neither by themselves nor one after another."""
    if plan.length == math.inf:
        return "is endless: behind take(n) its epochs have n items each"
    if plan.again is Again.SINGLE_PASS:
        return "goes through somebody's iterator, which has one epoch: make it a list"
    return _alike(plan)


def _alike(plan: Plan) -> str:
    return getattr(plan, "alike", "") or next(filter(None, map(_alike, plan.children())), "")


def pass_of(plan: Plan, pass_: int) -> Any:
    """The number of a pass, counted from before the epochs in a plan; of joins, where they differ, each."""
    if isinstance(plan, Epoch):
        return pass_of(plan.up, plan.number + pass_)
    numbers = tuple(pass_of(child, pass_) for child in plan.children())
    return numbers if len(set(numbers)) > 1 else next(iter(numbers), pass_)
