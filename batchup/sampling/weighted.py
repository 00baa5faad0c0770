"""Random draws: by weights, with or without replacement, and with given shares of each class."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchup import ops
from batchup.core.blocks import as_indices, block_array, labelled
from batchup.core.checks import as_labels, describe, read_only, whole_number
from batchup.core.randomness import ShuffleLike, as_rng
from batchup.core.record import Count
from batchup.ops.index.sample import checked_weights, sampled
from batchup.ops.index.stratify import stratified
from batchup.sampling.base import AbstractSampler, OrderSampler, SubsetOrderSampler, as_subset
from batchup.sampling.epochs import check_repeats


def drawn(shuffle: ShuffleLike, sampler: AbstractSampler) -> ShuffleLike:
    """`shuffle`, checked to be there: without it these samplers have no order."""
    if as_rng(shuffle, "shuffle") is None:
        raise NotImplementedError(f"{sampler!r} draws at random and has no order; give shuffle= a seed or a generator")
    return shuffle


_PERMUTATION = "WeightedPermutationSampler"


class WeightedPermutationSampler(SubsetOrderSampler):
    """Passes over all samples in weighted random orders: each comes once, samples of large weight early.

    It is `sample(weights, rng, indices, replace=False) | repeat(repeats) | chunk`.

    Parameters
    ----------
    weights : (n,) array of float
        Weights >= 0, not all of them 0.
    indices : (n,) array of int, mask with n True, or None
        The samples that the weights belong to; by default 0 to n - 1.
    repeats : int
        The number of passes in an epoch; -1 for an endless number.

    Raises
    ------
    ValueError
        If weights are negative or NaN, or sum to 0, and for `repeats` as `StandardSampler`.

    Examples
    --------
    >>> sampler = WeightedPermutationSampler([1.0, 1.0, 1000.0, 1.0])
    >>> next(sampler.shuffled_indices_batch_iterator(4, 5))
    array([2, 1, 3, 0])
    """

    def __init__(self, weights: ArrayLike, indices: ArrayLike | None = None, repeats: int = 1):
        self.weights = read_only(checked_weights(weights, _PERMUTATION, "weight"))
        self.repeats = check_repeats(repeats, len(self.weights), _PERMUTATION)
        self.indices = as_subset(indices, _PERMUTATION)
        self._num_indices = self.order(0).num_samples  # checks that weights and indices go together

    def order(self, shuffle: ShuffleLike = None) -> ops.Stream:
        rng = drawn(shuffle, self)
        return sampled(self.weights, rng, self.indices, False, _PERMUTATION) | ops.repeat(self.repeats)

    def num_indices_generated(self) -> Count:
        return self._num_indices

    def __repr__(self) -> str:
        return f"WeightedPermutationSampler({describe(self.weights)}, repeats={self.repeats})"


class StratifiedSampler(SubsetOrderSampler):
    """Endless batches with equal, or given, shares of each class: `stratify(y, rng) | chunk`.

    Parameters
    ----------
    y : (n,) array of int or str
        The label of each sample, from 0 on, or a string.
    proportions : (classes,) array of float or None
        The shares of the classes, >= 0; None for equal shares. See `ops.stratify`.
    indices : 1-D array of int, mask, or None
        The subset to take; `y` has the labels of all samples.

    Raises
    ------
    TypeError, ValueError
        For invalid labels and proportions, as `ops.stratify`.

    Examples
    --------
    >>> y = np.array([0, 0, 0, 0, 1, 2])
    >>> sampler = StratifiedSampler(y)
    >>> np.bincount(y[next(sampler.shuffled_indices_batch_iterator(6, 5))])
    array([2, 2, 2])
    """

    def __init__(self, y: ArrayLike, proportions: ArrayLike | None = None, indices: ArrayLike | None = None):
        self.y = read_only(as_labels(y, "StratifiedSampler: y"))
        self.proportions = None if proportions is None else read_only(np.asarray(proportions))
        self.indices = as_subset(indices, "StratifiedSampler", len(self.y))
        self.order(0)  # checks that labels and proportions go together

    def num_indices_generated(self) -> float:
        return np.inf

    def order(self, shuffle: ShuffleLike = None) -> ops.Stream:
        return stratified(self.y, drawn(shuffle, self), self.proportions, "StratifiedSampler", self.indices)

    def __repr__(self) -> str:
        return f"StratifiedSampler({describe(self.y)})"


class _EndlessSampler(OrderSampler):
    """Weighted draws: `sample(weights, rng, indices) | chunk`."""

    def __init__(self, weights: ArrayLike, indices: NDArray[np.intp] | None, where: str):
        self._weights = read_only(checked_weights(weights, where, "weight"))
        self._indices = indices
        self._where = where
        self.order(0)  # checks that weights and indices go together

    def num_indices_generated(self) -> float:
        return np.inf

    def order(self, shuffle: ShuffleLike = None) -> ops.Stream:
        return sampled(self._weights, drawn(shuffle, self), self._indices, True, self._where)


class WeightedSampler(_EndlessSampler):
    """Endless draws of sample i with probability weights[i] / sum, with replacement: `sample(weights, rng) | chunk`.

    From a `RandomState` the draws are those of `rng.choice(n, batch_size, p=weights)`, bit for bit. The sampler keeps
    read-only copies of its arrays: for other weights make another sampler. Weighted draws have no order: without `shuffle` there is an error.

    Parameters
    ----------
    weights : (n,) array of float
        Weights >= 0, not all of them 0.

    Raises
    ------
    ValueError
        If weights are negative or NaN, or sum to 0.

    Examples
    --------
    >>> sampler = WeightedSampler([0.0, 2.0, 0.0, 2.0])
    >>> next(sampler.shuffled_indices_batch_iterator(5, np.random.RandomState(1)))
    array([1, 3, 1, 1, 1])
    """

    def __init__(self, weights: ArrayLike):
        super().__init__(weights, None, "WeightedSampler")
        self.weights = self._weights

    @staticmethod
    def class_balancing_sample_weights(y: ArrayLike, n_classes: int | None = None) -> NDArray[np.float64]:
        """Weights that make all classes equally likely.

        Parameters
        ----------
        y : (n,) array of int or str
            The label of each sample, from 0 on, or a string.
        n_classes : int or None
            The number of classes; by default `max(y) + 1`.

        Returns
        -------
        (n,) array of float64
            The weights. They sum to 1.

        Raises
        ------
        ValueError
            For a label outside 0 to `n_classes` - 1.

        Examples
        --------
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
        """A sampler that draws all classes equally often.

        Parameters
        ----------
        y : (n,) array of int or str
            The label of each sample, from 0 on, or a string.
        n_classes : int or None
            The number of classes; by default `max(y) + 1`.

        Returns
        -------
        WeightedSampler
            The sampler.
        """
        return cls(cls.class_balancing_sample_weights(y, n_classes))

    def __repr__(self) -> str:
        return f"WeightedSampler({describe(self.weights)})"


