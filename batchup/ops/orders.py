"""In which order: `shuffle` and `repeat`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.ops.checks import whole_number
from batchup.ops.plan import ENDLESS, Count, DerivedPlan, Traits, record
from batchup.ops.randomness import Rng, Shuffle, as_rng, shuffle_text
from batchup.ops.stream import Stage, Stream

__all__ = ["repeat", "shuffle"]


def shuffle(rng: Shuffle) -> Stage:
    """Permute within each index block; each block, and each pass, has an order of its own.

    `rng` is one of three kinds:

    * a **seed**, an int >= 0 or a sequence of them: the stream is pure. The order of pass p is a
      function of (seed, p) alone, keyed by `np.random.SeedSequence(seed, spawn_key=(p,))`.
    * a **generator**, `RandomState` or `Generator`, or True for NumPy's global one: one
      `rng.permutation` a pass, drawn when that pass is first needed, so that the same seed gives
      the same batches as the plain NumPy loop, and the next epoch a new order.
    * None or False: in order.

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
        up, pure = self.up.traits, self.rng.pure
        return replace(up, pure=up.pure and pure, jumps=up.jumps and pure, lent=False)

    def items(self, pass_: int, k: int) -> Iterator[NDArray[np.intp]]:
        permutation = self.rng.permutation
        for number, block in enumerate(self.up.start(pass_, k), self.number(pass_, k)):
            yield permutation((number,), block)


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
            if endless and length is None:
                items = _not_nothing(items)
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


def _not_nothing(items: Iterator[Any]) -> Iterator[Any]:
    from more_itertools import spy

    head, items = spy(items)
    if head:
        return items
    raise ValueError("repeat(-1): a whole pass gave nothing, and so would all others")
