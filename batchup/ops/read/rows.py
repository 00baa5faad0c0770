"""The rows of tables that are not in memory: what such a table says of itself, and files that have some chunks each."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from batchup.core.checks import listed
from batchup.files import FileStatus


class Known(NamedTuple):
    """What is known of a column in a chunk before it is read."""

    missing: int | None = None  # None: unknown
    size: int | None = None  # bytes


class Rows:
    """The rows of a table, in chunks. Derived classes define `table`.

    `schema` is that of Arrow, and `sizes` are the numbers of rows in the chunks. `decoded` are columns whose values are
    not those of Arrow, but come from `decoded_values`; `dtype` is one that the user has asked the table for. Where
    `reads_rows` is True, single rows can be read without their chunk, by `rows`.
    """

    schema: Any
    sizes: Sequence[int]
    decoded: frozenset[str] = frozenset()
    dtype: np.dtype[Any] | None = None
    reads_rows = False
    is_remote = False  # True if the rows are in storage that is not local

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

    def decoded_values(self, which: Any, name: str, where: str) -> NDArray[Any]:
        """The values of a column among `decoded`, of some rows."""
        raise NotImplementedError

    def known(self, chunk: int, name: str) -> Known:
        """What the file says of a column in a chunk."""
        return Known()

    def bounds(self, chunk: int, name: str) -> tuple[Any, Any] | None:
        """The smallest and the largest value of a column of numbers or strings in a chunk; None if they are unknown."""
        return None


class _Descriptor:
    """A file that is kept open, to ask for its status: that of Arrow can't be asked in all versions."""

    def __init__(self, path: str):
        self.number = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        if hasattr(self, "number"):
            os.close(self.number)


class Files(Rows):
    """Files of one kind, each with some chunks. At most so many are open at a time."""

    open_at_once = 32
    _not_sent: tuple[str, ...] = ("_open", "_lock", "_schemas")

    def __init__(self, files: Sequence[FileStatus]):
        self._files = files
        self._set_up()
        self.sizes: list[int] = []
        self._places: list[tuple[int, int]] = []  # of each chunk: the file, and the number in it
        for n in range(len(files)):
            file = self._opened(n)
            sizes = self._sizes(file)
            self._schemas.append(_schema_of(file))
            self._places += [(n, k) for k in range(len(sizes))]
            self.sizes += sizes
        self.schema = self._schemas[0]

    def _set_up(self) -> None:
        self._open: dict[int, tuple[_Descriptor, Any]] = {}  # by the number of the file, with what reads it
        self._schemas: list[Any] = []
        self._lock = threading.Lock()  # a file serves one thread at a time

    def type_of(self, name: str) -> Any:
        if not self._schemas:  # in another process, to which they were not sent
            self._schemas = [_schema_of(self._opened(n)) for n in range(len(self._files))]
        return same_type(name, [(file.path, schema) for file, schema in zip(self._files, self._schemas, strict=True)])

    def _opened(self, n: int) -> Any:
        import pyarrow

        found = self._open.pop(n, None)
        if found is None:
            self._files[n].check()
            path = self._files[n].path
            found = _Descriptor(path), self._open_file(pyarrow.OSFile(path), path)
            self._files[n].check()  # again: it may have been replaced before the second was opened
            if len(self._open) >= self.open_at_once:
                self._open.pop(next(iter(self._open)))
        self._open[n] = found
        self._files[n].check(found[0].number)  # it may have been written over
        return found[1]

    def table(self, chunk: int, names: list[str]) -> Any:
        n, k = self._places[chunk]
        with self._lock:
            return self._chunk(self._opened(n), k, names)

    def _open_file(self, file: Any, path: str) -> Any:
        raise NotImplementedError

    def _sizes(self, file: Any) -> list[int]:
        raise NotImplementedError

    def _chunk(self, file: Any, k: int, names: list[str]) -> Any:
        raise NotImplementedError

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in self._not_sent}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._set_up()

    def __str__(self) -> str:
        return listed(os.path.basename(file.path) for file in self._files)


def same_type(name: str, schemas: Sequence[tuple[str, Any]]) -> Any:
    """The type of a column in all files, of which the paths and schemas are given. Raises ValueError if it differs."""
    places = [schema.get_field_index(name) for _, schema in schemas]
    types = [None if n < 0 else schema.field(n).type for (_, schema), n in zip(schemas, places, strict=True)]
    for (path, _), type_ in zip(schemas, types, strict=True):
        if type_ != types[0]:
            has = "no such column" if type_ is None else str(type_)
            raise ValueError(
                f"column {name!r}: expected files of one schema; {schemas[0][0]} has {types[0]}, and {path} has {has}. Leave "
                "the column out, or write the files anew"
            )
    return types[0]


def _schema_of(file: Any) -> Any:
    return getattr(file, "schema_arrow", None) or file.schema
