"""The results of a function over all batches: concatenated, or their mean a sample."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.core.checks import describe, describe_callable, whole_number
from batchup.core.iteration import StreamIterator
from batchup.core.notes import note
from batchup.core.record import Count
from batchup.core.stream import Stream
from batchup.ops.blocks import take
from batchup.sampling import num_batches

__all__ = ["BatchMaps", "batch_map_concat", "batch_map_mean", "concat", "mean"]


def batch_map_concat(
    func: Callable[..., Any],
    batch_iter: Iterable[Any],
    progress_iter_func: Callable[..., Any] | None = None,
    n_batches: int | None = None,
    prepend_args: Sequence[Any] | None = None,
) -> Any:
    """Call `func(*prepend_args, *batch)` for each batch and concatenate what it returns.

    `func` returns an array of shape (samples, ...), anything with `__array__` (a tensor, say), a
    tuple or list of them, or None. The result is a tuple of the arrays, concatenated over the
    batches; None where it returned None, `()` where there were no batches. `n_batches` is how many to go through at most, None for
    all. `progress_iter_func(batches, total=, leave=False)` is called as `tqdm.tqdm` is.
    Raises TypeError for results that are none of these, ValueError where their number changes.

    >>> batches = [(np.array([1.0, 2.0]),), (np.array([3.0]),)]
    >>> batch_map_concat(lambda x: (x * 2, x > 1.5), batches)
    (array([2., 4., 6.]), array([False,  True,  True]))
    """
    batches, total = _limited(batch_iter, n_batches)
    return concat(func, batches, total, progress_iter_func, prepend_args)


def batch_map_mean(
    func: Callable[..., Any],
    batch_iter: Iterable[Any],
    progress_iter_func: Callable[..., Any] | None = None,
    sum_axis: int | tuple[int, ...] | None = None,
    n_batches: int | None = None,
    prepend_args: Sequence[Any] | None = None,
) -> Any:
    """Call `func(*prepend_args, *batch)` for each batch, and divide what it adds up to by the samples.

    `func` returns the sum over the samples of the batch, a Python or NumPy number, an array, anything
    with `__array__`, or a tuple or list of them, or None; where `sum_axis` is given, values for each sample,
    and they are summed over that axis. The result is a tuple of float64 means (complex ones stay
    complex). The number of samples is the length of the first array of each batch. `n_batches` and
    `progress_iter_func` are as for `batch_map_concat`.
    Raises TypeError for results that are none of these, ValueError where their number changes and
    where there are no samples.

    >>> batches = [(np.array([1.0, 2.0]),), (np.array([6.0]),)]
    >>> mean, above = batch_map_mean(lambda x: [x.sum(), (x > 1).sum()], batches)
    >>> float(mean), round(float(above), 3)
    (3.0, 0.667)
    >>> [mean] = batch_map_mean(lambda x: x, batches, sum_axis=0)
    """
    batches, total = _limited(batch_iter, n_batches)
    return mean(func, batches, total, progress_iter_func, sum_axis, prepend_args)


def concat(
    func: Callable[..., Any],
    batches: Iterable[Any],
    total: int | None,
    progress_iter_func: Callable[..., Any] | None,
    prepend_args: Sequence[Any] | None,
) -> tuple[NDArray[Any], ...] | None:
    """`batch_map_concat` over all of `batches`, `total` of them."""
    rows: list[list[NDArray[Any]]] = []
    nothing = False
    for _, row in _rows("batch_map_concat", func, batches, total, progress_iter_func, prepend_args):
        if row is None:
            nothing = True
            continue
        for part in row:
            if part.ndim == 0:
                raise TypeError(
                    f"batch_map_concat: expected arrays of shape (samples, ...); got the number {part}"
                )
        if rows and [part.shape[1:] for part in row] != [part.shape[1:] for part in rows[0]]:
            raise ValueError(
                "batch_map_concat: expected arrays of one shape but for the samples; got "
                f"{[part.shape for part in rows[0]]}, then {[part.shape for part in row]}"
            )
        rows.append(row)
    return None if nothing else tuple([np.concatenate(parts) for parts in zip(*rows, strict=True)])


def mean(
    func: Callable[..., Any],
    batches: Iterable[Any],
    total: int | None,
    progress_iter_func: Callable[..., Any] | None,
    sum_axis: int | tuple[int, ...] | None,
    prepend_args: Sequence[Any] | None,
) -> tuple[Any, ...] | None:
    """`batch_map_mean` over all of `batches`, `total` of them."""
    sums: list[Any] = []
    n_samples = 0
    nothing = False
    for batch, row in _rows("batch_map_mean", func, batches, total, progress_iter_func, prepend_args):
        if row is None:
            nothing = True
            continue
        row = [part.astype(np.result_type(part.dtype, np.float64)) for part in row]
        if sum_axis is not None:
            row = [np.sum(part, axis=sum_axis) for part in row]
        if not row:
            raise TypeError("batch_map_mean: expected the function to return sums; it returned none")
        if sums and [part.shape for part in row] != [part.shape for part in sums]:
            raise ValueError(
                "batch_map_mean: expected sums of the same shapes for each batch; got "
                f"{[part.shape for part in sums]}, then {[part.shape for part in row]}. "
                "For values a sample, give sum_axis=0"
            )
        sums = [a + b for a, b in zip(sums, row, strict=True)] if sums else row
        n_samples += _num_samples(batch)
    if nothing:
        return None
    if n_samples == 0:
        raise ValueError("batch_map_mean: expected batches of samples; got no samples, so no mean")
    return tuple([total / n_samples for total in sums])


def _limited(batch_iter: Iterable[Any], n_batches: int | None) -> tuple[Iterable[Any], int | None]:
    total: Count = None
    if isinstance(batch_iter, Stream):
        total = batch_iter.plan.length
    elif isinstance(batch_iter, StreamIterator):
        total = batch_iter.left
    elif isinstance(batch_iter, Sized):
        with suppress(TypeError):  # it has none
            total = len(batch_iter)
    if n_batches is None and total == math.inf:
        raise ValueError(f"{batch_iter!r} is endless: expected n_batches=, how many to go through")
    total = total if isinstance(total, int) else None
    if n_batches is None:
        return batch_iter, total
    n_batches = whole_number(n_batches, "n_batches")
    return islice(batch_iter, n_batches), n_batches if total is None else min(n_batches, total)


def _rows(
    method: str,
    func: Callable[..., Any],
    batches: Iterable[Any],
    total: int | None,
    progress_iter_func: Callable[..., Any] | None,
    prepend_args: Sequence[Any] | None,
) -> Iterator[tuple[Any, list[NDArray[Any]] | None]]:
    """Each batch with the results of `func` for it, as arrays; None where that is what it returned."""
    if not callable(func):
        raise TypeError(f"{method}: expected a function; got {describe(func)}")
    if progress_iter_func is not None:
        batches = progress_iter_func(batches, total=total, leave=False)
    before = tuple(prepend_args or ())
    number: int | None = None
    for n, batch in enumerate(batches):
        try:
            result = func(*before, *(batch if isinstance(batch, tuple) else (batch,)))
        except Exception as error:
            note(error, partial("in {} for batch {}".format, describe_callable(func), n))
            raise
        row = [] if result is None else result if isinstance(result, tuple | list) else [result]
        if number not in (None, len(row)):
            wanted = f"{method}: expected {number} results of each batch"
            raise ValueError(f"{wanted}; batch {n} gave {len(row)}")
        number = len(row)
        yield batch, None if result is None else [_as_array(part, method, n) for part in row]


def _as_array(result: Any, method: str, n: int) -> NDArray[Any]:
    if hasattr(result, "__array__") or isinstance(result, int | float | complex):
        return np.asarray(result)
    raise TypeError(
        f"{method}: expected the function to return None, a number, an array, or a tuple or list of "
        f"these; for batch {n} there was {describe(result)} in it"
    )


def _num_samples(batch: Any) -> int:
    while isinstance(batch, tuple | list | dict) and len(batch):
        batch = next(iter(batch.values() if isinstance(batch, dict) else batch))
    return len(batch)


class BatchMaps:
    """`batch_map_concat` and `batch_map_mean` of a data source, over its `stream`."""

    @property
    def is_random_access(self) -> bool:
        """Whether samples can be had by index: `batch_indices_iterator`, `samples_by_indices`."""
        return False

    def _check(self, method: str, kwargs: dict[str, Any]) -> None:
        """TypeError for an argument that nobody knows; a user's own source may know any."""

    def stream(self, batch_size: int, **kwargs: Any) -> Stream:
        raise NotImplementedError

    def batch_map_concat(
        self,
        func: Callable[..., Any],
        batch_size: int,
        progress_iter_func: Callable[..., Any] | None = None,
        n_batches: int | None = None,
        prepend_args: Sequence[Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """`results.batch_map_concat` over the batches of an epoch; `kwargs` are `batch_iterator`'s.

        Raises ValueError, before anything runs, where the source is endless and `n_batches` is None.

        >>> from batchup.data_source import ArrayDataSource
        >>> ArrayDataSource([np.arange(5.0)]).batch_map_concat(lambda x: x * 2, batch_size=2)
        (array([0., 2., 4., 6., 8.]),)
        """
        batches, total = self._batches("batch_map_concat", batch_size, n_batches, kwargs)
        return concat(func, batches, total, progress_iter_func, prepend_args)

    def batch_map_mean(
        self,
        func: Callable[..., Any],
        batch_size: int,
        progress_iter_func: Callable[..., Any] | None = None,
        sum_axis: int | tuple[int, ...] | None = None,
        n_batches: int | None = None,
        prepend_args: Sequence[Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """`results.batch_map_mean` over the batches of an epoch; `kwargs` are `batch_iterator`'s.

        Raises ValueError, before anything runs, where the source is endless and `n_batches` is None.

        >>> from batchup.data_source import ArrayDataSource
        >>> [mean] = ArrayDataSource([np.arange(5.0)]).batch_map_mean(lambda x: x.sum(), batch_size=2)
        >>> float(mean)
        2.0
        """
        batches, total = self._batches("batch_map_mean", batch_size, n_batches, kwargs)
        return mean(func, batches, total, progress_iter_func, sum_axis, prepend_args)

    def _batches(
        self, method: str, batch_size: int, n_batches: int | None, kwargs: dict[str, Any]
    ) -> tuple[Stream, int | None]:
        """The batches of an epoch, no more than `n_batches`, and how many they are if that is known."""
        self._check(method, kwargs)
        stream = self.stream(batch_size, **kwargs)
        total = stream.plan.length
        if total is None and isinstance(stream.num_samples, int):
            total = num_batches(stream.num_samples, batch_size)  # only for a progress bar
        if n_batches is not None:
            stream |= take(n_batches)
            total = n_batches if total is None else min(total, n_batches)
        if total == math.inf:
            raise ValueError(
                f"{self!r} is endless: expected n_batches=, how many batches to go through"
            )
        return stream, total if isinstance(total, int) else None
