"""Samplers: which samples come, in which order. Presets over `batchup.ops`.

A data source has one of these: `StandardSampler` for all samples, `SubsetSampler` for some of them,
the weighted ones for endless draws. Derive your own from `OrderSampler`.
"""

from batchup.sampling.base import AbstractSampler, OrderSampler
from batchup.sampling.counts import num_batches
from batchup.sampling.episodes import EpisodeSampler
from batchup.sampling.epochs import StandardSampler, SubsetSampler
from batchup.sampling.weighted import (
    StratifiedSampler,
    WeightedPermutationSampler,
    WeightedSampler,
    WeightedSubsetSampler,
)

__all__ = [
    "AbstractSampler",
    "EpisodeSampler",
    "OrderSampler",
    "StandardSampler",
    "StratifiedSampler",
    "SubsetSampler",
    "WeightedPermutationSampler",
    "WeightedSampler",
    "WeightedSubsetSampler",
    "num_batches",
]


def __dir__() -> list[str]:
    return __all__
