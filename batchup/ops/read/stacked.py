"""Columns of one dtype side by side, as one array of features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Rows that are put side by side at a time: so many of some dozen columns stay in the cache of a core.
_ROWS = 2048


class Stacked:
    """Columns as an array of shape (rows, columns), which is made of the rows that are read."""

    def __init__(self, columns: Sequence[NDArray[Any]], dtype: np.dtype[Any]):
        self._columns = columns
        self.dtype = dtype
        self.shape = (len(columns[0]), len(columns))

    @property
    def nbytes(self) -> int:
        """The number of bytes of the columns."""
        return sum(column.nbytes for column in self._columns)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, some: slice) -> NDArray[Any]:
        columns = [column[some] for column in self._columns]
        out = np.empty((len(columns[0]), len(columns)), self.dtype)
        for start in range(0, len(out), _ROWS):
            rows = slice(start, start + _ROWS)
            for j, column in enumerate(columns):
                out[rows, j] = column[rows]
        return out

    def put_rows(self, out: NDArray[Any], places: NDArray[np.intp], rows: NDArray[np.intp]) -> None:
        """Write some rows to these places of `out`."""
        block = np.empty((min(_ROWS, len(rows)), self.shape[1]), self.dtype)
        for start in range(0, len(rows), _ROWS):
            some = rows[start : start + _ROWS]
            first, last = int(some[0]), int(some[-1])
            dense = last - first + 1 == len(some)  # they are sorted
            which: Any = slice(first, last + 1) if dense and bool((np.diff(some) == 1).all()) else some
            part = block[: len(some)]
            for j, column in enumerate(self._columns):
                part[:, j] = column[which]
            out[places[start : start + _ROWS]] = part
