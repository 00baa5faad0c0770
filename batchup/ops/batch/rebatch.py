"""Cut batches into batches of another size: `rebatch`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import count, pairwise, repeat
from typing import Any, NamedTuple

import numpy as np
from more_itertools import chunked

from batchup.core.blocks import block_array
from batchup.core.checks import call_text, true_or_false, whole_number
from batchup.core.computed import Computed, OverMade
from batchup.core.cursors import Cursor, gone_on
from batchup.core.draws import Draws
from batchup.core.errors import EMPTY_IN_A_ROW
from batchup.core.grid import Even, Grid, Sharded, Total
from batchup.core.item import Cursors, Item, once, planned_in
from batchup.core.plan import Part, is_uneven, located, parts_in, samples_of
from batchup.core.record import Count, in_whole_parts, parts_of_size, record, unnamed
from batchup.core.stream import Stage, Stream
from batchup.ops.batch.fill import Fill
from batchup.ops.index.shard import ShardLike, as_shard, part_of, shown_shard
from batchup.parts import Piece, planned_piece, planned_together, put_together, samples_in


def rebatch(size: int, drop_last: bool = False, *, shard: ShardLike = None) -> Stage:
    """Cut the samples of the batches into batches of `size`. It does to batches what `chunk` does to index blocks.

    Put it behind the work: behind the `gather` of windows that are larger than a batch, and behind `parallel`, so that
    workers make windows. Batches are arrays, tensors, lists of samples or `Ragged`, or tuples and dicts of these, also
    nested. Each sample is copied once, into the memory of its batch, which keeps no window in memory. A window that is
    a batch already is passed on.

    If the sizes of the windows are known, so is the length, and any position is reached by making the one or two
    windows that it lies in; a `map` that returns another number of samples than it gets is a ValueError then. Behind
    `map(fn, resizes=True)`, `filter` and lists the sizes are unknown: there is no length, a checkpoint keeps the
    position of the windows, `skip` and `stream[k]` make the batches before, and `repeat`, `zip` and `choose` can't
    follow.

    Parameters
    ----------
    size : int
        The number of samples in a batch, at least 1.
    drop_last : bool
        If True, leave out the last batch if it has fewer than `size` samples.
    shard : (rank, world), () or None
        If given, take one rank's part of every batch, as `ops.shard` does; `size` is that of all parts together, and
        every rank makes all windows. `()` takes rank and world size from the environment. `merge(count, shard=...)`
        divides the windows among the ranks instead.

    Returns
    -------
    Stage
        Gives batches of `size` samples. Without `drop_last`, the last batch may be shorter.

    Raises
    ------
    ValueError
        If `size` is below 1; while iterating, if windows have different dtypes or kinds.
    TypeError
        For index blocks, for one rank's part of a stream, and for batches without samples.

    Examples
    --------
    >>> from batchup import ops
    >>> windows = ops.indices(7) | ops.chunk(5) | ops.shuffle(3) | ops.gather(np.arange(7) * 10)
    >>> [batch.tolist() for (batch,) in windows | rebatch(3)]
    [[30, 0, 20], [10, 40, 50], [60]]
    """
    size = whole_number(size, "rebatch(size)", least=1)
    drop_last = true_or_false(drop_last, "rebatch: drop_last")
    index, count = as_shard(shard, "rebatch: ")
    text = call_text("rebatch", size, drop_last=drop_last, shard=shown_shard(index, count))
    return Stage(_rebatch, size, drop_last, index, count, text=text)


def _rebatch(stream: Stream, size: int, drop_last: bool, index: int, count: int) -> Stream:
    if not stream.steps and stream.plan.kind.indexed:
        wanted = f"rebatch({size}): expected batches, behind gather or samples"
        raise TypeError(f"{wanted}; {stream!r} has index blocks, which chunk({size}) cuts")
    made = Computed(stream.plan, stream.work, stream.text)
    rows = any(step.sizes.rows is not None for step in stream.steps)  # then all ranks have as many samples
    if stream.plan.shards and (located(made) is None or (is_uneven(stream.plan) and not rows)):
        raise TypeError(
            f"rebatch({size}): {stream!r} is one rank's part, and ranks would take different numbers of steps: leave the "
            f"shard out, and divide the batches by rebatch({size}, shard=(rank, world))"
        )
    return replace(stream, plan=Rebatch(made, size, drop_last, index, count), steps=())


@record
class Rebatch(OverMade):
    """The plan of `rebatch`."""

    tag = "rebatch"

    size: int
    drop_last: bool
    # A position means the same for all parts, so a checkpoint of one part is one of all.
    index: int = unnamed(default=0)
    count: int = unnamed(default=1)

    @property
    def cursor(self) -> bool:
        return located(self.up) is None

    @property
    def _samples(self) -> Count:
        """The number of samples of all ranks together."""
        samples = samples_of(self.up)
        return in_whole_parts(samples, self.size) if self.drop_last else samples

    @property
    def length(self) -> Count:
        samples = self._samples
        if samples is None and self.up.length == math.inf:
            return math.inf
        return parts_of_size(samples, self.size)

    @property
    def grid(self) -> Grid | None:
        of, samples = self.up.grid, self._samples
        if of is None or samples is None:
            return None
        if not of.located:
            return Total(samples, of.bound) if self.count == 1 else None
        whole = Even(samples, self.size, of.bound)
        return whole if self.count == 1 else Sharded(whole, self.length, self._part)

    @property
    def shards(self) -> tuple[Part, ...]:
        own = (Part(self.index, self.count, equal=False),) if self.count > 1 else ()
        return (*(part._replace(equal=True) for part in parts_in(self)), *own)

    def _part(self, n: int) -> int:
        return len(range(n)[part_of(n, self.index, self.count)])

    def _filled(self, pass_: int, k: int, draws: Draws) -> Iterator[Item] | None:
        """For windows that are rows of `gather | fill`: the batches, of several rows at once. None for other windows.

        This takes half of the time, and copies nothing twice.
        """
        made = self.up
        if self.count == 1 and type(made) is Computed and located(made) is not None:
            match made.work.steps:
                case (gather, Fill() as fill) if (columns := fill.columns_of(gather)) is not None:
                    items = made.up.start(pass_, k * self.size, draws)
                    return self._of_rows(partial(fill.rows, columns), made, items, k)
        return None

    def _of_rows(self, rows: Callable[..., Any], made: Computed, items: Iterator[Any], k: int) -> Iterator[Item]:
        for number, some in enumerate(chunked(once(items), self.size), k):
            if self.drop_last and len(some) < self.size:
                return
            blocks = [block_array(planned_in(item)) for item in some]
            try:
                batch = rows(np.concatenate(blocks), list(map(len, blocks)))
            except Exception:
                list(made._made(iter(some), number * self.size))  # row by row, so that the error names the row
                raise
            planned = planned_together([planned_piece(item, 1, slice(0, 1)) for item in some])
            yield Item(planned, batch, True)
            del batch

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Item]:
        if (filled := self._filled(pass_, k, draws)) is not None:
            return filled
        if (grid := located(self.up)) is not None:
            at, i = grid.seek(pass_, k * self.size) if k else (0, 0)
            ends = (grid.before(pass_, number) for number in count(at))
            sizes = (stop - start for start, stop in pairwise(ends))
            return self._cut(self.up.start(pass_, at, draws), at, i, sizes)
        return gone_on(self, k, draws, partial(self._from, pass_, draws))

    def _from(self, pass_: int, draws: Draws, cursor: Cursor, below: Cursors) -> Iterator[Item]:
        k, at, i = cursor or (0, 0, 0)
        return self._cut(self.up.start(pass_, at, draws), at, i, repeat(None), k, below)

    def _cut(
        self, windows: Iterator[Item], at: int, i: int, sizes: Iterator[int | None], k: int = 0, below: Cursors = ()
    ) -> Iterator[Item]:
        """The batches from sample `i` of the first window on, which is number `at`.

        `sizes` are the numbers of samples that the windows must have, each None if it is unknown. For cursors: the
        first batch is number `k`, and `below` are the cursors before the window that is cut.
        """
        has_cursor = self.cursor
        pieces: list[_Cut] = []
        missing = self.size
        empty = 0
        for number in count(at):  # no `zip`, which would hold the last window while the next one is made
            window = next(windows, None)
            if window is None:
                break
            n = self._samples_of(window, next(sizes), number)
            empty = 0 if n else empty + 1
            if empty > EMPTY_IN_A_ROW and not isinstance(self.up.length, int):
                raise ValueError(f"{self}: {empty} items in a row have no samples, and the stream is endless")
            while i < n:
                stop = min(n, i + missing)
                pieces.append(_Cut(window, n, i, stop))
                missing -= stop - i
                i = stop
                if not missing:
                    batch = self._batch(pieces)
                    k += 1
                    if has_cursor:
                        own, reached = ((k, number, i), below) if i < n else ((k, number + 1, 0), window.cursors)
                        batch = batch._replace(cursors=(*reached, own))
                    pieces, missing = [], self.size
                    yield batch
                    del batch
            if pieces:
                pieces[-1] = _alone(pieces[-1])
            i -= n
            below = window.cursors
            del window
        if pieces and not self.drop_last:
            batch = self._batch(pieces)
            if has_cursor:
                batch = batch._replace(cursors=(*below, (k + 1, number, 0)))
            del pieces
            yield batch

    def _samples_of(self, window: Item, expected: int | None, number: int) -> int:
        if not window.made and expected is not None:
            return expected
        n = samples_in(window.batch, str(self))
        if expected is not None and n != expected:
            steps = [step for _, step in self.up.work.leaves()] if isinstance(self.up, Computed) else []
            remedies = [step.sizes.remedy for step in steps if step.sizes.remedy]
            raise ValueError(
                f"{self}: expected {expected} samples in item {number} before it, as many as were read for it; it has "
                f"{n}. For a function that changes the number of samples write "
                f"{' or '.join(remedies) or 'map(fn, resizes=True) before it'}"
            )
        return n

    def _batch(self, cuts: list[_Cut]) -> Item:
        """Make this rank's part of a batch."""
        part = part_of(sum(cut.stop - cut.start for cut in cuts), self.index, self.count)
        pieces: list[_Cut] = []
        begin = 0
        for window, n, start, stop in cuts:
            first, last = max(part.start - begin, 0), min(part.stop - begin, stop - start)
            if last > first or (part.start == part.stop and not pieces):
                pieces.append(_Cut(window, n, start + first, start + max(first, last)))
            begin += stop - start
        planned = [planned_piece(c.window, c.n, slice(c.start, c.stop)) for c in pieces]
        return Item(planned_together(planned), self._put_together(pieces), pieces[0].window.made)

    def _put_together(self, pieces: list[_Cut]) -> Any:
        window, n, start, stop = pieces[0]
        if not window.made or (len(pieces) == 1 and stop - start == n):
            return window.batch  # the window is the batch
        return put_together([Piece(c.window.batch, c.start, c.stop) for c in pieces], str(self))

    def __str__(self) -> str:
        return f"rebatch({self.size})"


# Samples that are at most 1 / FEW of a window are copied, which costs little, so that the window can be freed.
FEW = 16


def _alone(cut: _Cut) -> _Cut:
    """The samples that are left of a window, in memory of their own if they are few, so that the window can be freed."""
    window, n, start, stop = cut
    size = stop - start
    if not window.made or size * FEW > n:
        return cut
    planned = planned_piece(window, n, slice(start, stop))
    if isinstance(planned, tuple):  # no index block, whose part is one, too
        return cut
    batch = put_together([Piece(window.batch, start, stop)], "rebatch")
    return _Cut(window._replace(planned=planned, batch=batch), size, 0, size)


class _Cut(NamedTuple):
    """Samples `start` to `stop` of the `n` samples of a window."""

    window: Item
    n: int
    start: int
    stop: int
