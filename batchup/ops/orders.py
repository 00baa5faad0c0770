"""In which order: `shuffle`, `permute` and `repeat`."""

from __future__ import annotations

import builtins
import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import count, takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.core.checks import whole_number
from batchup.core.computed import bare
from batchup.core.cursors import why_not_behind
from batchup.core.grid import Grid, Repeated, passes
from batchup.core.plan import Again, Draws, Kind, SameItems, SameSamples, walk
from batchup.core.randomness import Rng, Seed, SeedLike, ShuffleLike, as_rng, as_seed
from batchup.core.record import Count, record
from batchup.core.stream import Stage, Stream
from batchup.ops.feistel import PermutedBlock, round_keys
from batchup.ops.shards import of_outer_ranks


def shuffle(rng: ShuffleLike) -> Stage:
    """Permute within each index block; each block, and each pass, has an order of its own.

    `rng` is one of three kinds:

    * a **seed**, an int >= 0 or a sequence of them: the stream is pure. The order of block k of pass p
      is a function of (seed, p, k) alone, by `np.random.SeedSequence`.
    * a **generator**, `RandomState` or `Generator`, or True for NumPy's global one: one
      `rng.permutation` a pass, drawn when that pass is first needed, so that the same seed gives
      the same batches as the plain NumPy loop, and the next epoch a new order.
    * None or False: in order.

    `5`, `(5,)` and `[5]` are one seed; `(5, 0)` is another.
    Raises TypeError for anything else, ValueError for a negative seed.

    >>> from batchup import ops
    >>> list(ops.indices(5) | shuffle(7))
    [array([3, 2, 1, 4, 0])]
    >>> windowed = ops.indices(8) | ops.chunk(4) | shuffle(np.random.RandomState(1))
    >>> list(windowed)
    [array([3, 2, 0, 1]), array([4, 6, 5, 7])]
    """
    draws = as_rng(rng, "shuffle")
    return Stage(_shuffle, draws, text=f"shuffle({draws})")


def _shuffle(stream: Stream, rng: Rng | None) -> Stream:
    plan = stream.index_plan("shuffle")
    return replace(stream, plan=plan if rng is None else Shuffle(plan, rng))


@record
class _Reordered(SameSamples):
    """Blocks of the same samples as before, each in another order."""

    kind = Kind.BLOCKS


@record
class Shuffle(_Reordered):
    rng: Rng

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[NDArray[np.intp]]:
        permutation = draws.begin(self, pass_, k).permutation
        return builtins.map(permutation, count(k), self.up.start(pass_, k, draws))


def permute(seed: SeedLike) -> Stage:
    """Permute within each index block as `shuffle(seed)` does, but in constant memory.

    For sets too large for an array of their indices: an order is computed for the places that are asked
    for alone, at some 60 us a batch of 64. Each block, and each pass, has an order of its own; they
    are others than those of `shuffle`. The blocks have at most 2**62 samples; `chunk` should come
    next, as by itself the whole order is written out. Raises TypeError for what is no seed.

    A generalized Feistel cipher with cycle walking (Black and Rogaway, CT-RSA 2002); see `ops.feistel`.

    >>> from batchup import ops
    >>> batches = ops.indices(10**12) | permute(7) | ops.chunk(3)
    >>> batches[10**9]
    array([598598971947, 617153977320, 561580682928])
    """
    key = as_seed(seed, "permute(seed)")
    return Stage(_permute, key, text=f"permute({key})")


def _permute(stream: Stream, seed: Seed) -> Stream:
    return replace(stream, plan=Permute(stream.index_plan("permute"), seed))


@record
class Permute(_Reordered):
    seed: Seed

    @property
    def is_view(self) -> bool:
        return self.up.is_view

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[PermutedBlock]:
        blocks = enumerate(self.up.start(pass_, k, draws), k)
        return (PermutedBlock(block, round_keys(self.seed, pass_, n)) for n, block in blocks)


# So many passes without an item, of what is chosen at random, and there will be none.
_EMPTY = 1000


def repeat(times: int) -> Stage:
    """Go through the stream `times` times, one pass after another; -1 is for ever.

    A shuffle before it gives each pass an order of its own, and a re-iterable of yours with a method `set_epoch` is
    told the number of each. Raises ValueError for 0 and for an
    endless repetition of nothing, TypeError for what can be gone through only once.

    >>> from batchup import ops
    >>> list(ops.indices(3) | repeat(2) | ops.chunk(4))
    [array([0, 1, 2, 0]), range(1, 3)]
    """
    times = whole_number(times, "repeat(times)", least=1, also=-1)
    return Stage(_repeat, times, text=f"repeat({times})")


def _repeat(stream: Stream, times: int) -> Stream:
    plan = stream.plan
    if plan.again is Again.SINGLE_PASS:
        raise TypeError(f"repeat({times}): {stream!r} is an iterator, gone through only once")
    if why := why_not_behind(plan):
        raise TypeError(f"repeat({times}): {stream!r} {why}")
    first = (
        of_outer_ranks(plan)[0] if plan.divided else plan
    )  # what is refused of one rank is refused of all
    if times == -1 and 0 in (first.length, first.samples):
        raise ValueError(f"repeat(-1): {stream!r} has no samples, so it would never give one")
    passes = math.inf if times == -1 else times
    return stream.with_plan(lambda plan: Repeat(plan.with_epochs_told(), passes))


@record
class Repeat(SameItems):
    times: int | float  # infinity for ever

    @property
    def length(self) -> Count:
        return self.up.length and self.up.length * self.times

    @property
    def grid(self) -> Grid | None:
        of, length = self.up.grid, self.up.length
        if of is None or not isinstance(length, int):
            return of if length == math.inf else None
        return Repeated(of, length, self.times) if length and of.samples else of

    @property
    def samples(self) -> Count:
        return self.up.samples and self.up.samples * self.times

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Any]:
        # A pass of this plan is `times` passes of the one before it.
        first = pass_ * passes(self.times)
        length = self.up.length
        if isinstance(length, int) and length:
            n, k = divmod(k, length)
        elif length is None and k:
            n, k = self._found(first, k, draws)
        else:
            n = 0
        if n >= self.times:
            return iter(())
        return self._passes(first, n, k, self.up.start(first + n, k, draws), draws)

    def _found(self, first: int, k: int, draws: Draws) -> tuple[int, int]:
        """In which of the passes position `k` is, and where in it, by the plan alone: no work is done."""
        up = bare(self.up) if self.again is Again.KEYED else self.up
        empty = 0
        for n in takewhile(self.times.__gt__, count()):
            given = sum(1 for _ in walk(up.start(first + n, 0, draws), 0, k))
            empty = 0 if given else empty + 1
            if given == k or empty > _EMPTY:
                return n, k
            k -= given
        return n + 1, 0

    def _passes(self, first: int, n: int, k: int, items: Iterator[Any], draws: Draws) -> Iterator[Any]:
        """Pass after pass, from position `k` of number `n` on, which was started."""
        blocks = self.kind is Kind.BLOCKS
        unsure = self.times == math.inf and not isinstance(self.up.samples, int)
        most = _EMPTY if self.again <= Again.DRAWN else 0
        empty = 0
        while True:
            if unsure:
                nothing = True
                for item in items:
                    nothing = nothing and blocks and len(item) == 0
                    yield item
                empty = empty + 1 if nothing and not k else 0
                if empty > most:
                    raise ValueError(f"repeat(-1): {empty} passes in a row gave nothing")
            else:
                yield from items
            n, k = n + 1, 0
            if n >= self.times:
                return
            items = self.up.start(first + n, 0, draws)