class WeightedSubsetSampler(_EndlessSampler):
    """Endless draws from a subset of the samples, by weights, with replacement.

    Parameters
    ----------
    sub_weights : (n,) array of float
        A weight >= 0 for each sample of the subset.
    indices : (n,) array of int, or mask with n True
        The samples of the subset.

    Raises
    ------
    ValueError
        If weights are negative or NaN, or sum to 0, or if the arrays have different lengths.

    Examples
    --------
    >>> sampler = WeightedSubsetSampler([3.0, 1.0], indices=[10, 20])
    >>> next(sampler.shuffled_indices_batch_iterator(5, np.random.RandomState(1)))
    array([10, 10, 10, 10, 10])
    """

    def __init__(self, sub_weights: ArrayLike, indices: ArrayLike):
        self.indices = read_only(block_array(as_indices(indices, "WeightedSubsetSampler: indices")))
        super().__init__(sub_weights, self.indices, "WeightedSubsetSampler")
        self.sub_weights = self._weights

    def map_indices(self, indices: NDArray[np.intp]) -> NDArray[np.intp]:
        mapped: NDArray[np.intp] = self.indices[indices]
        return mapped

    @classmethod
    def class_balancing_sampler(
        cls, y: ArrayLike, indices: ArrayLike, n_classes: int | None = None
    ) -> WeightedSubsetSampler:
        """A sampler that draws all classes of a subset equally often.

        Parameters
        ----------
        y : (n,) array of int or str
            The labels of all samples, not only of the subset.
        indices : 1-D array of int, or mask
            The samples of the subset.
        n_classes : int or None
            The number of classes; by default `max(y) + 1`.

        Returns
        -------
        WeightedSubsetSampler
            The sampler.
        """
        labels = as_labels(y, "class_balancing_sampler: y")
        block = as_indices(indices, "class_balancing_sampler: indices", len(labels))
        subset = labelled(block, len(labels), "class_balancing_sampler")
        weights = WeightedSampler.class_balancing_sample_weights(labels[subset], n_classes)
        return cls(weights, subset)

    def __repr__(self) -> str:
        return f"WeightedSubsetSampler({describe(self.sub_weights)}, {describe(self.indices)})"
