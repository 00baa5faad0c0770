"""Where the rows of a table are that is not in memory: paths of Parquet and Arrow files, and datasets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from glob import glob
from typing import Any

from batchup.core.checks import describe, is_a
from batchup.files import FileStatus
from batchup.ops.read.parquet import OneParquetFile, ParquetFiles
from batchup.ops.read.rows import Files, Rows
from batchup.ops.read.table_datasets import ArrowDataset, HuggingFace


class ArrowFiles(Files):
    """Files of Arrow, which are called Feather, too. Their record batches are the chunks."""

    def _open_file(self, file: Any, path: str) -> Any:
        import pyarrow

        try:
            return pyarrow.ipc.open_file(file)
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


def files_of(paths: Any, where: str) -> Rows:
    """The rows of files: a path, a pattern, or a list of these. Raises ValueError if there are none."""
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    found = [path for one in given for path in _matching(os.fspath(one), where)]
    if not found:
        raise ValueError(f"{where}: expected one file at least; got an empty list")
    kinds = {_kind_of(path) for path in found}
    if len(kinds) > 1:
        raise ValueError(f"{where}: expected files of one kind; got both Parquet and Arrow files")
    try:
        return kinds.pop()([FileStatus.of(path) for path in found])
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


def _kind_of(path: str) -> type[Files]:
    """Parquet files begin with a word of their own."""
    with open(path, "rb") as file:
        return ParquetFiles if file.read(4) in (b"PAR1", b"PARE") else ArrowFiles


def rows_of(data: Any, where: str) -> Rows | None:
    """The rows of what is not in memory; None for anything else."""
    if isinstance(data, str | os.PathLike) or (
        isinstance(data, list | tuple) and data and all(isinstance(path, str | os.PathLike) for path in data)
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
