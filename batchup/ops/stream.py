"""Stream, Stage and `|`: a stream is a plan and the work it owes."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any, Protocol

import numpy as np

from batchup.ops.checks import LazyBlock, block_array, describe, describe_callable
from batchup.ops.iteration import StreamIterator, note
from batchup.ops.plan import Count, Plan, record

__all__ = ["Stage", "Step", "Stream", "Work", "as_stream"]


class Step(Protocol):
    """One piece of work: a picklable value that makes an item of an item; `str` names its stage."""

    def run(self, item: Any) -> Any: ...


@record
class Work:
    """What is owed for each item of a plan: the steps, one after another. Runs anywhere."""

    steps: tuple[Step, ...]

    def run(self, item: Any) -> Any:
        """The batch. An exception leaves with a note that names the stage it came from."""
        step: Step | None = None
        try:
            for step in self.steps:
                item = step.run(item)
        except Exception as error:
            note(error, partial(str.format, "in the stage {}", step))
            raise
        return item

    def of_member(self, member: int) -> Work:
        """This work as that of one of several streams that are joined, whose random maps differ."""
        steps = [step.of_member(member) if hasattr(step, "of_member") else step for step in self.steps]
        unchanged = all(a is b for a, b in zip(steps, self.steps, strict=True))
        return self if unchanged else Work(tuple(steps))


@record
class Stream:
    """A re-iterable stream of items: a `plan`, cheap, and the `steps` of work that each item owes.

    Streams are made by sources (`indices`, `sample`, `zip`, `choose`) or by giving a list, an array
    or any re-iterable to a stage; `stream | stage` makes the next.

    >>> from batchup import ops
    >>> batches = ops.indices(10) | ops.chunk(4) | ops.gather(np.arange(10) * 10)
    >>> batches
    indices(10) | chunk(4) | gather(<10 int64>)
    >>> len(batches), batches.num_samples
    (3, 10)
    >>> batches[2]
    (array([80, 90]),)
    """

    plan: Plan
    steps: tuple[Step, ...] = ()
    text: str = "stream"
    # What a checkpoint calls it: as `text`, but for what makes no difference, such as the pool.
    identity: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "identity", self.identity or self.text)

    # `ndarray | x` asks x, and does not broadcast.
    __array_ufunc__ = None

    @property
    def num_samples(self) -> Count:
        """How many samples the items hold in all: an int, `np.inf`, or None where nobody knows."""
        return self.plan.samples

    @property
    def pure(self) -> bool:
        """Whether every iteration gives the same items: no draws from a stateful generator."""
        return self.plan.traits.pure

    @property
    def work(self) -> Work:
        """What is owed for each item of the plan; at the least, that it belongs to the caller."""
        traits = self.plan.traits
        return Work(self.steps or ((Own(),) if traits.lent or traits.lazy else ()))

    def owing(self, step: Step) -> Stream:
        """This stream with one more step of work for each item."""
        only_reads = getattr(step, "only_reads", False) and not self.plan.traits.lazy
        before = self.steps if self.steps or only_reads else self.work.steps
        return replace(self, steps=(*before, step))

    def index_plan(self, where: str) -> Plan:
        """The plan, checked to be of index blocks; TypeError that names the stage where it isn't."""
        if self.steps:
            raise TypeError(
                f"{where}: expected a stream of index blocks, before any gather, map, zip or choose; "
                f"got {self!r}"
            )
        return self.plan.as_blocks(where)

    def __iter__(self) -> StreamIterator:
        return StreamIterator(self)

    def __len__(self) -> int:
        length = self.plan.length
        if isinstance(length, int):
            return length
        kind = "is endless" if length is not None else "has no length that is known beforehand"
        raise TypeError(f"{self!r} {kind}; take(k) makes it one of k items at most")

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, k: int) -> Any:
        """Item `k`, made alone, here; from the end where `k` is negative and the length known."""
        try:
            position = operator.index(k)
        except TypeError:
            raise TypeError(
                f"stream[k]: expected an int; got {describe(k)}. "
                "For several items write stream | skip(start) | take(count)"
            ) from None
        if position < 0:
            position += len(self)
        if position >= 0:
            alone = replace(self, plan=self.plan.here())
            for item in islice(StreamIterator(alone, position), 1):
                return item
        length = f"; it has {self.plan.length}" if isinstance(self.plan.length, int) else ""
        raise IndexError(f"there is no item {k} in {self!r}{length}")

    def __or__(self, stage: Any) -> Stream:
        if isinstance(stage, Stage):
            return stage(self)
        raise TypeError(
            f"{self!r} | ...: expected a stage; got {describe_callable(stage)}. "
            "To apply a function to every item write map(function)"
        )

    def __repr__(self) -> str:
        return self.text


