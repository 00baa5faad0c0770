"""Several streams as one: what `zip` and `choose` have in common, for stages of your own too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from batchup.core.plan import record
from batchup.core.work import Work


class Choice(NamedTuple):
    """An item of a plan over several: the number of the one that it is from, and what that gave."""

    member: int
    item: Any


@record
class Pick:
    """The step for items that are each from one of several streams: does that stream's work."""

    works: tuple[Work, ...]
    name: str

    def run(self, item: Choice) -> Any:
        return self.works[item.member].run(item.item)

    def parts(self) -> tuple[Work, ...]:
        return self.works

    def over(self, f: Callable[[Work], Work]) -> Pick:
        works = tuple(map(f, self.works))
        same = all(a is b for a, b in zip(works, self.works, strict=True))
        return self if same else replace(self, works=works)

    def __str__(self) -> str:
        return f"{self.name}(of {len(self.works)} streams)"
