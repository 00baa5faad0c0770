"""A plan whose items are made already, work and all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NoReturn

from batchup.ops.plan import DerivedPlan, Plan, Traits, record
from batchup.ops.stream import Work

__all__ = ["Worked"]


@record
class Worked(DerivedPlan):
    """Items that the plan itself has made: of a plan and the work."""

    work: Work

    @property
    def traits(self) -> Traits:
        return replace(self.up.traits, lent=False, lazy=False, blocks=False, sized=False)

    def as_blocks(self, where: str) -> NoReturn:
        raise TypeError(
            f"{where}: expected a stream of index blocks; got one whose work a pool has done. "
            "Put parallel last"
        )

    def of_member(self, member: int) -> Plan:
        return replace(self, up=self.up.of_member(member), work=self.work.of_member(member))

    def items(self, pass_: int, k: int) -> Iterator[Any]:
        return map(self.work.run, self.up.start(pass_, k))
