"""Cut batches into batches of another size: `rebatch`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import count, pairwise, repeat
from typing import Any, NamedTuple

import numpy as np

from batchup.core.checks import describe, whole_number
from batchup.core.computed import NOT_MADE, Computed, OverMade
from batchup.core.cursors import Place, Places, gone_on, places_of
from batchup.core.grid import Even, Grid, Sharded
from batchup.core.plan import Draws, Kind
from batchup.core.record import Count, in_whole_parts, parts_of_size, record
from batchup.core.stream import Stage, Stream
from batchup.core.work import OPENED, Made, Mark
from batchup.ops.batch.parts import Piece, planned_piece, planned_together, put_together, samples_in
from batchup.ops.index.shard import ShardLike, as_shard, part_of


def rebatch(size: int, drop_last: bool = False, *, shard: ShardLike = None) -> Stage:
    """Cut the samples of the batches anew into batches of `size`, across their seams: what `chunk` is to blocks.

    Batches are arrays, tensors or lists of samples, `Ragged` among them, or tuples and dicts of these, nested or not.
    It stands behind the work: behind the `gather` of windows that are larger than a batch, and behind `parallel`, so
    that workers make windows. Each sample is copied once, into memory of its batch, which keeps nothing else
    alive; a window that is a batch as it is is handed on. The last batch may be short; `drop_last` leaves it out then.

    With `shard=(rank, world)` each rank takes its part of every batch, of `size` samples all together, as
    `ops.shard` does; every rank makes all windows then. `()` asks the environment. See `merge` for another way.

    Where the sizes of the windows are known, so is the length, and any position is reached by making the one or
    two windows that it lies in. A `map` keeps the number of samples: a window with another is a ValueError.
    Behind `map(fn, resizes=True)`, `filter` and lists the sizes are unknown. Then there is no length, a checkpoint is
    where the windows are, `skip` and `stream[k]` make what comes before, and `repeat`, `zip` and `choose` can't follow.

    Raises TypeError for index blocks, for one rank's part of a stream, and for batches without samples; ValueError for a
    size below 1 and, while iterating, for windows of different dtypes or kinds.

    >>> from batchup import ops
    >>> windows = ops.indices(7) | ops.chunk(5) | ops.shuffle(3) | ops.gather(np.arange(7) * 10)
    >>> [batch.tolist() for (batch,) in windows | rebatch(3)]
    [[30, 0, 20], [10, 40, 50], [60]]
    """
    size = whole_number(size, "rebatch(size)", least=1)
    if not isinstance(drop_last, bool | np.bool_):
        raise TypeError(f"rebatch: drop_last: expected True or False; got {describe(drop_last)}")
    index, count = as_shard(shard, "rebatch: ")
    options = ", drop_last=True" if drop_last else ""
    options += f", shard=({index}, {count})" if count > 1 else ""
    text = f"rebatch({size}{options})"
    return Stage(_rebatch, size, bool(drop_last), index, count, text=text)


def _rebatch(stream: Stream, size: int, drop_last: bool, index: int, count: int) -> Stream:
    if not stream.steps and stream.plan.kind is Kind.BLOCKS:
        wanted = f"rebatch({size}): expected batches, behind gather or samples"
        raise TypeError(f"{wanted}; {stream!r} has index blocks, which chunk({size}) cuts")
    made = Computed(stream.plan, stream.work, stream.text)
    rows = any(step.rows is not None for step in stream.steps)  # one rank has as many as another then
    if stream.plan.shards and (made.grid is None or (stream.plan.divided and not rows)):
        raise TypeError(
            f"rebatch({size}): {stream!r} is one rank's part, and ranks would take different numbers of steps: leave the "
            f"shard out, and divide the batches by rebatch({size}, shard=(rank, world))"
        )
    return replace(stream, plan=Rebatch(made, size, drop_last, index, count), steps=(OPENED,))


@record
class Rebatch(OverMade):
    size: int
    drop_last: bool
    index: int = 0
    count: int = 1
    same_for_all_ranks = True
    # A position means the same for all parts, so checkpoints are those of all of them.
    unnamed = ("index", "count")

    @property
    def cursor(self) -> bool:
        return self.up.grid is None

    @property
    def _whole(self) -> Grid | None:
        """Where the samples lie in the batches of all ranks together."""
        of, samples = self.up.grid, self._samples
        return None if of is None or samples is None else Even(samples, self.size, of.bound)

    @property
    def _samples(self) -> Count:
        """How many samples all ranks together have."""
        samples = self.up.samples
        return in_whole_parts(samples, self.size) if self.drop_last else samples

    @property
    def samples(self) -> Count:
        return self._samples if self.count == 1 else super().samples

    @property
    def length(self) -> Count:
        samples = self._samples
        if samples is None and self.up.length == math.inf:
            return math.inf
        return parts_of_size(samples, self.size)

    @property
    def grid(self) -> Grid | None:
        whole = self._whole
        if whole is None or self.count == 1:
            return whole
        return Sharded(whole, self.length, self._part)

    @property
    def shards(self) -> tuple[tuple[int, int], ...]:
        own = ((self.index, self.count),) if self.count > 1 else ()
        return (*self.up.shards, *own)

    @property
    def divided(self) -> bool:
        return self.count > 1

    def _part(self, n: int) -> int:
        return len(range(n)[part_of(n, self.index, self.count)])

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Made]:
        if (grid := self.up.grid) is not None:
            at, i = grid.seek(pass_, k * self.size) if k else (0, 0)
            ends = (grid.before(pass_, number) for number in count(at))
            sizes = (stop - start for start, stop in pairwise(ends))
            return self._cut(self.up.start(pass_, at, draws), at, i, sizes)
        return gone_on(self, k, draws, partial(self._from, pass_, draws))

    def _from(self, pass_: int, draws: Draws, place: Place, below: Places) -> Iterator[Made]:
        k, at, i = place or (0, 0, 0)
        return self._cut(self.up.start(pass_, at, draws), at, i, repeat(None), k, below)

    def _cut(
        self,
        windows: Iterator[Made],
        at: int,
        i: int,
        sizes: Iterator[int | None],
        k: int = 0,
        below: Places = (),
    ) -> Iterator[Made]:
        """The batches, from sample `i` of the first window on, which is number `at`.

        `sizes` are how many samples the windows must have, each None where nobody knows. For cursors: the first batch
        is number `k`, and `below` are the cursors before the window that is cut.
        """
        cursor = self.cursor
        pieces: list[_Cut] = []
        missing = self.size
        number, empty = at, 0
        for number, (window, expected) in enumerate(zip(windows, sizes, strict=False), at):
            n = self._samples_of(window, expected, number)
            empty = 0 if n else empty + 1
            if empty > _EMPTY and not isinstance(self.up.length, int):
                raise ValueError(f"{self}: {empty} items in a row have no samples, and there is no end")
            while i < n:
                stop = min(n, i + missing)
                pieces.append(_Cut(window, n, i, stop))
                missing -= stop - i
                i = stop
                if not missing:
                    batch = self._batch(pieces)
                    k += 1
                    if cursor:
                        place = (k, number, i) if i < n else (k, number + 1, 0)
                        reached = below if i < n else places_of(window)
                        batch = batch._replace(planned=Mark(batch.planned, (*reached, place)))
                    pieces, missing = [], self.size
                    yield batch
                    del batch
            i -= n
            if cursor:
                below = places_of(window)
            del window
        if pieces and not self.drop_last:
            batch = self._batch(pieces)
            if cursor:
                batch = batch._replace(planned=Mark(batch.planned, (*below, (k + 1, number + 1, 0))))
            del pieces
            yield batch

    def _samples_of(self, window: Made, expected: int | None, number: int) -> int:
        if window.batch is NOT_MADE and expected is not None:
            return expected
        n = samples_in(window.batch, str(self))
        if expected is not None and n != expected:
            steps = [step for _, step in self.up.work.leaves()] if isinstance(self.up, Computed) else []
            remedies = [step.remedy for step in steps if step.remedy] or [
                "map(fn, resizes=True) before it"
            ]
            raise ValueError(
                f"{self}: expected as many samples in item {number} before it as were read for it, {expected}; it has "
                f"{n}. For a function that gives others than it is given write {' or '.join(remedies)}"
            )
        return n

    def _batch(self, cuts: list[_Cut]) -> Made:
        """The part of this rank of a batch."""
        part = part_of(sum(cut.stop - cut.start for cut in cuts), self.index, self.count)
        pieces: list[_Cut] = []
        begin = 0
        for made, n, start, stop in cuts:
            first, last = max(part.start - begin, 0), min(part.stop - begin, stop - start)
            if last > first or (part.start == part.stop and not pieces):
                pieces.append(_Cut(made, n, start + first, start + max(first, last)))
            begin += stop - start
        planned = [planned_piece(c.made.planned, c.n, slice(c.start, c.stop)) for c in pieces]
        return Made(planned_together(planned), self._put_together(pieces))

    def _put_together(self, pieces: list[_Cut]) -> Any:
        made, n, start, stop = pieces[0]
        if made.batch is NOT_MADE or (len(pieces) == 1 and stop - start == n):
            return made.batch  # a window that is a batch
        return put_together([Piece(c.made.batch, c.start, c.stop) for c in pieces], str(self))

    def __str__(self) -> str:
        return f"rebatch({self.size})"


# So many items without samples of a stream without end, and there will be none.
_EMPTY = 1000


class _Cut(NamedTuple):
    """Samples `start` to `stop` of the `n` of a window."""

    made: Made
    n: int
    start: int
    stop: int
