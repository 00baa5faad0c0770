"""A random order within each index block: `shuffle`."""

import builtins
from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import numpy as np
from numpy.typing import NDArray

from batchup.core.draws import Draws
from batchup.core.plan import Kind, SameSamples
from batchup.core.randomness import Rng, ShuffleLike, as_rng
from batchup.core.record import record
from batchup.core.stream import Stage, Stream


def shuffle(rng: ShuffleLike) -> Stage:
    """Permute the indices within each block. Each block of each pass has its own order.

    Parameters
    ----------
    rng : int, sequence of int, Generator, RandomState, True, None or False
        One of three kinds:

        * A **seed**, an int >= 0 or a sequence of them. The order of block k of pass p depends on (seed, p, k) alone;
          it comes from `np.random.SeedSequence`. `5`, `(5,)` and `[5]` are the same seed; `(5, 0)` is another one.
        * A **generator**, a `Generator` or `RandomState`, or True for NumPy's global one. It draws one
          `rng.permutation` for each block, when the block is first needed. So the batches are those of a plain NumPy
          loop with a generator of the same seed, and the next epoch has a new order.
        * None or False: the order stays.

    Returns
    -------
    Stage
        Gives a permutation of each block.

    Raises
    ------
    TypeError
        If `rng` is of another type.
    ValueError
        If a seed is negative.

    Examples
    --------
    >>> from batchup import ops
    >>> list(ops.indices(5) | shuffle(7))
    [array([3, 2, 1, 4, 0])]
    >>> windowed = ops.indices(8) | ops.chunk(4) | shuffle(np.random.RandomState(1))
    >>> list(windowed)
    [array([3, 2, 0, 1]), array([4, 6, 5, 7])]
    """
    draws = as_rng(rng, "shuffle")
    return Stage(_shuffle, draws, text=f"shuffle({draws})")


def _shuffle(stream: Stream, rng: Rng | None) -> Stream:
    plan = stream.index_plan("shuffle")
    return replace(stream, plan=plan if rng is None else Shuffle(plan, rng))


@record
class Shuffle(SameSamples):
    """The plan of `shuffle`."""

    tag = "shuffle"

    rng: Rng
    kind = Kind.BLOCKS

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[NDArray[np.intp]]:
        permutation = draws.begin(self, pass_, k).permutation
        return builtins.map(permutation, count(k), self.up.start(pass_, k, draws))
