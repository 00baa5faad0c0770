"""A random order in constant memory: `permute`."""

from collections.abc import Iterator
from dataclasses import replace

from batchup.core.draws import Draws
from batchup.core.plan import SameSamples
from batchup.core.randomness import Seed, SeedLike, as_seed
from batchup.core.record import record
from batchup.core.stream import Stage, Stream
from batchup.ops.index.permutation import PermutedBlock, round_keys


def permute(seed: SeedLike) -> Stage:
    """Permute the indices within each block, as `shuffle(seed)` does, but in constant memory.

    Use it for data sets that are too large for an array of their indices. The order is computed only for the places
    that are asked for, about 5 us for a batch of 64. It differs from the order of `shuffle` with the same seed. Put
    `chunk` behind this stage: without it, the whole order is one array.

    The method is a generalized Feistel cipher with cycle walking (Black and Rogaway, Ciphers with Arbitrary Finite
    Domains, CT-RSA 2002).

    Parameters
    ----------
    seed : int or sequence of int
        A seed, as for `shuffle`.

    Returns
    -------
    Stage
        Gives a permutation of each block. Each block of each pass has its own order.

    Raises
    ------
    TypeError
        If `seed` is not a seed, or the stream before it is not of index blocks.
    ValueError
        If a block has more than 2**62 samples.

    Examples
    --------
    >>> from batchup import ops
    >>> batches = ops.indices(10**12) | permute(7) | ops.chunk(3)
    >>> batches[10**9]
    array([598598971947, 617153977320, 561580682928])
    """
    key = as_seed(seed, "permute(seed)")
    return Stage(_permute, key, text=f"permute({key})")


def _permute(stream: Stream, seed: Seed) -> Stream:
    return replace(stream, plan=Permute(stream.index_plan("permute"), seed))


@record
class Permute(SameSamples):
    """The plan of `permute`."""

    tag = "permute"

    rng: Seed

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[PermutedBlock]:
        blocks = enumerate(self.up.start(pass_, k, draws), k)
        return (PermutedBlock(block, round_keys(self.rng, pass_, n)) for n, block in blocks)
