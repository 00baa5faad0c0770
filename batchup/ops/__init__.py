"""Sources, and stages that turn one stream into another.

>>> import numpy as np
>>> from batchup import ops
>>> X, y = np.arange(12.0).reshape(6, 2), np.arange(6)
>>> batches = ops.indices(6) | ops.shuffle(12345) | ops.repeat(2) | ops.chunk(4) | ops.gather(X, y)
>>> [batch_y for batch_X, batch_y in batches]
[array([1, 5, 2, 3]), array([0, 4, 0, 1]), array([5, 2, 3, 4])]
"""

import sys
from typing import TYPE_CHECKING, Any

from batchup.core.hints import STAGE_HINTS, no_attribute
from batchup.core.iteration import StreamIterator
from batchup.core.stream import Stage, Stream
from batchup.ops.batch.fill import fill
from batchup.ops.batch.filter import filter
from batchup.ops.batch.map import map
from batchup.ops.batch.map_samples import map_samples
from batchup.ops.batch.pad import pad
from batchup.ops.batch.rebatch import rebatch
from batchup.ops.batch.to_jax import to_jax
from batchup.ops.batch.to_torch import to_torch
from batchup.ops.choose import choose
from batchup.ops.index.blend import blend
from batchup.ops.index.bucket import bucket
from batchup.ops.index.chunk import chunk
from batchup.ops.index.episodes import episodes
from batchup.ops.index.indices import indices
from batchup.ops.index.merge import merge
from batchup.ops.index.mix import mix
from batchup.ops.index.pack import pack
from batchup.ops.index.permute import permute
from batchup.ops.index.reorder import reorder
from batchup.ops.index.repeat import repeat
from batchup.ops.index.sample import sample
from batchup.ops.index.shard import shard
from batchup.ops.index.shuffle import shuffle
from batchup.ops.index.skip import skip
from batchup.ops.index.stratify import stratify
from batchup.ops.index.take import take
from batchup.ops.index.where import where
from batchup.ops.parallel import parallel
from batchup.ops.read.concat import concat
from batchup.ops.read.gather import gather
from batchup.ops.read.samples import samples
from batchup.ops.read.table import table
from batchup.ops.read.windows import windows
from batchup.ops.survey import Survey, survey
from batchup.ops.zip import zip
from batchup.ragged import Ragged

__all__ = [
    "Ragged",  # samples of different lengths in one flat array
    "Stage",  # a pure function from stream to stream
    "Stream",  # a plan, and the work for its items
    "StreamIterator",  # an iterator over a stream, with checkpoints
    "Survey",  # what survey found
    "blend",  # a source: mixtures of data sets, sample by sample
    "bucket",  # a source: batches of samples of like lengths
    "choose",  # one item of one of several streams at a time
    "chunk",  # cut blocks anew, across the seams
    "concat",  # several arrays, one after another, for gather
    "episodes",  # a source: batches of a few classes with a few samples of each
    "fill",  # packed samples as a row of tokens
    "filter",  # keep the batches, or samples, that a function selects
    "gather",  # read the samples of a block
    "indices",  # a source: the indices 0..n-1, or a subset, as one block
    "map",  # call a function with each item
    "map_samples",  # call a function with each sample of a batch
    "merge",  # join whole blocks
    "mix",  # shuffle data in chunks, each read once a pass
    "pack",  # a source: samples that fill a row together
    "pad",  # samples of different lengths as arrays
    "parallel",  # let a pool do the work, some items ahead
    "permute",  # like shuffle, in constant memory
    "rebatch",  # cut batches anew, behind the work
    "reorder",  # permute the order of the blocks
    "repeat",  # several passes, or endless ones
    "sample",  # a source: weighted draws
    "samples",  # read the samples of a block one by one, and put them together
    "shard",  # one part of every block, for data-parallel training
    "shuffle",  # permute within each block
    "skip",  # start at an item further on
    "stratify",  # a source: batches with given shares of each class
    "survey",  # how well a stream mixes labels, and what it reads, before anything is read
    "table",  # the rows of a table or of files, for gather
    "take",  # end after a number of items
    "to_jax",  # arrays as JAX arrays
    "to_torch",  # arrays as PyTorch tensors, without a copy
    "where",  # keep the indices that a mask selects
    "windows",  # sliding windows over signals, for gather
    "zip",  # one item of each of several streams
]


if not TYPE_CHECKING:  # a type checker would accept any name

    def __getattr__(name: str) -> Any:
        raise no_attribute(sys.modules[__name__], f"module {__name__!r}", name, STAGE_HINTS)


def __dir__() -> list[str]:
    return __all__
