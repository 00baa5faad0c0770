"""What `batch_map_concat` and `batch_map_mean` make of the results of a function over batches."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.core.checks import describe, describe_callable
from batchup.core.errors import note
from batchup.core.item import as_batch
from batchup.core.iteration import StreamIterator
from batchup.core.loader import Loader, LoaderIterator
from batchup.core.stream import Stream

__all__ = ["concat", "mean"]


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
        rows.append([part.copy() for part in row])  # the function may write into the same arrays again
    return None if nothing else tuple([np.concatenate(parts) for parts in zip(*rows, strict=True)])


def mean(
    func: Callable[..., Any],
    batches: Iterable[Any],
    total: int | None,
    progress_iter_func: Callable[..., Any] | None,
    sum_axis: int | tuple[int, ...] | None,
    prepend_args: Sequence[Any] | None,
    per: str,
) -> tuple[Any, ...] | None:
    """`batch_map_mean` over all of `batches`, `total` of them."""
    if per not in ("sample", "batch"):
        raise ValueError(f"batch_map_mean: per: expected 'sample' or 'batch'; got {describe(per)}")
    if per == "batch" and sum_axis is not None:
        raise ValueError(
            "batch_map_mean: expected per='batch', or sum_axis for values a sample; got both"
        )
    sums: list[Any] = []
    growth = _Growth()
    n_samples = 0
    nothing = False
    for batch, row in _rows("batch_map_mean", func, batches, total, progress_iter_func, prepend_args):
        if row is None:
            nothing = True
            continue
        size = _num_samples(batch)
        row = [part.astype(np.result_type(part.dtype, np.float64)) for part in row]
        if per == "batch":
            row = [part * size for part in row]
        elif sum_axis is not None:
            row = [np.sum(part, axis=sum_axis) for part in row]
        else:
            growth.see(row, size)
        if not row:
            raise TypeError("batch_map_mean: expected the function to return sums; it returned none")
        if sums and [part.shape for part in row] != [part.shape for part in sums]:
            raise ValueError(
                "batch_map_mean: expected sums of the same shapes for each batch; got "
                f"{[part.shape for part in sums]}, then {[part.shape for part in row]}. "
                "For values a sample, give sum_axis=0"
            )
        sums = [a + b for a, b in zip(sums, row, strict=True)] if sums else row
        n_samples += size
    if nothing:
        return None
    if n_samples == 0:
        raise ValueError("batch_map_mean: expected batches of samples; got no samples, so no mean")
    if growth.is_none():
        warnings.warn(
            f"batch_map_mean: expected sums over the samples of each batch; what {describe_callable(func)} "
            "returned does not grow with them. For means of the batches give per='batch'",
            stacklevel=3,
        )
    return tuple([total / n_samples for total in sums])


class _Growth:
    """Whether numbers grow with the size of the batches, as far as one much shorter than the first tells."""

    def __init__(self) -> None:
        self._full: list[list[float]] = []
        self._size = 0
        self._short: tuple[list[float], int] | None = None

    def see(self, row: list[Any], size: int) -> None:
        if any(part.ndim or not np.isrealobj(part) for part in row):
            return
        self._size = self._size or size
        if size == self._size:
            self._full.append([float(part) for part in row])
        elif 0 < 2 * size <= self._size:
            self._short = [float(part) for part in row], size

    def is_none(self) -> bool:
        if self._short is None or len(self._full) < 3:
            return False
        short, size = self._short
        part, usual, spread = size / self._size, np.mean(self._full, axis=0), np.std(self._full, axis=0)
        # How far it is from what it would be as a mean, and from that as a sum, whose spread is known.
        off_mean, off_sum = np.abs(short - usual), np.abs(short - part * usual)
        far = (2 * off_mean < off_sum) & (off_sum > 4 * np.sqrt(part) * spread)
        return bool(len(usual) and far.all())


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
    ours = isinstance(batches, Stream | StreamIterator | Loader | LoaderIterator)
    if progress_iter_func is not None:
        batches = progress_iter_func(batches, total=total, leave=False)
    before = tuple(prepend_args or ())
    number: int | None = None
    for n, batch in enumerate(batches):
        if not ours:
            batch = as_batch(batch)
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
