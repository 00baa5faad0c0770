"""Data sets of your own: name the files, and write a function that converts them.

```python
@fetch_and_convert_dataset([DownloadSourceFile("x.csv", base_url=URL, sha256=HASH)], "x.npy")
def fetch_x(source_paths, target_path):
    np.save(target_path, np.loadtxt(source_paths[0], delimiter=","))
    return target_path

x = np.load(fetch_x(), mmap_mode="r")
```

The first call fetches the files and converts them; later calls only return the path. The data sets of this package are
made the same way.
"""

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from more_itertools import duplicates_everseen

from batchup import config
from batchup.datasets import cache
from batchup.datasets.errors import DatasetError, FetchError, FormatError, StorageError
from batchup.datasets.files import Expected, PathLike, checked_filename, compute_sha256, copy

__all__ = [
    "CopySourceFile",
    "DatasetError",
    "DownloadSourceFile",
    "ExistingSourceFile",
    "FetchError",
    "FormatError",
    "StorageError",
    "delete_dataset_cache",
    "fetch_and_convert_dataset",
]

Convert = Callable[[Sequence[Path], Path], PathLike]

# A path, or a function that returns it, which is called when the file is needed.
PathOrFunction = PathLike | Callable[[], PathLike]


def _path(given: PathOrFunction) -> Path:
    return Path(given() if callable(given) else given)


@dataclass(frozen=True)
class DownloadSourceFile:
    """A file to be downloaded.

    If `sha256` is given, the mirrors of `BATCHUP_MIRROR` are tried first. If there is a file
    `<data>/downloads/<set>/<filename>`, it is used instead.

    Parameters
    ----------
    filename : str
        The name of the file.
    url : str, sequence of str or None
        The whole address, or several, tried in this order.
    base_url : str, sequence of str or None
        In place of `url`: the address without `filename`.
    sha256 : str or None
        The SHA-256 of the file, 64 hexadecimal digits; None if it is unknown.
    size : int or None
        The number of bytes; None if it is unknown.

    Raises
    ------
    ValueError
        If neither or both of `url` and `base_url` are given, or a value is invalid.

    Examples
    --------
    >>> DownloadSourceFile("a.gz", base_url="https://a.example/sets").urls
    ('https://a.example/sets/a.gz',)
    """

    filename: str
    url: str | Sequence[str] | None = None
    base_url: str | Sequence[str] | None = None
    sha256: str | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        checked_filename(self.filename, "filename")
        if (self.url is None) == (self.base_url is None):
            raise ValueError(
                f"{self.filename}: give either url or base_url, got url={self.url!r}, base_url={self.base_url!r}"
            )
        if not self.urls or not all("://" in url for url in self.urls):
            raise ValueError(f"{self.filename}: needs URLs to be downloaded from, got {self.urls}")
        _ = self.expected

    @property
    def urls(self) -> tuple[str, ...]:
        """Every URL of the file, in the order in which they are tried."""
        if self.url is not None:
            return (self.url,) if isinstance(self.url, str) else tuple(self.url)
        bases = (self.base_url,) if isinstance(self.base_url, str) else self.base_url or ()
        return tuple(_joined(base, self.filename) for base in bases)

    @property
    def expected(self) -> Expected:
        """What the whole file must be."""
        return Expected(self.sha256, self.size)

    def urls_for(self, set_name: str, mirrors: Sequence[str]) -> tuple[str, ...]:
        """Every URL to try; those of mirrors come first.

        Parameters
        ----------
        set_name : str
            The name of the set.
        mirrors : sequence of str
            The base URLs of mirrors.

        Returns
        -------
        tuple of str
            The URLs.

        Examples
        --------
        >>> source = DownloadSourceFile("a.gz", "https://a.example/a.gz", sha256="0" * 64)
        >>> source.urls_for("mine", ["https://mirror.example"])
        ('https://mirror.example/mine/a.gz', 'https://a.example/a.gz')
        """
        # Without a hash, a wrong file of a mirror would go unnoticed.
        trusted = mirrors if self.sha256 else ()
        return (*(_joined(base, set_name, self.filename) for base in trusted), *self.urls)

    def acquire(self, set_name: str, folder: Path, given: Mapping[str, PathLike]) -> Path:
        """Get the file: it is downloaded unless the user has put it in place.

        Parameters
        ----------
        set_name : str
            The name of the set.
        folder : Path
            Where downloads and copies are put.
        given : dict of str to path
            The paths that were passed to the decorated function.

        Returns
        -------
        Path
            The path of the file.
        """
        from batchup.datasets.download import download_from

        by_hand = config.find_data_dir() / "downloads" / set_name / self.filename
        problem = self.expected.problem(by_hand) if by_hand.exists() else None
        if by_hand.exists() and problem is None:
            return by_hand
        path = folder / self.filename
        if path.exists():  # from a run that was killed later
            if self.expected.problem(path) is None:
                return path
            path.unlink()
        try:
            return download_from(self.urls_for(set_name, config.mirrors()), path, self.expected)
        except FetchError as error:
            hint = f"{by_hand}: {problem}" if problem else f"or put the file at {by_hand}"
            raise FetchError(f"{error}\n  {hint}") from error


