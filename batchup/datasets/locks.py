"""One process at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from logging import getLogger
from pathlib import Path

from batchup.datasets.errors import StorageError


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`, waiting for whoever holds it, and saying so; its folder is made.

    The operating system lets go of it when its holder dies. Raises `StorageError` if the
    file can't be made.
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
            f"{path.parent} can't be written to: {error.strerror}; set BATCHUP_HOME to a directory that can"
        ) from error
    try:
        yield
        # Only when the work is done: whoever waits for this very file then looks again, finds
        # it done and needs no lock. After a failure the file stays, so that one goes at a time.
        path.unlink(missing_ok=True)
    finally:
        lock.release()
