"""Samples of different lengths in groups: `bucket` puts like to like, `pack` fills rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property, partial
from itertools import islice

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchup.core.checks import Block, as_block, block_array, describe, whole_number
from batchup.core.grid import Grid, Listed
from batchup.core.plan import Again, Draws, Kind, Plan, PlanOver
from batchup.core.ragged import Ragged
from batchup.core.randomness import Seed, SeedLike, as_seed, frozen_generator
from batchup.core.record import record
from batchup.core.stream import Stream
from batchup.ops.reorder import Reorder
from batchup.ops.shards import ShardLike, as_shard

Lengths = NDArray[np.int64]
Grouped = tuple[NDArray[np.intp], NDArray[np.int64]]  # an order of samples, and where its groups end


def bucket(
    lengths: ArrayLike | Ragged,
    rng: SeedLike,
    size: int | None = None,
    tokens: int | None = None,
    window: int = 6400,
    indices: ArrayLike | None = None,
) -> Stream:
    """Batches of samples of like lengths, so that `pad` adds little: a source, of index blocks.

    `lengths` are the numbers of tokens of all samples, (n,) whole numbers >= 0, or their `Ragged`; `rng` is a
    seed. A random order of the samples is cut into windows of `window`; in each they are sorted by length, and cut into
    batches of `size`, 64 by default, or into such that are no more than `tokens` once they are padded. That is done
    once for a seed; each pass has the batches in an order of its own. So each sample comes once in a pass, and the
    length is known. With `indices` (1-D) only those samples come. Of a `size`, windows have a whole number of batches:
    only the last may be short.

    Raises TypeError or ValueError for what are no lengths, no seed, and for a sample of more than `tokens`.

    >>> from batchup import ops
    >>> lengths = np.array([3, 9, 1, 8, 2, 7])
    >>> [lengths[block].tolist() for block in bucket(lengths, 5, size=2)]
    [[8, 9], [3, 7], [1, 2]]
    >>> [lengths[block].tolist() for block in bucket(lengths, 5, tokens=9)]
    [[8], [7], [1, 2, 3], [9]]
    """
    given, chosen = _lengths(lengths, indices, "bucket")
    seed = as_seed(rng, "bucket")
    if size is not None and tokens is not None:
        raise TypeError(
            "bucket: expected size=, samples a batch, or tokens=, padded tokens a batch; got both"
        )
    window = whole_number(window, "bucket: window", least=1)
    if tokens is None:
        size = whole_number(64 if size is None else size, "bucket: size", least=1)
        window = -(-window // size) * size
        how = f"size={size}"
    else:
        tokens = whole_number(tokens, "bucket: tokens", least=1)
        _check_longest(given, chosen, tokens, "bucket: tokens")
        how = f"tokens={tokens}"

    def by_length(own: Lengths) -> Grouped:
        order = own.argsort(kind="stable")
        if size is not None:
            return order, np.arange(size, len(own) + size, size).clip(max=len(own))
        assert tokens is not None
        return order, _padded_cuts(own[order], tokens)

    groups = _groups(given, chosen, seed, window, by_length)
    text = f"bucket({describe(given)}, {seed}, {how}, window={window}{_subset(indices)})"
    return Stream(Reorder(groups, seed), text=text)


def _padded_cuts(lengths: Lengths, tokens: int) -> NDArray[np.int64]:
    """Where to cut lengths that don't decrease, so that no part has more than so many tokens once it is padded."""
    cuts, start, n = [], 0, len(lengths)
    while start < n:
        # Of samples up to one of length l there may be tokens // l: the more, the longer the last is.
        room = np.arange(1, min(n - start, tokens) + 1) * lengths[start : start + tokens]
        start += max(1, int(np.searchsorted(room, tokens, side="right")))
        cuts.append(start)
    return np.array(cuts, np.int64)


