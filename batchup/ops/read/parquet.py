"""Tables in files, read by row groups: Parquet, and datasets of Arrow."""

import threading
from typing import Any

import numpy as np

from batchup.core.checks import describe, is_a
from batchup.ops.read.chunked import GAP, Samples, Stored
from batchup.ops.read.tables import table_arrays


def in_row_groups(table: Any, where: str) -> Stored | None:
    """A table in a file, to be read by row groups; None for anything else."""
    if is_a(table, "pyarrow.parquet.core.ParquetFile"):
        return _OfParquet(table)
    return _OfArrowDataset(table) if is_a(table, "pyarrow._dataset.Dataset") else None


class _Tables(Stored):
    """The rows of tables, whose chunks are row groups. The samples of a block are a dict of arrays."""

    def __init__(self, array: Any, schema: Any, sizes: list[int]):
        self.array = array
        self.shape = (sum(sizes),)
        self.dtype = "{" + ", ".join(f"{field.name}: {field.type}" for field in schema) + "}"
        self.cache = None
        self._ends = np.cumsum(np.array(sizes, np.intp))

    @property
    def bytes_a_sample(self) -> int:
        return GAP  # so no row group without wanted samples is read

    def read(self, start: int, stop: int) -> Samples:
        first, last = (int(self.chunk_of(np.array([i]))[0]) for i in (start, stop - 1))
        table = self._table(range(first, last + 1) if stop > start else range(first, first + 1))
        begin = self._bounds(first)[0]
        return table_arrays(table.slice(start - begin, stop - start), describe(self))

    def _table(self, chunks: range) -> Any:
        raise NotImplementedError


class _OfParquet(_Tables):
    """A Parquet file."""

    def __init__(self, file: Any):
        metadata = file.metadata
        sizes = [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)]
        super().__init__(file, file.schema_arrow, sizes)
        self._lock = threading.Lock()  # a file serves one thread at a time

    def _table(self, chunks: range) -> Any:
        with self._lock:
            return self.array.read_row_groups(list(chunks))

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(
            "a ParquetFile is an open file, which another process can't have: give "
            "pyarrow.dataset.dataset(path), which also takes several files"
        )


class _OfArrowDataset(_Tables):
    """A dataset of Arrow, of any number of files; of files without row groups each is one chunk."""

    def __init__(self, dataset: Any):
        self._fragments: list[Any] = []
        for fragment in dataset.get_fragments():
            split = getattr(fragment, "split_by_row_group", None)
            self._fragments += [fragment] if split is None else split()
        sizes = [_rows_of(fragment) for fragment in self._fragments]
        super().__init__(dataset, dataset.schema, sizes)

    def _table(self, chunks: range) -> Any:
        import pyarrow

        schema = self.array.schema
        return pyarrow.concat_tables([self._fragments[n].to_table(schema=schema) for n in chunks])


def _rows_of(fragment: Any) -> int:
    groups = getattr(fragment, "row_groups", None)
    return int(sum(group.num_rows for group in groups) if groups else fragment.count_rows())
