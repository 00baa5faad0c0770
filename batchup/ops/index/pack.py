"""Samples that fill a row of tokens together: `pack`."""

from collections.abc import Iterator
from functools import partial
from itertools import islice

import numpy as np
from numpy.typing import ArrayLike

from batchup.core.blocks import Block
from batchup.core.checks import call_text, describe, whole_number
from batchup.core.draws import Draws
from batchup.core.grid import Grid
from batchup.core.plan import Kind, Part, PlanOver
from batchup.core.randomness import SeedLike, as_seed
from batchup.core.record import record, unnamed
from batchup.core.stream import Stream
from batchup.ops.index.groups import Grouped, Lengths, as_lengths, check_longest, grouped, shown_indices
from batchup.ops.index.reorder import Reorder
from batchup.ops.index.shard import ShardLike, as_shard, shown_shard
from batchup.ragged import Ragged


def pack(
    lengths: ArrayLike | Ragged,
    capacity: int,
    rng: SeedLike,
    window: int = 10_000,
    indices: ArrayLike | None = None,
    *,
    shard: ShardLike = None,
) -> Stream:
    """Pack whole samples into rows of `capacity` tokens, so that rows have almost no padding.

    A random order of the samples is cut into windows of `window` samples. Each window is packed by best-fit decreasing
    (Johnson, Near-optimal bin packing algorithms, 1973): the longest sample comes first, and each goes into the fullest
    row that still has room for it. That happens once for a seed; each pass has the same rows in another order. So each
    sample comes once in a pass, and the number of rows is known. Put `gather(ragged) | fill(capacity)` behind this
    source, then `rebatch(8)` for batches of eight rows.

    Parameters
    ----------
    lengths : (n,) array of int, or Ragged
        The number of tokens of each sample, >= 0, or the samples themselves.
    capacity : int
        The number of tokens in a row.
    rng : int or sequence of int
        A seed.
    window : int
        The number of samples that are packed together. A larger window fills the rows better and mixes more.
    indices : 1-D array of int, mask, or None
        If given, only these samples come.
    shard : (rank, world), () or None
        If given, the ranks take whole rows in turn. All take as many: the last round is filled up with empty rows. `()`
        takes rank and world size from the environment, as `ops.shard` does.

    Returns
    -------
    Stream
        Index blocks: the samples of a row each.

    Raises
    ------
    TypeError
        If lengths or the seed are of another type.
    ValueError
        If lengths are negative, or if a sample has more than `capacity` tokens.

    Examples
    --------
    >>> from batchup import ops
    >>> lengths = np.array([5, 3, 4, 2, 1, 1])
    >>> [lengths[block].tolist() for block in pack(lengths, 8, 5)]
    [[5, 3], [4, 2, 1, 1]]
    """
    checked, chosen = as_lengths(lengths, indices, "pack")
    size = whole_number(capacity, "pack: capacity", least=1)
    seed = as_seed(rng, "pack")
    window = whole_number(window, "pack: window", least=1)
    index, world = as_shard(shard, "pack: ")
    check_longest(checked, chosen, size, "pack: capacity")
    groups = grouped(checked, chosen, seed, window, partial(_best_fit, capacity=size))
    options = {"window": window, "indices": shown_indices(indices), "shard": shown_shard(index, world)}
    text = call_text("pack", describe(checked), size, seed, **options)
    return Stream(Packs(Reorder(groups, seed), index, world), text=text)


def _best_fit(lengths: Lengths, capacity: int) -> Grouped:
    """The samples row by row, and the ends of the rows: best-fit decreasing.

    Rows with the same room are alike, and so are samples of the same length. They are dealt with at once, so the time
    grows with the number of different lengths, not of samples. The bits of the number `rooms` say which rooms there
    are.
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
                    row_of += filled if each == 1 else [number for number in filled for _ in range(each)]
                    left = room - size * each
                    rows.setdefault(left, []).extend(filled)
                    rooms |= 1 << left
            count -= full * times + rest
    row = np.array(row_of, np.int64)
    by_row = row.argsort(kind="stable")
    return order[by_row], np.bincount(row, minlength=made).cumsum()


@record
class Packs(PlanOver):
    """Rows of samples; this rank takes every `world`-th."""

    tag = "pack"

    index: int = unnamed()  # position t is step t of all ranks
    world: int
    kind = Kind.BLOCKS

    @property
    def length(self) -> int:
        assert isinstance(self.up.length, int)
        return -(-self.up.length // self.world)

    @property
    def grid(self) -> Grid | None:
        return self.up.grid if self.world == 1 else None

    @property
    def shards(self) -> tuple[Part, ...]:
        return (Part(self.index, self.world),) if self.world > 1 else ()

    def refusal(self, stage: str) -> str:
        if stage != "cut":
            return ""
        return (
            "has the samples of one row in each block, so its blocks can't be cut or joined: for one rank's part write "
            "pack(..., shard=(rank, world)), for several rows in a batch rebatch(rows) behind fill(capacity)"
        )

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Block]:
        if self.world == 1:
            return self.up.start(pass_, k, draws)
        rows = self.up.start(pass_, k * self.world + self.index, draws)
        return self._in_turn(islice(rows, 0, None, self.world), self.length - k)

    def _in_turn(self, rows: Iterator[Block], count: int) -> Iterator[Block]:
        for _ in range(count):
            yield next(rows, range(0))
