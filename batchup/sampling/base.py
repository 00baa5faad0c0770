"""`AbstractSampler`, which all samplers are, and `OrderSampler`, to derive your own from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchup import ops
from batchup.core.blocks import as_indices, block_array
from batchup.core.checks import read_only, true_or_false
from batchup.core.plan import Kind
from batchup.core.randomness import Seed, ShuffleLike, as_rng, frozen_generator
from batchup.core.record import Count
from batchup.core.sources import Iterated
from batchup.ops.index.chunk import chunked, one_size
from batchup.sampling.counts import counted


class AbstractSampler(ABC):
    """The methods that a sampler must have. A class with these methods can be used in place of ours.

    Its batches come one after another, without checkpoints. For a sampler with checkpoints, derive from `OrderSampler`.

    Examples
    --------
    >>> class EvenFirst(AbstractSampler):
    ...     def __init__(self, n):
    ...         self.order = np.append(np.arange(0, n, 2), np.arange(1, n, 2))
    ...     def num_indices_generated(self):
    ...         return len(self.order)
    ...     def in_order_indices_batch_iterator(self, batch_size):
    ...         return iter(np.split(self.order, range(batch_size, len(self.order), batch_size)))
    ...     def shuffled_indices_batch_iterator(self, batch_size, shuffle_rng):
    ...         return self.in_order_indices_batch_iterator(batch_size)
    >>> from batchup.data_source import ArrayDataSource
    >>> ds = ArrayDataSource([np.arange(5) * 10], sampler=EvenFirst(5))
    >>> [batch.tolist() for (batch,) in ds.batch_iterator(3)]
    [[0, 20, 40], [10, 30]]
    """

    @abstractmethod
    def num_indices_generated(self) -> Count:
        """The number of indices of an epoch.

        Returns
        -------
        int, np.inf or None
            `np.inf` for an endless sampler, None if the number is unknown.
        """

    @abstractmethod
    def in_order_indices_batch_iterator(self, batch_size: int) -> Iterator[NDArray[np.intp]]:
        """The indices of an epoch in order.

        Parameters
        ----------
        batch_size : int
            The number of indices in a batch.

        Yields
        ------
        1-D array of int
            The indices of a batch. The last may be shorter.
        """

    @abstractmethod
    def shuffled_indices_batch_iterator(self, batch_size: int, shuffle_rng: Any) -> Iterator[NDArray[np.intp]]:
        """The indices of an epoch in a random order.

        Parameters
        ----------
        batch_size : int
            The number of indices in a batch.
        shuffle_rng : RandomState or Generator
            What the order is drawn from. Samplers of this library take all that `ops.shuffle` takes.

        Yields
        ------
        1-D array of int
            The indices of a batch. The last may be shorter.
        """

    def map_indices(self, indices: NDArray[np.intp]) -> NDArray[np.intp]:
        """The sample indices at these places of the sampler: the same, unless it is a sampler of a subset.

        Parameters
        ----------
        indices : 1-D array of int
            Places in the subset.

        Returns
        -------
        1-D array of int
            Sample indices.
        """
        return indices

    def stream(self, batch_size: int, shuffle: ShuffleLike = None, drop_last: bool = False) -> ops.Stream:
        """The index blocks of an epoch as a stream.

        Parameters
        ----------
        batch_size : int
            The number of indices in a block.
        shuffle : int, sequence of int, Generator, RandomState, True, None or False
            As for `ops.shuffle`.
        drop_last : bool
            If True, leave out a last block that is shorter.

        Returns
        -------
        ops.Stream
            A stream of index blocks.
        """
        batch_size = one_size(batch_size, "batch_size")
        make = partial(self._index_batches, batch_size, shuffle)
        name = type(self).__name__
        # The arrays may be views of the sampler's own.
        samples = self.num_indices_generated()
        plan = Iterated(make, Kind.BORROWED, samples=samples, numbered=True)
        stream = ops.Stream(plan, text=name)
        stream = counted(replace(stream, plan=stream.index_plan(name)), batch_size)
        return stream | ops.chunk(batch_size, drop_last) if drop_last else stream

    def _index_batches(self, batch_size: int, shuffle: ShuffleLike, pass_: int) -> Iterator[NDArray[np.intp]]:
        rng = as_rng(shuffle, "shuffle")
        if rng is None:
            return self.in_order_indices_batch_iterator(batch_size)
        generator = frozen_generator(rng, pass_) if isinstance(rng, Seed) else rng.source()
        return self.shuffled_indices_batch_iterator(batch_size, generator)


def as_subset(indices: ArrayLike | None, where: str, length: int | None = None) -> NDArray[np.intp] | None:
    """A read-only copy of the indices, or of a mask as indices, that a user passed for a subset; None for all samples."""
    return None if indices is None else read_only(block_array(as_indices(indices, f"{where}: indices", length)))


class OrderSampler(AbstractSampler):
    """A sampler that defines the order of the samples of an epoch, by one method: `order`.

    So it has a length and checkpoints. All samplers of this library derive from it.

    Examples
    --------
    >>> class EvenFirst(OrderSampler):
    ...     def __init__(self, n):
    ...         self.n = n
    ...     def order(self, shuffle=None):
    ...         even, odd = np.arange(0, self.n, 2), np.arange(1, self.n, 2)
    ...         return [even, odd] | ops.shuffle(shuffle)
    >>> from batchup.data_source import ArrayDataSource
    >>> ds = ArrayDataSource([np.arange(5) * 10], sampler=EvenFirst(5))
    >>> len(ds.stream(3)), [batch.tolist() for (batch,) in ds.batch_iterator(3, shuffle=7)]
    (2, [[40, 0, 20], [30, 10]])
    """

    @abstractmethod
    def order(self, shuffle: ShuffleLike = None) -> ArrayLike | ops.Stream:
        """The indices of an epoch, to be defined by derived classes.

        Parameters
        ----------
        shuffle : int, sequence of int, Generator, RandomState, True, None or False
            As for `ops.shuffle`. Pass it on to that stage, so that nothing is drawn here.

        Returns
        -------
        1-D array of int, or ops.Stream
            The indices, or a stream of index blocks.
        """

    def stream(self, batch_size: int, shuffle: ShuffleLike = None, drop_last: bool = False) -> ops.Stream:
        size = one_size(batch_size, "batch_size")
        drop_last = true_or_false(drop_last, "drop_last")
        return chunked(self._order(shuffle), size, drop_last, type(self).__name__)

    def _order(self, shuffle: ShuffleLike) -> ops.Stream:
        order = self.order(shuffle)
        return order if isinstance(order, ops.Stream) else ops.indices(order)

    def num_indices_generated(self) -> Count:
        return self._order(None).num_samples

    def in_order_indices_batch_iterator(self, batch_size: int) -> Iterator[NDArray[np.intp]]:
        return iter(self.stream(batch_size) | ops.map(block_array))

    def shuffled_indices_batch_iterator(self, batch_size: int, shuffle_rng: ShuffleLike) -> Iterator[NDArray[np.intp]]:
        return iter(self.stream(batch_size, shuffle_rng) | ops.map(block_array))


class SubsetOrderSampler(OrderSampler):
    """An `OrderSampler` of the samples `indices`, or of all if they are None."""

    indices: NDArray[np.intp] | None

    def map_indices(self, indices: NDArray[np.intp]) -> NDArray[np.intp]:
        return indices if self.indices is None else self.indices[indices]
