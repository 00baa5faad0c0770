"""The work of a stream: the steps that make a batch of each item of its plan."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from itertools import islice
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import numpy as np

from batchup.core.blocks import LazyBlock, block_array
from batchup.core.errors import note
from batchup.core.grid import Even, Grid
from batchup.core.item import Item, mapped, planned_in, with_batch
from batchup.core.plan import Kind, Plan
from batchup.core.record import over_each, record


class Result(Protocol):
    """The result of a call; `result()` returns it, or raises the exception of the call."""

    def result(self) -> Any: ...


Results = Sequence[Result]


class Split(NamedTuple):
    """The work for one item in parts.

    Parameters
    ----------
    calls : sequence of callables
        The parts, which may run at once.
    finish : callable
        `finish(results)` joins the results of the calls. It returns the item, or a further `Split` with the next calls.
    """

    calls: Sequence[Callable[[], Any]]
    finish: Callable[[Results], Any]


class Sizes(NamedTuple):
    """How many samples the items have that a step makes.

    Parameters
    ----------
    rows : int or None
        The number of samples of every item; None for as many as the item that it is made of.
    known : bool
        False if the number is unknown.
    remedy : str
        How to write the stage if it makes other numbers of samples than it says, for the error.
    """

    rows: int | None = None  # this many, whatever the item; None: as many as the item it is made of
    known: bool = True
    remedy: str = ""  # how to write the stage if it makes other numbers of samples than it says


SAME = Sizes()
UNKNOWN = Sizes(known=False)


class Keyed(Protocol):
    """The random numbers of a step: see `core.noise.Noise`."""

    def generator(self, item: Any) -> Any:
        """The generator for an item that has a place."""

    def of_member(self, member: int) -> Self: ...

    def after(self, number: int) -> Self: ...


class Step:
    """One piece of work: a picklable record that makes an item of an item. Its `str` is its stage, as errors show it.

    `run(item)` is all that a step needs. A step with random numbers declares `rng` and is called as `run(item,
    generator)`. A step that has further work inside, as that of a join, defines `parts` and `over`.
    """

    # The name of the step in checkpoints, such as "gather". Checkpoints need it, iterating doesn't.
    tag: ClassVar[str] = ""
    rng: Keyed | None = None

    @property
    def sizes(self) -> Sizes:
        """How many samples its items have."""
        return UNKNOWN

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Make an item of an item, to be defined by each step.

        Parameters
        ----------
        *args : any
            The item; for a step that declares `rng` also its generator.
        **kwargs : any
            None.

        Returns
        -------
        any
            The new item.
        """
        raise NotImplementedError

    @property
    def split(self) -> Callable[..., Split] | None:
        """The function that divides the work for one item into parts; it is called as `run`. None if there is none."""
        return None

    def parts(self) -> tuple[Work, ...]:
        """The further work inside of this step, as that of the members of a join.

        Returns
        -------
        tuple of Work
            The works; () if there are none.
        """
        return ()

    def over(self, f: Callable[[Work], Work]) -> Step:
        """The same step over other works.

        Parameters
        ----------
        f : callable
            `f(work)` returns the work to take in place of each of `parts()`.

        Returns
        -------
        Step
            The new step.
        """
        return self


