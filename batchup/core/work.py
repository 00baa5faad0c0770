"""What a stream owes for each item of its plan: steps of work, one after another."""

from __future__ import annotations

import hashlib
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from typing import Any, NamedTuple, Protocol

import numpy as np

from batchup.core.blocks import LazyBlock, block_array
from batchup.core.errors import note
from batchup.core.grid import Even, Grid
from batchup.core.plan import Kind, Plan
from batchup.core.record import Count, over_each, record


class Copyable(ABC):
    """An array type of ours other than NumPy's: batches of it are copied by `copy()` where they are not the caller's."""

    @abstractmethod
    def copy(self) -> Any: ...


class Result(Protocol):
    """What became of a call: its result, or raises what went wrong."""

    def result(self) -> Any: ...


Results = Sequence[Result]


class Split(NamedTuple):
    """The work for one item in parts: calls that may be done at once, and what makes the item of their results."""

    calls: Sequence[Callable[[], Any]]
    finish: Callable[[Results], Any]


class Step:
    """One piece of work: a picklable value that makes an item of an item; `str` names its stage.

    Steps of your own are records that write `run`. What has further work inside of it has `parts()`, those
    `Work`s, and `over(f)`, the same step over `f` of each: so work is split, and put together again.
    """

    # It doesn't write into its item, nor hand it on, so it may be given what is somebody else's.
    only_reads = False
    # It draws random numbers, and writes `run_placed` in place of `run`.
    random = False
    # Its work for one item can be done in parts, by `split`.
    splits = False
    # It may make another number of samples of those of an item: nobody knows how many.
    resizes = False
    # How to write the stage if its function gives other numbers of samples, and it doesn't say so yet.
    remedy = ""
    # How many samples each of its items has, whatever it is made of; None where it is as many as before.
    rows: int | None = None

    def run(self, item: Any) -> Any:
        raise NotImplementedError

    def run_placed(self, item: Any, placed: Placed) -> Any:
        """The same, where it is known which item it is."""
        return self.run(item)

    def split(self, item: Any) -> Split | None:
        """The work for an item in parts; None where it is in one piece."""
        return None

    def parts(self) -> tuple[Work, ...]:
        return ()

    def over(self, f: Callable[[Work], Work]) -> Step:
        return self

    def of_member(self, member: int) -> Step:
        """This step as that of a member of several streams: with random numbers of its own."""
        return self


class Placed(NamedTuple):
    """An item of a plan with its place, for steps that draw random numbers."""

    place: tuple[Any, int]  # the pass, and the position in it
    planned: Any
    indexed: bool  # whether it is made of index blocks

    def key(self) -> bytes:
        """128 bits of the place, and of the samples that are in the item: their indices, in their order."""
        digest = hashlib.sha1(repr(self.place).encode(), usedforsecurity=False)
        if self.indexed:
            _feed(digest.update, self.planned)
        return digest.digest()[:16]


def _feed(update: Callable[[Any], None], item: Any) -> None:
    item = planned_in(item)
    if isinstance(item, range | LazyBlock):
        item = block_array(item)
    if isinstance(item, np.ndarray):
        if item.ndim == 1 and item.dtype.kind in "iu":
            update(np.ascontiguousarray(item, dtype="<i8"))
    elif isinstance(item, tuple):
        for part in item:
            _feed(update, part)
            update(b",")
    elif isinstance(item, int):
        update(b"%d;" % item)


class Made(NamedTuple):
    """A batch that was made already, and what the plan gave for it."""

    planned: Any
    batch: Any


class Mark(NamedTuple):
    """What a plan gave, and where the plans with a cursor go on behind it, the innermost first."""

    planned: Any
    places: tuple[tuple[int, ...], ...]


def planned_in(item: Any) -> Any:
    """What a plan gave first, of an item that carries its place, its batch or cursors too."""
    while isinstance(item, Placed | Made | Mark):
        item = item.planned
    return item


