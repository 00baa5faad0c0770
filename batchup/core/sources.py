"""Plans of what users pass in place of a stream: index blocks, lists, iterators."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from itertools import count
from typing import Any

from batchup.core.blocks import Block, PlainBlock, as_block
from batchup.core.checks import describe, describe_callable
from batchup.core.grid import Grid, Listed
from batchup.core.loader import Loader
from batchup.core.plan import Again, Draws, Kind, Plan, SameSamples, once, walk
from batchup.core.randomness import DIRECT
from batchup.core.record import Count, record
from batchup.core.work import as_batch


@record
class Blocks(Plan):
    """Index blocks that are there: of `indices`, or from a user's list."""

    given: tuple[PlainBlock, ...]
    kind = Kind.BLOCKS
    again = Again.KEYED
    starts_anywhere = True
    is_view = True

    @property
    def length(self) -> int:
        return len(self.given)

    @cached_property
    def grid(self) -> Grid:  # looks at all indices: once
        tops = (b[-1] if isinstance(b, range) else int(b.max()) for b in self.given if len(b))
        return Listed(tuple(map(len, self.given)), max(tops, default=-1) + 1)

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[PlainBlock]:
        return map(self.given.__getitem__, range(k, len(self.given)))  # no copy of the rest


@record
class Sequenced(Plan):
    """The items of anything with a length that takes an int."""

    source: Any
    again = Again.KEYED
    data = ("source",)

    @property
    def length(self) -> int:
        return len(self.source)

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Any]:
        return (as_batch(self.source[n]) for n in range(k, len(self.source)))


@record
class Iterated(Plan):
    """The items of an iterator that a function returns: no way but from the start.

    Where its passes are `numbered`, the function is given the number; `alike` says why they are all the
    same though they should not be, and what to do about it. A `set_epoch` is called with the number of each pass if
    epochs are `told`; that of a single pass is the user's affair.
    """

    make: Callable[..., Iterator[Any]]
    kind: Kind = Kind.OWN
    again: Again = Again.NOT_RESUMABLE
    samples: Count = None
    numbered: bool = False
    alike: str = ""
    set_epoch: Callable[[int], Any] | None = None
    told: bool = False

    @property
    def length(self) -> Count:
        return math.inf if self.samples == math.inf else None

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Any]:
        if self.told and self.set_epoch is not None:
            self.set_epoch(pass_)
        items = iter(self.make(pass_) if self.numbered else self.make())
        return once(map(as_batch, walk(items, k)))

    def with_epochs_told(self) -> Iterated:
        return self if self.set_epoch is None else replace(self, told=True)


@record
class Checked(SameSamples):
    """Items that can't be looked at beforehand, each checked as it comes to be an index block."""

    where: str
    kind = Kind.BLOCKS

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Block]:
        items = zip(count(k), self.up.start(pass_, k, draws), strict=False)
        return (as_block(item, f"{self.where}: item {n}") for n, item in items)


def plan_of(source: Any, where: str) -> tuple[Plan, str]:
    """The plan of a list, an array or another re-iterable, and how it reads; TypeError for what is none."""
    sequence = hasattr(source, "__len__") and hasattr(source, "__getitem__")
    wrong = ""
    if hasattr(source, "batch_iterator"):
        wrong = f"the data source {source!r}: write ds.stream(batch_size) | ..., or ds.map(function)"
    elif isinstance(source, Loader):
        wrong = f"{source!r}, of which each iteration is another epoch: put stages before it, (stream | stage).loader()"
    elif isinstance(source, Iterator):
        wrong = f"the iterator {describe(source)}, which can be gone through only once. Make it a list"
    elif callable(source) and not isinstance(source, Iterable):
        wrong = f"{describe(source)}: call it, as in {describe_callable(source)}(...)"
    elif isinstance(source, str | bytes) or not (sequence or isinstance(source, Iterable)):
        wrong = describe(source)
    if wrong:
        wanted = "expected a stream, a list, an array or another re-iterable"
        raise TypeError(f"{where}: {wanted}; got {wrong}")
    if sequence and not hasattr(source, "keys"):
        text = describe(source)
        if isinstance(source, list | tuple) and len(source) <= 4:
            text = f"[{', '.join(map(describe, source))}]"
        return Sequenced(source), text
    set_epoch = getattr(source, "set_epoch", None)
    set_epoch = set_epoch if callable(set_epoch) else None
    return Iterated(source.__iter__, Kind.BORROWED, set_epoch=set_epoch), describe(source)


def as_blocks(plan: Plan, where: str) -> Plan:
    """The plan, or one like it with checked items; TypeError where they are no index blocks."""
    if plan.kind is Kind.BLOCKS:
        return plan
    if isinstance(plan, Sequenced):
        items = enumerate(plan.items(0, 0, DIRECT))
        return Blocks(tuple([as_block(item, f"{where}: item {k}") for k, item in items]))
    if isinstance(plan, Iterated) and plan.kind is not Kind.OWN:  # a function's batches
        return Checked(plan, where)
    if len(plan.children()) == 1 and plan.kind is not Kind.OWN:
        return plan.over(lambda child: as_blocks(child, where))
    raise TypeError(f"{where}: expected a stream of index blocks; these items are none")
