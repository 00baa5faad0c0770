"""Cut index blocks into blocks of another size: `chunk`."""

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

import numpy as np

from batchup.core.blocks import Block, joined
from batchup.core.checks import call_text, true_or_false, whole_number
from batchup.core.draws import Draws
from batchup.core.errors import EMPTY_IN_A_ROW
from batchup.core.grid import Even, Grid, Total
from batchup.core.item import walk
from batchup.core.plan import EndlessSource, Kind, PlanOver, is_uneven, located, samples_of
from batchup.core.record import Count, in_whole_parts, parts_of_size, record
from batchup.core.sources import Blocks
from batchup.core.stream import Stage, Stream
from batchup.ops.index.shard import of_outer_ranks


def chunk(size: int, drop_last: bool = False) -> Stage:
    """Cut the index blocks into blocks of `size` samples.

    The blocks are joined first, so a new block may have samples of several blocks before it.

    Parameters
    ----------
    size : int
        The number of samples in a block, at least 1: the batch size.
    drop_last : bool
        If True, leave out the last block if it has fewer than `size` samples.

    Returns
    -------
    Stage
        Gives index blocks of `size` samples. Without `drop_last`, the last block may be shorter.

    Raises
    ------
    ValueError
        If `size` is below 1.
    TypeError
        If the stream before it is not of index blocks, or if it is one rank's part of a stream and the ranks would get
        different numbers of blocks.

    Examples
    --------
    >>> list([np.arange(7)] | chunk(3))
    [array([0, 1, 2]), array([3, 4, 5]), array([6])]
    >>> list([np.arange(7)] | chunk(3, drop_last=True))
    [array([0, 1, 2]), array([3, 4, 5])]
    """
    size = whole_number(size, "chunk(size)", least=1)
    drop_last = true_or_false(drop_last, "chunk: drop_last")
    return Stage(_chunk, size, drop_last, "chunk", text=call_text("chunk", size, drop_last=drop_last))


# Blocks of an endless stream that are looked at when it is built: this reads nothing, so they may be many.
_LOOKED_AT = 10 * EMPTY_IN_A_ROW


def chunked(stream: Stream, size: int, drop_last: bool, where: str) -> Stream:
    """`stream | chunk(size, drop_last)`; `where` is the name of the stage in errors."""
    return Stage(_chunk, size, drop_last, where, text=chunk(size, drop_last).text)(stream)


def _chunk(stream: Stream, size: int, drop_last: bool, where: str) -> Stream:
    plan = stream.index_plan(where)
    if why := plan.refusal("cut"):
        raise TypeError(f"{where}({size}): {stream!r} {why}")
    if isinstance(plan, EndlessSource) and not plan.cut:
        return replace(stream, plan=replace(plan, size=size, cut=True))
    # What is refused on one rank is refused on all.
    first, last = of_outer_ranks(plan) if is_uneven(plan) else (plan, plan)
    grid = located(last)
    if plan.length == math.inf and grid and 0 == grid.before(0, 1) == grid.before(0, _LOOKED_AT):
        empty = f"the first {_LOOKED_AT} blocks of {stream!r} have no samples"
        raise ValueError(f"{where}: {empty}, and it is endless")
    if is_uneven(plan):
        lengths = {Chunk(of_rank, size, drop_last).length for of_rank in (first, last)}
        if None in lengths or len(lengths) > 1:
            raise TypeError(
                f"chunk({size}): {stream!r} is one rank's part, and ranks would take different numbers of steps: put "
                f"chunk({size}) before shard"
            )
    return replace(stream, plan=Chunk(plan, size, drop_last))


@record
class Chunk(PlanOver):
    """The plan of `chunk`."""

    tag = "chunk"
    _finds_end = True

    size: int
    drop_last: bool

    @property
    def length(self) -> Count:
        return parts_of_size(self._samples, self.size)

    @property
    def _samples(self) -> Count:
        samples = samples_of(self.up)
        return in_whole_parts(samples, self.size) if self.drop_last else samples

    @property
    def kind(self) -> Kind:
        return self.up.kind

    @property
    def starts_anywhere(self) -> bool:
        # A shuffled block would be shuffled again for each item that is cut from it.
        return self.up.starts_anywhere and self.up.kind is Kind.VIEWS

    @property
    def grid(self) -> Grid | None:
        up, samples = self.up.grid, self._samples
        if up is None or samples is None:
            return None
        return Even(samples, self.size, up.bound) if up.located else Total(samples, up.bound)

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Block]:
        match self.up:
            case Blocks((range() as block,)) if not self.drop_last:
                # An epoch in order: `map` of ranges runs in C alone.
                starts = range(block.start + k * self.size, block.stop, self.size)
                ends = range(block.start + (k + 1) * self.size, block.stop, self.size)
                return map(range, starts, chain(ends, (block.stop,)))
        grid = located(self.up)
        if k and grid is None:  # where block k begins is unknown
            return walk(self._cut(self.up.start(pass_, 0, draws), 0), k)
        at, i = grid.seek(pass_, k * self.size) if k and grid else (0, 0)
        return self._cut(self.up.start(pass_, at, draws), i)

    def _cut(self, blocks: Iterator[Block], i: int) -> Iterator[Block]:
        """The new blocks, from place `i` of the first block on."""
        size = self.size
        pieces: list[Block] = []  # of a new block with samples of several blocks
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
            if isinstance(block, range):  # all its ranges at once: a Python loop takes twice as long
                ends = range(block.start + end, block.stop + 1, size)
                yield from map(range, range(block.start + i, block.stop, size), ends)
                i += len(ends) * size
                end = i + size
            while end + size <= n:
                yield block[i:end]
                i, end = end, end + size
            if end <= n:  # the last block that is whole
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
