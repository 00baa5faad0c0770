"""Several streams as one: what `zip` and `choose` have in common, also for stages of your own."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Self

from batchup.core.record import over_each, record
from batchup.core.work import SAME, Split, Step, Work, only


@record
class JointStep(Step):
    """A step that does the work of several streams. If it can divide the work for an item, it defines `_split`.

    Parameters
    ----------
    works : tuple of Work
        The work of each stream, as `members_of` gives it.
    """

    works: tuple[Work, ...]

    def parts(self) -> tuple[Work, ...]:
        return self.works

    sizes = SAME

    @property
    def split(self) -> Callable[[Any], Split] | None:
        return self._split if any(work.splits for work in self.works) else None

    def _split(self, item: Any) -> Split:
        return Split([partial(self.run, item)], only)

    def over(self, f: Callable[[Work], Work]) -> Self:
        return over_each(self, "works", f)


class Choice(NamedTuple):
    """An item of a plan over several plans, and which of them it comes from.

    Parameters
    ----------
    member : int
        The number of the plan.
    item : any
        The item of that plan.
    """

    member: int
    item: Any


@record
class Pick(JointStep):
    """The step for `Choice` items: does the work of the member that an item comes from.

    Parameters
    ----------
    works : tuple of Work
        The work of each member.
    name : str
        The name of the stage in errors.
    """

    tag = "pick"

    name: str

    def run(self, item: Choice) -> Any:
        return self.works[item.member].run(item.item)

    def _split(self, item: Choice) -> Split:
        return self.works[item.member].split(item.item)

    def __str__(self) -> str:
        return f"{self.name}(of {len(self.works)} streams)"
