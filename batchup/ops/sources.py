"""Where items come from: `indices`, and anything that can be iterated again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from batchup.ops.checks import Block, PlainBlock, as_block, describe, fingerprint, whole_number
from batchup.ops.plan import Count, DerivedPlan, Plan, Traits, record
from batchup.ops.stream import Stream

__all__ = ["indices", "stream_of_call", "stream_of_items"]


def indices(which: int | ArrayLike) -> Stream:
    """One index block, a whole pass: 0 to n-1 for an int n, else the given subset.

    `which` is the number of samples, or a 1-D sequence of integers >= 0, in the order in which they
    are to come, repeated where wanted. A run of consecutive indices stays a `range`, so a source of
    10**12 samples costs nothing. Raises TypeError for floats, masks and arrays of other shapes,
    ValueError for negative numbers.

    >>> list(indices(4)), list(indices([7, 3]))
    ([range(0, 4)], [array([7, 3])])
    """
    if not isinstance(which, Sequence) and getattr(which, "ndim", 0) == 0:
        n = whole_number(which, "indices(n)")
        return Stream(Blocks((range(n),)), text=f"indices({n})")
    block = as_block(which, "indices(array)")
    if isinstance(block, np.ndarray):
        block = block.copy()
    text = f"indices({describe(block)})"
    contents = str(block) if isinstance(block, range) else fingerprint(block)
    return Stream(Blocks((block,)), text=text, identity=f"{text} {contents}")


@record
class Blocks(Plan):
    """Index blocks that are there: of `indices`, or from a user's list."""

    given: tuple[PlainBlock, ...]

    @property
    def traits(self) -> Traits:
        return Traits(lent=True)

    @property
    def length(self) -> int:
        return len(self.given)

    @property
    def samples(self) -> int:
        return sum(map(len, self.given))

    @property
    def bound(self) -> int:
        tops = (b[-1] if isinstance(b, range) else int(b.max()) for b in self.given if len(b))
        return max(tops, default=-1) + 1

    def items(self, pass_: int, k: int) -> Iterator[PlainBlock]:
        return iter(self.given[k:])

    def before(self, k: int) -> int:
        return sum(map(len, self.given[:k]))

    def seek(self, offset: int) -> tuple[int, int]:
        for k, block in enumerate(self.given):
            if offset < len(block):
                return k, offset
            offset -= len(block)
        return len(self.given), offset


def stream_of_items(source: Any, where: str) -> Stream:
    """The items of a list, an array or another re-iterable; TypeError for what is none."""
    if isinstance(source, Iterator):
        raise TypeError(
            f"{where}: expected a stream, a list, an array or another re-iterable; got the iterator "
            f"{describe(source)}, which can be gone through only once. Make it a list"
        )
    sequence = hasattr(source, "__len__") and hasattr(source, "__getitem__")
    if isinstance(source, str | bytes) or not (sequence or isinstance(source, Iterable)):
        raise TypeError(
            f"{where}: expected a stream, a list, an array or another re-iterable; "
            f"got {describe(source)}"
        )
    if sequence and not hasattr(source, "keys"):
        text = describe(source)
        if isinstance(source, list | tuple) and len(source) <= 4:
            text = f"[{', '.join(map(describe, source))}]"
        return Stream(Sequenced(source), text=text)
    return Stream(Iterated(source.__iter__, lent=True), text=describe(source))


def stream_of_call(
    make: Callable[[], Iterator[Any]],
    text: str,
    *,
    lent: bool = False,
    once: bool = False,
    samples: Count = None,
) -> Stream:
    """The items of the iterator that `make()` returns, called anew for every pass."""
    return Stream(Iterated(make, lent, once, samples), text=text)


@record
class Sequenced(Plan):
    """The items of anything with a length that takes an int."""

    source: Any

    @property
    def traits(self) -> Traits:
        return Traits(sized=False, lent=True, blocks=False)

    @property
    def length(self) -> int:
        return len(self.source)

    def items(self, pass_: int, k: int) -> Iterator[Any]:
        for n in range(k, len(self.source)):
            yield self.source[n]

    def as_blocks(self, where: str) -> Blocks:
        return Blocks(
            tuple(as_block(item, f"{where}: item {k}") for k, item in enumerate(self.items(0, 0)))
        )


@record
class Iterated(Plan):
    """The items of an iterator that a function returns: no length, no way but from the start."""

    make: Callable[[], Iterator[Any]]
    lent: bool = False
    once: bool = False
    given_samples: Count = None

    @property
    def traits(self) -> Traits:
        return Traits(
            pure=False,
            jumps=False,
            sized=False,
            lent=self.lent,
            blocks=False,
            foreign=True,
            once=self.once,
        )

    @property
    def length(self) -> Count:
        return math.inf if self.given_samples == math.inf else None

    @property
    def samples(self) -> Count:
        return self.given_samples

    def items(self, pass_: int, k: int) -> Iterator[Any]:
        return iter(self.make())

    def as_blocks(self, where: str) -> Plan:
        return CheckedBlocks(self, where)


@record
class CheckedBlocks(DerivedPlan):
    """Items that can't be looked at beforehand, each checked as it comes."""

    where: str

    @property
    def traits(self) -> Traits:
        return replace(self.up.traits, blocks=True)

    def items(self, pass_: int, k: int) -> Iterator[Block]:
        return (
            as_block(item, f"{self.where}: item {n}")
            for n, item in zip(count(), self.up.items(pass_, k))
        )
