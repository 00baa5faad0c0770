"""What a plan is: the cheap half of a stream, which says what each item is made of.

A plan counts in *passes*. Pass 0 is what you get by iterating; `repeat` asks for the further
ones, and a shuffle gives each of them an order of its own.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, ClassVar, Self, TypeVar, dataclass_transform

__all__ = ["ENDLESS", "Count", "DerivedPlan", "EndlessPlan", "Plan", "Traits", "record"]

T = TypeVar("T")


@dataclass_transform(frozen_default=True, eq_default=False)
def record(cls: type[T]) -> type[T]:
    """A frozen dataclass, compared by identity: plans and work hold arrays, which have no `==`."""
    return dataclass(frozen=True, eq=False, repr=False)(cls)


# How many: an int, math.inf, or None where nobody knows.
Count = int | float | None

# The distance between the numbers of two passes of a plan without end: it never gets that far.
ENDLESS = 2**64


@record
class Traits:
    """What can be relied on.

    `pure`: every iteration gives the same. `jumps`: any position is reached without going through
    those before it. `sized`: `before` and `seek` know how many samples lie where. `lent`: the items
    belong to somebody else, and are copied before anybody may write into them. `blocks`: they are
    index blocks; `lazy`: they are lazy ones, for `chunk` to cut. `foreign`: they
    come from an iterator of somebody else's, and can't be gone on with. `once`: of one that is there
    only once.
    `part`: which shard of the blocks it is, if it is `sharded`.
    """

    pure: bool = True
    jumps: bool = True
    sized: bool = True
    lent: bool = False
    blocks: bool = True
    lazy: bool = False
    foreign: bool = False
    once: bool = False
    part: int = 0
    sharded: bool = False


class Plan(ABC):
    """One pass of items, and those after it. Subclasses are frozen dataclasses, hence picklable.

    `length` and `samples` are counts a pass; all indices are below `bound`, None where nobody knows.
    """

    # Whether it asks for items before it is asked for them, as a pool does.
    ahead: ClassVar[bool] = False

    @property
    def traits(self) -> Traits:
        return Traits()

    @property
    @abstractmethod
    def length(self) -> Count: ...

    @property
    def samples(self) -> Count:
        return None

    @property
    def bound(self) -> int | None:
        return None

    @property
    def block_size(self) -> int | None:
        """The size of all blocks but the last, which may be shorter; None where nobody knows."""
        return None

    @abstractmethod
    def items(self, pass_: int, k: int) -> Iterator[Any]:
        """The items of pass `pass_` from position `k` on; `k` is 0 where the plan doesn't jump."""

    def start(self, pass_: int = 0, k: int = 0) -> Iterator[Any]:
        """The items of pass `pass_` from position `k` on, walking there where need be."""
        if k == 0 or self.traits.jumps:
            return self.items(pass_, k)
        return islice(self.items(pass_, 0), k, None)

    def to_the_end(self, items: Iterator[Any], k: int) -> Iterator[Any]:
        """The items from position `k` on, up to the length where it is known.

        To find the end by asking for one more could draw from a generator, which going on from a
        checkpoint at the end would not.
        """
        length = self.length
        return islice(items, max(0, length - k)) if isinstance(length, int) else items

    def number(self, pass_: int, k: int) -> int:
        """The number of an item among those of all passes: what keyed orders are keyed by."""
        length = self.length
        return pass_ * (length if isinstance(length, int) else ENDLESS) + k

    def before(self, k: int) -> int:
        """How many samples the first `k` blocks of a pass hold. Asked only where it is sized."""
        raise NotImplementedError

    def seek(self, offset: int) -> tuple[int, int]:
        """The position of the block with sample `offset` of a pass, and its place in that block."""
        raise NotImplementedError

    def below(self) -> tuple[Plan, ...]:
        """The plans that this one is over."""
        return ()

    def parts_differ(self) -> bool:
        """Whether shards are cut anew, so that item k is not part of the same block for all ranks."""
        return any(plan.parts_differ() for plan in self.below())

    def here(self) -> Plan:
        """This plan with no pool in it: what workers would do is done by whoever iterates."""
        return self

    def of_member(self, member: int) -> Plan:
        """This plan as that of one of several streams that are joined; see `Work.of_member`."""
        return self

    def as_blocks(self, where: str) -> Plan:
        """This plan, or one like it with checked items; TypeError where they are no index blocks."""
        if self.traits.blocks:
            return self
        raise TypeError(f"{where}: expected a stream of index blocks; these items are none")

    def cut(self, size: int) -> Plan | None:
        """This plan in blocks of `size` where it is a source that can make any size, else None."""
        return None


@record
class DerivedPlan(Plan):
    """A plan over one other; what it does not say of itself is as there."""

    up: Plan

    @property
    def traits(self) -> Traits:
        return self.up.traits

    @property
    def length(self) -> Count:
        return self.up.length

    @property
    def samples(self) -> Count:
        return self.up.samples

    @property
    def bound(self) -> int | None:
        return self.up.bound

    def before(self, k: int) -> int:
        return self.up.before(k)

    def seek(self, offset: int) -> tuple[int, int]:
        return self.up.seek(offset)

    def below(self) -> tuple[Plan, ...]:
        return (self.up,)

    def here(self) -> Plan:
        return replace(self, up=self.up.here())

    def of_member(self, member: int) -> Plan:
        return replace(self, up=self.up.of_member(member))

    def as_blocks(self, where: str) -> Plan:
        return replace(self, up=self.up.as_blocks(where))


@record
class EndlessPlan(Plan):
    """A source without end, of blocks of whatever size is asked for: subclasses have a field `size`."""

    size: int

    @property
    def length(self) -> float:
        return math.inf

    @property
    def samples(self) -> float:
        return math.inf

    def cut(self, size: int) -> Self:
        return replace(self, size=size)

    def before(self, k: int) -> int:
        return k * self.size

    def seek(self, offset: int) -> tuple[int, int]:
        return divmod(offset, self.size)
