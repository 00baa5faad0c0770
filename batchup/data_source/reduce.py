"""The results of a function over batches, concatenated or averaged: the loops of `batch_map_concat` and `batch_map_mean`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from operator import iadd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.core.checks import describe, describe_callable, is_a, plain_array
from batchup.core.errors import note
from batchup.core.item import as_batch
from batchup.core.iteration import StreamIterator
from batchup.core.loader import Loader, LoaderIterator
from batchup.core.stream import Stream
from batchup.parts import concatenated
from batchup.ragged import Ragged

__all__ = ["concat", "mean"]


def concat(
    func: Callable[..., Any],
    batches: Iterable[Any],
    total: int | None,
    progress_iter_func: Callable[..., Any] | None,
    prepend_args: Sequence[Any] | None,
) -> tuple[NDArray[Any], ...] | None:
    """`batch_map_concat` over all of `batches`, `total` of them."""
    rows: list[list[Any]] = []
    nothing = False
    for _, row in _rows("batch_map_concat", func, batches, total, progress_iter_func, prepend_args):
        if row is None:
            nothing = True
            continue
        for part in row:
            if part.shape == ():
                raise TypeError(f"batch_map_concat: expected arrays of shape (samples, ...); got the number {part}")
        if rows and list(map(_kind, row)) != list(map(_kind, rows[0])):
            raise ValueError(
                "batch_map_concat: expected arrays of one shape but for the samples; got "
                f"{[part.shape for part in rows[0]]}, then {[part.shape for part in row]}"
            )
        rows.append([part.copy() for part in row])  # the function may reuse its arrays
    return None if nothing else tuple(map(_joined, zip(*rows, strict=True)))


def _kind(part: Any) -> tuple[Any, ...]:
    return isinstance(part, Ragged), part.shape[1:]


def _joined(parts: tuple[Any, ...]) -> Any:
    return Ragged.joined(parts) if isinstance(parts[0], Ragged) else concatenated(parts, "batch_map_concat")


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
        raise ValueError("batch_map_mean: expected per='batch', or sum_axis for values a sample; got both")
    sums: list[Any] = []
    n_samples = 0
    nothing = False
    rows = _rows("batch_map_mean", func, batches, total, progress_iter_func, prepend_args)
    for n, (batch, row) in enumerate(rows):
        if row is None:
            nothing = True
            continue
        size = _num_samples(batch)
        row = [_summed(part, sum_axis, size if per == "batch" else 1, n) for part in row]
        if not row:
            raise TypeError("batch_map_mean: expected the function to return sums; it returned no value")
        if sums and [part.shape for part in row] != [part.shape for part in sums]:
            raise ValueError(
                "batch_map_mean: expected sums of the same shapes for each batch; got "
                f"{[part.shape for part in sums]}, then {[part.shape for part in row]}. "
                "For values a sample, give sum_axis=0"
            )
        sums = list(map(iadd, sums, row)) if sums else row  # arrays of `_summed` belong to nobody else
        n_samples += size
    if nothing:
        return None
    if n_samples == 0:
        raise ValueError("batch_map_mean: expected batches of samples; got no samples, so no mean")
    return tuple([total / n_samples for total in sums])


def _summed(part: Any, axis: int | tuple[int, ...] | None, times: int, n: int) -> Any:
    """What a batch adds to a sum, in memory of its own: in float64, or complex."""
    if type(part) is not np.ndarray:
        if isinstance(part, Ragged):
            raise TypeError(f"batch_map_mean: expected sums, numbers or arrays; for batch {n} got a Ragged")
        part = plain_array(part, f"batch_map_mean: batch {n}")
    if axis is not None:
        return part.sum(axis=axis, dtype=_wide(part.dtype))
    return np.multiply(part, times, dtype=_wide(part.dtype))


@cache
def _wide(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.result_type(dtype, np.float64)


def _rows(
    method: str,
    func: Callable[..., Any],
    batches: Iterable[Any],
    total: int | None,
    progress_iter_func: Callable[..., Any] | None,
    prepend_args: Sequence[Any] | None,
) -> Iterator[tuple[Any, list[NDArray[Any]] | None]]:
    """Each batch with the results of `func` for it, as arrays; None if it returned None."""
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


def _as_array(result: Any, method: str, n: int) -> Any:
    if type(result) is np.ndarray or isinstance(result, Ragged):
        return result
    if is_a(result, "torch.Tensor"):
        result = result.detach().cpu()  # NumPy refuses tensors that require grad, and those of other devices
    if hasattr(result, "__array__") or isinstance(result, int | float | complex):
        return np.asanyarray(result)
    raise TypeError(
        f"{method}: expected the function to return None, a number, an array, or a tuple or list of "
        f"these; for batch {n} the result has {describe(result)} in it"
    )


def _num_samples(batch: Any) -> int:
    while isinstance(batch, tuple | list | dict) and len(batch):
        batch = next(iter(batch.values() if isinstance(batch, dict) else batch))
    return len(batch)
