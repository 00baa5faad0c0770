"""The user's work: `map` calls a function with each batch, a random one with a generator of its own."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.ops.checks import describe, describe_callable
from batchup.ops.plan import DerivedPlan, Plan, Traits, record
from batchup.ops.randomness import as_seed
from batchup.ops.stream import Stage, Step, Stream, Work
from batchup.ops.worked import Worked

__all__ = ["Map", "map"]


def map(fn: Callable[..., Any], rng: int | tuple[int, ...] | None = None) -> Stage:
    """Call `fn(*batch)` for each tuple, `fn(item)` for anything else; its result is the item.

    With `rng`, a seed (an int >= 0 or a sequence of them), `fn(*batch, rng=generator)` is called with a
    `np.random.Generator` keyed by the seed and the place of the batch in the stream. So the batch is
    the same whoever makes it and whenever: this process, a worker, after a resume, or alone as
    `stream[k]`. Each pass, each shard, each of several maps and each member of a `zip` or `choose` has
    numbers of its own, also where the seed is the same.

    A stream that is made anew for every epoch begins at the same place, so its noise is the same too:
    have the epochs in one stream, by `repeat`, or give each its own seed, `rng=(seed, epoch)`.

    An exception from `fn` reaches the caller as it was raised, with a note that says at which item.
    Raises TypeError for what can't be called and for what is no seed.

    >>> from batchup import ops
    >>> halved = ops.indices(4) | ops.chunk(2) | ops.gather(np.arange(4.0)) | map(lambda x: x / 2)
    >>> list(halved)
    [array([0. , 0.5]), array([1. , 1.5])]

    >>> def jitter(x, rng):
    ...     return x + rng.integers(10, size=len(x))
    >>> list(ops.indices(4) | ops.chunk(2) | ops.gather(np.arange(4)) | map(jitter, rng=7))
    [array([9, 5]), array([5, 6])]
    """
    if not callable(fn):
        raise TypeError(f"map(fn): expected a function; got {describe(fn)}")
    if rng is None:
        step = Map(fn)
        return Stage(Stream.owing, step, text=str(step))
    seed = as_seed(rng, "map(fn, rng)")
    return Stage(_random_map, fn, seed, text=f"map({describe_callable(fn)}, rng={rng!r})")


@record
class Map:
    """The step of `map`."""

    fn: Callable[..., Any]

    def run(self, item: Any) -> Any:
        return self.fn(*item) if isinstance(item, tuple) else self.fn(item)

    def __str__(self) -> str:
        return f"map({describe_callable(self.fn)})"


def _random_map(stream: Stream, fn: Callable[..., Any], seed: int | tuple[int, ...]) -> Stream:
    work = stream.work
    # Of several maps in one stream, each has another number of them before it.
    works = [work, *_worked(stream.plan)]
    before = sum(isinstance(step, RandomMap) for work in works for step in _steps(work))
    step = RandomMap(work, fn, seed, part=stream.plan.traits.part, path=(before,))
    return replace(stream, plan=Numbered(stream.plan), steps=(step,))


def _worked(plan: Plan) -> Iterator[Work]:
    """The work that the plan has had done, by a pool."""
    while isinstance(plan, DerivedPlan):
        if isinstance(plan, Worked):
            yield plan.work
        plan = plan.up


def _steps(work: Work) -> Iterator[Step]:
    for step in work.steps:
        yield step
        if isinstance(step, RandomMap):
            yield from _steps(step.work)


@record
class Numbered(DerivedPlan):
    """Each item with its number among those of all passes, whatever is skipped later on."""

    @property
    def traits(self) -> Traits:
        return replace(self.up.traits, blocks=False, sized=False, lent=False, lazy=False)

    def items(self, pass_: int, k: int) -> Iterator[tuple[int, Any]]:
        items = self.up.start(pass_, k)
        return builtins.zip(count(self.number(pass_, k)), items, strict=False)


@record
class RandomMap:
    """The step of a random `map`: the work before it, then `fn` with the generator of that place."""

    work: Work
    fn: Callable[..., Any]
    seed: int | tuple[int, ...]
    part: int
    path: tuple[int, ...]

    def run(self, item: tuple[int, Any]) -> Any:
        number, item = item
        batch = self.work.run(item)
        rng = self._generator(number)
        return self.fn(*batch, rng=rng) if isinstance(batch, tuple) else self.fn(batch, rng=rng)

    def _generator(self, number: int) -> np.random.Generator:
        # Philox is a cipher of a counter (Salmon et al., SC 2011): the key is that of this map, the
        # upper half of the counter the place of the batch. To make one takes 8 us, of PCG64 12 us.
        counter = np.array([0, 0, number % 2**64, (number >> 64) % 2**64], np.uint64)
        return np.random.Generator(np.random.Philox(key=self._key, counter=counter))

    @cached_property
    def _key(self) -> NDArray[np.uint64]:
        place = (self.part, len(self.path), *self.path)
        sequence = np.random.SeedSequence(self.seed, spawn_key=place)
        return sequence.generate_state(2, np.uint64)  # type: ignore[return-value]

    def of_member(self, member: int) -> RandomMap:
        """This step as that of a member of several streams: with numbers of its own."""
        return replace(self, work=self.work.of_member(member), path=(*self.path, member))

    def __str__(self) -> str:
        return f"map({describe_callable(self.fn)}, rng={self.seed!r})"
