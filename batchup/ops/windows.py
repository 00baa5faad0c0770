"""Shuffling what lies in chunks, each read once a pass: `reorder`, `merge`, and `mix` of both."""

from __future__ import annotations

import builtins
import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count as numbers
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from batchup.core.checks import Block, PlainBlock, as_block, block_array, describe, whole_number
from batchup.core.given import Blocks
from batchup.core.grid import Even, Grid
from batchup.core.plan import Again, Draw, Draws, Kind, PlanOver
from batchup.core.randomness import Rng, Seed, ShuffleLike, as_rng
from batchup.core.record import Count, record
from batchup.core.stream import Stage, Stream
from batchup.ops.blocks import chunk
from batchup.ops.blocks import joined as put_together
from batchup.ops.feistel import PermutedBlock, place_of, round_keys
from batchup.ops.orders import Shuffle
from batchup.ops.shards import ShardLike, as_shard, whole_in


def reorder(rng: ShuffleLike) -> Stage:
    """Permute the order of the blocks of a pass, within none of them.

    `rng` is as for `shuffle`: a seed, of which each pass has an order of its own, in constant memory; a generator, one
    `rng.permutation` a pass; or None for as they are. A position is reached without what comes before where the
    blocks are: of blocks that are not of one size, `chunk` and `rebatch` behind it find theirs by a table a pass. Over
    a generator, and over lists whose sizes nobody knows, the blocks of a pass are kept.
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
    def grid(self) -> Grid | None:
        of, n = self.up.grid, self.length
        if of is None or not n:
            return of
        if of.size is not None and of.samples == n * of.size:
            return Even(of.samples, of.size, of.bound)
        return Reordered(of, n, self.rng) if isinstance(self.rng, Seed) else None

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Block]:
        drawn = None if isinstance(self.rng, Seed) else draws.begin(self, pass_, 0)
        if self.up.again is Again.KEYED and self.up.grid is not None:
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
class Reordered(Grid):
    """The blocks of a grid in the order of a seed."""

    of: Grid
    n: int
    seed: Seed
    size = None

    @property
    def samples(self) -> int | float:  # type: ignore[override]
        return self.of.samples

    @property
    def bound(self) -> int | None:  # type: ignore[override]
        return self.of.bound

    def before(self, pass_: int, k: int) -> int:
        k = min(k, self.n)
        if self.of.size is None:
            return int(_ends(self, pass_)[k])
        return k * self.of.size - (self._short_at(pass_) < k) * self._missing

    def seek(self, pass_: int, offset: int) -> tuple[int, int]:
        if self.of.size is None:
            ends = _ends(self, pass_)
            k = int(np.searchsorted(ends, offset, side="right")) - 1
            return k, offset - int(ends[k])
        short, size = self._short_at(pass_), self.of.size
        if offset >= (short + 1) * size - self._missing:
            offset += self._missing
        return divmod(offset, size)

    @property
    def _missing(self) -> int:
        """How much shorter the last block is."""
        assert self.of.size is not None
        return int(self.n * self.of.size - self.of.samples)

    def _short_at(self, pass_: int) -> int:
        """Where the last block comes, which is the short one."""
        return place_of(self.n - 1, self.n, _keys(self.seed, pass_))


def _ends(grid: Reordered, pass_: int) -> NDArray[np.int64]:
    """Where blocks of several sizes end, that of the last pass that was asked for kept."""
    kept = grid.__dict__.get("_table")
    if kept is None or kept[0] != pass_:
        of = np.array([grid.of.before(pass_, k) for k in range(grid.n + 1)], np.int64)
        order = order_of(grid.seed, pass_, grid.n)[:]
        kept = pass_, np.concatenate([[0], np.diff(of)[order].cumsum()])
        object.__setattr__(grid, "_table", kept)
    return kept[1]


def merge(count: int, *, shard: ShardLike = None) -> Stage:
    """Put `count` blocks together to one, and the next, each as a whole: a *window*.

    Of C blocks are made ceil(C / count) windows, whose numbers of blocks differ by one at most. Where their number is
    not known, each window has `count` blocks but for the last.

    With `shard=(rank, world)` the windows are those of one rank, so that each chunk is read by one rank alone. The
    blocks of a pass, in their order, are divided into stretches of as many samples for each rank: so a rank takes as
    many steps as any other, a block where two stretches meet is read by both, and fewer than `world` samples at the
    end are left out, others in each pass behind a `reorder`. A checkpoint is for the same number of ranks then.
    Where reading is no bottleneck, `rebatch(size, shard=(rank, world))` leaves out none, and its checkpoints are for
    any number. `()` asks the environment, as in `ops.shard`.

    Raises ValueError for a count below 1, TypeError for a stream of anything but blocks; with `shard` for one whose
    sizes are not known.

    >>> from batchup import ops
    >>> list(ops.indices(10) | ops.chunk(2) | merge(2))
    [range(0, 2), range(2, 6), range(6, 10)]
    >>> [list(ops.indices(10) | ops.chunk(2) | merge(2, shard=(rank, 2))) for rank in range(2)]
    [[range(0, 2), range(2, 5)], [range(5, 6), range(6, 10)]]
    """
    count = whole_number(count, "merge(count)", least=1)
    index, world = as_shard(shard, "merge: ")
    text = f"merge({count}{f', shard=({index}, {world})' * (world > 1)})"
    return Stage(_merge, count, index, world, text, text=text)


def _merge(stream: Stream, count: int, index: int, world: int, text: str) -> Stream:
    plan = stream.index_plan(text)
    if why := whole_in(plan):
        raise TypeError(f"{text}: {stream!r} {why}")
    if world > 1 and (plan.grid is None or not isinstance(plan.length, int)):
        wanted = f"{text}: expected blocks of known number and sizes, to divide them beforehand"
        raise TypeError(f"{wanted}; those of {stream!r} are not known. Over a generator give a seed")
    return replace(stream, plan=Merge(plan, count, index, world))


@record
class Merge(PlanOver):
    count: int
    index: int = 0
    world: int = 1
    kind = Kind.BLOCKS
    same_for_all_ranks = True
    unnamed = ("index",)  # position t is step t of all ranks

    @property
    def length(self) -> Count:
        length = self.up.length
        return -(-length // (self.count * self.world)) if isinstance(length, int) else length

    @property
    def samples(self) -> Count:
        samples = self.up.samples
        return samples // self.world if isinstance(samples, int) else samples

    @property
    def grid(self) -> Grid | None:
        return None if self.up.grid is None else Merged(self.up.grid, self)

    @property
    def shards(self) -> tuple[tuple[int, int], ...]:
        own = ((self.index, self.world),) if self.world > 1 else ()
        return (*self.up.shards, *own)

    def stretch(self, pass_: int) -> Stretch:
        """Which blocks of a pass are in the windows."""
        length, grid = self.up.length, self.up.grid
        if not isinstance(length, int):
            return Stretch(self.count)
        windows = self.length
        assert isinstance(windows, int)
        if self.world == 1:
            return Stretch(self.count, (0, 0), (length, 0), windows)
        assert grid is not None
        assert isinstance(self.samples, int)
        ends = [(self.index + part) * self.samples for part in (0, 1)]
        starts = [grid.seek(pass_, end) if end < grid.samples else (length, 0) for end in ends]
        return Stretch(self.count, starts[0], starts[1], windows)

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Block]:
        stretch = self.stretch(pass_)
        blocks = self.up.start(pass_, stretch.first(k), draws)
        return self._windows(blocks, stretch, k)

    def _windows(self, blocks: Iterator[Block], stretch: Stretch, k: int) -> Iterator[Block]:
        length = self.length
        for j in range(k, length) if isinstance(length, int) else numbers(k):
            n = stretch.first(j)
            pieces = list(islice(blocks, stretch.first(j + 1) - n))
            if not pieces and length is None:
                return
            if pieces and self.world > 1:
                pieces = stretch.cut(pieces, n)
            yield put_together(pieces) if pieces else range(0)
            del pieces


class Stretch:
    """Blocks from one place on to another, each a block and a sample in it, divided into windows.

    Without an end, windows of `count` blocks each.
    """

    def __init__(
        self,
        count: int,
        begin: tuple[int, int] = (0, 0),
        end: tuple[int, int] | None = None,
        windows: int = 0,
    ):
        self.count, self.begin, self.end, self.windows = count, begin, end, windows

    def first(self, j: int) -> int:
        """The number of the first block of window `j`."""
        if self.end is None:
            return j * self.count
        blocks = self.end[0] + (self.end[1] > 0) - self.begin[0]
        return self.begin[0] + (j * blocks // self.windows if self.windows else 0)

    def cut(self, pieces: list[Block], n: int) -> list[Block]:
        """The blocks from number n on, but for what is outside."""
        assert self.end is not None
        last = self.end[0] - n
        if 0 <= last < len(pieces):
            pieces[last] = pieces[last][: self.end[1]]
        if n == self.begin[0]:
            pieces[0] = pieces[0][self.begin[1] :]
        return pieces


@record
class Merged(Grid):
    """The blocks of a grid, several put together."""

    of: Grid
    plan: Merge
    size = None

    @property
    def samples(self) -> int | float:  # type: ignore[override]
        samples = self.of.samples
        return samples // self.plan.world if isinstance(samples, int) else samples

    @property
    def bound(self) -> int | None:  # type: ignore[override]
        return self.of.bound

    def before(self, pass_: int, k: int) -> int:
        if isinstance(self.plan.length, int) and k >= self.plan.length:
            return int(self.samples)
        stretch = self.plan.stretch(pass_)
        return max(0, self.of.before(pass_, stretch.first(k)) - self._start)

    def seek(self, pass_: int, offset: int) -> tuple[int, int]:
        stretch = self.plan.stretch(pass_)
        block, _ = self.of.seek(pass_, self._start + offset)
        if stretch.end is None:
            k = block // self.plan.count
        else:
            k = max(0, bisect_right(range(stretch.windows), block, key=stretch.first) - 1)
        return k, offset - self.before(pass_, k)

    @property
    def _start(self) -> int:
        return self.plan.index * int(self.samples) if self.plan.world > 1 else 0


def mix(
    rng: ShuffleLike,
    chunks: int | Sequence[int] | NDArray[np.intp],
    window: int,
    *,
    shard: ShardLike = None,
) -> Stage:
    """A shuffle of what lies in chunks that reads each once a pass: `window` chunks at a time are mixed.

    `chunk(chunks) | reorder(rng) | merge(window) | shuffle(rng)`: chunks in a random order, windows of them,
    which are shuffled in memory. `gather` reads the windows, `rebatch(size)` cuts them into batches. `chunks` is how
    many samples a chunk of the arrays has, `X.chunks[0]`, or the number of each, as of row groups. `indices` of some
    of the samples are put together by the chunks that they lie in. `rng` and `shard` are as for `shuffle` and `merge`.

    Where K classes of one size lie in runs, the label entropy of a batch is below a full shuffle's by about
    (K - 1) / (2 ln 2 window) bits (see `survey`, which says it of your labels before anything is read).
    Raises TypeError for a stream of anything but `indices`, ValueError for chunks that its indices reach beyond.

    >>> from batchup import ops
    >>> windows = ops.indices(12) | mix(7, chunks=2, window=3)
    >>> list(windows)
    [array([ 9,  8,  3, 10,  2, 11]), array([5, 4, 7, 0, 1, 6])]
    >>> batches = windows | ops.gather(np.arange(12) * 10) | ops.rebatch(4)
    """
    draws = as_rng(rng, "mix")
    window = whole_number(window, "mix: window", least=1)
    sizes = _sizes(chunks)
    index, world = as_shard(shard, "mix: ")
    shown = sizes if isinstance(sizes, int) else describe(sizes)
    text = f"mix({draws}, {shown}, {window}{f', shard=({index}, {world})' * (world > 1)})"
    return Stage(_mix, draws, sizes, merge(window, shard=(index, world)), text, text=text)


def _sizes(chunks: int | Sequence[int] | NDArray[np.intp]) -> int | NDArray[np.intp]:
    if isinstance(chunks, int | np.integer):
        return whole_number(chunks, "mix: chunks", least=1)
    return np.array(block_array(as_block(chunks, "mix: chunks")))


def _mix(
    stream: Stream, rng: Rng | None, sizes: int | NDArray[np.intp], merging: Stage, text: str
) -> Stream:
    plan = stream.index_plan(text)
    if not isinstance(plan, Blocks):
        raise TypeError(
            f"{text}: expected indices(n) or indices(array) right before it, whose chunks are known; got {stream!r}. "
            "Put repeat behind it"
        )
    blocks = _by_chunk(stream, plan, sizes, text)
    merged = merging(blocks if rng is None else replace(blocks, plan=Reorder(blocks.plan, rng)))
    return merged if rng is None else replace(merged, plan=Shuffle(merged.plan, rng))


def _by_chunk(stream: Stream, plan: Blocks, sizes: int | NDArray[np.intp], text: str) -> Stream:
    """The indices in blocks, one for those of each chunk."""
    if isinstance(sizes, int):
        match plan.given:
            case (range() as block,) if block.start % sizes == 0:
                return chunk(sizes)(stream)
    indices = np.sort(np.concatenate([np.empty(0, np.intp), *builtins.map(block_array, plan.given)]))
    ends = None if isinstance(sizes, int) else sizes.cumsum()
    if ends is not None and len(indices) and indices[-1] >= (total := ends[-1] if len(ends) else 0):
        raise ValueError(
            f"{text}: expected chunks for all samples, up to {indices[-1]}; they have {total}"
        )
    chunk_of = indices // sizes if ends is None else ends.searchsorted(indices, side="right")
    starts: list[int] = np.flatnonzero(np.diff(chunk_of, prepend=-1)).tolist()
    whole = [indices[a:b] for a, b in zip(starts, [*starts[1:], len(indices)], strict=True)]
    return replace(stream, plan=Blocks(tuple(builtins.map(_run, whole))))


def _run(indices: NDArray[np.intp]) -> PlainBlock:
    """As a range, where they are one."""
    first, last = int(indices[0]), int(indices[-1])
    dense = last - first + 1 == len(indices) and bool((np.diff(indices) == 1).all())
    return range(first, last + 1) if dense else indices.copy()
