"""The errors of data sets."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager


class DatasetError(RuntimeError):
    """Raised if a data set can't be fetched, converted, opened or deleted."""


class FetchError(DatasetError):
    """Raised if no source has the file. The message lists each source with its error."""


class FormatError(DatasetError):
    """Raised for a file that is not as its format, or its data set, requires."""


class StorageError(DatasetError):
    """Raised if the disk is full, or can't be written to."""


@contextmanager
def full_disk_told(what: str) -> Iterator[None]:
    """Turn an OSError for a full disk into a `StorageError` about `what`.

    >>> with full_disk_told("x.npy could not be written"):  # doctest: +ELLIPSIS
    ...     raise OSError(errno.ENOSPC, "No space left on device")
    Traceback (most recent call last):
    ...
    batchup.datasets.errors.StorageError: x.npy could not be written: No space left on device; ...
    """
    try:
        yield
    except OSError as error:
        # EFBIG: a limit on the size of a file, set by the user or the file system.
        if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise
        raise StorageError(
            f"{what}: {error.strerror}; nothing half-written was kept: make room and run again"
        ) from error
