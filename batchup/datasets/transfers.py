"""Download or copy one file, which appears complete and checked, or not at all."""

from collections.abc import Sequence
from pathlib import Path

from batchup import config
from batchup.datasets.download import download_from
from batchup.datasets.errors import FetchError
from batchup.datasets.files import Expected, PathLike, copy
from batchup.datasets.locks import locked

__all__ = ["copy_and_verify", "copy_data", "download", "download_and_verify", "download_data"]


def download(path: PathLike, source_url: str | Sequence[str]) -> Path:
    """Download a file, unless it is there already. Only its length is checked, if the server gives one.

    Parameters
    ----------
    path : path
        Where the file is put, complete or not at all.
    source_url : str or sequence of str
        One URL or several, tried in this order.

    Returns
    -------
    Path
        The path.

    Raises
    ------
    FetchError
        If no URL has the file, with each URL and its error; and if there is a file with another hash already, which
        stays.
    """
    return _download(Path(path), source_url, Expected())


def download_and_verify(path: PathLike, source_url: str | Sequence[str], sha256: str | None) -> Path:
    """Download a file, unless it is there already, and check its hash. A download that was cut goes on.

    Parameters
    ----------
    path : path
        Where the file is put, complete or not at all.
    source_url : str or sequence of str
        One URL or several, tried in this order.
    sha256 : str or None
        The SHA-256 that the file must have; None if it is unknown.

    Returns
    -------
    Path
        The path.

    Raises
    ------
    FetchError
        If no URL has the file, with each URL and its error; and if there is a file with another hash already, which
        stays.
    """
    return _download(Path(path), source_url, Expected(sha256))


def copy_and_verify(path: PathLike, source_path: PathLike, sha256: str | None) -> Path:
    """Copy a file, unless it is there already, and check its hash.

    Parameters
    ----------
    path : path
        Where the file is put, complete or not at all.
    source_path : path
        The file to copy.
    sha256 : str or None
        The SHA-256 that the file must have; None if it is unknown.

    Returns
    -------
    Path
        The path.

    Raises
    ------
    FetchError
        If the source is missing or has another hash; and if there is a file with another hash already, which stays.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "a").write_bytes(b"abc")
    ...     copy_and_verify(Path(folder) / "b", Path(folder) / "a", None).read_bytes()
    b'abc'
    """
    path, expected = Path(path), Expected(sha256)
    return path if _is_there(path, expected) else copy(path, Path(source_path), expected)


def download_data(filename: str, source_url: str | Sequence[str], sha256: str | None) -> Path:
    """Download a file to the data directory: `download_and_verify` to `config.get_data_path(filename)`.

    Parameters
    ----------
    filename : str
        The name of the file in the data directory.
    source_url : str or sequence of str
        One URL or several, tried in this order.
    sha256 : str or None
        The SHA-256 that the file must have; None if it is unknown.

    Returns
    -------
    Path
        The path.

    Raises
    ------
    FetchError
        If no URL has the file, with each URL and its error; and if there is a file with another hash already, which
        stays.
    """
    return download_and_verify(config.get_data_path(filename), source_url, sha256)


def copy_data(filename: str, source_path: PathLike, sha256: str | None) -> Path:
    """Copy a file to the data directory: `copy_and_verify` to `config.get_data_path(filename)`.

    Parameters
    ----------
    filename : str
        The name of the file in the data directory.
    source_path : path
        The file to copy.
    sha256 : str or None
        The SHA-256 that the file must have; None if it is unknown.

    Returns
    -------
    Path
        The path.

    Raises
    ------
    FetchError
        If the source is missing or has another hash; and if there is a file with another hash already, which stays.
    """
    return copy_and_verify(config.get_data_path(filename), source_path, sha256)


def _download(path: Path, source_url: str | Sequence[str], expected: Expected) -> Path:
    if _is_there(path, expected):
        return path
    urls = (source_url,) if isinstance(source_url, str) else tuple(source_url)
    with locked(path.with_name(f".{path.name}.lock")):
        # Checked again: another process may have fetched it while this one waited.
        if not _is_there(path, expected):
            download_from(urls, path, expected)
    return path


def _is_there(path: Path, expected: Expected) -> bool:
    if not path.exists():
        return False
    if problem := expected.problem(path):
        raise FetchError(f"{path} is there already, but {problem}; move it away to fetch it anew")
    return True
