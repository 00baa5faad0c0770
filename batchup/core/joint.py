"""Several streams as one: what `zip` and `choose` have in common, for stages of your own too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Self

from batchup.core.record import over_each, record
from batchup.core.work import Split, Step, Work


@record
class JointStep(Step):
    """A step that does the works of several streams."""

    works: tuple[Work, ...]

    def parts(self) -> tuple[Work, ...]:
        return self.works

    @property
    def splits(self) -> bool:  # type: ignore[override]
        return any(work.splits for work in self.works)

    def over(self, f: Callable[[Work], Work]) -> Self:
        return over_each(self, "works", f)


class Choice(NamedTuple):
    """An item of a plan over several: the number of the one that it is from, and what that gave."""

    member: int
    item: Any


@record
class Pick(JointStep):
    """The step for items that are each from one of several streams: does that stream's work."""

    name: str

    def run(self, item: Choice) -> Any:
        return self.works[item.member].run(item.item)

    def split(self, item: Choice) -> Split:
        return self.works[item.member].split(item.item)

    def __str__(self) -> str:
        return f"{self.name}(of {len(self.works)} streams)"