@dataclass(frozen=True)
class CopySourceFile:
    """A file to be copied before it is converted, so that it can't change meanwhile.

    Parameters
    ----------
    filename : str
        The name of the copy.
    source_path : path or None
        Where the file is.
    arg_name : str or None
        The keyword argument of the decorated function that gives the path; it takes precedence.
    sha256 : str or None
        The SHA-256 of the file, 64 hexadecimal digits; None if it is unknown.

    Raises
    ------
    ValueError
        If neither `source_path` nor `arg_name` is given, or a value is invalid.
    """

    filename: str
    source_path: PathLike | None = None
    arg_name: str | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        checked_filename(self.filename, "filename")
        if self.source_path is None and self.arg_name is None:
            raise ValueError(f"{self.filename}: give source_path or arg_name, got neither")
        _ = self.expected

    @property
    def expected(self) -> Expected:
        """What the whole file must be."""
        return Expected(self.sha256)

    def acquire(self, set_name: str, folder: Path, given: Mapping[str, PathLike]) -> Path:
        """Copy the file.

        Parameters
        ----------
        set_name : str
            The name of the set.
        folder : Path
            Where downloads and copies are put.
        given : dict of str to path
            The paths that were passed to the decorated function.

        Returns
        -------
        Path
            The path of the copy.
        """
        source_path = given.get(self.arg_name or "", self.source_path)
        if source_path is None:
            raise TypeError(f"{set_name} is not here yet: pass {self.arg_name}=, the path of {self.filename}")
        folder.mkdir(parents=True, exist_ok=True)
        return copy(folder / self.filename, Path(source_path), self.expected)


@dataclass(frozen=True)
class ExistingSourceFile:
    """A file on this machine, which is not copied.

    Parameters
    ----------
    path : path or callable
        Where the file is, or a function that returns it.
    sha256 : str or None
        The SHA-256 of the file, 64 hexadecimal digits; None if it is unknown.

    Raises
    ------
    ValueError
        If `sha256` is not 64 hexadecimal digits.
    TypeError
        If `path` is no path.
    """

    path: PathOrFunction
    sha256: str | None = None

    def __post_init__(self) -> None:
        if not (callable(self.path) or isinstance(self.path, str | os.PathLike)):
            raise TypeError(f"path: expected a path, or a function that returns one; got {self.path!r}")
        _ = self.expected

    @property
    def filename(self) -> str:
        """The last part of its path."""
        return _path(self.path).name

    @property
    def expected(self) -> Expected:
        """What the whole file must be."""
        return Expected(self.sha256)

    def acquire(self, set_name: str, folder: Path, given: Mapping[str, PathLike]) -> Path:
        """Check the file.

        Parameters
        ----------
        set_name : str
            The name of the set.
        folder : Path
            Where downloads and copies are put.
        given : dict of str to path
            The paths that were passed to the decorated function.

        Returns
        -------
        Path
            The path of the file.
        """
        path = _path(self.path)
        if not path.is_file():
            raise FetchError(f"{path}: no such file; {set_name} is made of it")
        if problem := self.expected.problem(path):
            raise FetchError(f"{path}: {problem}")
        return path


SourceFile = DownloadSourceFile | CopySourceFile | ExistingSourceFile


