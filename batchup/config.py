"""Where data lives, and getting a file there.

Nothing is read or made at import. In order of precedence, the data directory is:

1. `$BATCHUP_HOME/data`, if `BATCHUP_HOME` is set;
2. `data_dir` in section `[paths]` of `~/.batchup.cfg`, with `~` and variables expanded;
3. `~/.batchup/data`.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from batchup.datasets.files import (
    Expected,
    PathLike,
    compute_sha256,
    copy,
    verify_file,
)

__all__ = [
    "ConfigError",
    "compute_sha256",
    "copy_and_verify",
    "copy_data",
    "download",
    "download_and_verify",
    "download_data",
    "find_data_dir",
    "get_batchup_path",
    "get_data_dir",
    "get_data_path",
    "mirrors",
    "verify_file",
]


class ConfigError(ValueError):
    """The environment, the configuration file or a directory they name can't be used."""


def get_batchup_path() -> Path:
    """BatchUp's own directory: `BATCHUP_HOME`, else `~/.batchup`. Made if it is not there.

    Raises `ConfigError` if it is not a directory and can't be made one.
    """
    return _made(_batchup_path())


def get_data_dir() -> Path:
    """The directory in which the data sets are kept. Made if it is not there.

    Raises `ConfigError` if it is not a directory and can't be made one, or if
    `~/.batchup.cfg` is needed and broken.

    >>> import tempfile
    >>> from unittest.mock import patch
    >>> with tempfile.TemporaryDirectory() as home, patch.dict(os.environ, BATCHUP_HOME=home):
    ...     get_data_dir().relative_to(home).as_posix()
    'data'
    """
    return _made(find_data_dir())


def get_data_path(filename: str) -> Path:
    """Where the file `filename` belongs in the data directory, which is made if missing."""
    return get_data_dir() / filename


def find_data_dir() -> Path:
    """As `get_data_dir`, but nothing is made: it may not be there yet."""
    if _from_environment():
        folder = _batchup_path() / "data"
    else:
        folder = _data_dir_in(_config_file()) or _batchup_path() / "data"
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"the data directory {folder} is not a directory: move that file away")
    return folder


def mirrors() -> tuple[str, ...]:
    """The base URLs in `BATCHUP_MIRROR`, which are asked before a data set's own hosts.

    Raises `ConfigError` if one of them is not an http, https or file URL.

    >>> from unittest.mock import patch
    >>> with patch.dict(os.environ, BATCHUP_MIRROR="https://a.example/data file:///mnt/sets/"):
    ...     mirrors()
    ('https://a.example/data', 'file:///mnt/sets/')
    """
    bases = tuple(os.environ.get("BATCHUP_MIRROR", "").split())
    for base in bases:
        if not re.match(r"(https?://[^/]|file:///)", base):
            raise ConfigError(
                f"BATCHUP_MIRROR must be http, https or file URLs with spaces between, got {base!r}"
            )
    return bases


def download(path: PathLike, source_url: str | Sequence[str]) -> Path:
    """Download a file to `path`, unless it is there already. See `download_and_verify`.

    Without a hash only its length is known to be right, if the server gives one.
    """
    return _download(Path(path), source_url, Expected())


def download_and_verify(path: PathLike, source_url: str | Sequence[str], sha256: str | None) -> Path:
    """Download a file to `path`, unless it is there already; its SHA-256 must be `sha256`.

    `source_url` is one URL or several, to be tried in this order. A download that was cut
    goes on from where it was when it is called again. `path` appears whole or not at all.

    Raises `FetchError`, with each URL and what was wrong there, if no URL had the file;
    and if a file is at `path` with another hash: it is left alone.
    """
    return _download(Path(path), source_url, Expected(sha256))


def copy_and_verify(path: PathLike, source_path: PathLike, sha256: str | None) -> Path:
    """Copy a file to `path`, unless it is there already; its SHA-256 must be `sha256`.

    `path` appears whole or not at all. Raises `FetchError` if the source is missing or has
    another hash, and if a file is at `path` with another hash: it is left alone.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "a").write_bytes(b"abc")
    ...     copy_and_verify(Path(folder) / "b", Path(folder) / "a", None).read_bytes()
    b'abc'
    """
    path, expected = Path(path), Expected(sha256)
    return path if _is_there(path, expected) else copy(path, Path(source_path), expected)


def download_data(filename: str, source_url: str | Sequence[str], sha256: str | None) -> Path:
    """`download_and_verify` to `get_data_path(filename)`."""
    return download_and_verify(get_data_path(filename), source_url, sha256)


def copy_data(filename: str, source_path: PathLike, sha256: str | None) -> Path:
    """`copy_and_verify` to `get_data_path(filename)`."""
    return copy_and_verify(get_data_path(filename), source_path, sha256)


def _download(path: Path, source_url: str | Sequence[str], expected: Expected) -> Path:
    from batchup.datasets.download import download_from
    from batchup.datasets.locks import locked

    if _is_there(path, expected):
        return path
    urls = (source_url,) if isinstance(source_url, str) else tuple(source_url)
    with locked(path.with_name(f".{path.name}.lock")):
        # Look again: another process may have brought it while this one waited.
        if not _is_there(path, expected):
            download_from(urls, path, expected)
    return path


def _is_there(path: Path, expected: Expected) -> bool:
    from batchup.datasets.errors import FetchError

    if not path.exists():
        return False
    if problem := expected.problem(path):
        raise FetchError(f"{path} is there already, but {problem}; move it away to fetch it anew")
    return True


def _from_environment() -> str:
    return os.environ.get("BATCHUP_HOME", "")


def _batchup_path() -> Path:
    return Path(_from_environment() or "~/.batchup").expanduser().absolute()


def _config_file() -> Path:
    return Path("~/.batchup.cfg").expanduser()


def _data_dir_in(file: Path) -> Path | None:
    """`[paths] data_dir` in a configuration file; None if there is no such file or entry."""
    if not file.exists():
        return None
    import configparser

    # A % is part of a path here, and no interpolation.
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(file.read_text(encoding="utf-8"), source=str(file))
    except (configparser.Error, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{file} can't be read as a configuration file: {error}") from error
    given = parser.get("paths", "data_dir", fallback=None)
    if given is None:
        return None
    expanded = os.path.expanduser(os.path.expandvars(given))
    if left := re.search(r"\$(\w+|\{\w+\})", expanded):
        raise ConfigError(f"{file}: data_dir={given}: {left[0]} is not set in the environment")
    if not os.path.isabs(expanded):
        raise ConfigError(f"{file}: data_dir={given}: must be an absolute path, got {expanded!r}")
    return Path(expanded)


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{folder} can't be made a directory: {error.strerror}; set BATCHUP_HOME to a "
            "directory that can be written to"
        ) from error
    return folder
