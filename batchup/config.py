"""The directories of BatchUp, and, from `batchup.datasets.transfers`, functions that fetch files to them.

Nothing is read or made at import. In order of precedence, the data directory is:

1. `$BATCHUP_HOME/data`, if `BATCHUP_HOME` is set;
2. `data_dir` in section `[paths]` of `~/.batchup.cfg`, with `~` and variables expanded;
3. `~/.batchup/data`.
"""

import os
import re
from importlib import import_module
from pathlib import Path
from typing import Any

# Names of this module that `datasets.transfers` defines. It imports this module, so they are looked up when used.
_TRANSFERS = {
    "compute_sha256": "files",
    "copy_and_verify": "transfers",
    "copy_data": "transfers",
    "download": "transfers",
    "download_and_verify": "transfers",
    "download_data": "transfers",
    "verify_file": "files",
}

__all__ = ["ConfigError", "find_data_dir", "get_batchup_path", "get_data_dir", "get_data_path", "mirrors", *_TRANSFERS]


def __getattr__(name: str) -> Any:
    """Import the functions of `datasets.transfers` when they are used."""
    if name not in _TRANSFERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"batchup.datasets.{_TRANSFERS[name]}"), name)


class ConfigError(ValueError):
    """Raised if the environment, the configuration file or a directory in them can't be used."""


def get_batchup_path() -> Path:
    """The directory of BatchUp: `BATCHUP_HOME`, or else `~/.batchup`. It is made if it doesn't exist.

    Returns
    -------
    Path
        The directory.

    Raises
    ------
    ConfigError
        If it can't be made, or is not a directory.
    """
    return _made(_batchup_path())


def get_data_dir() -> Path:
    """The directory of the data sets. It is made if it doesn't exist.

    Returns
    -------
    Path
        The directory.

    Raises
    ------
    ConfigError
        If it can't be made, is not a directory, or if `~/.batchup.cfg` is needed and can't be read.

    Examples
    --------
    >>> import tempfile
    >>> from unittest.mock import patch
    >>> with tempfile.TemporaryDirectory() as home, patch.dict(os.environ, BATCHUP_HOME=home):
    ...     get_data_dir().relative_to(home).as_posix()
    'data'
    """
    return _made(find_data_dir())


def get_data_path(filename: str) -> Path:
    """The path of a file in the data directory, which is made if it doesn't exist.

    Parameters
    ----------
    filename : str
        The name of the file.

    Returns
    -------
    Path
        The path.
    """
    return get_data_dir() / filename


def find_data_dir() -> Path:
    """The directory of the data sets, which need not exist.

    Returns
    -------
    Path
        As for `get_data_dir`, but nothing is made.
    """
    if _from_environment():
        folder = _batchup_path() / "data"
    else:
        folder = _data_dir_in(_config_file()) or _batchup_path() / "data"
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"the data directory {folder} is not a directory: move that file away")
    return folder


def mirrors() -> tuple[str, ...]:
    """The base URLs in `BATCHUP_MIRROR`, which are tried before the hosts of a data set.

    Returns
    -------
    tuple of str
        The URLs.

    Raises
    ------
    ConfigError
        If one of them is not an http, https or file URL.

    Examples
    --------
    >>> from unittest.mock import patch
    >>> with patch.dict(os.environ, BATCHUP_MIRROR="https://a.example/data file:///mnt/sets/"):
    ...     mirrors()
    ('https://a.example/data', 'file:///mnt/sets/')
    """
    bases = tuple(os.environ.get("BATCHUP_MIRROR", "").split())
    for base in bases:
        if not re.match(r"(https?://[^/]|file:///)", base):
            raise ConfigError(f"BATCHUP_MIRROR must be http, https or file URLs with spaces between, got {base!r}")
    return bases


def _from_environment() -> str:
    return os.environ.get("BATCHUP_HOME", "")


def _batchup_path() -> Path:
    return _expanded(_from_environment() or "~/.batchup", "BATCHUP_HOME").absolute()


def _config_file() -> Path:
    return _expanded("~/.batchup.cfg", "HOME")


def _expanded(path: str, variable: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ConfigError(
            f"{path}: there is no such user, or no home directory: set {variable} to an absolute path"
        ) from error


def _data_dir_in(file: Path) -> Path | None:
    """`[paths] data_dir` in a configuration file; None if there is no such file or entry."""
    if not file.exists():
        return None
    import configparser

    # without interpolation: a % is a part of a path
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
