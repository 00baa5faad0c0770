"""Tables in files of Parquet, whose row groups are the chunks."""

from __future__ import annotations

import threading
from typing import Any

from batchup.ops.read.rows import Files, Known, Rows


class ParquetFiles(Files):
    """Files of Parquet. Their row groups are the chunks."""

    _not_sent = (*Files._not_sent, "_known")

    def _set_up(self) -> None:
        super()._set_up()
        self._known: dict[int, Statistics] = {}

    def _open_file(self, file: Any, path: str) -> Any:
        from pyarrow import parquet

        return parquet.ParquetFile(file)

    def _sizes(self, file: Any) -> list[int]:
        return row_groups(file.metadata)

    def _chunk(self, file: Any, k: int, names: list[str]) -> Any:
        return file.read_row_group(k, columns=names)

    def _statistics(self, n: int) -> Statistics:
        if n not in self._known:
            with self._lock:
                self._known[n] = Statistics(self._opened(n).metadata)
        return self._known[n]

    def known(self, chunk: int, name: str) -> Known:
        n, k = self._places[chunk]
        return self._statistics(n).known(k, name)

    def bounds(self, chunk: int, name: str) -> tuple[Any, Any] | None:
        n, k = self._places[chunk]
        return self._statistics(n).bounds(k, name)


def row_groups(metadata: Any) -> list[int]:
    """The numbers of rows in the row groups of a Parquet file."""
    return [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)]


class Statistics:
    """What the footer of a Parquet file says of its columns."""

    def __init__(self, metadata: Any):
        self._metadata = metadata
        # A column with parts is stored as several, whose paths begin with its name.
        names = metadata.schema.to_arrow_schema().names
        paths = [metadata.schema.column(n).path for n in range(metadata.num_columns)]
        self._leaves: dict[str, list[int]] = {name: [] for name in names}
        for n, path in enumerate(paths):
            parts = path.split(".")
            heads = (".".join(parts[:k]) for k in range(len(parts), 0, -1))
            owner = next((head for head in heads if head in self._leaves), None)
            if owner is not None:
                self._leaves[owner].append(n)
        self._flat = {name for name, leaves in self._leaves.items() if [paths[n] for n in leaves] == [name]}

    def known(self, group: int, name: str) -> Known:
        """The missing values and the bytes of a column in a row group, as far as they are known."""
        row_group = self._metadata.row_group(group)
        parts = [row_group.column(n) for n in self._leaves.get(name, ())]
        size = sum(part.total_uncompressed_size for part in parts)
        statistics = [part.statistics for part in parts]
        if not parts or any(each is None or not each.has_null_count for each in statistics):
            return Known(None, size)
        missing = sum(each.null_count for each in statistics)
        # In a column with parts empty lists are counted, too.
        return Known(missing if name in self._flat or not missing else None, size)

    def bounds(self, group: int, name: str) -> tuple[Any, Any] | None:
        """The smallest and the largest value of a column in a row group."""
        if name not in self._flat:
            return None
        statistics = self._metadata.row_group(group).column(self._leaves[name][0]).statistics
        return (statistics.min, statistics.max) if statistics is not None and statistics.has_min_max else None


class OneParquetFile(Rows):
    """A `ParquetFile` that the user has open. It can't go to another process."""

    def __init__(self, file: Any):
        self._file = file
        self.schema = file.schema_arrow
        self.sizes = row_groups(file.metadata)
        self._statistics = Statistics(file.metadata)
        self._lock = threading.Lock()

    def table(self, chunk: int, names: list[str]) -> Any:
        with self._lock:
            return self._file.read_row_group(chunk, columns=names)

    def known(self, chunk: int, name: str) -> Known:
        return self._statistics.known(chunk, name)

    def bounds(self, chunk: int, name: str) -> tuple[Any, Any] | None:
        return self._statistics.bounds(chunk, name)

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(
            "a ParquetFile is an open file, which another process can't have: give its path, to TableDataSource(path), or "
            "to gather as ops.table(path)"
        )

    def __str__(self) -> str:
        return "ParquetFile"
