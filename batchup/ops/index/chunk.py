"""Cut index blocks into blocks of another size: `chunk`."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import accumulate, chain
from typing import Any

import numpy as np

from batchup.core.blocks import Block, LazyBlock, LazyPart, joined
from batchup.core.checks import call_text, describe, true_or_false, whole_number
from batchup.core.draws import Draws
from batchup.core.errors import EMPTY_IN_A_ROW
from batchup.core.grid import Even, Grid, Total
from batchup.core.hints import hinted
from batchup.core.item import walk
from batchup.core.plan import EndlessSource, Kind, PlanOver, is_uneven, located, samples_of
from batchup.core.record import Count, record
from batchup.core.sources import Blocks
from batchup.core.stream import Stage, Stream
from batchup.ops.index.shard import of_outer_ranks


@hinted(sizes="chunk([32, 64]), a list as the size", batch_size="chunk(size)", drop_remainder="drop_last=")
def chunk(size: int | Sequence[int], drop_last: bool = False) -> Stage:
    """Cut the index blocks into blocks of `size` samples.

    The blocks are joined first, so a new block may have samples of several blocks before it.

    Parameters
    ----------
    size : int or sequence of int
        The number of samples in a block, at least 1: the batch size. Of a sequence, each number is the size of one
        block, and the last number that of all further blocks. Each pass begins with the first number; with a `repeat`
        before `chunk` all passes are cut as one.
    drop_last : bool
        If True, leave out the last block if it has fewer samples than it should have.

    Returns
    -------
    Stage
        Gives index blocks of `size` samples. Without `drop_last`, the last block may be shorter.

    Raises
    ------
    ValueError
        If a size is below 1, or the sequence is empty.
    TypeError
        If `size` is neither an int nor a sequence of ints, if the stream before it is not of index blocks, or if it is
        one rank's part of a stream and the ranks would get different numbers of blocks.

    Examples
    --------
    >>> list([np.arange(7)] | chunk(3))
    [array([0, 1, 2]), array([3, 4, 5]), array([6])]
    >>> list([np.arange(7)] | chunk(3, drop_last=True))
    [array([0, 1, 2]), array([3, 4, 5])]

    A batch size that grows:

    >>> list([np.arange(9)] | chunk([1, 2, 3]))
    [array([0]), array([1, 2]), array([3, 4, 5]), array([6, 7, 8])]
    """
    sizes = _sizes(size)
    drop_last = true_or_false(drop_last, "chunk: drop_last")
    shown = sizes[0] if len(sizes) == 1 else list(sizes)
    return Stage(_chunk, sizes, drop_last, "chunk", text=call_text("chunk", shown, drop_last=drop_last))


def is_several(size: Any) -> bool:
    """True for a list of batch sizes."""
    return isinstance(size, list | tuple | np.ndarray)


def one_size(size: Any, name: str) -> int:
    """A batch size that must be one number. Errors begin with `name`."""
    if is_several(size):
        raise TypeError(
            f"{name}: expected one whole number >= 1; got {describe(size)}. ops.chunk takes sizes one after another, as in "
            "ops.indices(len(X)) | ops.shuffle(seed) | ops.chunk(sizes) | ops.gather(X, y); CompositeDataSource takes a size "
            "for each member"
        )
    return whole_number(size, name, least=1)


def _sizes(size: int | Sequence[int]) -> tuple[int, ...]:
    """The sizes that a user passed for one."""
    if isinstance(size, np.ndarray) and size.ndim == 1:
        size = size.tolist()
    if not isinstance(size, list | tuple):
        return (whole_number(size, "chunk(size)", least=1),)
    if not size:
        raise ValueError("chunk(sizes): expected one size at least; got an empty list")
    return tuple([whole_number(each, f"chunk(sizes): size {n}", least=1) for n, each in enumerate(size)])


# Blocks of an endless stream that are looked at when it is built: this reads nothing, so they may be many.
_LOOKED_AT = 10 * EMPTY_IN_A_ROW


def chunked(stream: Stream, size: int, drop_last: bool, where: str) -> Stream:
    """`stream | chunk(size, drop_last)`; `where` is the name of the stage in errors."""
    return Stage(_chunk, (size,), drop_last, where, text=chunk(size, drop_last).text)(stream)


def _chunk(stream: Stream, sizes: tuple[int, ...], drop_last: bool, where: str) -> Stream:
    *head, size = sizes
    plan = stream.index_plan(where)
    shown = f"{where}({list(sizes) if head else size})"
    if why := plan.refusal("cut"):
        raise TypeError(f"{shown}: {stream!r} {why}")
    if isinstance(plan, EndlessSource) and not plan.cut and not head:
        return replace(stream, plan=replace(plan, size=size, cut=True))
    # What is refused on one rank is refused on all.
    first, last = of_outer_ranks(plan) if is_uneven(plan) else (plan, plan)
    grid = located(last)
    if plan.length == math.inf and grid and 0 == grid.before(0, 1) == grid.before(0, _LOOKED_AT):
        empty = f"the first {_LOOKED_AT} blocks of {stream!r} have no samples"
        raise ValueError(f"{where}: {empty}, and it is endless")
    chunks = Chunk(plan, size, drop_last, tuple(head))
    if is_uneven(plan):
        lengths = {replace(chunks, up=of_rank).length for of_rank in (first, last)}
        if None in lengths or len(lengths) > 1:
            raise TypeError(
                f"{shown}: {stream!r} is one rank's part, and ranks would take different numbers of steps: put "
                f"{shown} before shard"
            )
    return replace(stream, plan=chunks)


@record
class Chunk(PlanOver):
    """The plan of `chunk`."""

    tag = "chunk"
    _finds_end = True

    size: int
    drop_last: bool
    head: tuple[int, ...] = ()  # the sizes of the first blocks, if they are others

    @cached_property
    def _ends(self) -> list[int]:
        """Where each block of the head ends; 0 comes first."""
        return list(accumulate(self.head, initial=0))

    @property
    def length(self) -> Count:
        samples = self._samples
        if not isinstance(samples, int):
            return samples
        if samples > self._ends[-1]:
            return len(self.head) - (self._ends[-1] - samples) // self.size
        return bisect_left(self._ends, samples)

    @property
    def _samples(self) -> Count:
        samples = samples_of(self.up)
        if not self.drop_last or not isinstance(samples, int):
            return samples
        before = max(end for end in self._ends if end <= samples)
        return samples - (samples - before) % self.size if before == self._ends[-1] else before

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
        if not up.located:
            return Total(samples, up.bound)
        return Scheduled(samples, self.size, up.bound, self._ends) if self.head else Even(samples, self.size, up.bound)

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Block]:
        match self.up:
            case Blocks((range() as block,)) if not self.drop_last and not self.head:
                # An epoch in order: `map` of ranges runs in C alone.
                starts = range(block.start + k * self.size, block.stop, self.size)
                ends = range(block.start + (k + 1) * self.size, block.stop, self.size)
                return map(range, starts, chain(ends, (block.stop,)))
        grid = located(self.up)
        if k and grid is None:  # where block k begins is unknown
            return walk(self.items(pass_, 0, draws), k)
        at, i = 0, 0
        if k and grid:
            at, i = grid.seek(pass_, _start(k, self._ends, self.size))
        blocks = self.up.start(pass_, at, draws)
        return self._cut(blocks, i) if k >= len(self.head) else self._scheduled(blocks, i, self.head[k:])

    def _scheduled(self, blocks: Iterator[Block], i: int, sizes: Sequence[int]) -> Iterator[Block]:
        """The new blocks, from place `i` of the first block on: first some of these sizes."""
        block: Block = range(0)
        n = 0
        for size in sizes:
            pieces: list[Block] = []
            missing = size
            while missing:
                if i >= n:
                    i -= n
                    following = next(blocks, None)
                    if following is None:
                        if pieces and not self.drop_last:
                            yield joined(pieces)
                        return
                    block, n = following, len(following)
                    continue
                piece = block[i : i + missing]
                pieces.append(_apart(piece))
                i, missing = i + len(piece), missing - len(piece)
            yield joined(pieces)
        rest = chain((block,), blocks)
        del block  # otherwise it is kept while the next is made
        yield from self._cut(rest, i)

    def _cut(self, blocks: Iterator[Block], i: int) -> Iterator[Block]:
        """The new blocks of one size, from place `i` of the first block on."""
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
            # A rank needs a part of each large block.
            lazy = size >= _LARGE and isinstance(block, LazyBlock)
            while end + size <= n:
                yield LazyPart(block, i, end) if lazy else block[i:end]
                i, end = end, end + size
            if end <= n:  # the last block that is whole
                yield LazyPart(block, i, end) if lazy else _apart(block[i:end])
                i, end = end, end + size
            if i < n:
                pieces, missing = [_apart(block[i:])], end - n
            i = 0
            del block
        if pieces and not self.drop_last:
            yield joined(pieces)


@record
class Scheduled(Grid):
    """Blocks of one size, but the first, which end at `ends` after 0; the last may be shorter."""

    samples: int | float
    further: int
    bound: int | None
    ends: Sequence[int]
    size = None

    def before(self, pass_: int, k: int) -> int:
        return int(min(_start(k, self.ends, self.further), self.samples))

    def seek(self, pass_: int, offset: int) -> tuple[int, int]:
        if offset < self.ends[-1]:
            k = bisect_right(self.ends, offset) - 1
            return k, offset - self.ends[k]
        k, rest = divmod(offset - self.ends[-1], self.further)
        return k + len(self.ends) - 1, rest


# Numbers: computing so many takes as long as computing some dozens twice.
_LARGE = 4096


def _start(k: int, ends: Sequence[int], further: int) -> int:
    """Where block k starts: the first blocks end at `ends` after 0, and further ones have one size."""
    last = len(ends) - 1
    return ends[k] if k <= last else ends[last] + (k - last) * further


def _apart(block: Block) -> Block:
    """A copy, as a view would keep the whole block alive while the next is made."""
    return block.copy() if isinstance(block, np.ndarray) else block
