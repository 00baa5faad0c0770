"""Samplers: which samples come, in which order. Presets over `batchup.ops`.

A data source has one of these: `StandardSampler` for all samples, `SubsetSampler` for some of them,
the weighted ones for endless draws. Derive your own from `OrderSampler`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchup import ops
from batchup.core.checks import as_block, as_labels, block_array, describe, whole_number
from batchup.core.given import Counted, Iterated
from batchup.core.plan import Kind
from batchup.core.randomness import Seed, ShuffleLike, as_rng, frozen_generator
from batchup.core.record import Count
from batchup.ops.draws import cumulative_weights

__all__ = [
    "AbstractSampler",
    "OrderSampler",
    "StandardSampler",
    "StratifiedSampler",
    "SubsetSampler",
    "WeightedPermutationSampler",
    "WeightedSampler",
    "WeightedSubsetSampler",
    "num_batches",
]


def num_batches(n: Count, batch_size: int) -> Count:
    """How many batches of `batch_size` n samples make, the last perhaps short; inf and None stay.

    >>> num_batches(10, 4), num_batches(np.inf, 4), num_batches(None, 4)
    (3, inf, None)
    """
    batch_size = whole_number(batch_size, "num_batches: batch_size", least=1)
    if n is None or n == np.inf:
        return n
    return -(-whole_number(n, "num_batches: n") // batch_size)


class AbstractSampler(ABC):
    """What a sampler must have; a class with these methods works wherever ours do.

    Its batches come one after another, and can't be gone on with: for a sampler with checkpoints derive
    from `OrderSampler`.

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
        """How many indices an epoch has: an int, `np.inf`, or None where that is not known."""

    @abstractmethod
    def in_order_indices_batch_iterator(self, batch_size: int) -> Iterator[NDArray[np.intp]]:
        """Integer arrays of `batch_size` indices, the last perhaps shorter, in order."""

    @abstractmethod
    def shuffled_indices_batch_iterator(
        self, batch_size: int, shuffle_rng: Any
    ) -> Iterator[NDArray[np.intp]]:
        """The same in an order drawn from `shuffle_rng`, a RandomState or Generator."""

    def map_indices(self, indices: NDArray[np.intp]) -> NDArray[np.intp]:
        """The sample indices at these places of the sampler; the same, unless it is of a subset."""
        return indices

    def stream(self, batch_size: int, shuffle: ShuffleLike = None) -> ops.Stream:
        """The index blocks of an epoch as a stream; `shuffle` is as for `ops.shuffle`."""
        batch_size = whole_number(batch_size, "batch_size", least=1)
        make = partial(self._index_batches, batch_size, shuffle)
        name = type(self).__name__
        # The arrays may be views on the sampler's own.
        samples = self.num_indices_generated()
        stream = ops.Stream(Iterated(make, Kind.BORROWED, samples=samples), text=name)
        plan = stream.index_plan(name)
        batches = num_batches(samples, batch_size)
        return replace(stream, plan=Counted(plan, batches) if isinstance(batches, int) else plan)

    def _index_batches(self, batch_size: int, shuffle: ShuffleLike) -> Iterator[NDArray[np.intp]]:
        rng = as_rng(shuffle, "shuffle")
        if rng is None:
            return self.in_order_indices_batch_iterator(batch_size)
        generator = frozen_generator(rng) if isinstance(rng, Seed) else rng.source()
        return self.shuffled_indices_batch_iterator(batch_size, generator)


