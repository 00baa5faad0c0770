"""A random order of the blocks of a pass: `reorder`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.core.blocks import Block, block_array
from batchup.core.grid import Even, Grid, GridOver
from batchup.core.plan import Again, Draw, Draws, Kind, PlanOver
from batchup.core.randomness import Rng, Seed, ShuffleLike, as_rng
from batchup.core.record import Count, record
from batchup.core.stream import Stage, Stream
from batchup.ops.index.permutation import PermutedBlock, place_of, round_keys


def reorder(rng: ShuffleLike) -> Stage:
    """Permute the order of the blocks of a pass, within none of them.

    `rng` is as for `shuffle`: a seed, of which each pass has an order of its own, in constant memory; a generator, one
    `rng.permutation` a pass; or None for as they are. A position is reached without what comes before where the
    blocks are: of blocks that are not of one size, `chunk` and `rebatch` behind it find theirs by a table a pass. Over
    a generator, over lists of unknown sizes and over blocks cut from a shuffled pass, the blocks of a pass are kept.
    Raises TypeError for a stream of anything but blocks, and where their number is not known or endless.

    >>> from batchup import ops
    >>> list(ops.indices(10) | ops.chunk(3) | reorder(1))
    [range(3, 6), range(0, 3), range(9, 10), range(6, 9)]
    """
    draws = as_rng(rng, "reorder")
    return Stage(_reorder, draws, text=f"reorder({draws})")


def _reorder(stream: Stream, rng: Rng | None) -> Stream:
    plan = stream.index_plan(f"reorder({rng})")
    if not isinstance(plan.length, int):
        wanted = f"reorder({rng}): expected a known number of blocks, that of a pass"
        many = (
            "has no end: put repeat behind it" if plan.length == math.inf else "does not say how many"
        )
        raise TypeError(f"{wanted}; {stream!r} {many}")
    return replace(stream, plan=plan if rng is None else Reorder(plan, rng))


@record
class Reorder(PlanOver):
    rng: Rng
    kind = Kind.BLOCKS
    same_for_all_ranks = True

    @property
    def length(self) -> int:
        length = self.up.length
        assert isinstance(length, int)
        return length

    @property
    def samples(self) -> Count:
        return self.up.samples

    @property
    def starts_anywhere(self) -> bool:
        return self.up.starts_anywhere and isinstance(self.rng, Seed)

    @cached_property
    def grid(self) -> Grid | None:  # which keeps what it has computed of a pass
        of, n = self.up.grid, self.length
        if of is None or not n:
            return of
        if of.size is not None and of.samples == n * of.size:
            return Even(of.samples, of.size, of.bound)
        return Reordered(of, n, self.rng) if isinstance(self.rng, Seed) else None

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Block]:
        drawn = None if isinstance(self.rng, Seed) else draws.begin(self, pass_, 0)
        if self.up.again is Again.KEYED and self.up.grid is not None and self.up.starts_anywhere:
            return (next(self.up.start(pass_, n, draws)) for n in self._order(pass_, k, drawn))
        return self._of_kept(self.up.start(pass_, 0, draws), pass_, k, drawn)

    def _order(self, pass_: int, k: int, drawn: Draw | None) -> Iterator[int]:
        """The numbers of the blocks from position `k` on."""
        if drawn is None:
            assert isinstance(self.rng, Seed)
            order = order_of(self.rng, pass_, self.length)
            for place in range(k, self.length):
                yield int(order[place : place + 1][0])
        else:
            yield from drawn.permutation(0, range(self.length))[k:].tolist()

    def _of_kept(
        self, blocks: Iterator[Block], pass_: int, k: int, drawn: Draw | None
    ) -> Iterator[Block]:
        order = list(self._order(pass_, k, drawn))
        kept = [block if isinstance(block, range) else np.array(block_array(block)) for block in blocks]
        for n in order:
            yield kept[n]


def order_of(seed: Seed, pass_: int, n: int) -> PermutedBlock:
    """In which order the n blocks of a pass come."""
    return PermutedBlock(range(n), _keys(seed, pass_))


def _keys(seed: Seed, pass_: int) -> NDArray[np.uint64]:
    return round_keys(seed, pass_, 0, 1)


@record
class Reordered(GridOver):
    """The blocks of a grid in the order of a seed."""

    n: int
    seed: Seed
    varies = True

    def before(self, pass_: int, k: int) -> int:
        k = min(k, self.n)
        if self.of.size is None:
            return int(self._of_pass(pass_)[k])
        return k * self.of.size - int(self._of_pass(pass_) < k) * self._missing

    def seek(self, pass_: int, offset: int) -> tuple[int, int]:
        if self.of.size is None:
            ends = self._of_pass(pass_)
            k = int(np.searchsorted(ends, offset, side="right")) - 1
            return k, offset - int(ends[k])
        short, size = self._of_pass(pass_), self.of.size
        if offset >= (short + 1) * size - self._missing:
            offset += self._missing
        return divmod(offset, size)

    @property
    def _missing(self) -> int:
        """How much shorter the last block is."""
        assert self.of.size is not None
        return int(self.n * self.of.size - self.of.samples)

    def _of_pass(self, pass_: int) -> Any:
        """Where the blocks end; of blocks of one size, at which position the last comes, which is the short one.

        That of the pass that was asked for last is kept.
        """
        kept = self.__dict__.get("_kept")
        if kept is None or kept[0] != pass_:
            kept = pass_, self._ends(pass_) if self.of.size is None else self._short_at(pass_)
            object.__setattr__(self, "_kept", kept)
        return kept[1]

    def _short_at(self, pass_: int) -> int:
        return place_of(self.n - 1, self.n, _keys(self.seed, pass_))

    def _ends(self, pass_: int) -> NDArray[np.int64]:
        ends = np.array([self.of.before(pass_, k) for k in range(self.n + 1)], np.int64)
        order = order_of(self.seed, pass_, self.n)[:]
        return np.concatenate([[0], np.diff(ends)[order].cumsum()])
