"""In which order: `shuffle` and `repeat`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.ops.checks import whole_number
from batchup.ops.feistel import LARGEST, PermutedBlock, round_keys
from batchup.ops.plan import ENDLESS, Count, DerivedPlan, Traits, record
from batchup.ops.randomness import Rng, Shuffle, as_rng, as_seed, shuffle_text
from batchup.ops.stream import Stage, Stream

__all__ = ["permute", "repeat", "shuffle"]


def shuffle(rng: Shuffle) -> Stage:
    """Permute within each index block; each block, and each pass, has an order of its own.

    `rng` is one of three kinds:

    * a **seed**, an int >= 0 or a sequence of them: the stream is pure. The order of pass p is a
      function of (seed, p) alone, keyed by `np.random.SeedSequence(seed, spawn_key=(p,))`.
    * a **generator**, `RandomState` or `Generator`, or True for NumPy's global one: one
      `rng.permutation` a pass, drawn when that pass is first needed, so that the same seed gives
      the same batches as the plain NumPy loop, and the next epoch a new order.
    * None or False: in order.

    As NumPy pads seeds with zeros, `(5, 0)` is the seed `5`; `(5, 1)` is another.
    Raises TypeError for anything else, ValueError for a negative seed.

    >>> from batchup import ops
    >>> list(ops.indices(5) | shuffle(7))
    [array([1, 4, 3, 2, 0])]
    >>> windowed = ops.indices(8) | ops.chunk(4) | shuffle(np.random.RandomState(1))
    >>> list(windowed)
    [array([3, 2, 0, 1]), array([4, 6, 5, 7])]
    """
    return Stage(_shuffle, as_rng(rng, "shuffle"), text=f"shuffle({shuffle_text(rng)})")


def _shuffle(stream: Stream, rng: Rng | None) -> Stream:
    plan = stream.index_plan("shuffle")
    return replace(stream, plan=plan if rng is None else Shuffled(plan, rng))


@record
class Shuffled(DerivedPlan):
    rng: Rng

    @property
    def traits(self) -> Traits:
        up, rng = self.up.traits, self.rng
        return replace(
            up,
            pure=up.pure and rng.pure,
            jumps=up.jumps and rng.jumps,
            lent=False,
            lazy=False,
        )

    def items(self, pass_: int, k: int) -> Iterator[NDArray[np.intp]]:
        if k and not self.rng.began(pass_):
            yield from islice(self.items(pass_, 0), k, None)
            return
        permutation = self.rng.permutation
        for number, block in enumerate(self.up.start(pass_, k), self.number(pass_, k)):
            yield permutation(pass_, (number,), block)


def permute(seed: int | Sequence[int]) -> Stage:
    """Permute within each index block as `shuffle(seed)` does, but in constant memory.

    For sets too large for an array of their indices: an order is computed for the places that are asked
    for alone, at some 60 us a batch of 64. Each block, and each pass, has an order of its own; they
    are others than those of `shuffle`. The blocks have at most 2**62 samples; `chunk` should come
    next, as by itself the whole order is written out. Raises TypeError for what is no seed.

    A generalized Feistel cipher with cycle walking (Black and Rogaway, CT-RSA 2002); see `ops.feistel`.

    >>> from batchup import ops
    >>> batches = ops.indices(10**12) | permute(7) | ops.chunk(3)
    >>> batches[10**9]
    array([537597121181, 979853157255, 275176637852])
    """
    seed = as_seed(seed, "permute(seed)")
    return Stage(_permute, seed, text=f"permute({seed!r})")


def _permute(stream: Stream, seed: int | tuple[int, ...]) -> Stream:
    return replace(stream, plan=Permuted(stream.index_plan("permute"), seed))


@record
class Permuted(DerivedPlan):
    seed: int | tuple[int, ...]

    @property
    def traits(self) -> Traits:
        return replace(self.up.traits, lazy=True)

    def items(self, pass_: int, k: int) -> Iterator[PermutedBlock]:
        for number, block in enumerate(self.up.start(pass_, k), self.number(pass_, k)):
            if len(block) > LARGEST:
                raise ValueError(f"permute: expected blocks of 2**62 samples at most; got {len(block)}")
            yield PermutedBlock(block, round_keys(self.seed, number))


def repeat(times: int) -> Stage:
    """Go through the stream `times` times, one pass after another; -1 is for ever.

    A shuffle before it gives each pass an order of its own. Raises ValueError for 0 and for an
    endless repetition of nothing, TypeError for what can be gone through only once.

    >>> from batchup import ops
    >>> list(ops.indices(3) | repeat(2) | ops.chunk(4))
    [array([0, 1, 2, 0]), range(1, 3)]
    """
    times = whole_number(times, "repeat(times)", least=1, also=-1)
    return Stage(_repeat, times, text=f"repeat({times})")


def _repeat(stream: Stream, times: int) -> Stream:
    plan = stream.plan
    if plan.traits.once:
        raise TypeError(f"repeat({times}): {stream!r} is an iterator, gone through only once")
    if times == -1 and (plan.length == 0 or plan.samples == 0):
        raise ValueError(f"repeat(-1): {stream!r} has no samples, so it would never give one")
    return replace(stream, plan=Repeated(plan, times))


@record
class Repeated(DerivedPlan):
    times: int

    @property
    def traits(self) -> Traits:
        up = self.up.traits
        counted = self.up.length is not None
        return replace(up, jumps=up.jumps and counted, sized=up.sized and counted)

    @property
    def length(self) -> Count:
        return self._times(self.up.length)

    @property
    def samples(self) -> Count:
        return self._times(self.up.samples)

    def _times(self, of_one_pass: Count) -> Count:
        if of_one_pass is None or of_one_pass == 0:
            return of_one_pass
        return math.inf if self.times == -1 else of_one_pass * self.times

    def items(self, pass_: int, k: int) -> Iterator[Any]:
        length, endless = self.up.length, self.times == -1
        skipped, k = divmod(k, length) if isinstance(length, int) and length else (0, k)
        # A pass of this plan is `times` passes of the one before it.
        first = pass_ * (ENDLESS if endless else self.times)
        for n in count(skipped) if endless else range(skipped, self.times):
            items = self.up.start(first + n, k)
            if endless and not isinstance(self.up.samples, int):
                items = _not_nothing(items, self.up.traits.blocks)
            yield from items
            k = 0

    def before(self, k: int) -> int:
        length, samples = self.up.length, self.up.samples
        if not (isinstance(length, int) and isinstance(samples, int) and length):
            return self.up.before(k)
        passes, k = divmod(k, length)
        return passes * samples + self.up.before(k)

    def seek(self, offset: int) -> tuple[int, int]:
        length, samples = self.up.length, self.up.samples
        if not (isinstance(length, int) and isinstance(samples, int) and samples):
            return self.up.seek(offset)
        passes, offset = divmod(offset, samples)
        k, rest = self.up.seek(offset)
        return passes * length + k, rest


def _not_nothing(items: Iterator[Any], blocks: bool) -> Iterator[Any]:
    """The items of one of endless passes; ValueError at its end where it gave nothing."""
    nothing = True
    for item in items:
        nothing = nothing and blocks and len(item) == 0
        yield item
    if nothing:
        raise ValueError("repeat(-1): a whole pass gave nothing, and so would all others")
