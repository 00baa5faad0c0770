"""One pass of a stream by itself: `stream.epoch(e)`."""

import math
from collections.abc import Iterator
from typing import Any

from batchup.core.draws import Draws, Replay
from batchup.core.grid import Grid, OfPass
from batchup.core.item import walk
from batchup.core.plan import Plan, SameItems, SameSamples, is_drawn, located, replay_of, trunk
from batchup.core.record import record


@record
class Epoch(SameSamples):
    """Pass `number` of a plan: each pass of this plan is that one."""

    tag = "epoch"

    number: int

    @property
    def grid(self) -> Grid | None:
        of = located(self.up)
        return self.up.grid if of is None else OfPass(of, self.up.length, self.number)

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Any]:
        return self.up.start(self.number, k, draws)


@record
class Steps(SameItems):
    """`count` items of an endless plan in each pass, which goes on where the pass before it stopped."""

    tag = "steps"

    count: int

    @property
    def length(self) -> int:
        return self.count

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Any]:
        return walk(self.up.start(0, pass_ * self.count + k, draws), 0, self.count - k)


def steps_in(plan: Plan) -> int | None:
    """The number of items in an epoch, for a loader with `steps`; None for others."""
    return next((inner.count for inner in trunk(plan) if isinstance(inner, Steps)), None)


def without_steps(plan: Plan) -> Plan:
    """The endless plan that a plan with `Steps` takes its items from."""
    return plan.up if isinstance(plan, Steps) else plan.over(without_steps)


def why_no_epochs(plan: Plan) -> str:
    """Why no pass of a plan can be had by itself, and the remedy; empty if each can."""
    drawn = "draws from a generator, whose passes come one after another: give a seed, or use a loader"
    return why_no_loader(plan) or drawn * is_drawn(plan)


def why_no_loader(plan: Plan) -> str:
    """Why a plan has no epochs, not even one after another; empty if it has."""
    if plan.length == math.inf:
        return "is endless: behind take(n) its epochs have n items each, or in a loader with steps=n"
    if replay_of(plan) is Replay.SINGLE_PASS:
        return "goes through a user's iterator, which has one epoch: make it a list"
    return plan.refusal("epochs")


def pass_of(plan: Plan, pass_: int) -> Any:
    """The number of a pass, as random steps count it: over an epoch, the number of that epoch.

    It is a tuple if there are several: over the members of a join, and for a plan that draws anew in each pass of an
    epoch.
    """
    if isinstance(plan, Epoch):
        return pass_of(plan.up, plan.number)
    numbers = [pass_of(child, pass_) for child in plan.children()]
    if not numbers or plan.rng is not None:
        numbers.append(pass_)
    return tuple(numbers) if len(set(numbers)) > 1 else numbers[0]
