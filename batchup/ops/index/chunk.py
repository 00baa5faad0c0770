"""Cut index blocks into blocks of another size: `chunk`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

import numpy as np

from batchup.core.blocks import Block, joined
from batchup.core.checks import describe, whole_number
from batchup.core.grid import Even, Grid
from batchup.core.plan import Draws, EndlessSource, Kind, PlanOver, walk
from batchup.core.record import Count, in_whole_parts, parts_of_size, record
from batchup.core.sources import Blocks
from batchup.core.stream import Stage, Stream
from batchup.ops.index.shard import of_outer_ranks, whole_in


def chunk(size: int, drop_last: bool = False) -> Stage:
    """Cut the concatenation of the index blocks anew into blocks of `size` samples.

    Blocks go across the seams of the ones before; the last may be short, and `drop_last` leaves it
    out then. Raises ValueError for a size below 1, TypeError for a stream of anything but blocks, and for one rank's
    part of a stream where the ranks would get different numbers of blocks.

    >>> list([np.arange(7)] | chunk(3))
    [array([0, 1, 2]), array([3, 4, 5]), array([6])]
    >>> list([np.arange(7)] | chunk(3, drop_last=True))
    [array([0, 1, 2]), array([3, 4, 5])]
    """
    size = whole_number(size, "chunk(size)", least=1)
    if not isinstance(drop_last, bool | np.bool_):
        raise TypeError(f"chunk: drop_last: expected True or False; got {describe(drop_last)}")
    text = f"chunk({size}, drop_last=True)" if drop_last else f"chunk({size})"
    return Stage(_chunk, size, bool(drop_last), text=text)


def _chunk(stream: Stream, size: int, drop_last: bool) -> Stream:
    plan = stream.index_plan("chunk")
    if why := whole_in(plan):
        raise TypeError(f"chunk({size}): {stream!r} {why}")
    if isinstance(plan, EndlessSource) and not plan.cut:
        return replace(stream, plan=replace(plan, size=size, cut=True))
    # Whatever is refused of one rank's part is refused of all.
    first, last = of_outer_ranks(plan) if plan.divided else (plan, plan)
    grid = last.grid
    if plan.length == math.inf and grid and 0 == grid.before(0, 1) == grid.before(0, _EMPTY):
        empty = f"the first {_EMPTY} blocks of {stream!r} have no samples"
        raise ValueError(f"chunk: {empty}, and there is no end")
    if plan.divided:
        lengths = {Chunk(of_rank, size, drop_last).length for of_rank in (first, last)}
        if None in lengths or len(lengths) > 1:
            raise TypeError(
                f"chunk({size}): {stream!r} is one rank's part, and ranks would take different numbers of steps: put "
                f"chunk({size}) before shard"
            )
    return replace(stream, plan=Chunk(plan, size, drop_last))


# So many blocks without samples of a stream without end: shards of blocks that are too small, say.
_EMPTY = 10_000


@record
class Chunk(PlanOver):
    size: int
    drop_last: bool
    kind = Kind.BLOCKS

    @property
    def length(self) -> Count:
        return parts_of_size(self.samples, self.size)

    @property
    def samples(self) -> Count:
        samples = self.up.samples
        return in_whole_parts(samples, self.size) if self.drop_last else samples

    @property
    def starts_anywhere(
        self,
    ) -> bool:  # a shuffled block would be shuffled again for each item cut from it
        return self.up.starts_anywhere and self.up.is_view

    @property
    def is_view(self) -> bool:
        return self.up.is_view

    @property
    def grid(self) -> Grid | None:
        samples, up = self.samples, self.up.grid
        return None if samples is None or up is None else Even(samples, self.size, up.bound)

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Block]:
        match self.up:
            case Blocks((range() as block,)) if not self.drop_last:
                # An epoch in order: ranges from C alone, which no generator of ours has to hand on.
                starts = range(block.start + k * self.size, block.stop, self.size)
                ends = range(block.start + (k + 1) * self.size, block.stop, self.size)
                return map(range, starts, chain(ends, (block.stop,)))
        if k and self.up.grid is None:  # nobody knows where block k begins
            return walk(self._cut(self.up.start(pass_, 0, draws), 0), k)
        at, i = self.up.grid.seek(pass_, k * self.size) if k and self.up.grid else (0, 0)
        return self._cut(self.up.start(pass_, at, draws), i)

    def _cut(self, blocks: Iterator[Block], i: int) -> Iterator[Block]:
        """The blocks cut anew, from place `i` of the first on."""
        size = self.size
        pieces: list[Block] = []  # of the block that goes across a seam
        missing = size
        for block in blocks:
            n = len(block)
            if pieces:
                pieces.append(block[i : i + missing])
                i += missing
                if i > n:
                    missing = i - n
                    i = 0
                    continue
                yield joined(pieces)
                pieces, missing = [], size
            end = i + size
            if isinstance(block, range):  # all the ranges at once: a loop of ours takes twice as long
                ends = range(block.start + end, block.stop + 1, size)
                yield from map(range, range(block.start + i, block.stop, size), ends)
                i += len(ends) * size
                end = i + size
            while end + size <= n:
                yield block[i:end]
                i, end = end, end + size
            if end <= n:  # the last: whoever still holds it when the next order is drawn
                yield _apart(block[i:end])
                i, end = end, end + size
            if i < n:
                pieces, missing = [_apart(block[i:])], end - n
            i = 0
            del block
        if pieces and not self.drop_last:
            yield joined(pieces)


def _apart(block: Block) -> Block:
    """A copy, as a view would keep the whole block alive while the next is made."""
    return block.copy() if isinstance(block, np.ndarray) else block
