"""Tables as arrays of rows: `table`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike
from toolz import valmap

from batchup.core.checks import describe, is_a
from batchup.ops.read.chosen import Chosen, Nulls
from batchup.ops.read.forms import Form
from batchup.ops.read.table_files import rows_of
from batchup.ops.read.table_rows import TableRows
from batchup.ops.read.tables import FRAMES, Categories, Columns, codes_of, in_arrow, is_category, names_of, of_series
from batchup.ragged import Ragged


def table(
    data: Any,
    columns: Sequence[str] | None = None,
    *,
    features: Sequence[str] | str | None = None,
    target: str | None = None,
    dtype: DTypeLike | None = None,
    nulls: Nulls = None,
) -> Columns | TableRows:
    """The rows of a table, for `gather`: some of its columns, or an array of features and a target.

    Parameters
    ----------
    data : table or path
        A path of a Parquet or Arrow file, a pattern such as `"train/*.parquet"`, or a list of these; a table, dataset or
        `ParquetFile` of pyarrow; a frame of pandas or polars; a dataset of Hugging Face.
    columns : list of str or None
        The columns to read; None for all. The samples of a block are a dict of arrays by these names.
    features : list of str, str or None
        In place of `columns`: columns of numbers, side by side in one array of shape (rows, features), or the name of
        one column, in its own form. `gather` gives it as an array of its own.
    target : str or None
        With `features`: a further column, which `gather` gives as a further array.
    dtype : dtype or None
        The dtype of the features; by default that of their columns, which must all have the same one.
    nulls : number, dict or None
        What to write where values are missing, in the columns that have missing values; or a dict of it by the names of
        columns.

    Returns
    -------
    array-like of rows
        Its length is the number of rows. `table.categories` has the list of categories of each column of categories, by name.

    Raises
    ------
    TypeError
        If a column has a type without a form in NumPy, or the features are of several dtypes.
    ValueError
        If a column is missing, files have different schemas, or a column has missing values without `nulls`.
    FileNotFoundError
        If there is no file.

    Notes
    -----
    Numbers, bools, dates and times have the dtype that they have in the table; strings and bytes are objects; lists of
    one size, and tensors of one shape, are arrays of more dimensions, other lists are `Ragged`, and structs are dicts.
    Categories are int64 codes into one list for all files.

    Examples
    --------
    >>> import pandas as pd
    >>> from batchup import ops
    >>> frame = pd.DataFrame({"age": [31.0, 45.0], "size": [1.8, 1.6], "town": pd.Categorical(["Bonn", "Aachen"])})
    >>> rows = table(frame, features=["age", "size"], target="town")
    >>> list(ops.indices([1, 0]) | ops.gather(rows))
    [(array([[45. ,  1.6],
           [31. ,  1.8]]), array([0, 1]))]
    >>> rows.categories
    {'town': array(['Aachen', 'Bonn'], dtype=object)}
    """
    return table_of(data, Chosen.of(columns, features, target, dtype, nulls, "table"), "table")


def table_of(data: Any, chosen: Chosen, where: str) -> Columns | TableRows:
    """The rows of a table."""
    rows = rows_of(data, where)
    if rows is not None:
        return TableRows(rows, chosen, where)
    if not is_a(data, *FRAMES):
        wanted = (
            f"{where}: expected a table of pandas, polars, Arrow or Hugging Face, or paths of Parquet or Arrow files"
        )
        raise TypeError(f"{wanted}; got {describe(data)}")
    parts: dict[str, Form] = {}
    categories: dict[str, Categories] = {}
    for name in chosen.names(names_of(data, where), where):
        at, fill = f"{where}: column {name!r}", chosen.fill(name)
        series = in_arrow(data[name], at)
        if chosen.codes and is_category(series):
            parts[name], categories[name] = codes_of(series, at, fill)
        else:
            parts[name] = of_series(series, at, fill)
    chosen.check_features(valmap(_kind, parts), where)
    return Columns(chosen.arranged(parts, lazily=False), len(data), categories, chosen.features is not None)


def _kind(part: Form) -> tuple[str, np.dtype[Any] | None]:
    """What a column in memory is, for an error, and the dtype of its numbers."""
    dtype = part.dtype if isinstance(part, np.ndarray | Ragged) and part.dtype.kind in "biufc" else None
    return str(dtype) if dtype is not None and part.shape[1:] == () else describe(part), dtype