def fetch_and_convert_dataset(
    source_files: Sequence[SourceFile], target_filename: PathOrFunction
) -> Callable[[Convert], Callable[..., Path]]:
    """Make a function that fetches and converts a data set once: a decorator for `fn(source_paths, target_path)`.

    The decorated function gets the paths of the source files, in their order, and writes a file or a directory at
    `target_path`, which it returns. The new function takes the `arg_name`s of the source files as keyword arguments,
    and returns the path of the set. If the set is there, that is all. Otherwise one process at a time fetches the
    files, converts them in another folder and renames the result, which therefore appears whole or not at all. Then the
    downloads are deleted. A directory also gets `meta.json`, with the hashes of the source files and of the files in
    it.

    The new function raises `FetchError` if a file can't be fetched, `StorageError` if the disk is full, `TypeError` for
    an argument that no source file has, and any exception of the decorated one.

    Parameters
    ----------
    source_files : sequence of DownloadSourceFile, CopySourceFile or ExistingSourceFile
        The files that the set is made of.
    target_filename : str, path or callable
        The name of the set in the data directory; or an absolute path, or a function that returns one, which is called
        each time.

    Returns
    -------
    callable
        The decorator.

    Raises
    ------
    ValueError
        For names that are neither plain file names nor absolute paths, and for a name that is there twice.

    Examples
    --------
    >>> import os, tempfile
    >>> from unittest.mock import patch
    >>> with tempfile.TemporaryDirectory() as home, patch.dict(os.environ, BATCHUP_HOME=home):
    ...     _ = (Path(home) / "numbers.csv").write_text("1,2,3")
    ...     @fetch_and_convert_dataset([ExistingSourceFile(Path(home) / "numbers.csv")], "sum.txt")
    ...     def fetch_sum(source_paths, target_path):
    ...         numbers = map(int, source_paths[0].read_text().split(","))
    ...         target_path.write_text(str(sum(numbers)))
    ...         return target_path
    ...     fetch_sum().read_text()
    '6'
    """
    name = "the data set" if callable(target_filename) else _target(target_filename)[1]
    sources = tuple(source_files)
    names = [source.filename for source in sources if not isinstance(source, ExistingSourceFile)]
    if twice := set(duplicates_everseen(names)):
        raise ValueError(f"{name}: two source files are called {', '.join(sorted(twice))}")
    arguments = {s.arg_name for s in sources if isinstance(s, CopySourceFile) and s.arg_name}

    def decorate(convert: Convert) -> Callable[..., Path]:
        @functools.wraps(convert)
        def fetch(**given: PathLike) -> Path:
            if unknown := set(given) - arguments:
                raise TypeError(
                    f"{name} takes {', '.join(sorted(arguments)) or 'no arguments'}, got {', '.join(sorted(unknown))}"
                )
            folder, filename = _target(_path(target_filename))
            return _fetched(folder or config.find_data_dir(), filename, sources, convert, given)

        return fetch

    return decorate


def delete_dataset_cache(*filenames: str) -> None:
    """Delete converted data sets, and unfinished downloads, from the data directory.

    Files in `<data>/downloads` stay.

    Parameters
    ----------
    *filenames : str
        The names of the sets. A name that is not there is no error.
    """
    for filename in filenames:
        cache.delete(config.find_data_dir(), checked_filename(filename, "filename"))


def _joined(base: str, *parts: str) -> str:
    return "/".join([base.rstrip("/"), *map(quote, parts)])


def _target(path: PathLike) -> tuple[Path | None, str]:
    """The folder of a target, None for the data directory, and its name in it. Raises ValueError for others."""
    target = Path(path)
    name = checked_filename(target.name if target.is_absolute() else str(path), "target_filename")
    if name == "downloads":
        raise ValueError("target_filename can't be 'downloads': files put in place are there")
    return target.parent if target.is_absolute() else None, name


def _fetched(
    data_dir: Path, name: str, sources: Sequence[SourceFile], convert: Convert, given: Mapping[str, PathLike]
) -> Path:
    target = data_dir / name
    if cache.is_complete(target):
        return _of_these(sources, target)
    with cache.workshop(data_dir, name) as folder:
        # Checked again: another process may have made it while this one waited.
        if cache.is_complete(target):
            return _of_these(sources, target)
        paths = [source.acquire(name, folder / "fetched", given) for source in sources]
        made = folder / "converting" / name
        with cache.converting(made):
            returned = convert(paths, made)
            if not made.exists():
                raise DatasetError(
                    f"{name}: the converting function must write to target_path, {made}; "
                    f"nothing is there, and it returned {returned!r}"
                )
            made_of = [
                (path.name, source.sha256 or compute_sha256(path)) for source, path in zip(sources, paths, strict=True)
            ]
            cache.seal(made, made_of)
            made.rename(target)
    return target


def _of_these(sources: Sequence[SourceFile], target: Path) -> Path:
    """Return `target`. Raises `DatasetError` if it was made of files with other hashes."""
    pinned = {source.filename: source.sha256.lower() for source in sources if source.sha256}
    if found := cache.made_of_others(target, pinned):
        raise DatasetError("\n".join([*found, cache.remedy(target)]))
    return target
