"""Batches of a few classes with a few samples of each."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from batchup import ops
from batchup.core.checks import describe, plain_array, read_only, true_or_false
from batchup.core.randomness import ShuffleLike
from batchup.ops.index.chunk import one_size
from batchup.ops.index.episodes import Smallest, episodic
from batchup.sampling.base import SubsetOrderSampler, as_subset
from batchup.sampling.weighted import drawn


class EpisodeSampler(SubsetOrderSampler):
    """Endless batches of `classes` classes with `samples` samples of each: `episodes(y, classes, samples, rng)`.

    The batch size is `classes * samples`.

    Parameters
    ----------
    y : (n,) array of int or str
        The label of each sample.
    classes : int
        The number of classes in a batch.
    samples : int
        The number of samples of each class; for N-way K-shot episodes that of support and query samples together.
    smallest : {"raise", "skip"}
        What to do with a class of fewer than `samples` samples: raise an error, or leave it out.
    indices : 1-D array of int, mask, or None
        The subset to take; `y` has the labels of all samples.

    Raises
    ------
    TypeError, ValueError
        For invalid labels and numbers, as `ops.episodes`; while batches are asked for, for another batch size.

    Examples
    --------
    >>> from batchup.data_source import ArrayDataSource
    >>> X, y = np.arange(8) * 10, np.array([0, 1, 2, 0, 1, 2, 0, 1])
    >>> ds = ArrayDataSource([X, y], sampler=EpisodeSampler(y, classes=2, samples=2))
    >>> [batch_y.tolist() for batch_X, batch_y in ds.loader(4, shuffle=7, steps=3)]
    [[0, 0, 2, 2], [1, 1, 2, 2], [0, 0, 2, 2]]
    """

    def __init__(
        self, y: ArrayLike, classes: int, samples: int, smallest: Smallest = "raise", indices: ArrayLike | None = None
    ):
        self.y = read_only(plain_array(y, "EpisodeSampler: y"))
        self.classes, self.samples, self.smallest = classes, samples, smallest
        self.indices = as_subset(indices, "EpisodeSampler", len(self.y))
        self.order(0)  # checks that all goes together

    def num_indices_generated(self) -> float:
        return np.inf

    def order(self, shuffle: ShuffleLike = None) -> ops.Stream:
        rng = drawn(shuffle, self)
        return episodic(self.y, self.classes, self.samples, rng, self.smallest, self.indices, "EpisodeSampler")

    def stream(self, batch_size: int, shuffle: ShuffleLike = None, drop_last: bool = False) -> ops.Stream:
        size = one_size(batch_size, "batch_size")
        true_or_false(drop_last, "drop_last")
        if size != self.classes * self.samples:
            raise ValueError(
                f"EpisodeSampler: expected batch_size={self.classes * self.samples}, {self.classes} classes of "
                f"{self.samples} samples; got {size}"
            )
        return self.order(shuffle)

    def __repr__(self) -> str:
        return f"EpisodeSampler({describe(self.y)}, classes={self.classes}, samples={self.samples})"
