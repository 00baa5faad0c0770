"""Plans whose items have their batches already: made by a pool, or while the plan is iterated."""

from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any, Self

from batchup.core.draws import Draws, Replay
from batchup.core.errors import item_note, note
from batchup.core.grid import Grid
from batchup.core.item import Item, planned_in, with_batch
from batchup.core.plan import Kind, Plan, PlanOver, SameSamples, replay_of, without_work
from batchup.core.record import record
from batchup.core.work import Work


@record
class Computed(SameSamples):
    """The items of a plan with their batches, which the caller's thread makes."""

    work: Work
    text: str  # of the stream

    kind = Kind.OWN
    # The number of items that are made before they are asked for.
    ahead = 0

    @property
    def grid(self) -> Grid | None:
        return self.work.grid(self.up)

    def with_work(self, work: Work) -> Self:
        return replace(self, work=work)

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Item]:
        return self._made(self.up.start(pass_, k, draws), k)

    def _made(self, items: Iterator[Any], k: int) -> Iterator[Item]:
        run = self.work.run
        for position, item in enumerate(items, k):
            try:
                batch = run(item)
            except Exception as error:
                note(error, partial(item_note, self.text, replay_of(self), position, item))
                raise
            yield with_batch(item, batch)
            del item, batch  # otherwise they are kept while the next batch is made

    def _without_work(self) -> Plan:
        # How many samples a batch has may be known by the work alone.
        return self._unmade() if self.work.changes_sizes else without_work(self.up)

    def _unmade(self) -> Plan:
        return _Unmade(without_work(self.up), self.work, self.text)


@record
class OverMade(PlanOver):
    """A plan over a `Computed` that makes items with batches of several such items, as `rebatch` does."""

    kind = Kind.OWN
    _finds_end = True

    @property
    def cursor(self) -> bool:
        """True if the number of items depends on the data: a checkpoint then needs more than a position."""
        return False

    @property
    def _cursors(self) -> int:
        return self.cursor + super()._cursors

    def _without_work(self) -> Plan:
        return self.over(lambda up: up._unmade() if isinstance(up, Computed) else without_work(up))


@record
class _Unmade(Computed):
    """The same items without batches, of which only the numbers of samples are wanted."""

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Item]:
        return (Item(planned_in(item)) for item in self.up.start(pass_, k, draws))


def without_pools(plan: Plan) -> Plan:
    """The same plan, but the caller does the work of pools."""
    plan = plan.over(without_pools)
    return Computed(plan.up, plan.work, plan.text) if isinstance(plan, Computed) else plan


def below_pool(plan: Plan, f: Callable[[Plan], Plan]) -> Plan:
    """`f(plan)`, applied below the pool if the plan's items are made by one.

    Which items come doesn't depend on who makes them. So the pool doesn't make what is left out, and stays outermost.
    """
    return plan.over(lambda up: below_pool(up, f)) if isinstance(plan, Computed) else f(plan)


def of_member(plan: Plan, member: int) -> Plan:
    """A copy of this plan for member `member` of a join; see `Work.of_member`.

    It is a copy so that each plan stands in one place, also where a stream is joined with itself.
    """
    plan = copy(plan.over(lambda child: of_member(child, member)))
    if isinstance(plan, Computed):
        work = plan.work.of_member(member)
        return plan if work is plan.work else plan.with_work(work)
    return plan


def draws_ahead_below(plan: Plan) -> bool:
    """True if a pool below the last stage draws from a generator: it would take draws that belong to later stages."""
    while isinstance(plan, OverMade | SameSamples) and plan.rng is None:
        plan = plan.up
    return any(map(_draws_ahead, plan.children()))


def _draws_ahead(plan: Plan) -> bool:
    if replay_of(plan) < Replay.DRAWN:
        return False
    return _is_pool(plan) or any(map(_draws_ahead, plan.children()))


def has_pool(plan: Plan) -> bool:
    """True if a pool makes the items of the plan, or of one below."""
    return _is_pool(plan) or any(map(has_pool, plan.children()))


def _is_pool(plan: Plan) -> bool:
    return isinstance(plan, Computed) and bool(plan.ahead)
