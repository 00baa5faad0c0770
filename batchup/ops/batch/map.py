"""Call a function with every batch: `map`."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from itertools import chain, count, repeat, takewhile
from typing import Any, NamedTuple

import numpy as np

from batchup.core.checks import describe, describe_callable
from batchup.core.computed import Computed
from batchup.core.epoch import pass_of
from batchup.core.plan import Draws, Kind, Plan, SameSamples, trunk
from batchup.core.randomness import Seed, SeedLike, as_seed, seed_sequence
from batchup.core.record import record
from batchup.core.stream import Stage, Stream
from batchup.core.work import Placed, Step, as_batch


def map(
    fn: Callable[..., Any],
    rng: SeedLike | None = None,
    *,
    name: str | None = None,
    resizes: bool = False,
) -> Stage:
    """Call `fn(*batch)` for each tuple, `fn(item)` for anything else; its result is the item.

    A list that `fn` returns is a list of the parts of the batch, and becomes a tuple; for one part that is a list
    of samples return `(samples,)`.

    With `rng`, a seed (an int >= 0 or a sequence of them), `fn(*batch, rng=generator)` is called with a
    `np.random.Generator` keyed by the seed, the place of the batch in the stream, and the samples that
    are in it, in their order. So the batch is the same whoever makes it and whenever: this process, a
    worker, after a resume, or alone as `stream[k]`. Each pass, each order of the samples, each shard,
    each of several maps and each member of a `zip` or `choose` has numbers of its own, also where the
    seed is the same. Of items that are not made of index blocks, such as those of lists and iterators,
    the place alone counts. `rng.spawn` is a TypeError.

    A checkpoint knows a function by its qualified name; `name` tells two lambdas apart. Where a `rebatch`
    follows, `fn` gives as many samples as it was given; `resizes=True` says that it may give others.
    An exception from `fn` reaches the caller as it was raised, with a note that says at which item.
    Raises TypeError for what can't be called and for what is no seed.

    >>> from batchup import ops
    >>> halved = ops.indices(4) | ops.chunk(2) | ops.gather(np.arange(4.0)) | map(lambda x: x / 2)
    >>> list(halved)
    [array([0. , 0.5]), array([1. , 1.5])]

    >>> def jitter(x, rng):
    ...     return x + rng.integers(10, size=len(x))
    >>> list(ops.indices(4) | ops.chunk(2) | ops.gather(np.arange(4)) | map(jitter, rng=7))
    [array([9, 6]), array([9, 5])]
    """
    if not callable(fn):
        raise TypeError(f"map(fn): expected a function; got {describe(fn)}")
    if name is not None and not isinstance(name, str):
        raise TypeError(f"map: name: expected a string; got {describe(name)}")
    step = Map(fn, name, None if rng is None else as_seed(rng, "map(fn, rng)"), (), bool(resizes))
    return Stage(_map, step, text=str(step))


def _map(stream: Stream, step: Map) -> Stream:
    if not step.random:
        return stream.with_step(step)
    # Of several random maps in one stream, each has another number of them before it.
    made = [plan.work.steps for plan in trunk(stream.plan) if isinstance(plan, Computed)]
    before = sum(other.random for other in chain(*made, stream.steps))
    return stream.with_plan(_placed).with_step(replace(step, path=(before,)))


def _placed(plan: Plan) -> Plan:
    """The plan with the place of each item, unless it has those already."""
    own = takewhile(lambda inner: not isinstance(inner, Computed), trunk(plan))
    placed = any(isinstance(inner, PlacedPlan) for inner in own)
    return plan if placed else PlacedPlan(plan, _indexed(plan))


def _indexed(plan: Plan) -> bool:
    return plan.kind is Kind.BLOCKS or any(builtins.map(_indexed, plan.children()))


@record
class PlacedPlan(SameSamples):
    """Each item with its place among those of all passes, whatever is skipped later on."""

    indexed: bool

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Placed]:
        number = pass_of(self, pass_)
        if (
            draws.stamp is not None
        ):  # epochs over a generator are not numbered: its state tells them apart
            number = (number, draws.stamp)
        places = builtins.zip(repeat(number), count(k), strict=False)
        return builtins.map(Placed, places, self.up.start(pass_, k, draws), repeat(self.indexed))


class _PhiloxKey(NamedTuple):
    """A key of Philox in place of a seed sequence, for which NumPy would ask the system for entropy.

    That takes longer than all else here, and what is made of it, as by `rng.spawn`, nobody has again.
    """

    key: Any

    def generate_state(self, n_words: int, dtype: Any) -> Any:
        if n_words != len(self.key):  # of another generator, which would read beyond the key
            raise TypeError("map: rng makes no further generators: draw from it alone")
        return self.key

    def __reduce__(self) -> tuple[Any, ...]:
        return _philox_key, tuple(self)


def _philox_key(key: Any) -> _PhiloxKey:
    return np.random.bit_generator.ISeedSequence.register(_PhiloxKey)(key)


@record
class Map(Step):
    """The step of `map`; with a seed, `fn` gets the generator of that place and those samples."""

    fn: Callable[..., Any]
    name: str | None = None
    seed: Seed | None = None
    path: tuple[int, ...] = ()
    resizes: bool = False

    @property
    def unnamed(self) -> tuple[str, ...]:
        return () if self.name is None else ("fn",)

    @property
    def remedy(self) -> str:  # type: ignore[override]
        return "" if self.resizes else "map(fn, resizes=True)"

    @property
    def random(self) -> bool:  # type: ignore[override]
        return self.seed is not None

    def run(self, item: Any) -> Any:
        return as_batch(self.fn(*item) if isinstance(item, tuple) else self.fn(item))

    def run_placed(self, item: Any, placed: Placed) -> Any:
        if self.seed is None:
            return self.run(item)
        # Philox is a cipher of a counter (Salmon et al., SC 2011): its key is that of this map, the
        # upper half of the counter that of the batch.
        counter = np.frombuffer(bytes(16) + placed.key(), "<u8")
        rng = np.random.Generator(np.random.Philox(self._key, counter=counter))
        return as_batch(self.fn(*item, rng=rng) if isinstance(item, tuple) else self.fn(item, rng=rng))

    @cached_property
    def _key(self) -> Any:
        sequence = seed_sequence(self.seed, *self.path)  # type: ignore[arg-type]
        return _philox_key(sequence.generate_state(2, np.uint64))

    def of_member(self, member: int) -> Map:
        return replace(self, path=(*self.path, member)) if self.random else self

    def __str__(self) -> str:
        options = f", rng={self.seed}" if self.random else ""
        options += ", resizes=True" if self.resizes else ""
        return f"map({self.name or describe_callable(self.fn)}{options})"
