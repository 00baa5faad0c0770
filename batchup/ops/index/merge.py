"""Join whole blocks into larger ones: `merge`."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import replace
from itertools import count as numbers
from itertools import islice

from batchup.core.blocks import Block, joined
from batchup.core.checks import whole_number
from batchup.core.grid import Grid, GridOver
from batchup.core.plan import Draws, Kind, PlanOver, is_drawn
from batchup.core.record import Count, parts_of_size, record
from batchup.core.stream import Stage, Stream
from batchup.ops.index.shard import ShardLike, as_shard, whole_in


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
    sizes are not known, and for one over a generator, from which each rank would draw otherwise.

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
    if world > 1 and is_drawn(plan):
        raise TypeError(f"{text}: {stream!r} {OTHER_DRAWS}")
    if world > 1 and (plan.grid is None or not isinstance(plan.length, int)):
        wanted = f"{text}: expected blocks of known number and sizes, to divide them beforehand"
        raise TypeError(f"{wanted}; those of {stream!r} are not known")
    return replace(stream, plan=Merge(plan, count, index, world))


OTHER_DRAWS = (
    "draws from a generator, and ranks that take different blocks would draw different orders: give a seed, or divide "
    "the batches by rebatch(size, shard=(rank, world))"
)


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
        return parts_of_size(self.up.length, self.count * self.world)

    @property
    def samples(self) -> Count:
        samples = self.up.samples
        return samples // self.world if isinstance(samples, int) else samples

    @property
    def starts_anywhere(self) -> bool:
        return self.up.starts_anywhere

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
            last = length is None and len(pieces) < self.count
            yield joined(pieces) if pieces else range(0)
            del pieces
            if last:
                return


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
class Merged(GridOver):
    """The blocks of a grid, several put together."""

    plan: Merge

    @property
    def samples(self) -> int | float:  # type: ignore[override]
        samples = self.of.samples
        return samples // self.plan.world if isinstance(samples, int) else samples

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
