"""Passes over all samples or a subset, in order or shuffled."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchup import ops
from batchup.core.blocks import as_indices, block_array
from batchup.core.checks import describe, read_only, whole_number
from batchup.core.randomness import ShuffleLike, as_rng
from batchup.core.record import Count
from batchup.sampling.base import OrderSampler


def check_repeats(repeats: int, samples: Count, where: str) -> int:
    """`repeats` as an int. Raises ValueError for an endless repetition of no samples."""
    times = whole_number(repeats, f"{where}: repeats", least=1, also=-1)
    if times == -1 and samples == 0:
        raise ValueError(f"{where}: repeats=-1: there are no samples, so it would never give one")
    return times


class EpochSampler(OrderSampler):
    """Passes over index blocks: `indices | shuffle | repeat`."""

    def __init__(self, source: ops.Stream, repeats: int, where: str):
        self.repeats = check_repeats(repeats, source.num_samples, where)
        self._source = source

    def order(self, shuffle: ShuffleLike = None) -> ops.Stream:
        stream = self._source
        if as_rng(shuffle, "shuffle") is not None:
            stream = stream | ops.shuffle(shuffle)
        return stream | ops.repeat(self.repeats) if self.repeats != 1 else stream

    def windows(self, shuffle: ShuffleLike, chunks: int | NDArray[np.intp], window: int) -> ops.Stream:
        """The same passes in windows: `indices | mix(shuffle, chunks, window) | repeat`.

        Parameters
        ----------
        shuffle : int, sequence of int, Generator, RandomState or True
            As for `ops.shuffle`.
        chunks : int or 1-D array of int
            The number of samples in a chunk, or the numbers of all chunks.
        window : int
            The number of chunks in a window.

        Returns
        -------
        ops.Stream
            The windows: index blocks.
        """
        stream = self._source | ops.mix(shuffle, chunks, window)
        return stream | ops.repeat(self.repeats) if self.repeats != 1 else stream


class StandardSampler(EpochSampler):
    """All samples, one or several times: `indices(length) | shuffle | repeat | chunk`.

    Parameters
    ----------
    length : int
        The number of samples.
    repeats : int
        The number of passes in an epoch; -1 for an endless number.

    Raises
    ------
    ValueError
        If `length` is negative, if `repeats` is neither -1 nor at least 1, and for an endless repetition of no samples.

    Examples
    --------
    >>> list(StandardSampler(5, repeats=2).in_order_indices_batch_iterator(4))
    [array([0, 1, 2, 3]), array([4, 0, 1, 2]), array([3, 4])]
    """

    def __init__(self, length: int, repeats: int = 1):
        self.length = whole_number(length, "StandardSampler: length")
        super().__init__(ops.indices(self.length), repeats, "StandardSampler")

    def __repr__(self) -> str:
        return f"StandardSampler({self.length}, repeats={self.repeats})"


class SubsetSampler(EpochSampler):
    """Some of the samples: `indices(array) | shuffle | repeat | chunk`.

    Parameters
    ----------
    indices : 1-D array of int, or mask
        The samples, in this order.
    repeats : int
        The number of passes in an epoch; -1 for an endless number.

    Raises
    ------
    TypeError
        If `indices` is not such an array.
    ValueError
        If indices are negative, and for `repeats` as `StandardSampler`.

    Examples
    --------
    >>> sampler = SubsetSampler([7, 3, 5])
    >>> list(sampler.in_order_indices_batch_iterator(2)), sampler.map_indices(np.array([2, 0]))
    ([array([7, 3]), array([5])], array([5, 7]))
    """

    def __init__(self, indices: ArrayLike, repeats: int = 1):
        block = as_indices(indices, "SubsetSampler: indices")
        self.indices = read_only(block_array(block))
        super().__init__(ops.indices(block), repeats, "SubsetSampler")

    def map_indices(self, indices: NDArray[np.intp]) -> NDArray[np.intp]:
        mapped: NDArray[np.intp] = self.indices[indices]
        return mapped

    def __repr__(self) -> str:
        return f"SubsetSampler({describe(self.indices)}, repeats={self.repeats})"
