"""A random order in constant memory: `permute`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from batchup.core.plan import Draws
from batchup.core.randomness import Seed, SeedLike, as_seed
from batchup.core.record import record
from batchup.core.stream import Stage, Stream
from batchup.ops.index.permutation import PermutedBlock, round_keys
from batchup.ops.index.shuffle import SameBlocks


def permute(seed: SeedLike) -> Stage:
    """Permute within each index block as `shuffle(seed)` does, but in constant memory.

    For sets too large for an array of their indices: an order is computed for the places that are asked
    for alone, at some 60 us a batch of 64. Each block, and each pass, has an order of its own; they
    are others than those of `shuffle`. The blocks have at most 2**62 samples; `chunk` should come
    next, as by itself the whole order is written out. Raises TypeError for what is no seed.

    A generalized Feistel cipher with cycle walking (Black and Rogaway, CT-RSA 2002); see `ops.index.permutation`.

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
class Permute(SameBlocks):
    seed: Seed

    @property
    def is_view(self) -> bool:
        return self.up.is_view

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[PermutedBlock]:
        blocks = enumerate(self.up.start(pass_, k, draws), k)
        return (PermutedBlock(block, round_keys(self.seed, pass_, n)) for n, block in blocks)