class Stage:
    """A pure function from stream to stream: `stream | stage`, or `stage(stream)`.

    `function(stream, *args)` returns the new stream; `text` is how the stage reads in a repr. A
    list, an array or any other re-iterable will do for a stream. `stage | stage` is a stage.

    >>> from batchup import ops
    >>> halves = ops.chunk(2) | ops.take(1)
    >>> halves
    chunk(2) | take(1)
    >>> list([np.arange(7)] | halves)
    [array([0, 1])]

    A stage of your own is most often a composition; `Stage` gives it a name:

    >>> def windowed(stream, size, seed):
    ...     return stream | ops.chunk(size) | ops.shuffle(seed)
    >>> ops.indices(6) | ops.Stage(windowed, 3, 7)
    indices(6) | windowed(3, 7)
    """

    __slots__ = ("args", "function", "identity", "text")
    __array_ufunc__ = None

    def __init__(
        self,
        function: Callable[..., Stream],
        *args: Any,
        text: str | None = None,
        identity: str | None = None,
    ):
        if not callable(function):
            raise TypeError(f"Stage: expected a function; got {describe(function)}")
        self.function = function
        self.args = args
        self.text = text or f"{describe_callable(function)}({', '.join(map(_argument, args))})"
        self.identity = self.text if identity is None else identity

    def __call__(self, source: Any) -> Stream:
        stream = as_stream(source, self.text)
        result = self.function(stream, *self.args)
        if not isinstance(result, Stream):
            raise TypeError(
                f"{self.text}: expected a function from stream to stream; it returned "
                f"{describe(result)}. To apply a function to every item write map(function)"
            )
        return replace(
            result,
            text=f"{stream.text} | {self.text}",
            identity=" | ".join(filter(None, (stream.identity, self.identity))),
        )

    def __ror__(self, source: Any) -> Stream:
        return self(source)

    def __or__(self, after: Any) -> Stage:
        if isinstance(after, Stage):
            from toolz import pipe

            identity = " | ".join(filter(None, (self.identity, after.identity)))
            return Stage(pipe, self, after, text=f"{self.text} | {after.text}", identity=identity)
        raise TypeError(f"{self!r} | ...: expected a stage; got {describe_callable(after)}")

    def __repr__(self) -> str:
        return self.text


def _argument(value: Any) -> str:
    return describe(value) if isinstance(value, np.ndarray) else repr(value)


def as_stream(source: Any, where: str) -> Stream:
    """`source` as a stream: as it is, or the items of any re-iterable, in order."""
    # Here, not above: the rooms of the stages import this one.
    from batchup.ops.sources import stream_of_items

    return source if isinstance(source, Stream) else stream_of_items(source, where)


@record
class Own:
    """The step that makes a lent item the caller's: the arrays in it, also those in tuples, lists and
    dicts, are copied; anything else is as it was."""

    def run(self, item: Any) -> Any:
        if isinstance(item, LazyBlock):
            return block_array(item)
        if isinstance(item, np.ndarray):
            return item.copy()
        if isinstance(item, tuple):
            parts = [self.run(part) for part in item]
            return type(item)(*parts) if hasattr(item, "_fields") else tuple(parts)
        if isinstance(item, list):
            return [self.run(part) for part in item]
        if isinstance(item, dict):
            return {key: self.run(part) for key, part in item.items()}
        return item
