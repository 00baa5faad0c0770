"""Read the files of data sets, with a `FormatError` for whatever is wrong with them; write .npy files."""

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from batchup.datasets.errors import FormatError


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """A context for reading `path`: errors of decoders become a `FormatError` that names the file."""
    import tarfile

    try:
        yield
    except (EOFError, zlib.error, tarfile.TarError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: {str(error) or type(error).__name__}") from error
    except OSError as error:
        # gzip and bz2 raise OSError for bad data; errors of the system have an `errno`.
        if error.errno is not None:
            raise
        raise FormatError(f"{path}: {error}") from error


def check(holds: bool, path: Path, message: str) -> None:
    """Raise `FormatError` about `path` unless the condition is true."""
    if not holds:
        raise FormatError(f"{path}: {message}")


def checked_labels(labels: np.ndarray, classes: int, path: Path, *, first: int = 0) -> np.ndarray:
    """The labels as int32 counted from 0; each must be from `first` to `first + classes - 1`."""
    bad = labels[(labels < first) | (labels >= first + classes)]
    last = first + classes - 1
    check(bad.size == 0, path, f"labels must be {first} to {last}, got {bad[:1].tolist()}")
    return labels.astype(np.int32) - np.int32(first)


Read = Callable[..., bytes]
"""`read(size=-1)` as of a file, but what is wrong with it is a `FormatError`."""


def tar_members(path: Path, sizes: Mapping[str, int | None]) -> Iterator[tuple[str, Read]]:
    """The wanted members of a .tar.gz, in one pass: the name of each, and a function that opens it.

    They come in the order of the archive. `sizes` has the names of the wanted members and their numbers of bytes, None
    for any number. Nothing is written. Raises `FormatError` if a member is neither a file nor a directory, or has a path
    outside of the archive, and if a wanted one is missing, is there twice, or has another size.
    """
    import tarfile

    missing = dict(sizes)
    with reading(path), tarfile.open(path, "r|gz") as archive:
        for member in archive:
            parts = member.name.split("/")
            inside = ".." not in parts and not member.name.startswith("/")
            check(inside, path, f"member {member.name!r} lies outside the archive")
            plain = member.isreg() or member.isdir()
            check(plain, path, f"member {member.name!r} is no plain file but a link or device")
            if member.isdir() or member.name not in sizes:
                continue
            check(member.name in missing, path, f"member {member.name!r} is there twice")
            size = missing.pop(member.name)
            check(size in (None, member.size), path, f"member {member.name!r} has {member.size} bytes, expected {size}")
            file = archive.extractfile(member)
            assert file is not None  # it is a regular file
            # The caller reads it outside of the `with` above, so each read has a `with` of its own.
            yield member.name, reading(path)(file.read)
    check(not missing, path, f"has no member {', '.join(missing)}")


def write_npy(path: Path, shape: tuple[int, ...], dtype: type[np.generic], blocks: Iterable[Any]) -> None:
    """Write a .npy file of `shape` from arrays of its rows, one at a time.

    Raises `OSError` if the disk is full. (A memory map would end the process by SIGBUS, and the error of
    `ndarray.tofile` has no `errno`.)
    """
    rows = 0
    with open(path, "wb") as file:
        header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for block in blocks:
            array = np.ascontiguousarray(block, dtype)
            if array.shape[1:] != shape[1:]:
                raise ValueError(f"rows of {path.name} are {shape[1:]}, got {array.shape[1:]}")
            rows += len(array)
            file.write(array.data)
    if rows != shape[0]:
        raise ValueError(f"{path.name} must have {shape[0]} rows, got {rows}")


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write a text file with these lines."""
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