def pack(
    lengths: ArrayLike | Ragged,
    capacity: int,
    rng: SeedLike,
    window: int = 10_000,
    indices: ArrayLike | None = None,
    *,
    shard: ShardLike = None,
) -> Stream:
    """Samples packed into rows of `capacity` tokens, each sample whole: a source, of one index block a row.

    `lengths` are the numbers of tokens of all samples, (n,) whole numbers >= 0, or their `Ragged`; `rng` is a
    seed. Samples within windows of a random order, of `window` samples, are packed by best-fit decreasing (Johnson,
    Near-optimal bin packing algorithms, 1973): the longest first, each into the row with the least room that holds it.
    That is done once for a seed; each pass has the rows in an order of its own. So each sample comes once in a pass,
    and the length is known.
    A larger window fills better, and mixes more. Behind it stand `gather(ragged) | fill(capacity)`, and `rebatch(8)` for
    eight rows a batch. With `indices` (1-D) only those samples come.

    With `shard=(rank, world)` ranks take whole rows in turn, as many each: the last round is filled up with empty
    rows. `()` asks the environment. Raises ValueError for a sample of more tokens than `capacity`, TypeError or
    ValueError for what are no lengths and no seed.

    >>> from batchup import ops
    >>> lengths = np.array([5, 3, 4, 2, 1, 1])
    >>> [lengths[block].tolist() for block in pack(lengths, 8, 5)]
    [[5, 3], [4, 2, 1, 1]]
    """
    given, chosen = _lengths(lengths, indices, "pack")
    size = whole_number(capacity, "pack: capacity", least=1)
    seed = as_seed(rng, "pack")
    window = whole_number(window, "pack: window", least=1)
    index, world = as_shard(shard, "pack: ")
    _check_longest(given, chosen, size, "pack: capacity")
    groups = _groups(given, chosen, seed, window, partial(_best_fit, capacity=size))
    text = f"pack({describe(given)}, {size}, {seed}, window={window}{_subset(indices)}"
    text += f", shard=({index}, {world}))" if world > 1 else ")"
    return Stream(Packs(Reorder(groups, seed), index, world), text=text)


def _subset(indices: ArrayLike | None) -> str:
    return "" if indices is None else f", {describe(np.asarray(indices))}"


def _lengths(
    lengths: ArrayLike | Ragged, indices: ArrayLike | None, where: str
) -> tuple[Lengths, NDArray[np.intp]]:
    """The lengths, checked, and the samples that are to come."""
    array = lengths.lengths if isinstance(lengths, Ragged) else np.asarray(lengths)
    wanted = f"{where}: expected lengths, a 1-D array of whole numbers >= 0"
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise TypeError(f"{wanted}; got {describe(lengths)}")
    if array.size and array.min() < 0:
        raise ValueError(f"{wanted}; sample {array.argmin()} has {array.min()}")
    given = array.astype(np.int64)
    if indices is None:
        return given, np.arange(len(given))
    chosen = block_array(as_block(indices, f"{where}: indices"))
    if len(chosen) and chosen.max() >= len(given):
        raise ValueError(f"{where}: indices: expected some below {len(given)}; got {chosen.max()}")
    return given, chosen


def _check_longest(lengths: Lengths, chosen: NDArray[np.intp], most: int, where: str) -> None:
    longer = chosen[lengths[chosen] > most]
    if len(longer):
        raise ValueError(
            f"{where}: expected samples of at most {most} tokens; {len(longer)} have more, sample {longer[0]} has "
            f"{lengths[longer[0]]}. Of a Ragged there are ragged.split({most}), ragged.truncate({most}) and "
            f"ragged.drop({most}): give the lengths of one of these here, and itself to gather"
        )


def _groups(
    lengths: Lengths,
    chosen: NDArray[np.intp],
    seed: Seed,
    window: int,
    grouped: Callable[[Lengths], Grouped],
) -> Groups:
    """The samples in a random order, of each window of which `grouped` makes groups by the lengths."""
    order = frozen_generator(seed, 0, 0, 2).permutation(chosen)
    orders, ends = [np.empty(0, np.intp)], [np.zeros(1, np.int64)]
    for start in range(0, len(order), window):
        own = order[start : start + window]
        within, cuts = grouped(lengths[own])
        orders.append(own[within])
        ends.append(cuts + start)
    return Groups(np.concatenate(orders), np.concatenate(ends))


