"""The rows of a table that is not in memory, as an array-like with chunks: `TableRows`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from toolz import valmap

from batchup.core.blocks import block_array
from batchup.core.checks import describe
from batchup.core.errors import note
from batchup.ops.index.mixing import ChunkLabels
from batchup.ops.read.arrow import Kind, kind_of
from batchup.ops.read.arrow_columns import bytes_of_type, column_of, missing_in, with_dtype
from batchup.ops.read.at_once import REMOTE
from batchup.ops.read.chosen import Chosen
from batchup.ops.read.chunked import Stored
from batchup.ops.read.forms import Form, Gathered, bytes_of, owned
from batchup.ops.read.rows import Rows
from batchup.ops.read.tables import Categories, Unified, checked_names, refuse_missing, shown_columns


class TableRows(Stored):
    """The rows of a table that is not in memory. The samples of a block are a dict of arrays, or a tuple."""

    def __init__(self, rows: Rows, chosen: Chosen, where: str, columns: dict[str, _Column] | None = None):
        self.array = rows
        self.cache = None
        self.shape = (sum(rows.sizes),)
        self.spread = chosen.features is not None
        self._chosen, self._where = chosen, where
        self._names = chosen.names(checked_names(rows.names, where), where)
        self._ends = _equal_size(rows.sizes) or np.cumsum(np.array(rows.sizes, np.intp), dtype=np.intp)
        self._columns = {name: self._examined(name) for name in self._names} if columns is None else columns
        self._kinds = {name: self._kind(name) for name in self._names}
        chosen.check_features(valmap(lambda kind: (kind.text, kind.dtype), self._kinds), where)
        self._converts = valmap(_converter, self._kinds)
        self.dtype = shown_columns(valmap(lambda kind: kind.text, self._kinds))
        self._last: tuple[int, Form] | None = None  # the chunk that was read last, in order

    def __reduce__(self) -> tuple[Any, ...]:
        return TableRows, (self.array, self._chosen, self._where, self._columns)

    @property
    def categories(self) -> dict[str, Categories]:
        """The list of categories of each column of categories."""
        return {name: column.unified.values for name, column in self._columns.items() if column.unified is not None}

    # --- what is found out once

    def _examined(self, name: str) -> _Column:
        """Look for missing values in a column, and for its categories. Raises an error if it can't be read."""
        import pyarrow as pa

        where = f"{self._where}: column {name!r}"
        try:
            type_ = self.array.type_of(name)
        except ValueError as error:
            raise ValueError(f"{self._where}: {error}") from None
        if self._is_decoded(name):
            return _Column(type_)
        kind_of(type_, where)  # which may refuse it, before it is looked through
        missing = self._missing(name)
        fill = self._chosen.fill(name)
        refuse_missing(missing, fill, where)
        if not (self._chosen.codes and pa.types.is_dictionary(type_)):
            return _Column(type_, bool(missing))
        unified = Unified(list(self._dictionaries(name)), type_, where)
        if missing:
            unified.checked(fill, where)
        return _Column(type_, bool(missing), unified)

    def _kind(self, name: str) -> Kind:
        """How a column is read."""
        where, rows = f"{self._where}: column {name!r}", self.array
        type_, missing, unified = self._columns[name]
        if self._is_decoded(name):
            return Kind(str(type_), _as_it_is)
        fill = self._chosen.fill(name) if missing else None
        if unified is not None:
            code = -1 if fill is None else int(fill)
            return Kind("int64", lambda array: unified.codes(array, code), np.dtype(np.int64))
        kind = kind_of(type_, where, fill)
        return kind if rows.dtype is None else with_dtype(kind, rows.dtype)

    def _is_decoded(self, name: str) -> bool:
        return name in self.array.decoded

    def _missing(self, name: str) -> int:
        """The number of missing values of a column: by the statistics of its chunks, else by reading them."""
        found, unknown = 0, []
        for chunk in range(len(self.array.sizes)):
            missing = self.array.known(chunk, name).missing
            if missing is None:
                unknown.append(chunk)
            else:
                found += missing
        return found + sum(map(missing_in, self._scanned(name, unknown)))

    def _dictionaries(self, name: str) -> Iterator[Any]:
        for column in self._scanned(name, range(len(self.array.sizes))):
            yield from (chunk.dictionary for chunk in column.chunks)

    def _scanned(self, name: str, chunks: Sequence[int]) -> Iterator[Any]:
        """A column of these chunks, with a progress bar if that takes longer than a second."""
        if len(chunks):
            from tqdm import tqdm

            for chunk in tqdm(chunks, f"reading {name!r}", delay=1, leave=False):
                yield self.array.table(chunk, [name]).column(name)

    @cached_property
    def bytes_a_sample(self) -> int:
        """About the number of bytes of a row of a batch."""
        return max(1, round(sum(self._bytes_of(name) * self._growth(name) for name in self._names)))

    def _growth(self, name: str) -> float:
        """How much larger the numbers of a column are in a batch than in the table."""
        type_, _, unified = self._columns[name]
        dtype = self._kinds[name].dtype
        if dtype is None or unified is not None:
            return 1
        last = self._chosen.dtype_of(name) or dtype
        return last.itemsize / (kind_of(type_, "").dtype or dtype).itemsize

    def _bytes_of(self, name: str) -> float:
        """About the number of bytes of a value of a column, in the dtype of the table."""
        rows, (type_, _, unified) = self.array, self._columns[name]
        size = 8 if unified is not None else bytes_of_type(type_)
        if size is not None or not len(self):
            return size or 0.0
        known = [rows.known(chunk, name).size for chunk in range(min(8, len(rows.sizes)))]
        if None in known:
            column = rows.table(0, [name]).column(name)
            size = column.get_total_buffer_size() if self._is_decoded(name) else bytes_of(self._converts[name](column))
            return float(size / max(1, len(column)))
        return float(sum(size or 0 for size in known) / sum(rows.sizes[: len(known)]))

    def labels(self) -> Iterator[ChunkLabels]:
        """What is known of columns of integers, bools or categories, if chunks have one value, or two neighbours."""
        import pyarrow as pa

        for name in self._names:
            type_ = self._columns[name].type_
            if not (pa.types.is_integer(type_) or pa.types.is_boolean(type_) or pa.types.is_dictionary(type_)):
                continue
            bounds = [self.array.bounds(chunk, name) for chunk in range(len(self.array.sizes))]
            known = [pair for pair in bounds if pair is not None]
            if len(known) == len(bounds) > 1 and sum(low == high for low, high in known) >= len(known) / 4:
                labels = ChunkLabels(known, self.array.sizes)
                if labels.classes_in_a_chunk <= 2:
                    yield labels

    # --- reading

    @property
    def reads(self) -> int:
        return REMOTE if self.array.is_remote else 1

    def begun(self, block: NDArray[np.intp]) -> Callable[[], Any]:
        if self.array.reads_rows:
            return lambda: self._batch(self._picked(block))
        if not len(block):
            return lambda: self._batch(owned(self._empty(), slice(0)))
        if block.max() >= len(self):
            raise IndexError(f"expected indices below {len(self)}; got {block.max()}")
        numbers = self.chunk_of(block)
        # NumPy sorts integers of 16 bits ten times as fast as others.
        order = numbers.astype(np.min_scalar_type(self.number_of_chunks)).argsort(kind="stable")
        ends = np.flatnonzero(np.diff(numbers[order])) + 1
        of_chunks = [order[a:b] for a, b in pairwise([0, *ends.tolist(), len(block)])]
        chunks = [int(numbers[places[0]]) for places in of_chunks]
        results = self.at_once.results([partial(self._read, n) for n in chunks])

        def ended() -> Any:
            out: Gathered | None = None
            for places, n, data in zip(of_chunks, chunks, results, strict=True):
                out = out or Gathered(data, len(block))
                out.put(places, data, block[places] - self._bounds(n)[0])
                del data  # so that it is not kept while the next is read
            assert out is not None
            return self._batch(out.batch())

        return ended

    def run(self, block: range) -> Any:
        first, last = self.chunk_of(np.array([block.start, block.stop - 1])).tolist() if len(block) else (0, 0)
        several = self.at_once.most > 1 and first < last
        if self.array.reads_rows or several or not len(block) or block.stop > len(self):
            return self.samples(block_array(block))
        out: Gathered | None = None
        start = block.start
        while start < block.stop:
            n = int(self.chunk_of(np.array([start]))[0])
            begin, end = self._bounds(n)
            last = self._last
            data = last[1] if last is not None and last[0] == n else self._read(n)
            self._last = n, data
            out = out or Gathered(data, len(block))
            stop = min(end, block.stop)
            out.put(np.arange(start, stop) - block.start, data, np.arange(start, stop) - begin)
            start = stop
        assert out is not None
        return self._batch(out.batch())

    def _batch(self, parts: dict[str, Any]) -> Any:
        return tuple(parts.values()) if self.spread else parts

    def _read(self, n: int) -> Form:
        read = partial(self._chunk, n)
        return read() if self.cache is None else self.cache.get((id(self.array), n), read)

    def _chunk(self, n: int) -> Form:
        try:
            table = self.array.table(n, self._names)
        except Exception as error:
            note(error, lambda: f"while chunk {n} of {describe(self)} was read")
            raise
        if table.num_rows != self.array.sizes[n]:
            raise ValueError(
                f"{self._where}: expected {self.array.sizes[n]} rows in chunk {n} of {self.array}; got {table.num_rows}. Build "
                "the stream again"
            )
        return self._form(table)

    def _picked(self, block: NDArray[np.intp]) -> Form:
        """Some rows of a dataset whose rows can be read one by one."""
        rows = self.array
        if not len(block):
            return owned(self._empty(), slice(0))
        first, last = int(block.min()), int(block.max())
        # For rows this close to one another a slice is cheaper: Arrow gives it without a search for each row.
        close = last - first < 4 * len(block)
        which = slice(first, last + 1) if close else block
        table = rows.rows(which, self._names)
        count = last + 1 - first if close else len(block)
        if table.num_rows != count:
            raise ValueError(f"{self._where}: expected {count} rows of {describe(self)}; got {table.num_rows}")
        data = self._form(table, which)
        out = Gathered(data, len(block))
        out.put(np.arange(len(block)), data, block - first if close else np.arange(len(block)))
        return out.batch()

    def _empty(self) -> Form:
        first = slice(0, min(1, len(self)))
        return self._form(self.array.schema.empty_table().select(self._names), first)

    def _form(self, table: Any, which: Any = None) -> dict[str, Form]:
        """The columns of a table of Arrow, in the form in which they are read."""
        parts = {name: self._converts[name](table.column(name)) for name in self._names}
        for name in filter(self._is_decoded, self._names):
            parts[name] = self.array.decoded_values(which, name, self._where)
        return self._chosen.arranged(parts, lazily=True)


def _equal_size(sizes: Sequence[int]) -> int | None:
    """The number of rows in each chunk, if all have as many but the last, which may have fewer."""
    equal = len(sizes) > 0 and sizes[0] > 0 and all(size == sizes[0] for size in sizes[:-1])
    return int(sizes[0]) if equal and 0 < sizes[-1] <= sizes[0] else None


class _Column(NamedTuple):
    """What is known of a column: its type, whether values are missing, and its categories, if it has codes."""

    type_: Any
    missing: bool = False
    unified: Unified | None = None


def _as_it_is(array: Any) -> Any:
    return array


def _converter(kind: Kind) -> Callable[[Any], Form]:
    """A function that makes the form of a column out of a chunked array."""
    if kind.convert is _as_it_is:
        return _as_it_is
    return lambda column: column_of(column, kind)
