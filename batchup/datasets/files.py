"""Compute and check hashes of files, and copy checked files."""

import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from batchup.datasets.errors import FetchError, full_disk_told

if TYPE_CHECKING:
    from collections.abc import Iterator

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Expected:
    """The hash and size that a file must have; `None` if unknown.

    `sha256` is 64 hexadecimal digits, `size` a number of bytes. Raises `ValueError` for others.
    """

    sha256: str | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        if self.sha256 is not None:
            object.__setattr__(self, "sha256", checked_sha256(self.sha256))
        if self.size is not None and self.size < 0:
            raise ValueError(f"size must be a number of bytes, got {self.size}")

    def problem(self, path: Path) -> str | None:
        """What is wrong with the file at `path`, or None."""
        size = path.stat().st_size
        if self.size is not None and size != self.size:
            return f"{size} bytes, expected {self.size}"
        if self.sha256 is not None and (found := compute_sha256(path)) != self.sha256:
            return f"its SHA-256 is {found}, expected {self.sha256}"
        return None


def checked_sha256(sha256: str) -> str:
    """The hash in lower case. Raises `ValueError` if it is not 64 hexadecimal digits.

    >>> checked_sha256("ABC")
    Traceback (most recent call last):
    ...
    ValueError: a SHA-256 is 64 hexadecimal digits, got 3 characters: 'ABC'
    """
    if not isinstance(sha256, str):
        raise ValueError(f"a SHA-256 is 64 hexadecimal digits, got {sha256!r}")
    if len(sha256) != 64 or not set(sha256.lower()) <= set("0123456789abcdef"):
        raise ValueError(f"a SHA-256 is 64 hexadecimal digits, got {len(sha256)} characters: {sha256!r}")
    return sha256.lower()


def checked_filename(name: str, what: str) -> str:
    """`name`, checked to be one visible part of a path. Raises `ValueError` if it isn't.

    >>> checked_filename("../secrets", "filename")
    Traceback (most recent call last):
    ...
    ValueError: filename must be a plain file name without folders, got '../secrets'
    """
    if not name or name.startswith(".") or "/" in name or "\\" in name or "\0" in name:
        raise ValueError(f"{what} must be a plain file name without folders, got {name!r}")
    return name


def compute_sha256(path: PathLike) -> str:
    """The SHA-256 of a file's content.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    str
        64 hexadecimal digits in lower case.

    Raises
    ------
    OSError
        If the file can't be read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "abc").write_bytes(b"abc")
    ...     compute_sha256(Path(folder) / "abc")[:16]
    'ba7816bf8f01cfea'
    """
    import hashlib

    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify_file(path: PathLike, sha256: str) -> bool:
    """Check the SHA-256 of a file.

    Parameters
    ----------
    path : path
        The file.
    sha256 : str
        64 hexadecimal digits, in either case.

    Returns
    -------
    bool
        True if the file has this hash.

    Raises
    ------
    OSError
        If the file can't be read.
    ValueError
        If `sha256` is malformed.
    """
    wanted = checked_sha256(sha256)
    return compute_sha256(path) == wanted


def copy(path: Path, source_path: Path, expected: Expected) -> Path:
    """Copy `source_path` to `path`, which appears complete and checked, or not at all.

    Raises `FetchError` if the source is missing or is not as expected, `StorageError` if the
    disk is full.
    """
    if not source_path.is_file():
        raise FetchError(f"{source_path}: no such file; {path.name} was to be copied from there")
    import shutil

    with full_disk_told(f"{path} could not be written"), written_aside(path) as aside:
        shutil.copyfile(source_path, aside)
        if problem := expected.problem(aside):
            raise FetchError(f"{source_path}: {problem}")
    return path


@contextmanager
def written_aside(path: Path) -> "Iterator[Path]":
    """A path beside `path` to write a file to. It is renamed to `path` on success, and removed after an error."""
    # Not mkstemp, whose files have the mode 0600: a group may share a cache.
    aside = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}")
    try:
        yield aside
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def remove(path: Path) -> bool:
    """Remove a file, or a directory with its contents. Returns False if there was none."""
    import shutil

    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except FileNotFoundError:
        return False
    return True
