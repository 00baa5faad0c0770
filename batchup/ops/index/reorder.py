"""A random order of the blocks of a pass: `reorder`."""

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.core.blocks import Block, block_array
from batchup.core.draws import Draw, Draws, Replay
from batchup.core.grid import Even, Grid, GridOver, Total
from batchup.core.plan import Aligned, Kind, PlanOver, located, replay_of
from batchup.core.randomness import Rng, Seed, ShuffleLike, as_rng
from batchup.core.record import record
from batchup.core.stream import Stage, Stream
from batchup.ops.index.permutation import PermutedBlock, place_of, round_keys


def reorder(rng: ShuffleLike) -> Stage:
    """Permute the order of the blocks of a pass. The order within each block stays.

    Any position is reached without computing the blocks before it, if that is true of the blocks themselves. If the
    blocks have different sizes, a `chunk` or `rebatch` behind this stage makes a table of their ends for each pass. The
    blocks of a pass are kept in memory over a generator, over lists of unknown sizes, and if they are cut from a
    shuffled pass.

    Parameters
    ----------
    rng : int, sequence of int, Generator, RandomState, True, None or False
        As for `shuffle`. With a seed each pass has its own order, in constant memory. A generator draws one
        `rng.permutation` a pass. With None the order stays.

    Returns
    -------
    Stage
        Gives the same blocks in another order.

    Raises
    ------
    TypeError
        If the stream before it is not of index blocks, or if their number is unknown or infinite.

    Examples
    --------
    >>> from batchup import ops
    >>> list(ops.indices(10) | ops.chunk(3) | reorder(1))
    [range(3, 6), range(0, 3), range(9, 10), range(6, 9)]
    """
    draws = as_rng(rng, "reorder")
    return Stage(_reorder, draws, text=f"reorder({draws})")


def _reorder(stream: Stream, rng: Rng | None) -> Stream:
    plan = stream.index_plan(f"reorder({rng})")
    if not isinstance(plan.length, int):
        wanted = f"reorder({rng}): expected a known number of blocks in a pass"
        many = "is endless: put repeat behind reorder" if plan.length == math.inf else "has an unknown number"
        raise TypeError(f"{wanted}; {stream!r} {many}")
    return replace(stream, plan=plan if rng is None else Reorder(plan, rng))


@record
class Reorder(Aligned, PlanOver):
    """The plan of `reorder`."""

    tag = "reorder"

    rng: Rng
    kind = Kind.BLOCKS

    @property
    def length(self) -> int:
        length = self.up.length
        assert isinstance(length, int)
        return length

    @property
    def starts_anywhere(self) -> bool:
        return self.up.starts_anywhere and isinstance(self.rng, Seed)

    @cached_property
    def grid(self) -> Grid | None:  # cached, as it keeps what it has computed for a pass
        of, n = self.up.grid, self.length
        if of is None or not n or not of.located:
            return of
        if of.size is not None and of.samples == n * of.size:
            return Even(of.samples, of.size, of.bound)
        return Reordered(of, n, self.rng) if isinstance(self.rng, Seed) else Total(of.samples, of.bound)

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Block]:
        drawn = None if isinstance(self.rng, Seed) else draws.begin(self, pass_, 0)
        if replay_of(self.up) is Replay.KEYED and located(self.up) is not None and self.up.starts_anywhere:
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

    def _of_kept(self, blocks: Iterator[Block], pass_: int, k: int, drawn: Draw | None) -> Iterator[Block]:
        order = list(self._order(pass_, k, drawn))
        kept = [block if isinstance(block, range) else np.array(block_array(block)) for block in blocks]
        for n in order:
            yield kept[n]


def order_of(seed: Seed, pass_: int, n: int) -> PermutedBlock:
    """The order of the n blocks of a pass."""
    return PermutedBlock(range(n), _keys(seed, pass_))


def _keys(seed: Seed, pass_: int) -> NDArray[np.uint64]:
    return round_keys(seed, pass_, 0, 1)


@record
class Reordered(GridOver):
    """The grid of the blocks of `reorder`."""

    n: int
    seed: Seed
    varies = True

    def before(self, pass_: int, k: int) -> int:
        k = min(k, self.n)
        if self.of.size is None:
            return int(self._of_pass(pass_)[k])
        return k * self.of.size - int(self._of_pass(pass_) < k) * self._missing

    def seek(self, pass_: int, offset: int) -> tuple[int, int]:
        if self.of.size is None:
            ends = self._of_pass(pass_)
            k = int(np.searchsorted(ends, offset, side="right")) - 1
            return k, offset - int(ends[k])
        short, size = self._of_pass(pass_), self.of.size
        if offset >= (short + 1) * size - self._missing:
            offset += self._missing
        return divmod(offset, size)

    @property
    def _missing(self) -> int:
        """The number of samples that the last block lacks."""
        assert self.of.size is not None
        return int(self.n * self.of.size - self.of.samples)

    def _of_pass(self, pass_: int) -> Any:
        """Where the blocks end; for blocks of one size, the position of the one that was last, which may be shorter.

        The value for the pass that was asked for last is kept.
        """
        kept = self.__dict__.get("_kept")
        if kept is None or kept[0] != pass_:
            kept = pass_, self._ends(pass_) if self.of.size is None else self._short_at(pass_)
            object.__setattr__(self, "_kept", kept)
        return kept[1]

    def _short_at(self, pass_: int) -> int:
        return place_of(self.n - 1, self.n, _keys(self.seed, pass_))

    def _ends(self, pass_: int) -> NDArray[np.int64]:
        ends = np.array([self.of.before(pass_, k) for k in range(self.n + 1)], np.int64)
        order = order_of(self.seed, pass_, self.n)[:]
        return np.concatenate([[0], np.diff(ends)[order].cumsum()])