@record
class Work:
    """The work for each item of a plan: steps, one after another. It can be pickled, and runs anywhere.

    Parameters
    ----------
    steps : tuple of Step
        The steps.
    """

    steps: tuple[Step, ...] = ()

    @cached_property
    def random(self) -> bool:
        """True if a step draws random numbers, so that items must have a place."""
        return any(step.rng is not None for step in self.steps)

    def run(self, item: Any) -> Any:
        """Make the batch of an item. An exception gets a note that names its stage.

        Parameters
        ----------
        item : any
            What the plan gave.

        Returns
        -------
        any
            The batch.
        """
        step: Any = None
        try:
            own = item
            if type(item) is Item:
                item = item.batch if item.made else item.planned
            if self.random:
                for step in self.steps:
                    item = step.run(item) if step.rng is None else step.run(item, step.rng.generator(own))
            else:
                for step in self.steps:
                    item = step.run(item)
        except Exception as error:
            note(error, partial(str.format, "in the stage {}", step))
            raise
        return item

    def runner(self, plain: bool) -> Callable[[Any], Any]:
        """A function that does the same as `run`, with less to do for each batch.

        Parameters
        ----------
        plain : bool
            True if no item is an `Item`. Otherwise all must be, with a batch if there are no steps.

        Returns
        -------
        callable
            `runner(item)` returns the batch.
        """
        if plain and len(self.steps) == 1 and not self.random:
            return self.steps[0].run  # without its note, which the caller adds
        if not plain and not self.steps:
            return operator.itemgetter(1)
        return self.run

    def grid(self, plan: Plan) -> Grid | None:
        """Where the samples lie in the batches.

        Parameters
        ----------
        plan : Plan
            The plan of the items.

        Returns
        -------
        Grid or None
            The grid; None if it is unknown.
        """
        grid = plan.grid
        for step in self.steps:
            if not step.sizes.known or any(part.changes_sizes for part in step.parts()):
                grid = None
            elif step.sizes.rows is not None and plan.length is not None:
                grid = Even(plan.length * step.sizes.rows, step.sizes.rows, None)
        return grid

    @property
    def changes_sizes(self) -> bool:
        """True if a batch may have another number of samples than the item of the plan."""
        return any(
            step.sizes._replace(remedy="") != SAME or any(part.changes_sizes for part in step.parts())
            for step in self.steps
        )

    @property
    def splits(self) -> bool:
        """True if the work for one item can be done in parts."""
        return any(step.split is not None for step in self.steps)

    def split(self, item: Any) -> Split:
        """The work for an item in parts: those of each step that has some, one step after another.

        Parameters
        ----------
        item : any
            What the plan gave.

        Returns
        -------
        Split
            The parts of the first of these steps, or the steps before it as one part.
        """
        number = next((n for n, step in enumerate(self.steps) if step.split is not None), None)
        if number is None:
            return Split([partial(self.run, item)], only)
        rest = Work(self.steps[number:])
        if number:
            before = Work(self.steps[:number])
            return Split([partial(before.run, item)], lambda results: rest.split(with_batch(item, only(results))))
        step = self.steps[0]
        value = item.batch if type(item) is Item and item.made else planned_in(item)
        own = () if step.rng is None else (step.rng.generator(item),)
        return self._split(item, step.split(value, *own))  # type: ignore[misc]

    def _split(self, item: Any, split: Split) -> Split:
        """The parts of the first step, whose `finish` goes on with the other steps."""

        def finish(results: Results) -> Any:
            made = Work((_Finish(self.steps[0], split.finish, results),)).run(item)
            if isinstance(made, Split):
                return self._split(item, made)
            rest = Work(self.steps[1:])
            made = with_batch(item, made)
            return rest.split(made) if rest.splits else rest.run(made)

        return Split(split.calls, finish)

    def of_member(self, member: int) -> Work:
        """A copy of this work for a member of a join, whose random numbers differ from those of the others.

        Parameters
        ----------
        member : int
            The number of the member.

        Returns
        -------
        Work
            The copy.
        """

        def of_step(step: Step) -> Step:
            step = step.over(lambda work: work.of_member(member))
            if step.rng is None:
                return step
            return replace(step, rng=step.rng.of_member(member))  # type: ignore[type-var]

        return over_each(self, "steps", of_step)

    def leaves(self, path: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], Step]]:
        """Every step; those inside of a step come before it.

        Parameters
        ----------
        path : tuple of int
            The numbers of the members of joins that this work belongs to.

        Yields
        ------
        (tuple of int, Step)
            The numbers of the members that the step belongs to, and the step.
        """
        for step in self.steps:
            for n, part in enumerate(step.parts()):
                yield from part.leaves((*path, n))
            yield path, step


def only(results: Results) -> Any:
    """The result of the only call."""
    return results[0].result()


def together(parts: Sequence[Any], join: Callable[[list[Any]], Any]) -> Split:
    """Several splits as one.

    Parameters
    ----------
    parts : sequence of Split or any
        The splits; what is none has been made already.
    join : callable
        `join(items)` makes one item of what the splits give.

    Returns
    -------
    Split
        The calls of all.
    """

    def finish(results: Results) -> Any:
        left = iter(results)
        ended = [p.finish(list(islice(left, len(p.calls)))) if isinstance(p, Split) else p for p in parts]
        return together(ended, join) if any(isinstance(part, Split) for part in ended) else join(ended)

    return Split([call for part in parts if isinstance(part, Split) for call in part.calls], finish)


@record
class _Finish(Step):
    """The rest of a step whose calls have ended."""

    step: Step
    finish: Callable[[Results], Any]
    results: Results

    def run(self, item: Any) -> Any:
        return self.finish(self.results)

    def __str__(self) -> str:
        return str(self.step)


# --- the first step of a stream: it copies what doesn't belong to the caller


class Copyable:
    """An array type of ours: batches that don't belong to the caller are copied by its `copy()`."""

    def copy(self) -> Any:
        raise NotImplementedError


@record
class Own(Step):
    """The step that makes the caller's own item of one that isn't."""

    make: Callable[[Any], Any]
    sizes = SAME

    def run(self, item: Any) -> Any:
        return self.make(item)


def _copied(part: Any) -> Any:
    if isinstance(part, LazyBlock):
        return part[:]
    return part.copy() if isinstance(part, np.ndarray | Copyable) else part


def _indices(block: Any) -> Any:
    return np.array(block_array(block))


COPY = Own(partial(mapped, f=_copied))  # copies the arrays of an item, also inside of tuples and so on
INDICES = Own(_indices)  # copies an index block as an array, which users' functions get


def first_steps(kind: Kind, whole: bool = False) -> tuple[Step, ...]:
    """The steps that make the items of a plan the caller's own. With `whole`, ranges stay ranges."""
    if kind is Kind.OWN:
        return ()
    return (INDICES,) if kind.indexed and not whole else (COPY,)
