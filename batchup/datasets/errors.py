"""What can go wrong with a data set, so that a script can catch it by kind."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager


class DatasetError(RuntimeError):
    """A data set could not be fetched, converted, opened or deleted."""


class FetchError(DatasetError):
    """No source had the file: the message lists each one and what was wrong with it."""


class FormatError(DatasetError):
    """A file is not what its format or its data set says it must be."""


class StorageError(DatasetError):
    """The disk would not take what was written to it."""


@contextmanager
def full_disk_told(what: str) -> Iterator[None]:
    """Turn the system's refusal of a write, for want of room, into a `StorageError` about `what`.

    >>> with full_disk_told("x.npy could not be written"):  # doctest: +ELLIPSIS
    ...     raise OSError(errno.ENOSPC, "No space left on device")
    Traceback (most recent call last):
    ...
    batchup.datasets.errors.StorageError: x.npy could not be written: No space left on device; ...
    """
    try:
        yield
    except OSError as error:
        # EFBIG is a limit on the size of a file: the user's own, or the file system's.
        if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise
        raise StorageError(
            f"{what}: {error.strerror}; nothing half-written was kept: make room and run again"
        ) from error
