"""Tables in memory, of pandas, polars and Arrow: columns as arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from more_itertools import duplicates_everseen
from numpy.typing import NDArray
from toolz import valmap

from batchup.core.checks import is_a
from batchup.ops.read import frames
from batchup.ops.read.arrow import kind_of
from batchup.ops.read.arrow_columns import column_of, missing_in
from batchup.ops.read.forms import Form, bytes_of
from batchup.ragged import Ragged
from batchup.strings import Strings, packed

FRAMES = "pandas.DataFrame", "polars.DataFrame", "pyarrow.Table", "pyarrow.RecordBatch"
FILES = "pyarrow._dataset.Dataset", "pyarrow.parquet.core.ParquetFile", "datasets.arrow_dataset.Dataset"
TABLES = (*FRAMES, *FILES, "polars.LazyFrame")
SERIES = "pandas.Series", "polars.Series", "pyarrow.ChunkedArray", "pyarrow.Array"

Categories = NDArray[Any]


class Columns:
    """Columns in memory, by their names. The samples of a block are a dict of arrays.

    With `spread` they are a tuple, each of which counts as an array of its own in `gather`.
    """

    def __init__(
        self,
        columns: Mapping[str, Form],
        length: int,
        categories: Mapping[str, Categories] | None = None,
        spread: bool = False,
    ):
        nested = {name: Columns(part, length) if isinstance(part, dict) else part for name, part in columns.items()}
        self.columns: dict[str, Any] = nested
        self.categories = dict(categories or {})
        self.spread = spread
        self.shape = (length,)
        self.dtype: str = shown_columns({name: str(part.dtype) for name, part in nested.items()})

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """The number of bytes of all columns."""
        return sum(map(bytes_of, self.columns.values()))

    def reader(self, how: Callable[[Any], Callable[[Any], Any]]) -> Callable[[Any], Any]:
        """A function that reads a block. `how(array)` is the function that reads one column."""
        readers = valmap(how, self.columns)
        if self.spread:
            return lambda block: tuple([read(block) for read in readers.values()])
        return lambda block: {name: read(block) for name, read in readers.items()}

    def __reduce__(self) -> tuple[Any, ...]:
        plain = {name: part.columns if isinstance(part, Columns) else part for name, part in self.columns.items()}
        return Columns, (plain, len(self), self.categories, self.spread)


def shown_columns(dtypes: Mapping[str, str]) -> str:
    """The dtype of a table: those of its columns."""
    return "{" + ", ".join(f"{name}: {dtype}" for name, dtype in dtypes.items()) + "}"


def names_of(table: Any, where: str) -> list[str]:
    """The names of the columns of a table, checked."""
    arrow = is_a(table, "pyarrow.Table", "pyarrow.RecordBatch")
    return checked_names(list(table.column_names if arrow else table.columns), where)


def checked_names(names: list[Any], where: str) -> list[str]:
    """The names of columns. Raises TypeError if one is no string, ValueError if one is there twice."""
    if wrong := [name for name in names if not isinstance(name, str)]:
        raise TypeError(f"{where}: expected names of columns that are strings; got {wrong[0]!r}")
    if twice := set(duplicates_everseen(names)):
        raise ValueError(f"{where}: expected each name of a column once; {min(twice)!r} is there twice")
    return names


def of_series(series: Any, where: str, nulls: Any = None) -> Form:
    """A column in memory, of pandas, polars or Arrow, as an array of the same values.

    Missing values are replaced by `nulls`. Raises ValueError for missing values without it, TypeError for a type that
    has no form in NumPy.
    """
    column = in_arrow(series, where)
    if is_a(column, "pandas.Series"):
        missing = frames.missing_in_series(series)
        refuse_missing(missing, nulls, where)
        if frames.is_categorical(series):
            codes, values = codes_of_pandas(series, where, -1)
            return packed(values[codes].tolist()) if values.dtype == object and len(codes) else values[codes]
        return frames.of_pandas(series, where, nulls if missing else None)
    kind = kind_of(column.type, where)
    missing = missing_in(column)
    refuse_missing(missing, nulls, where)
    return column_of(column, kind_of(column.type, where, nulls) if missing else kind)


def in_arrow(series: Any, where: str) -> Any:
    """A column as one of Arrow. One of pandas with a dtype of its own stays as it is."""
    if is_a(series, "pandas.Series"):
        return frames.to_arrow(series) if frames.is_of_arrow(series) else series
    if not is_a(series, "polars.Series"):
        return series
    try:
        return series.to_arrow()
    except ImportError as error:
        raise ImportError(f"{where}: expected pyarrow, to read polars: pip install pyarrow") from error
    except Exception as error:  # polars has types that Arrow hasn't
        raise TypeError(
            f"{where}: expected numbers, dates, strings or lists; got {series.dtype}: {error}. Leave the column out, or give "
            "the rows to samples(dataset, collate)"
        ) from None


def refuse_missing(missing: int, nulls: Any, where: str) -> None:
    """Raise ValueError if there are missing values, and nothing to write in their place."""
    if missing and nulls is None:
        raise ValueError(
            f"{where}: expected no missing values; there are {missing}. Fill them first, leave these rows out, or write "
            "ops.table(table, nulls=...) or TableDataSource(table, nulls=...), with the number to put in their place"
        )


def codes_of(series: Any, where: str, nulls: Any) -> tuple[NDArray[np.int64], Categories]:
    """The codes of a column of categories in memory, and the categories. A missing one has the code `nulls`."""
    column = in_arrow(series, where)
    if is_a(column, "pandas.Series"):
        missing = frames.missing_in_series(series)
        refuse_missing(missing, nulls, where)
        return codes_of_pandas(series, where, nulls if missing else -1)
    chunks = column.chunks if hasattr(column, "chunks") else [column]
    missing = missing_in(column)
    refuse_missing(missing, nulls, where)
    unified = Unified([chunk.dictionary for chunk in chunks], column.type, where)
    fill = unified.checked(nulls, where) if missing else -1
    codes = [unified.codes(chunk, fill) for chunk in chunks]
    return np.concatenate([np.empty(0, np.int64), *codes]), unified.values


def is_category(column: Any) -> bool:
    """True for a column of categories, of pandas or Arrow."""
    if is_a(column, "pandas.Series"):
        return frames.is_categorical(column)
    import pyarrow

    return bool(pyarrow.types.is_dictionary(column.type))


def codes_of_pandas(series: Any, where: str, nulls: Any) -> tuple[NDArray[np.int64], Categories]:
    """The codes of a column of pandas, and its categories."""
    values = of_series(type(series)(series.cat.categories), where)
    values = values.copy() if isinstance(values, Strings) else values
    fill = checked_code(nulls, len(values), where) if nulls != -1 else -1
    codes = series.cat.codes.to_numpy().astype(np.int64)
    return np.where(codes < 0, fill, codes), values


def checked_code(nulls: Any, count: int, where: str) -> int:
    """The code for a missing category. Raises ValueError for a number that is the code of another one, or no integer."""
    if isinstance(nulls, int | np.integer) and not isinstance(nulls, bool) and not 0 <= nulls < count:
        return int(nulls)
    name = where.rpartition("column ")[2]
    raise ValueError(
        f"{where}: nulls: expected a whole number that is no code of its {count} categories; got {nulls!r}. Write "
        f"nulls={{{name}: -1}}"
    )


class Unified:
    """The categories of several dictionaries of Arrow in one list, in the order in which they first come."""

    def __init__(self, dictionaries: Sequence[Any], type_: Any, where: str):
        import pyarrow as pa

        values = pa.chunked_array(dictionaries or [pa.array([], type_.value_type)], type_.value_type).unique()
        self._set = values.combine_chunks() if hasattr(values, "combine_chunks") else values
        self._set = self._set.drop_null()
        column = column_of(self._set, kind_of(type_.value_type, where))
        self.values: Categories = column.copy() if isinstance(column, Strings) else column
        if isinstance(self.values, Ragged | dict):
            raise TypeError(f"{where}: expected categories that are numbers, dates or strings; got {type_.value_type}")

    def checked(self, nulls: Any, where: str) -> int:
        return checked_code(nulls, len(self.values), where)

    def codes(self, array: Any, missing: int) -> NDArray[np.int64]:
        """The codes of an array of Arrow, whose dictionary may be another one."""
        import pyarrow.compute as pc

        places = pc.index_in(array.dictionary, value_set=self._set)
        own = np.append(places.fill_null(-1).to_numpy().astype(np.int64), -1)
        indices = array.indices.fill_null(len(own) - 1) if array.indices.null_count else array.indices
        codes: NDArray[np.int64] = own[indices.to_numpy()]
        return np.where(codes < 0, missing, codes) if missing != -1 else codes
