"""Datasets of Arrow and of Hugging Face."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.core.checks import is_a
from batchup.files import FileStatus
from batchup.ops.read.parquet import Statistics
from batchup.ops.read.rows import Known, Rows, same_type


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
        self.is_remote = any(not _is_local(f) for f in self._fragments if hasattr(f, "filesystem"))

    def type_of(self, name: str) -> Any:
        type_ = super().type_of(name)
        files = {getattr(fragment, "path", str(n)): fragment for n, fragment in enumerate(self._fragments)}
        # A column that a file lacks is missing there, or is in the name of its folder.
        schemas = [(path, fragment.physical_schema) for path, fragment in files.items()]
        same_type(name, [("the dataset", self.schema), *[each for each in schemas if name in each[1].names]])
        return type_

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


def _status_of(fragment: Any) -> FileStatus | None:
    return FileStatus.of(fragment.path) if _is_local(fragment) else None


def _rows_of(fragment: Any) -> int:
    groups = getattr(fragment, "row_groups", None)
    return int(sum(group.num_rows for group in groups) if groups else fragment.count_rows())


class HuggingFace(Rows):
    """A dataset of Hugging Face. Its record batches are the chunks; after a `shuffle` or `select` all of it is one."""

    reads_rows = True

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
        self.decoded = frozenset(name for name in names if _is_decoded(dataset.features[name]))
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
        return None if found["min"] is None else (found["min"], found["max"])

    def decoded_values(self, which: Any, name: str, where: str) -> NDArray[Any]:
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