class OrderSampler(AbstractSampler):
    """A sampler that says in which order the samples of an epoch come: only `order` is to write.

    So it has a length and checkpoints, as ours have, which are presets of it.

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
        """The indices of an epoch: a 1-D integer array, or a stream of index blocks.

        `shuffle` is as for `ops.shuffle`, which is what to give it to, so that nothing is drawn here.
        """

    def stream(self, batch_size: int, shuffle: ShuffleLike = None) -> ops.Stream:
        size = whole_number(batch_size, "batch_size", least=1)
        return self._order(shuffle) | ops.chunk(size)

    def _order(self, shuffle: ShuffleLike) -> ops.Stream:
        order = self.order(shuffle)
        return order if isinstance(order, ops.Stream) else ops.indices(order)

    def num_indices_generated(self) -> Count:
        return self._order(None).num_samples

    def in_order_indices_batch_iterator(self, batch_size: int) -> Iterator[NDArray[np.intp]]:
        return iter(self.stream(batch_size) | ops.map(block_array))

    def shuffled_indices_batch_iterator(
        self, batch_size: int, shuffle_rng: ShuffleLike
    ) -> Iterator[NDArray[np.intp]]:
        """The same in an order drawn from `shuffle_rng`, which is as for `ops.shuffle`."""
        return iter(self.stream(batch_size, shuffle_rng) | ops.map(block_array))


class _EpochSampler(OrderSampler):
    """Passes over index blocks: `indices | shuffle | repeat`."""

    def __init__(self, source: ops.Stream, repeats: int, where: str):
        self.repeats = whole_number(repeats, f"{where}: repeats", least=1, also=-1)
        self._source = source
        self.order()  # checks that there is one

    def order(self, shuffle: ShuffleLike = None) -> ops.Stream:
        stream = self._source
        if as_rng(shuffle, "shuffle") is not None:
            stream = stream | ops.shuffle(shuffle)
        return stream | ops.repeat(self.repeats) if self.repeats != 1 else stream


class StandardSampler(_EpochSampler):
    """All samples, `repeats` times (-1 for ever): `indices(length) | shuffle | repeat | chunk`.

    Raises ValueError for a negative length, for repeats that are neither -1 nor >= 1, and for the
    endless repetition of no samples.

    >>> list(StandardSampler(5, repeats=2).in_order_indices_batch_iterator(4))
    [array([0, 1, 2, 3]), array([4, 0, 1, 2]), array([3, 4])]
    """

    def __init__(self, length: int, repeats: int = 1):
        self.length = whole_number(length, "StandardSampler: length")
        super().__init__(ops.indices(self.length), repeats, "StandardSampler")

    def __repr__(self) -> str:
        return f"StandardSampler({self.length}, repeats={self.repeats})"


class SubsetSampler(_EpochSampler):
    """The samples `indices`, a 1-D integer array: `indices(array) | shuffle | repeat | chunk`.

    >>> sampler = SubsetSampler([7, 3, 5])
    >>> list(sampler.in_order_indices_batch_iterator(2)), sampler.map_indices(np.array([2, 0]))
    ([array([7, 3]), array([5])], array([5, 7]))
    """

    def __init__(self, indices: ArrayLike, repeats: int = 1):
        block = as_block(indices, "SubsetSampler: indices")
        self.indices = block_array(block)
        super().__init__(ops.indices(block), repeats, "SubsetSampler")

    def map_indices(self, indices: NDArray[np.intp]) -> NDArray[np.intp]:
        """The sample indices at these places of the subset."""
        mapped: NDArray[np.intp] = self.indices[indices]
        return mapped

    def __repr__(self) -> str:
        return f"SubsetSampler({describe(self.indices)}, repeats={self.repeats})"


class WeightedPermutationSampler(OrderSampler):
    """Passes over all samples in weighted random orders: likely ones come early, each comes once.

    `sample(weights, rng, indices, replace=False) | repeat(repeats) | chunk`. `weights` is (n,) numbers
    >= 0; `indices`, (n,) integers, the samples that they are of, by default 0 to n-1.

    >>> sampler = WeightedPermutationSampler([1.0, 1.0, 1000.0, 1.0])
    >>> next(sampler.shuffled_indices_batch_iterator(4, 5))
    array([2, 1, 3, 0])
    """

    def __init__(self, weights: ArrayLike, indices: ArrayLike | None = None, repeats: int = 1):
        self.repeats = whole_number(repeats, "WeightedPermutationSampler: repeats", least=1, also=-1)
        self.weights = np.array(weights, dtype=np.float64)
        self.indices = None if indices is None else np.array(indices)
        self._num_indices = self.order(0).num_samples  # checks them, too

    def order(self, shuffle: ShuffleLike = None) -> ops.Stream:
        rng = _drawn(shuffle, self)
        return ops.sample(self.weights, rng, self.indices, replace=False) | ops.repeat(self.repeats)

    def num_indices_generated(self) -> Count:
        return self._num_indices

    def map_indices(self, indices: NDArray[np.intp]) -> NDArray[np.intp]:
        """The sample indices at these places."""
        return indices if self.indices is None else self.indices[indices]

    def __repr__(self) -> str:
        return f"WeightedPermutationSampler({describe(self.weights)}, repeats={self.repeats})"


class StratifiedSampler(OrderSampler):
    """Endless batches with the same, or the given, shares of each class: `stratify(y, rng) | chunk`.

    `y` is (n,) labels from 0, `proportions` (classes,) numbers >= 0; see `ops.stratify`.

    >>> y = np.array([0, 0, 0, 0, 1, 2])
    >>> sampler = StratifiedSampler(y)
    >>> np.bincount(y[next(sampler.shuffled_indices_batch_iterator(6, 5))])
    array([2, 2, 2])
    """

    def __init__(self, y: ArrayLike, proportions: ArrayLike | None = None):
        self.y = as_labels(y, "StratifiedSampler: y")
        self.proportions = None if proportions is None else np.array(proportions)
        ops.stratify(self.y, 0, self.proportions)  # checks them

    def num_indices_generated(self) -> float:
        return np.inf

    def order(self, shuffle: ShuffleLike = None) -> ops.Stream:
        return ops.stratify(self.y, _drawn(shuffle, self), self.proportions)

    def __repr__(self) -> str:
        return f"StratifiedSampler({describe(self.y)})"


def _drawn(shuffle: ShuffleLike, sampler: AbstractSampler) -> ShuffleLike:
    """`shuffle`, for what has no order without it."""
    if as_rng(shuffle, "shuffle") is None:
        raise NotImplementedError(
            f"{sampler!r} draws at random and has no order; give shuffle= a seed or a generator"
        )
    return shuffle


class _EndlessSampler(OrderSampler):
    """Weighted draws: `sample(weights, rng, indices) | chunk`."""

    def __init__(self, weights: ArrayLike, indices: NDArray[np.intp] | None, where: str):
        cumulative_weights(weights, where)  # checks them
        self._weights = np.array(weights, dtype=np.float64)
        self._indices = indices

    def num_indices_generated(self) -> float:
        return np.inf

    def order(self, shuffle: ShuffleLike = None) -> ops.Stream:
        return ops.sample(self._weights, _drawn(shuffle, self), self._indices)

    def in_order_indices_batch_iterator(self, batch_size: int) -> Iterator[NDArray[np.intp]]:
        """Raises NotImplementedError: weighted draws have no order."""
        return super().in_order_indices_batch_iterator(batch_size)


class WeightedSampler(_EndlessSampler):
    """Endless draws of sample i with probability weights[i] / sum: `sample(weights, rng) | chunk`.

    With replacement; from a RandomState, bit for bit its `choice(n, batch_size, p=weights)`.
    Raises ValueError for weights that are negative, NaN or sum to 0.

    >>> sampler = WeightedSampler([0.0, 2.0, 0.0, 2.0])
    >>> next(sampler.shuffled_indices_batch_iterator(5, np.random.RandomState(1)))
    array([1, 3, 1, 1, 1])
    """

    def __init__(self, weights: ArrayLike):
        super().__init__(weights, None, "WeightedSampler")
        self.weights = self._weights

    @staticmethod
    def class_balancing_sample_weights(
        y: ArrayLike, n_classes: int | None = None
    ) -> NDArray[np.float64]:
        """Weights for samples of the classes `y`, (n,) integers from 0: all classes weigh the same.

        They are float64 and sum to 1; a class without samples weighs nothing. `n_classes` is
        `max(y) + 1` by default. Raises ValueError for a label outside 0 to n_classes-1.

        >>> WeightedSampler.class_balancing_sample_weights([0, 0, 2, 2, 2, 2])
        array([0.25 , 0.25 , 0.125, 0.125, 0.125, 0.125])
        """
        labels = as_labels(y, "class_balancing_sample_weights: y")
        if not len(labels):
            raise ValueError("class_balancing_sample_weights: expected labels; got none")
        if n_classes is not None:
            n_classes = whole_number(n_classes, "class_balancing_sample_weights: n_classes", least=1)
            if labels.max() >= n_classes:
                raise ValueError(
                    f"class_balancing_sample_weights: expected labels below n_classes = {n_classes}; "
                    f"sample {labels.argmax()} has label {labels.max()}"
                )
        classes, of_sample, counts = np.unique(labels, return_inverse=True, return_counts=True)
        each: NDArray[np.float64] = 1.0 / (len(classes) * counts[of_sample])
        return each

    @classmethod
    def class_balancing_sampler(cls, y: ArrayLike, n_classes: int | None = None) -> WeightedSampler:
        """A sampler that draws all classes of `y`, (n,) integers, equally often."""
        return cls(cls.class_balancing_sample_weights(y, n_classes))

    def __repr__(self) -> str:
        return f"WeightedSampler({describe(self.weights)})"


class WeightedSubsetSampler(_EndlessSampler):
    """Endless draws of the samples `indices` by their `sub_weights`, one for each of them.

    >>> sampler = WeightedSubsetSampler([3.0, 1.0], indices=[10, 20])
    >>> next(sampler.shuffled_indices_batch_iterator(5, np.random.RandomState(1)))
    array([10, 10, 10, 10, 10])
    """

    def __init__(self, sub_weights: ArrayLike, indices: ArrayLike):
        self.indices = np.array(as_block(indices, "WeightedSubsetSampler: indices"), dtype=np.intp)
        super().__init__(sub_weights, self.indices, "WeightedSubsetSampler")
        ops.sample(self._weights, 0, self.indices)  # checks that they go together
        self.sub_weights = self._weights

    def map_indices(self, indices: NDArray[np.intp]) -> NDArray[np.intp]:
        """The sample indices at these places of the subset."""
        mapped: NDArray[np.intp] = self.indices[indices]
        return mapped

    @classmethod
    def class_balancing_sampler(
        cls, y: ArrayLike, indices: ArrayLike, n_classes: int | None = None
    ) -> WeightedSubsetSampler:
        """A sampler that draws all classes equally often from the samples `indices`.

        `y` has the labels of all samples, (n,) integers.
        """
        subset = block_array(as_block(indices, "class_balancing_sampler: indices"))
        labels = as_labels(y, "class_balancing_sampler: y")
        if len(subset) and subset.max() >= len(labels):
            raise ValueError(
                f"class_balancing_sampler: expected indices below {len(labels)}, the number of labels; "
                f"got {subset.max()}"
            )
        weights = WeightedSampler.class_balancing_sample_weights(labels[subset], n_classes)
        return cls(weights, subset)

    def __repr__(self) -> str:
        return f"WeightedSubsetSampler({describe(self.sub_weights)}, {describe(self.indices)})"
