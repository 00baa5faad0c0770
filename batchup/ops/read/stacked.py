"""Columns of one dtype side by side, as one array of features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


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

    def __getitem__(self, some: slice | NDArray[np.intp]) -> NDArray[Any]:
        return np.stack([column[some] for column in self._columns], axis=1, dtype=self.dtype, casting="unsafe")

    def put_rows(self, out: NDArray[Any], places: NDArray[np.intp], rows: NDArray[np.intp]) -> None:
        """Write some rows to these places of `out`, which is in C order."""
        if len(rows) * _FEW < len(self):
            _as_rows(out)[places] = _as_rows(self[rows])
            return
        # The place of each row, if each comes once: then rows are read in order, and take little memory.
        place_of = np.full(len(self), -1, np.intp)
        place_of[rows] = places
        if len(rows) < len(self) or place_of.min(initial=0) < 0:
            _as_rows(out)[places] = _as_rows(self[:])[rows]
            return
        whole = _as_rows(out)
        for start in range(0, len(self), _ROWS):
            some = slice(start, start + _ROWS)
            whole[place_of[some]] = _as_rows(self[some])


# Fewer rows than 1 / _FEW of all are picked from each column; to put all side by side takes less time for more.
_FEW = 4
# Rows that are put side by side at a time: so many of some dozen columns stay in the cache of a core.
_ROWS = 4096


def _as_rows(array: NDArray[Any]) -> NDArray[np.void]:
    """The rows of an array in C order as values of so many bytes: these are copied one by one, not number by number."""
    return array.view(np.dtype((np.void, array.shape[1] * array.itemsize))).reshape(-1)
