"""The forms that columns have, arrays, `Strings`, `Ragged` and dicts of these: join them, select rows, copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from toolz import valmap

from batchup.core.memory import copied, empty
from batchup.ragged import Ragged
from batchup.strings import Strings

Form = Any  # an array, Strings, Ragged, or a dict of these by names


def joined(parts: Sequence[Form]) -> Form:
    """Columns of one form, one after another."""
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, dict):
        return {name: joined([part[name] for part in parts]) for name in first}
    if isinstance(first, Strings):
        return Strings.joined(parts)
    return Ragged.joined(parts) if isinstance(first, Ragged) else np.concatenate(parts)


def owned(part: Form, some: slice = slice(None)) -> Form:
    """Some rows in memory of their own; strings as an object array."""
    if isinstance(part, dict):
        return valmap(lambda inner: owned(inner, some), part)
    if isinstance(part, np.ndarray):
        return copied(part[some])
    return part[some].copy()


def as_dtype(part: Form, dtype: np.dtype[Any]) -> Form:
    """Numbers in another dtype: an array or a `Ragged`."""
    if isinstance(part, Ragged):
        return Ragged(part.flat.astype(dtype, copy=False), part.offsets - part.offsets[0])
    return part.astype(dtype, copy=False)


def bytes_of(part: Form) -> int:
    """The number of bytes of all rows."""
    return sum(map(bytes_of, part.values())) if isinstance(part, dict) else int(part.nbytes)


class Gathered:
    """Rows of several columns of one form, put in any order into one, in memory of its own.

    `like` is one of these columns, and `count` the number of rows in all.
    """

    def __init__(self, like: Form, count: int):
        self._parts: dict[str, Gathered] | None = None
        self._out: NDArray[Any] | None = None
        if isinstance(like, dict):
            self._parts = valmap(lambda part: Gathered(part, count), like)
        elif isinstance(like, Strings):
            self._out = np.empty(count, object)
        elif not isinstance(like, Ragged):
            self._out = empty((count, *like.shape[1:]), like.dtype)
        self._pieces: list[Ragged] = []
        self._places: list[NDArray[np.intp]] = []

    def put(self, places: NDArray[np.intp], part: Form, rows: NDArray[np.intp]) -> None:
        """Write these rows of a column to these places."""
        if self._parts is not None:
            for name, inner in self._parts.items():
                inner.put(places, part[name], rows)
        elif isinstance(part, Ragged):
            self._pieces.append(part[rows])
            self._places.append(places)
        elif hasattr(part, "put_rows"):
            part.put_rows(self._out, places, rows)
        else:
            assert self._out is not None
            whole = isinstance(part, np.ndarray) and len(part) == len(rows) and bool((np.diff(rows) == 1).all())
            self._out[places] = part if whole else part[rows]

    def batch(self) -> Form:
        """All rows."""
        if self._parts is not None:
            return valmap(Gathered.batch, self._parts)
        if not self._pieces:
            return self._out
        places = np.concatenate(self._places)
        order = np.empty(len(places), np.intp)
        order[places] = np.arange(len(places))
        together = Ragged.joined(self._pieces)
        return together if bool((np.diff(places) == 1).all()) else together[order]
