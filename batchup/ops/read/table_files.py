"""Where the rows of a table are that is not in memory: files of Parquet and Arrow, datasets of Arrow and Hugging Face."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from glob import glob
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from batchup.core.checks import describe, is_a, listed


class Known(NamedTuple):
    """What is known of a column in a chunk before it is read."""

    missing: int | None = None  # None: unknown
    size: int | None = None  # bytes


class Rows:
    """The rows of a table, in chunks. Derived classes define `table`.

    `schema` is that of Arrow, and `sizes` are the numbers of rows in the chunks.
    """

    schema: Any
    sizes: Sequence[int]

    @property
    def names(self) -> list[str]:
        return list(self.schema.names)

    def type_of(self, name: str) -> Any:
        """The type of a column. Raises ValueError if it differs between the files."""
        return self.schema.field(name).type

    def table(self, chunk: int, names: list[str]) -> Any:
        """These columns of a chunk, as a table of Arrow."""
        raise NotImplementedError

    def rows(self, which: NDArray[np.intp] | slice, names: list[str]) -> Any:
        """These columns of some rows."""
        raise NotImplementedError

    def known(self, chunk: int, name: str) -> Known:
        """What the file says of a column in a chunk."""
        return Known()

    def bounds(self, chunk: int, name: str) -> tuple[Any, Any] | None:
        """The smallest and the largest value of a column of numbers or strings in a chunk; None if they are unknown."""
        return None


class _Status(NamedTuple):
    """A file as it was when the stream was built."""

    path: str
    inode: int
    size: int
    modified: int

    @staticmethod
    def of(path: str) -> _Status:
        status = os.stat(path)
        return _Status(os.path.abspath(path), status.st_ino, status.st_size, status.st_mtime_ns)

    def check(self) -> None:
        """Raise ValueError if the file has changed."""
        status = os.stat(self.path)
        if (status.st_ino, status.st_size, status.st_mtime_ns) != (self.inode, self.size, self.modified):
            raise ValueError(
                f"expected the file {self.path} as it was when the stream was built; it was changed or replaced. Build the "
                "stream again"
            )


class _Files(Rows):
    """Files of one kind, each with some chunks. At most so many are open at a time."""

    open_at_once = 32

    def __init__(self, files: Sequence[_Status]):
        self._files = files
        self._set_up()
        first, *others = [self._opened(n) for n in range(len(files))]
        self.schema = _schema_of(first)
        self._schemas = [self.schema, *map(_schema_of, others)]
        counts = [self._sizes(file) for file in (first, *others)]
        self.sizes = [size for sizes in counts for size in sizes]
        self._places = [(n, k) for n, sizes in enumerate(counts) for k in range(len(sizes))]

    def _set_up(self) -> None:
        self._open: dict[int, Any] = {}
        self._known: dict[int, Statistics] = {}
        self._lock = threading.Lock()  # a file serves one thread at a time

    def type_of(self, name: str) -> Any:
        types = [schema.field(name).type if name in schema.names else None for schema in self._schemas]
        for n, type_ in enumerate(types):
            if type_ != types[0]:
                has = "no such column" if type_ is None else str(type_)
                raise ValueError(
                    f"column {name!r}: expected files of one schema; {self._files[0].path} has {types[0]}, and "
                    f"{self._files[n].path} has {has}. Leave the column out, or write the files anew"
                )
        return types[0]

    def _opened(self, n: int) -> Any:
        file = self._open.pop(n, None)
        if file is None:
            self._files[n].check()
            file = self._open_file(self._files[n].path)
            if len(self._open) >= self.open_at_once:
                self._open.pop(next(iter(self._open)))
        self._open[n] = file
        return file

    def table(self, chunk: int, names: list[str]) -> Any:
        n, k = self._places[chunk]
        with self._lock:
            return self._chunk(self._opened(n), k, names)

    def _open_file(self, path: str) -> Any:
        raise NotImplementedError

    def _sizes(self, file: Any) -> list[int]:
        raise NotImplementedError

    def _chunk(self, file: Any, k: int, names: list[str]) -> Any:
        raise NotImplementedError

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_open", "_known", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._set_up()

    def __str__(self) -> str:
        return listed(PurePath(file.path).name for file in self._files)


def _schema_of(file: Any) -> Any:
    return getattr(file, "schema_arrow", None) or file.schema


class ParquetFiles(_Files):
    """Files of Parquet. Their row groups are the chunks."""

    def _open_file(self, path: str) -> Any:
        import pyarrow
        from pyarrow import parquet

        return parquet.ParquetFile(pyarrow.OSFile(path))

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


class ArrowFiles(_Files):
    """Files of Arrow, which are called Feather, too. Their record batches are the chunks."""

    def _open_file(self, path: str) -> Any:
        import pyarrow

        try:
            return pyarrow.ipc.open_file(pyarrow.OSFile(path))
        except pyarrow.ArrowInvalid as error:
            raise ValueError(
                f"expected a file of Parquet, or of Arrow with record batches in any order; got {path}: {error}. A stream of "
                "Arrow can be read by pyarrow.ipc.open_stream(path).read_all()"
            ) from None

    def _sizes(self, file: Any) -> list[int]:
        return [file.get_batch(n).num_rows for n in range(file.num_record_batches)]

    def _chunk(self, file: Any, k: int, names: list[str]) -> Any:
        import pyarrow

        return pyarrow.Table.from_batches([file.get_batch(k)]).select(names)


class ArrowDataset(Rows):
    """A dataset of Arrow. Its chunks are the row groups of Parquet files; any other file is one chunk."""

    def __init__(self, dataset: Any, where: str):
        try:
            fragments = list(dataset.get_fragments())
        except ValueError:
            raise ValueError(
                f"{where}: expected a dataset of Arrow without a filter; got one with a filter or a projection, whose rows "
                "can't be counted. Write dataset.to_table(), or write it to files of its own by pyarrow.dataset.write_dataset"
            ) from None
        self.schema = dataset.schema
        self._known: dict[str, Statistics] = {}
        self._fragments: list[Any] = []
        for fragment in map(_with_absolute_path, fragments):
            split = getattr(fragment, "split_by_row_group", None)
            self._fragments += [fragment] if split is None else split()
        self._files = [_status_of(fragment) for fragment in self._fragments]
        self.sizes = list(map(_rows_of, self._fragments))

    def table(self, chunk: int, names: list[str]) -> Any:
        if (file := self._files[chunk]) is not None:
            file.check()
        return self._fragments[chunk].to_table(schema=self.schema, columns=names)

    def _group(self, chunk: int) -> tuple[Statistics, int] | None:
        """The statistics of the file, and the number of the row group in it. None for a file without row groups."""
        fragment = self._fragments[chunk]
        if not getattr(fragment, "row_groups", None):
            return None
        if fragment.path not in self._known:
            self._known[fragment.path] = Statistics(fragment.metadata)
        return self._known[fragment.path], fragment.row_groups[0].id

    def known(self, chunk: int, name: str) -> Known:
        found = self._group(chunk)
        return Known() if found is None else found[0].known(found[1], name)

    def bounds(self, chunk: int, name: str) -> tuple[Any, Any] | None:
        found = self._group(chunk)
        return None if found is None else found[0].bounds(found[1], name)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_known": {}}

    def __str__(self) -> str:
        return "Dataset"


def _is_local(fragment: Any) -> bool:
    return type(getattr(fragment, "filesystem", None)).__name__ == "LocalFileSystem"


def _with_absolute_path(fragment: Any) -> Any:
    if not _is_local(fragment) or os.path.isabs(fragment.path):
        return fragment
    path = os.path.abspath(fragment.path)
    return fragment.format.make_fragment(path, fragment.filesystem, fragment.partition_expression)


def _status_of(fragment: Any) -> _Status | None:
    return _Status.of(fragment.path) if _is_local(fragment) else None


def _rows_of(fragment: Any) -> int:
    groups = getattr(fragment, "row_groups", None)
    return int(sum(group.num_rows for group in groups) if groups else fragment.count_rows())


class HuggingFace(Rows):
    """A dataset of Hugging Face. Its record batches are the chunks; after a `shuffle` or `select` all of it is one."""

    def __init__(self, dataset: Any, where: str):
        if dataset.format["type"] == "custom":
            raise TypeError(f"{where}: expected a dataset without a transform; give one with it to samples(dataset)")
        names = dataset.format["columns"]
        self._dataset = dataset.with_format("arrow", columns=names)
        self.schema = dataset.data.schema
        self._names = list(names)
        in_order = dataset._indices is None and dataset.data.num_columns
        self.sizes = [len(c) for c in dataset.data.column(0).chunks] if in_order else [len(dataset)]
        self._ends = np.cumsum([0, *self.sizes])
        # Images and the like, which the package decodes.
        self.decoded = {name for name in names if _is_decoded(dataset.features[name])}
        self._by_numpy = dataset.with_format("numpy", columns=sorted(self.decoded)) if self.decoded else None
        self.dtype = _format_dtype(dataset.format["format_kwargs"].get("dtype"), where)

    @property
    def names(self) -> list[str]:
        return self._names

    def table(self, chunk: int, names: list[str]) -> Any:
        return self.rows(slice(int(self._ends[chunk]), int(self._ends[chunk + 1])), names)

    def rows(self, which: NDArray[np.intp] | slice, names: list[str]) -> Any:
        return self._dataset[which].select(names)

    def bounds(self, chunk: int, name: str) -> tuple[Any, Any] | None:
        if self._dataset._indices is not None:
            return None
        import pyarrow.compute as pc

        column = self._dataset.data.column(name).chunk(chunk)
        column = column.dictionary_decode() if hasattr(column, "dictionary") else column
        found = pc.min_max(column).as_py()
        return found["min"], found["max"]

    def images(self, which: Any, name: str, where: str) -> NDArray[Any]:
        """The values of a column that the package decodes. Raises TypeError if they have different shapes."""
        assert self._by_numpy is not None
        column = self._by_numpy[which][name]
        if not isinstance(column, np.ndarray) or column.dtype == object:
            raise TypeError(
                f"{where}: column {name!r}: expected values of one shape, and no missing ones; this batch has others. "
                "Give SampleDataSource(dataset, collate=...), or samples(...), a function of your own"
            )
        return column

    def __str__(self) -> str:
        return "Dataset"


def _is_decoded(feature: Any) -> bool:
    """True for a feature that the package decodes, such as an image, also inside of lists and dicts."""
    if isinstance(feature, dict):
        return any(map(_is_decoded, feature.values()))
    if isinstance(feature, list | tuple):
        return any(map(_is_decoded, feature))
    inner = getattr(feature, "feature", None)
    return bool(hasattr(feature, "decode_example") and getattr(feature, "decode", True)) or (
        inner is not None and _is_decoded(inner)
    )


def _format_dtype(dtype: Any, where: str) -> np.dtype[Any] | None:
    """The dtype of `with_format(..., dtype=)`."""
    if dtype is None:
        return None
    try:
        return np.dtype(
            getattr(dtype, "name", None) or str(dtype).removeprefix("torch.") if is_a(dtype, "torch.dtype") else dtype
        )
    except TypeError:
        raise TypeError(f"{where}: with_format: expected a dtype that NumPy has; got {dtype}") from None


def files_of(paths: Any, where: str) -> Rows:
    """The rows of files: a path, a pattern, or a list of these. Raises ValueError if there are none."""
    given = [paths] if isinstance(paths, str | PurePath) else list(paths)
    found = [path for one in given for path in _matching(os.fspath(one), where)]
    if not found:
        raise ValueError(f"{where}: expected one file at least; got an empty list")
    kinds = {_kind_of(path) for path in found}
    if len(kinds) > 1:
        raise ValueError(f"{where}: expected files of one kind; got both Parquet and Arrow files")
    try:
        return kinds.pop()([_Status.of(path) for path in found])
    except ImportError as error:
        raise ImportError(f"{where}: expected pyarrow, to read files of tables: pip install pyarrow") from error
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _matching(path: str, where: str) -> Iterator[str]:
    if "://" in path:
        raise ValueError(
            f"{where}: expected paths of files of this machine; got {path!r}. For others give "
            f"pyarrow.dataset.dataset({path!r})"
        )
    if os.path.isfile(path):
        yield path
        return
    found = sorted(glob(path, recursive=True))
    if os.path.isdir(path):
        raise ValueError(f"{where}: expected files; {path!r} is a directory. Write {os.path.join(path, '*.parquet')!r}")
    if not found:
        raise FileNotFoundError(f"{where}: expected a file; there is none at {path!r}")
    yield from (file for file in found if os.path.isfile(file))


def _kind_of(path: str) -> type[_Files]:
    """Parquet files begin with a word of their own."""
    with Path(path).open("rb") as file:
        return ParquetFiles if file.read(4) in (b"PAR1", b"PARE") else ArrowFiles


def rows_of(data: Any, where: str) -> Rows | None:
    """The rows of what is not in memory; None for anything else."""
    if isinstance(data, str | PurePath) or (
        isinstance(data, list | tuple) and data and all(isinstance(path, str | PurePath) for path in data)
    ):
        return files_of(data, where)
    if is_a(data, "pyarrow.parquet.core.ParquetFile"):
        return OneParquetFile(data)
    if is_a(data, "pyarrow._dataset.Dataset"):
        return ArrowDataset(data, where)
    if is_a(data, "datasets.arrow_dataset.Dataset"):
        return HuggingFace(data, where)
    if is_a(data, "polars.LazyFrame"):
        raise TypeError(
            f"{where}: expected a table; got a LazyFrame of polars, which is read anew for each batch. Give the path of its "
            "file, or frame.collect()"
        )
    if is_a(data, "datasets.iterable_dataset.IterableDataset", "datasets.dataset_dict.DatasetDict"):
        raise TypeError(f"{where}: expected a table with a length; got {describe(data)}")
    return None
