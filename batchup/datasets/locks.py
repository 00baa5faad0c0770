"""A lock file, for one process at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from logging import getLogger
from pathlib import Path

from batchup.datasets.errors import StorageError


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`, whose folder is made. Waits for the process that holds it, with a warning.

    The operating system releases the lock if the process dies. Raises `StorageError` if the file can't be made.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            getLogger(__name__).warning("waiting for another process, which holds %s", path)
            lock.acquire()
    except OSError as error:
        raise StorageError(
            f"{path.parent} can't be written to: {error.strerror}; set BATCHUP_HOME to a directory that can be written to"
        ) from error
    try:
        yield
        # Removed on success only: processes that wait for this file then find the work done, and need no lock. After an
        # error it stays, so that they go on one at a time.
        path.unlink(missing_ok=True)
    finally:
        lock.release()
