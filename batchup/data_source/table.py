"""Tables and their files: `TableDataSource`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from batchup import ops
from batchup.core.checks import describe, whole_number
from batchup.core.randomness import ShuffleLike
from batchup.data_source.arrays import RandomAccessDataSource
from batchup.data_source.request import Request
from batchup.ops.read.chosen import Chosen
from batchup.ops.read.gather import Gather, as_reads, gather_step, reading
from batchup.ops.read.reader import Reader
from batchup.ops.read.rows import Rows
from batchup.ops.read.table import table_of
from batchup.ops.read.table_rows import TableRows
from batchup.sampling import AbstractSampler

__all__ = ["TableDataSource"]


class TableDataSource(RandomAccessDataSource):
    """Mini-batches of a table: `sampler.stream(batch_size, shuffle) | gather(ops.table(data, ...))`.

    With `features` a batch is a tuple: an array of shape (rows, features), and the target if there is one. Otherwise it
    is a dict of arrays by the names of the columns.

    Parameters
    ----------
    data : table or path
        A path of a Parquet or Arrow file, a pattern such as `"train/*.parquet"`, or a list of these; a table, dataset or
        `ParquetFile` of pyarrow; a frame of pandas or polars; a dataset of Hugging Face.
    columns : list of str or None
        The columns to read; None for all.
    features : list of str, str or None
        In place of `columns`: columns of numbers, side by side in one array, or the name of one column, in its own form.
    target : str or None
        With `features`: a further column.
    dtype : dtype or None
        The dtype of the features; by default that of their columns, which must all have the same one.
    nulls : number, dict or None
        What to write where values are missing, in the columns that have missing values; or a dict of it by the names of
        columns.
    indices : 1-D array of int, mask, or None
        The subset to take, in this order; None for all rows.
    repeats : int
        The number of passes in an epoch; -1 for an endless number.
    sampler : AbstractSampler or None
        In place of `indices` and `repeats`: which rows come, in which order.
    include_indices : bool
        If True, the row numbers come first in each batch; in a dict, under "indices".
    cache : int
        The number of bytes of decoded row groups to keep, as for `ops.gather`.
    reads : int or None
        The number of row groups that are read at once, as for `ops.gather`.

    Raises
    ------
    TypeError
        If a column has a type without a form in NumPy, or the features are of several dtypes.
    ValueError
        If a column is missing, files have different schemas, or a column has missing values without `nulls`.
    FileNotFoundError
        If there is no file.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"age": [31.0, 45.0, 28.0], "size": [1.8, 1.6, 1.7], "label": [0, 1, 0]})
    >>> ds = TableDataSource(frame, features=["age", "size"], target="label")
    >>> for X, y in ds.batch_iterator(2, shuffle=12345):
    ...     print(X.tolist(), y.tolist())
    [[45.0, 1.6], [28.0, 1.7]] [1, 0]
    [[31.0, 1.8]] [0]
    >>> next(TableDataSource(frame, columns=["age"]).batch_iterator(2))
    {'age': array([31., 45.])}
    """

    def __init__(
        self,
        data: Any,
        columns: Sequence[str] | None = None,
        *,
        features: Sequence[str] | str | None = None,
        target: str | None = None,
        dtype: DTypeLike | None = None,
        nulls: Any = None,
        indices: ArrayLike | None = None,
        repeats: int = 1,
        sampler: AbstractSampler | None = None,
        include_indices: bool = False,
        cache: int = 0,
        reads: int | None = None,
    ):
        name = "TableDataSource"
        rows = table_of(data, Chosen.of(columns, features, target, dtype, nulls, name), name)
        self._reader = Reader((rows,), (), name, whole_number(cache, f"{name}: cache"), as_reads(reads, name))
        self._rows, self._data = rows, rows.array if isinstance(rows, TableRows) else data
        super().__init__(self._reader.length, indices, repeats, sampler, include_indices)

    @property
    def categories(self) -> dict[str, NDArray[Any]]:
        """The list of categories of each column of categories, by name; batches have codes into it."""
        return self._rows.categories

    def read(self, indices: NDArray[np.intp]) -> Any:
        return self._step(False).run(indices)

    def __getstate__(self) -> dict[str, Any]:
        # A frame goes as the arrays that are read, once.
        return {**self.__dict__, "_data": self._data if isinstance(self._data, Rows) else None}

    def _step(self, include_indices: bool) -> Gather:
        return gather_step(self._reader, (), include_indices, alone=not self._rows.spread)

    def _chunks(self, request: Request) -> int | NDArray[np.intp]:
        return self._reader.chunks()

    def _window(self, window: int | str) -> int:
        return self._reader.window(window)

    def _reading(self, request: Request) -> ops.Stage:
        return reading(self._step(self.include_indices), request.batch_size)

    def survey(
        self, batch_size: int, shuffle: ShuffleLike = None, *, labels: ArrayLike | None = None, **options: Any
    ) -> ops.Survey:
        """As `AbstractDataSource.survey`. `labels` may be the name of a column, which is then read.

        Parameters
        ----------
        batch_size : int
            The number of rows in a batch.
        shuffle : int, sequence of int, Generator, RandomState, True, None or False
            As for `batch_iterator`.
        labels : (n,) array of int, str or None
            The label of each row, >= 0, or the name of a column with them.
        **options : any
            The options of `batch_iterator`.

        Returns
        -------
        ops.Survey
            `print` shows a short report.
        """
        if isinstance(labels, str):
            where, wanted, data = "survey: labels", Chosen([labels]), self._data
            if data is None:
                raise TypeError(f"{where}: expected an array; the frame was not sent with this copy of {self!r}")
            column = TableRows(data, wanted, where) if isinstance(data, Rows) else table_of(data, wanted, where)
            [parts] = Reader((column,), (), where).read(range(len(column)))
            labels = parts[labels]
        return super().survey(batch_size, shuffle, labels=labels, **options)

    def __repr__(self) -> str:
        return f"TableDataSource({describe(self._rows)}{self._options()})"
