"""Tables: pandas, polars, Arrow, and datasets of Hugging Face."""

from collections.abc import Callable
from typing import Any

import numpy as np
from more_itertools import duplicates_everseen
from numpy.typing import NDArray
from toolz import valmap

from batchup.core.blocks import block_array
from batchup.core.checks import describe, is_a

TABLES = "pandas.DataFrame", "polars.DataFrame", "pyarrow.Table", "pyarrow.RecordBatch"
SERIES = "pandas.Series", "polars.Series", "pyarrow.ChunkedArray", "pyarrow.Array"


class Columns:
    """Columns of one length by their names; the samples of a block are a dict of arrays."""

    def __init__(self, arrays: dict[str, NDArray[Any]], length: int):
        self.arrays = arrays
        self.shape = (length,)
        self.dtype = "{" + ", ".join(f"{name}: {array.dtype}" for name, array in arrays.items()) + "}"

    def __len__(self) -> int:
        return self.shape[0]

    def reader(self, how: Callable[[Any], Callable[[Any], Any]]) -> Callable[[Any], Any]:
        """A function that reads a block. `how(array)` is the function that reads one column."""
        readers = valmap(how, self.arrays)
        return lambda block: valmap(lambda read: read(block), readers)


def of_table(table: Any, where: str) -> Columns:
    """The columns of a table, checked."""
    return Columns(table_arrays(table, where), len(table))


def table_arrays(table: Any, where: str) -> dict[str, NDArray[Any]]:
    """The columns of a table as arrays, by their names."""
    arrow = is_a(table, "pyarrow.Table", "pyarrow.RecordBatch")
    names = list(table.column_names if arrow else table.columns)
    if wrong := [name for name in names if not isinstance(name, str)]:
        raise TypeError(f"{where}: expected names of columns that are strings; got {wrong[0]!r}")
    if twice := set(duplicates_everseen(names)):
        raise ValueError(f"{where}: expected each name of a column once; {min(twice)!r} is there twice")
    columns = {name: table.column(name) if arrow else table[name] for name in names}
    return {name: of_series(column, f"{where}: column {name!r}") for name, column in columns.items()}


def of_series(series: Any, where: str) -> NDArray[Any]:
    """A column as an array. Raises ValueError for missing values, TypeError for values that are no numbers or strings."""
    missing = series.null_count if hasattr(series, "null_count") else series.isna().sum()
    missing = missing() if callable(missing) else missing
    # By default some arrays of Arrow refuse to convert; `zero_copy_only=False` lets them.
    array = series.to_numpy(**({"zero_copy_only": False} if is_a(series, "pyarrow.Array") else {}))
    # A column of pandas with a dtype of NumPy's: NaN is a number like any other.
    native = isinstance(getattr(series, "dtype", None), np.dtype)
    if missing and not (native and array.dtype.kind in "fcmM"):
        raise ValueError(
            f"{where}: expected no missing values; there are {missing}. Fill them first, or leave these rows out"
        )
    if array.dtype == object:
        other = next((value for value in array if not isinstance(value, str | bytes)), None)
        if other is not None:
            wanted = f"{where}: expected numbers, dates or strings; got {describe(other)}"
            raise TypeError(f"{wanted}. For samples of other kinds there is samples(dataset, collate)")
    return np.asarray(array)


class OfDataset:
    """A Hugging Face dataset: rows by index, a dict of NumPy arrays, whatever its own format is."""

    def __init__(self, dataset: Any, where: str):
        self._where = where
        if dataset.format["type"] == "custom":
            raise TypeError(f"{where}: expected a dataset without a transform; give one with it to samples(dataset)")
        names = dataset.format["columns"]
        self._dataset = dataset.with_format("numpy", columns=names)
        self.shape = (len(dataset),)
        self.dtype = "{" + ", ".join(f"{name}: {dataset.features[name]}" for name in names) + "}"

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, block: NDArray[np.intp]) -> Any:
        if not len(block):
            return valmap(lambda column: column[:0], self.read(np.zeros(1, np.intp)))
        first, last = int(block.min()), int(block.max())
        if first < 0 or last - first >= 4 * len(block):
            return self._checked(self._dataset[block])
        # For rows this close to one another a slice is cheaper: Arrow gives it without a search for each row.
        rows = self._checked(self._dataset[first : last + 1])
        return valmap(lambda column: column[block - first], rows)

    def run(self, block: range) -> Any:
        """The samples of consecutive rows, in memory of their own."""
        rows = self._checked(self._dataset[block.start : block.stop]) if len(block) else self.read(block_array(block))
        return valmap(np.array, rows)

    bytes_a_sample = 0

    @property
    def chunks(self) -> NDArray[np.intp]:
        """The number of rows in each record batch; all rows are one batch if they were put into another order."""
        if self._dataset._indices is not None or not self._dataset.data.num_columns:
            return np.array([len(self)], np.intp)
        return np.array([len(chunk) for chunk in self._dataset.data.column(0).chunks], np.intp)

    def _checked(self, rows: dict[str, Any]) -> dict[str, NDArray[Any]]:
        for name, column in rows.items():
            where = f"{self._where}: column {name!r}"
            whole = "int" in str(getattr(self._dataset.features[name], "dtype", ""))
            if whole and column.dtype.kind not in "iu":
                raise ValueError(f"{where}: expected no missing values; there are some in this batch")
            if not isinstance(column, np.ndarray) or column.dtype == object:
                raise TypeError(
                    f"{where}: expected values of one shape, and no missing ones; this batch has others. "
                    "Give SampleDataSource(dataset, collate=...), or samples(...), a function of your own"
                )
        return rows
