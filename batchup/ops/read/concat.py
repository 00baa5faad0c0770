"""Several arrays, one after another, as one: `concat`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.core.checks import describe, listed
from batchup.ops.read.at_once import ONE, AtOnce
from batchup.ops.read.chunked import ChunkCache, Samples, Stored, ends_of, prepared
from batchup.ops.read.indexed import Indexed
from batchup.ops.read.reader import bytes_a_sample, kept, pick_from, readable, run_from
from batchup.ops.read.table_rows import TableRows
from batchup.ops.read.tables import Columns
from batchup.parts import Piece, by_owner, in_places, put_together
from batchup.ragged import Ragged


def concat(*arrays: Any) -> Concat:
    """Several arrays, one after another, as one array for `gather`. Nothing is copied.

    Sample i of array m is sample `sum(lengths[:m]) + i`. If all arrays have chunks, it has their chunks.

    Parameters
    ----------
    *arrays : array-likes
        Of one dtype, and one shape but for the number of samples: whatever `gather` reads. Tables have the same columns.

    Returns
    -------
    array-like
        It has `shape` and `dtype`, and is indexed by ints, slices, integer arrays and masks.

    Raises
    ------
    TypeError
        If an argument is no array, or one that `gather` doesn't read.
    ValueError
        Without arrays, and if the arrays have different dtypes, shapes or columns. An array-like without `shape` or
        `dtype` is asked for its first sample; what differs later is told while reading.

    Examples
    --------
    >>> from batchup import ops
    >>> X = concat(np.arange(4) * 10, np.arange(3))
    >>> X, X[[5, 0]]
    (<7 int64>, array([1, 0]))
    >>> list(ops.blend([4, 3], 7, block=7) | ops.chunk(4) | ops.gather(X) | ops.take(1))
    [(array([1, 2, 0, 0]),)]
    """
    if len(arrays) == 1 and isinstance(arrays[0], list | tuple):
        raise TypeError(
            f"concat: expected arrays, as in concat(X1, X2); got one {describe(arrays[0])}. Write concat(*arrays)"
        )
    return Concat(arrays)


class Concat(Indexed):
    """The array-like of `concat`."""

    def __init__(self, arrays: tuple[Any, ...], cache: ChunkCache | None = None, at_once: AtOnce = ONE):
        if not arrays:
            raise ValueError("concat: expected one array at least; got none")
        columns = [readable(array, f"concat: array {n}") for n, array in enumerate(arrays)]
        for n, column in enumerate(columns):
            if isinstance(column, np.ndarray) and type(column) is not np.ndarray:
                raise TypeError(
                    f"concat: array {n}: expected a plain array; got {describe(column)}, a {type(column).__name__}, which "
                    "would be lost. Write np.asarray(array)"
                )
        wheres = [f"concat: array {n}" for n in range(len(columns))]
        columns = prepared(columns, cache, at_once)
        self._picks = list(map(pick_from, columns, wheres))
        self._runs = list(map(run_from, columns, wheres))
        _check_alike(columns, self._picks)
        stored = [column for column in columns if isinstance(column, Stored)]
        sizes = [np.diff(ends_of(c.chunks, len(c)), prepend=0) for c in stored if c.chunks is not None]
        lengths = list(map(len, columns))
        first = columns[0]
        super().__init__(
            tuple(map(kept, arrays, columns)),
            (sum(lengths), *getattr(first, "shape", ())[1:]),
            getattr(first, "dtype", "samples"),
            np.concatenate(sizes) if len(sizes) == len(columns) else None,
        )
        self.spread = getattr(first, "spread", False)
        self.categories = getattr(first, "categories", {})
        self.cache, self.at_once = cache, at_once
        self._starts = np.cumsum([0, *lengths])
        self._columns = columns

    def prepared(self, cache: ChunkCache | None, at_once: AtOnce) -> Concat:
        return Concat(self.array, cache, at_once)

    def __reduce__(self) -> tuple[Any, ...]:
        return Concat, (self.array,)

    @property
    def bytes_a_sample(self) -> int:
        return int(max(map(bytes_a_sample, self._columns)))

    def samples(self, block: NDArray[np.intp]) -> Samples:
        self.check(block)
        if not len(block):
            return self._picks[0](block)
        samples, places = by_owner(block, self._starts)
        return in_places([self._picks[n](some) for n, some in samples], places, "concat")

    def run(self, block: range) -> Samples:
        self.check(np.array([block.start, block.stop - 1] if block else [], np.intp))
        pieces = [Piece(run(part), 0, len(part)) for run, part in self._parts(block)]
        if len(pieces) == 1:
            return pieces[0].of
        return put_together(pieces, "concat") if pieces else self.samples(np.empty(0, np.intp))

    def _parts(self, block: range) -> Iterator[tuple[Any, range]]:
        """The function that reads each array, and the part of a range that lies in it."""
        for run, start, stop in zip(self._runs, self._starts[:-1].tolist(), self._starts[1:].tolist(), strict=True):
            begin, end = max(block.start, start), min(block.stop, stop)
            if begin < end:
                yield run, range(begin - start, end - start)


def _check_alike(columns: list[Any], picks: list[Callable[[Any], Any]]) -> None:
    """Raise ValueError for arrays of different kinds, dtypes or shapes, or tables of different columns."""
    kinds = [kind_of(column, pick) for column, pick in zip(columns, picks, strict=True)]
    for n, kind in enumerate(kinds):
        if kind != kinds[0]:
            wanted = "concat: expected arrays of one dtype, and one shape but for the number of samples"
            raise ValueError(f"{wanted}; array 0 has {kinds[0]}, array {n} has {kind}")
    for name, categories in getattr(columns[0], "categories", {}).items():
        for n, column in enumerate(columns):
            own = column.categories.get(name, ())
            if not np.array_equal(own, categories):
                raise ValueError(
                    f"concat: expected one list of categories of column {name!r}, which its codes stand for; table 0 has "
                    f"{listed(map(repr, categories))}, table {n} {listed(map(repr, own))}. Give all files to one "
                    "ops.table(...)"
                )


def kind_of(column: Any, pick: Callable[[Any], Any]) -> str:
    """What must be alike, for an error. An array-like that doesn't say it is asked for its first sample."""
    if isinstance(column, Columns | TableRows):
        return str(column.dtype)
    known = hasattr(column, "dtype") and isinstance(getattr(column, "shape", None), tuple)
    samples = column if known else pick(np.arange(min(1, len(column))))
    if not (known or hasattr(samples, "dtype")):
        return f"samples in {describe(samples)}"
    return f"{'Ragged ' if isinstance(samples, Ragged) else ''}samples of {samples.shape[1:]} {samples.dtype}"