def _best_fit(lengths: Lengths, capacity: int) -> Grouped:
    """The samples row by row, and where the rows end: best-fit decreasing.

    Rows with as much room as each other are alike, and so are samples of one length: they are dealt with at once, so
    that the time is that of the lengths there are, not of the samples. Which rooms there are is in the bits of a number.
    """
    order = (-lengths).argsort(kind="stable")
    sizes, counts = np.unique(lengths, return_counts=True)
    rows: dict[int, list[int]] = {}  # by the room that they have
    rooms = 0
    row_of: list[int] = []  # of each sample, in that order
    made = 0
    for size, count in zip(sizes[::-1].tolist(), counts[::-1].tolist(), strict=True):
        while count:
            fitting = rooms >> size
            if fitting:
                room = size + (fitting & -fitting).bit_length() - 1
                own = rows[room]
            else:
                room = capacity
                times = capacity // size if size else count
                own = list(range(made, made - (-count // times)))
                made += len(own)
            # The least room that holds one is that of the same row, until it holds no more.
            times = room // size if size else count
            used = min(len(own), -(-count // times))
            full, rest = divmod(count, times) if used * times > count else (used, 0)
            taken = own[len(own) - used :]
            del own[len(own) - used :]
            if fitting and not own:
                rooms ^= 1 << room
            for filled, each in ((taken[:full], times), (taken[full:], rest)):
                if filled:
                    row_of += (
                        filled if each == 1 else [number for number in filled for _ in range(each)]
                    )
                    left = room - size * each
                    rows.setdefault(left, []).extend(filled)
                    rooms |= 1 << left
            count -= full * times + rest
    row = np.array(row_of, np.int64)
    by_row = row.argsort(kind="stable")
    return order[by_row], np.bincount(row, minlength=made).cumsum()


@record
class Groups(Plan):
    """Blocks that are there: parts of one array of indices, block k from `ends[k]` to `ends[k + 1]`."""

    order: NDArray[np.intp]
    ends: NDArray[np.int64]
    kind = Kind.BLOCKS
    again = Again.KEYED
    starts_anywhere = True
    is_view = True

    @property
    def length(self) -> int:
        return len(self.ends) - 1

    @cached_property
    def grid(self) -> Grid:
        return Listed(np.diff(self.ends).tolist(), int(self.order.max(initial=-1)) + 1)

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Block]:
        return (self.order[self.ends[n] : self.ends[n + 1]] for n in range(k, self.length))


@record
class Packs(PlanOver):
    """Rows, of which this rank takes every `world`-th."""

    index: int
    world: int
    kind = Kind.BLOCKS
    same_for_all_ranks = True
    unnamed = ("index",)  # position t is step t of all ranks
    whole = (
        "has the samples of one row in each block, which are no rows any more when they are cut: for a rank's part write "
        "pack(..., shard=(rank, world)), for several rows in a batch rebatch(rows) behind fill(capacity)"
    )

    @property
    def length(self) -> int:
        assert isinstance(self.up.length, int)
        return -(-self.up.length // self.world)

    @property
    def samples(self) -> int | None:
        samples = self.up.samples
        return samples if self.world == 1 and isinstance(samples, int) else None

    @property
    def grid(self) -> Grid | None:
        return self.up.grid if self.world == 1 else None

    @property
    def shards(self) -> tuple[tuple[int, int], ...]:
        return ((self.index, self.world),) if self.world > 1 else ()

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Block]:
        if self.world == 1:
            return self.up.start(pass_, k, draws)
        rows = self.up.start(pass_, k * self.world + self.index, draws)
        return self._in_turn(islice(rows, 0, None, self.world), self.length - k)

    def _in_turn(self, rows: Iterator[Block], count: int) -> Iterator[Block]:
        for _ in range(count):
            yield next(rows, range(0))
