"""Join whole blocks into larger ones: `merge`."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import replace
from itertools import count as numbers
from itertools import islice

from batchup.core.blocks import Block, joined
from batchup.core.checks import call_text, whole_number
from batchup.core.draws import Draws
from batchup.core.grid import Grid, GridOver
from batchup.core.plan import Kind, Part, PlanOver, is_drawn, located, parts_in, samples_of
from batchup.core.record import Count, parts_of_size, record, unnamed
from batchup.core.stream import Stage, Stream
from batchup.ops.index.shard import ShardLike, as_shard, shown_shard


def merge(count: int, *, shard: ShardLike = None) -> Stage:
    """Join every `count` blocks into one block, a *window*.

    C blocks make ceil(C / count) windows, whose numbers of blocks differ by at most one. If the number of blocks is
    unknown, each window has `count` blocks, and the last may have fewer.

    Parameters
    ----------
    count : int
        The number of blocks in a window, at least 1.
    shard : (rank, world), () or None
        If given, the windows are those of one rank, so that each chunk is read by one rank only. The blocks of a pass
        are divided into one stretch for each rank, and all stretches have as many samples: all ranks take the same
        number of steps. A block across two stretches is read by both ranks. Up to `world - 1` samples at the end are
        left out; behind `reorder` these are other samples in each pass. A checkpoint is for the same number of ranks.
        `()` takes rank and world size from the environment, as `ops.shard` does. Where reading is fast, `rebatch(size,
        shard=...)` leaves out no samples, and its checkpoints are for any number of ranks.

    Returns
    -------
    Stage
        Gives windows: index blocks.

    Raises
    ------
    ValueError
        If `count` is below 1.
    TypeError
        If the stream before it is not of index blocks. With `shard`, also if the sizes of the blocks are unknown, and
        if the stream draws from a generator, since each rank would draw differently.

    Examples
    --------
    >>> from batchup import ops
    >>> list(ops.indices(10) | ops.chunk(2) | merge(2))
    [range(0, 2), range(2, 6), range(6, 10)]
    >>> [list(ops.indices(10) | ops.chunk(2) | merge(2, shard=(rank, 2))) for rank in range(2)]
    [[range(0, 2), range(2, 5)], [range(5, 6), range(6, 10)]]
    """
    count = whole_number(count, "merge(count)", least=1)
    index, world = as_shard(shard, "merge: ")
    text = call_text("merge", count, shard=shown_shard(index, world))
    return Stage(_merge, count, index, world, text, text=text)


def _merge(stream: Stream, count: int, index: int, world: int, text: str) -> Stream:
    plan = stream.index_plan(text)
    if why := plan.refusal("cut"):
        raise TypeError(f"{text}: {stream!r} {why}")
    if world > 1 and is_drawn(plan):
        raise TypeError(f"{text}: {stream!r} {OTHER_DRAWS}")
    if world > 1 and (located(plan) is None or not isinstance(plan.length, int)):
        wanted = f"{text}: expected blocks of known number and sizes, to divide them beforehand"
        raise TypeError(f"{wanted}; those of {stream!r} are not known")
    return replace(stream, plan=Merge(plan, count, index, world))


OTHER_DRAWS = (
    "draws from a generator, and ranks that take different blocks would draw different orders: give a seed, or divide "
    "the batches by rebatch(size, shard=(rank, world))"
)


@record
class Merge(PlanOver):
    """The plan of `merge`."""

    tag = "merge"
    _finds_end = True

    count: int
    index: int = unnamed(default=0)  # position t is step t of all ranks
    world: int = 1
    kind = Kind.BLOCKS

    @property
    def length(self) -> Count:
        return parts_of_size(self.up.length, self.count * self.world)

    @property
    def starts_anywhere(self) -> bool:
        return self.up.starts_anywhere

    @property
    def grid(self) -> Grid | None:
        of = self.up.grid
        return of if of is None or not of.located else Merged(of, self)

    @property
    def shards(self) -> tuple[Part, ...]:
        own = (Part(self.index, self.world),) if self.world > 1 else ()
        return (*parts_in(self), *own)

    def stretch(self, pass_: int) -> Stretch:
        """The blocks of a pass that the windows are made of."""
        length, grid = self.up.length, located(self.up)
        if not isinstance(length, int):
            return Stretch(self.count)
        windows = self.length
        assert isinstance(windows, int)
        if self.world == 1:
            return Stretch(self.count, (0, 0), (length, 0), windows)
        assert grid is not None
        samples = samples_of(self)
        assert isinstance(samples, int)
        ends = [(self.index + part) * samples for part in (0, 1)]
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
    """Blocks between two places, divided into windows. A place is the number of a block and of a sample in it.

    Without an end, each window has `count` blocks.
    """

    def __init__(
        self, count: int, begin: tuple[int, int] = (0, 0), end: tuple[int, int] | None = None, windows: int = 0
    ):
        self.count, self.begin, self.end, self.windows = count, begin, end, windows

    def first(self, j: int) -> int:
        """The number of the first block of window `j`."""
        if self.end is None:
            return j * self.count
        blocks = self.end[0] + (self.end[1] > 0) - self.begin[0]
        return self.begin[0] + (j * blocks // self.windows if self.windows else 0)

    def cut(self, pieces: list[Block], n: int) -> list[Block]:
        """The blocks from number n on, without the samples outside of the stretch."""
        assert self.end is not None
        last = self.end[0] - n
        if 0 <= last < len(pieces):
            pieces[last] = pieces[last][: self.end[1]]
        if n == self.begin[0]:
            pieces[0] = pieces[0][self.begin[1] :]
        return pieces


@record
class Merged(GridOver):
    """The grid of the windows of `merge`."""

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
