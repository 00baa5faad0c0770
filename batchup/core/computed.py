"""Plans whose items are made already, work and all, by a pool or where they are iterated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any

from batchup.core.errors import note, where
from batchup.core.grid import Grid
from batchup.core.plan import Again, Draws, Kind, Plan, PlanOver, SameSamples, rng_of, walk
from batchup.core.randomness import DIRECT
from batchup.core.record import Count, record
from batchup.core.work import Made, Work


@record
class Computed(SameSamples):
    """Items that were made here: of a plan and the work, each a `Made`."""

    work: Work
    text: str  # of the stream
    kind = Kind.OWN

    @property
    def grid(self) -> Grid | None:
        return self.work.grid(self.up)

    @property
    def samples(self) -> Count:
        return self.work.samples(self.up)

    def with_work(self, work: Work) -> Computed:
        return replace(self, work=work)

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Any]:
        return self._made(self.up.start(pass_, k, draws), k)

    def _made(self, items: Iterator[Any], k: int) -> Iterator[Any]:
        run = self.work.run
        for position, item in enumerate(items, k):
            try:
                batch = run(item)
            except Exception as error:
                note(error, partial(where, self.text, self.again, position, item))
                raise
            yield Made(item, batch)
            del item, batch  # else they would be kept while the next is made


@record
class OverMade(PlanOver):
    """A plan that makes its items of those of a `Computed`, one after another: each a `Made`."""

    kind = Kind.OWN


NOT_MADE: Any = object()  # in place of a batch that nobody wants


@record
class _Unmade(Computed):
    """The same, where nobody wants the batches, but only to know which there are."""

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Any]:
        return (Made(item, NOT_MADE) for item in self.up.start(pass_, k, draws))


def bare(plan: Plan) -> Plan:
    """The plan alone: its positions and draws, of items that nobody makes."""
    if isinstance(plan, OverMade):
        return plan.over(_unmade)
    if isinstance(plan, Computed):
        # How many samples an item has may be known by the work alone.
        return _unmade(plan) if plan.work.changes_sizes else bare(plan.up)
    return plan.over(bare)


def _unmade(plan: Plan) -> Plan:
    return _Unmade(bare(plan.up), plan.work, plan.text) if isinstance(plan, Computed) else bare(plan)


def here(plan: Plan) -> Plan:
    """This plan with no pool in it: what workers would do is done by whoever iterates."""
    plan = plan.over(here)
    return Computed(plan.up, plan.work, plan.text) if isinstance(plan, Computed) else plan


def clamped(plan: Plan, pass_: int, k: int) -> int:
    """Position `k` of a pass, or that of the end where it is further on, by the plan alone."""
    return sum(1 for _ in walk(bare(plan).start(pass_, 0, DIRECT), 0, k))


def under(plan: Plan, f: Callable[[Plan], Plan]) -> Plan:
    """`f(plan)`, but below the pool that has made the items, if there is one.

    Which items come does not depend on who makes them. So the pool need not make what is left out, and
    stays outermost.
    """
    return plan.over(lambda up: under(up, f)) if isinstance(plan, Computed) else f(plan)


def of_member(plan: Plan, member: int) -> Plan:
    """A copy of this plan for one of several streams that are joined; see `Work.of_member`.

    Each is there once then, also where a stream is joined with itself.
    """
    plan = copy(plan.over(lambda child: of_member(child, member)))
    if isinstance(plan, Computed):
        work = plan.work.of_member(member)
        return plan if work is plan.work else plan.with_work(work)
    return plan


def ahead_of_others(plan: Plan) -> bool:
    """Whether a plan ahead draws from a generator somewhere but outermost.

    There it would take draws that others are due.
    """
    while isinstance(plan, OverMade | SameSamples) and rng_of(plan) is None:
        plan = plan.up
    return any(map(_draws_ahead, plan.children()))


def _draws_ahead(plan: Plan) -> bool:
    if plan.again < Again.DRAWN:
        return False
    return plan.ahead or any(map(_draws_ahead, plan.children()))
