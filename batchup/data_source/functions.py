"""Data that is not in arrays: of functions and iterators; and `coerce_data_source`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from batchup.core.checks import describe, describe_callable, whole_number
from batchup.core.randomness import ShuffleLike
from batchup.core.record import Count
from batchup.core.sources import SINGLE_PASS, Iterated
from batchup.core.stream import Stream
from batchup.data_source.arrays import ArrayDataSource
from batchup.data_source.base import AbstractDataSource
from batchup.data_source.request import Request, batches_of, given

__all__ = ["CallableDataSource", "IteratorDataSource", "coerce_data_source"]


class CallableDataSource(AbstractDataSource):
    """The batches of the iterator that a function returns, a new one for each epoch.

    The caller owns the arrays: if they are views of your data, a map that writes into its batch changes your data.

    Parameters
    ----------
    batch_iterator_fn : callable
        `batch_iterator_fn(batch_size, **kwargs)` returns an iterator of batches. `kwargs` are the keyword arguments of
        `batch_iterator`, with `shuffle` if it was given. For `drop_last` and for the epochs of a loader the function
        needs parameters `drop_last` and `epoch`.
    num_samples_fn : int, np.inf, None or callable
        The number of samples: an int, `np.inf` for endless, None for unknown, or a function of the keyword arguments
        without `shuffle` that returns one of these.

    Raises
    ------
    TypeError
        If an argument is of another type.

    Examples
    --------
    >>> def countdown(batch_size, start=5):
    ...     for n in range(start, 0, -batch_size):
    ...         yield (np.arange(n, max(0, n - batch_size), -1),)
    >>> list(CallableDataSource(countdown, 5).batch_iterator(3))
    [(array([5, 4, 3]),), (array([2, 1]),)]
    """

    def __init__(
        self, batch_iterator_fn: Callable[..., Iterator[Any]], num_samples_fn: Count | Callable[..., Count] = None
    ):
        if not callable(batch_iterator_fn):
            raise TypeError(
                "CallableDataSource: expected a function of the batch size that returns an iterator; "
                f"got {describe(batch_iterator_fn)}"
            )
        if not callable(num_samples_fn):
            check_count(num_samples_fn, "CallableDataSource: num_samples_fn")
        self.batch_iterator_fn = batch_iterator_fn
        self.num_samples_fn = num_samples_fn

    def num_samples(self, **kwargs: Any) -> Count:
        if callable(self.num_samples_fn):
            count = self.num_samples_fn(**kwargs)
            return check_count(count, f"what {describe_callable(self.num_samples_fn)} returned")
        return self.num_samples_fn

    def _stream(self, request: Request) -> Stream:
        return batches_of(self, request, self.batch_iterator, self.batch_iterator_fn)

    def batch_iterator(self, batch_size: int, shuffle: ShuffleLike = None, **kwargs: Any) -> Iterator[Any]:
        batches = self.batch_iterator_fn(batch_size, **given(shuffle, kwargs))
        if not isinstance(batches, Iterator):
            raise TypeError(f"{self!r}: expected the function to return an iterator; got {describe(batches)}")
        return batches

    def __repr__(self) -> str:
        return f"CallableDataSource({describe_callable(self.batch_iterator_fn)})"


class IteratorDataSource(AbstractDataSource):
    """The batches of an iterator, whatever the batch size, for one epoch only.

    A second epoch raises RuntimeError.

    Parameters
    ----------
    batch_iter : iterator
        Gives batches.
    n_samples : int, np.inf or None
        The number of samples of all batches; `np.inf` for endless, None for unknown.

    Examples
    --------
    >>> list(IteratorDataSource(iter([(np.arange(2),), (np.arange(3),)])).batch_iterator(64))
    [(array([0, 1]),), (array([0, 1, 2]),)]
    """

    def __init__(self, batch_iter: Iterator[Any], n_samples: Count = None):
        if not isinstance(batch_iter, Iterator):
            raise TypeError(f"IteratorDataSource: expected an iterator; got {describe(batch_iter)}")
        self.batch_iter = batch_iter
        self._begun = False
        self.n_samples = check_count(n_samples, "IteratorDataSource: n_samples")

    def num_samples(self, **kwargs: Any) -> Count:
        return self.n_samples

    def batch_iterator(self, batch_size: int, shuffle: ShuffleLike = None, **kwargs: Any) -> Iterator[Any]:
        return iter(self.stream(batch_size, shuffle, **kwargs))

    def _stream(self, request: Request) -> Stream:
        request.refuse_sizes()
        request.refuse_shard(self)
        request.refuse_window(self)
        if request.drop_last:
            raise TypeError(
                f"drop_last: {self!r} gives the batches of its iterator as they are, and can't leave one out"
            )
        plan = Iterated(self._rest, rng=SINGLE_PASS, samples=self.n_samples)
        return Stream(plan, text=repr(self))

    def _rest(self) -> Iterator[Any]:
        begun, self._begun = self._begun, True
        nothing = True
        for batch in self.batch_iter:
            nothing = False
            yield batch
        if begun and nothing:
            raise RuntimeError(
                f"{self!r}: its iterator is used up, so there is one epoch only. For several epochs give a function "
                "that makes the iterator, CallableDataSource(lambda batch_size: ...)"
            )

    def __repr__(self) -> str:
        return f"IteratorDataSource({describe(self.batch_iter)})"


def coerce_data_source(x: Any) -> AbstractDataSource:
    """Make a data source of an object, for functions that take either.

    Parameters
    ----------
    x : AbstractDataSource, list or tuple of array-likes, iterator, or callable
        A data source is returned as it is. A list or tuple becomes an `ArrayDataSource`, an iterator an
        `IteratorDataSource`, a function a `CallableDataSource`.

    Returns
    -------
    AbstractDataSource
        The data source.

    Raises
    ------
    ValueError
        For an empty list or tuple.
    TypeError
        For anything else.

    Examples
    --------
    >>> coerce_data_source([np.zeros((5, 2)), np.arange(5)])
    ArrayDataSource([<5x2 float64>, <5 int64>])
    """
    if isinstance(x, AbstractDataSource):
        return x
    if isinstance(x, list | tuple):
        if not x:
            raise ValueError("coerce_data_source: expected one array at least; got an empty list")
        return ArrayDataSource(list(x))
    if isinstance(x, Iterator):
        return IteratorDataSource(x)
    if callable(x):
        return CallableDataSource(x)
    raise TypeError(
        "coerce_data_source: expected a data source, a list or tuple of arrays, an iterator or a "
        f"function that returns one; got {describe(x)}"
    )


def check_count(count: Any, where: str) -> Count:
    """`count` as an int, `np.inf` or None."""
    if count is None or (isinstance(count, float | np.floating) and count == np.inf):
        return count if count is None else np.inf
    if isinstance(count, float | np.floating) or not hasattr(count, "__index__"):
        raise TypeError(
            f"{where}: expected a number of samples, np.inf, None for unknown, or a function that "
            f"returns one of these; got {describe(count)}"
        )
    return whole_number(count, where)
