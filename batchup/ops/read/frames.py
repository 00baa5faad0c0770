"""Columns of pandas as arrays, with the same values, or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.core.checks import describe
from batchup.ops.read.arrow import cannot_hold, scalar
from batchup.ragged import Ragged
from batchup.strings import Strings, objects
from batchup.values import array_of, mixed


def is_of_arrow(series: Any) -> bool:
    """True for a column whose dtype is a type of Arrow."""
    return hasattr(series.dtype, "pyarrow_dtype")


def to_arrow(series: Any) -> Any:
    """The memory of such a column, as an array of Arrow."""
    import pyarrow

    return pyarrow.chunked_array(series.array.__arrow_array__())


def is_categorical(series: Any) -> bool:
    """True for a column of categories."""
    return type(series.dtype).__name__ == "CategoricalDtype"


def missing_in_series(series: Any) -> int:
    """The number of missing values. NaN and NaT in a column with a dtype of NumPy's are values."""
    dtype = series.dtype
    native = isinstance(dtype, np.dtype) and not dtype.hasobject
    return 0 if native or type(dtype).__name__ == "SparseDtype" else int(series.isna().sum())


def of_pandas(series: Any, where: str, fill: Any = None) -> Any:
    """A column of pandas as an array, `Strings` or `Ragged`; missing values are `fill`."""
    dtype, name = series.dtype, type(series.dtype).__name__
    if isinstance(dtype, np.dtype) and not dtype.hasobject:
        array: NDArray[Any] = series.to_numpy()
        return array
    if name == "SparseDtype":
        return np.asarray(series.sparse.to_dense())
    if isinstance(getattr(dtype, "numpy_dtype", None), np.dtype) and not isinstance(fill, str):  # Int64 and the like
        return _of_nullable(series, dtype.numpy_dtype, where, fill)
    if name == "DatetimeTZDtype":
        if str(dtype.tz) != "UTC":
            raise TypeError(
                f"{where}: expected times without a time zone, or in UTC, as NumPy's are; got {dtype}. Convert them: "
                'column.dt.tz_convert("UTC")'
            )
        if fill is not None and getattr(fill, "tzinfo", None) is None:
            raise cannot_hold(fill, dtype, where)
        return (series if fill is None else series.fillna(fill)).dt.tz_localize(None).to_numpy()
    if getattr(dtype, "hasobject", False) or name == "StringDtype":
        values = series.to_numpy(object)
        if fill is not None:
            if name == "StringDtype" and not isinstance(fill, str):
                raise cannot_hold(fill, dtype, where)
            values = values.copy()
            values[series.isna().to_numpy()] = fill
        return _of_objects(values.tolist(), where)
    raise TypeError(
        f"{where}: expected numbers, dates, strings or lists; got {dtype}. Make numbers of the column, or leave it out"
    )


def _of_nullable(series: Any, dtype: np.dtype[Any], where: str, fill: Any) -> NDArray[Any]:
    if fill is not None:
        import pyarrow

        held = scalar(fill, pyarrow.from_numpy_dtype(dtype), where).as_py()
        return series.to_numpy(dtype, na_value=held)  # type: ignore[no-any-return]
    return series.to_numpy(dtype)  # type: ignore[no-any-return]


def _of_objects(values: list[Any], where: str) -> Any:
    """A column of Python's objects: numbers or strings of one type, or lists and arrays of one dtype."""
    if not values:
        return objects([])
    # pyarrow makes arrays of objects of lists of strings
    values = [value.tolist() if isinstance(value, np.ndarray) and value.dtype.hasobject else value for value in values]
    first = values[0]
    if all(isinstance(value, np.ndarray) and value.ndim for value in values):
        if kinds := mixed(describe(value.reshape(-1)[:0]) for value in values):
            raise TypeError(f"{where}: expected arrays of one dtype; got {kinds}")
        if any(value.ndim > 1 for value in values):
            raise TypeError(f"{where}: expected 1-D arrays of numbers; got {describe(first)}. {_OTHERS}")
        return Ragged.of(values)
    if all(isinstance(value, list | tuple) for value in values):
        flat = [token for value in values for token in value]
        if any(isinstance(token, list | tuple) for token in flat):
            raise TypeError(f"{where}: expected lists of numbers or strings; got lists of lists. {_OTHERS}")
        tokens = array_of(flat, where)
        return Ragged(tokens.copy() if isinstance(tokens, Strings) else tokens, np.cumsum([0, *map(len, values)]))
    if type(first).__name__ == "Decimal":
        raise TypeError(f"{where}: expected numbers of a dtype; got Decimal. Cast it first: column.astype('float64')")
    column = array_of(values, where)
    if not isinstance(column, Strings) and column.ndim != 1:
        raise TypeError(f"{where}: expected numbers, strings, or lists; got {describe(first)}. {_OTHERS}")
    return column


_OTHERS = "Leave the column out, or give the rows to samples(dataset, collate)"