@record
class Work:
    """What is owed for each item of a plan: the steps, one after another. Runs anywhere."""

    steps: tuple[Step, ...] = ()

    @cached_property
    def random(self) -> bool:
        """Whether any of the steps draws, and needs to know the place of the item."""
        return any(step.random for step in self.steps)

    def run(self, item: Any) -> Any:
        """The batch. An exception leaves with a note that names the stage it came from."""
        step: Any = None
        try:
            placed = item
            if type(item) is Placed:
                item = item.planned
            if self.random:
                while type(placed) is Made:
                    placed = placed.planned
                for step in self.steps:
                    item = step.run_placed(item, placed)
            else:
                for step in self.steps:
                    item = step.run(item)
        except Exception as error:
            note(error, partial(str.format, "in the stage {}", step))
            raise
        return item

    def grid(self, plan: Plan) -> Grid | None:
        """Where the samples lie in what is made of the items of a plan."""
        grid = plan.grid
        for step in self.steps:
            if step.resizes or any(part.changes_sizes for part in step.parts()):
                grid = None
            elif step.rows is not None and plan.length is not None:
                grid = Even(plan.length * step.rows, step.rows, None)
        return grid

    def samples(self, plan: Plan) -> Count:
        """How many samples there are in all of what is made of the items of a plan."""
        if not self.changes_sizes:
            return plan.samples
        grid = self.grid(plan)
        return None if grid is None else grid.samples

    @property
    def changes_sizes(self) -> bool:
        """Whether the batches may have other numbers of samples than the items of the plan."""
        return any(
            step.resizes or step.rows is not None or any(part.changes_sizes for part in step.parts())
            for step in self.steps
        )

    @property
    def splits(self) -> bool:
        """Whether the work for one item can be done in parts."""
        return bool(self.steps) and self.steps[0].splits

    def split(self, item: Any) -> Split:
        """The work for an item in parts; those after the first step are done by who has the last of them."""
        given = item.planned if type(item) is Placed else item
        split = self.steps[0].split(given) if self.steps else None
        if split is None:
            return Split([partial(self.run, item)], lambda results: results[0].result())
        calls, join = split

        def finish(results: Results) -> Any:
            return Work((_Finish(self.steps[0], join, results), *self.steps[1:])).run(item)

        return Split(calls, finish)

    def of_member(self, member: int) -> Work:
        """This work as that of one of several streams that are joined, whose random maps differ."""
        return over_each(
            self, "steps", lambda step: step.over(lambda w: w.of_member(member)).of_member(member)
        )

    def leaves(self, path: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], Any]]:
        """Every step, those inside of others first, with the numbers of the members that it is of."""
        for step in self.steps:
            for n, part in enumerate(step.parts()):
                yield from part.leaves((*path, n))
            yield path, step


@record
class _Finish(Step):
    """What is left of a step whose calls have been made."""

    step: Step
    finish: Callable[[Results], Any]
    results: Results

    def run(self, item: Any) -> Any:
        return self.finish(self.results)

    def __str__(self) -> str:
        return str(self.step)


def as_batch(value: Any) -> Any:
    """What a user's function or source gave for a batch: a list of its parts is a tuple of them."""
    return tuple(value) if type(value) is list else value


def mapped(item: Any, f: Callable[[Any], Any], kinds: tuple[type, ...] = (tuple, list, dict)) -> Any:
    """`f` of each part of an item, also inside of nested tuples, lists and dicts: the one walk over them."""
    if isinstance(item, dict) and dict in kinds:
        return {key: mapped(part, f, kinds) for key, part in item.items()}
    if isinstance(item, tuple | list) and isinstance(item, kinds):
        parts = [mapped(part, f, kinds) for part in item]
        if isinstance(item, list):
            return parts
        return type(item)(*parts) if hasattr(item, "_fields") else tuple(parts)
    return f(item)


# --- the first step of a stream: what makes an item of its plan the caller's


@record
class Own(Step):
    """The step that makes an item the caller's, by a function of ours."""

    make: Callable[[Any], Any]

    def run(self, item: Any) -> Any:
        return self.make(item)


def _copied(part: Any) -> Any:
    if isinstance(part, LazyBlock):
        return part[:]
    return part.copy() if isinstance(part, np.ndarray | Copyable) else part


def _indices(block: Any) -> Any:
    return np.array(block_array(block))


COPY = Own(partial(mapped, f=_copied))  # the arrays of a borrowed item, also inside of tuples and so on
INDICES = Own(_indices)  # an index block as an array: what users' functions get
OPENED = Own(operator.itemgetter(1))  # the batch of a `Made`


def first_steps(kind: Kind, whole: bool = False) -> tuple[Step, ...]:
    """What makes the items of a plan the caller's; with `whole`, ranges stay ranges."""
    if kind is Kind.OWN:
        return ()
    return (INDICES,) if kind is Kind.BLOCKS and not whole else (COPY,)
