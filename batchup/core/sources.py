"""Plans of what users pass in place of a stream: index blocks, lists, iterators."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from itertools import count
from typing import Any

from batchup.core.blocks import Block, PlainBlock, as_block
from batchup.core.checks import describe, describe_callable
from batchup.core.draws import Draws, Replay
from batchup.core.grid import Grid, Listed, Total
from batchup.core.item import as_batch, once, walk
from batchup.core.loader import Loader
from batchup.core.plan import Kind, Plan, SameItems, SameSamples
from batchup.core.randomness import DIRECT, Users
from batchup.core.record import Count, data, record, unnamed


@record
class Blocks(Plan):
    """Index blocks in memory: of `indices`, or of a user's list."""

    tag = "indices"

    blocks: tuple[PlainBlock, ...]
    kind = Kind.VIEWS
    starts_anywhere = True

    @property
    def length(self) -> int:
        return len(self.blocks)

    @cached_property
    def grid(self) -> Grid:  # looks at all indices, so it is computed once
        tops = (b[-1] if isinstance(b, range) else int(b.max()) for b in self.blocks if len(b))
        return Listed(tuple(map(len, self.blocks)), max(tops, default=-1) + 1)

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[PlainBlock]:
        return map(self.blocks.__getitem__, range(k, len(self.blocks)))  # without a copy of the rest


@record
class Sequenced(Plan):
    """The items of anything with `__len__` and `__getitem__` that takes an int."""

    tag = "list"

    source: Any = data()

    @property
    def length(self) -> int:
        return len(self.source)

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Any]:
        return (as_batch(self.source[n]) for n in range(k, len(self.source)))


@record
class Iterated(Plan):
    """The items of the iterator that `make()` returns, which starts at the beginning only.

    If its passes are `numbered`, it is `make(pass_)`. `alike` says why all epochs would be the same though they
    should differ, with the remedy. If epochs are `told`, `set_epoch(pass_)` is called before each pass.
    """

    tag = "iterator"

    make: Callable[..., Iterator[Any]]
    kind: Kind = Kind.OWN
    rng: Users = Users(Replay.NOT_RESUMABLE)
    samples: Count = None
    numbered: bool = False
    alike: str = ""
    set_epoch: Callable[[int], Any] | None = None
    told: bool = False

    @property
    def length(self) -> Count:
        return math.inf if self.samples == math.inf else None

    @property
    def grid(self) -> Grid | None:
        return Total.of(self.samples)

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Any]:
        if self.told and self.set_epoch is not None:
            self.set_epoch(pass_)
        items = iter(self.make(pass_) if self.numbered else self.make())
        return once(map(as_batch, walk(items, k)))

    def refusal(self, stage: str) -> str:
        return self.alike if stage == "epochs" else ""


SINGLE_PASS = Users(Replay.SINGLE_PASS)


def with_epochs_told(plan: Plan) -> Plan:
    """The plan, with the `set_epoch` of users' iterables called before each pass."""
    if isinstance(plan, Iterated):
        return plan if plan.set_epoch is None else replace(plan, told=True)
    return plan.over(with_epochs_told)


@record
class Checked(SameSamples):
    """Items that can't be looked at beforehand: each is checked to be an index block when it comes."""

    tag = "checked"

    where: str = unnamed()
    kind = Kind.BLOCKS

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Block]:
        items = zip(count(k), self.up.start(pass_, k, draws), strict=False)
        return (as_block(item, f"{self.where}: item {n}") for n, item in items)


def plan_of(source: Any, where: str) -> tuple[Plan, str]:
    """The plan of a list, an array or another re-iterable, and its text for a repr. Raises TypeError for others."""
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
    """The plan as one of index blocks, checked if it doesn't say that it is. Raises TypeError if it can't be."""
    if plan.kind.indexed:
        return plan
    if isinstance(plan, Sequenced):
        items = enumerate(plan.items(0, 0, DIRECT))
        return Blocks(tuple([as_block(item, f"{where}: item {k}") for k, item in items]))
    if plan.kind is Kind.OWN:
        raise TypeError(f"{where}: expected a stream of index blocks; these items are not index blocks")
    if isinstance(plan, SameItems | SameSamples):
        return plan.over(lambda child: as_blocks(child, where))
    return Checked(plan, where)
