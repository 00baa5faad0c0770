"""What can go wrong with a data set, so that a script can catch it by kind."""

import errno


class DatasetError(RuntimeError):
    """A data set could not be fetched, converted, opened or deleted."""


class FetchError(DatasetError):
    """No source had the file: the message lists each one and what was wrong with it."""


class FormatError(DatasetError):
    """A file is not what its format or its data set says it must be."""


class StorageError(DatasetError):
    """The disk would not take what was written to it."""


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def is_disk_full(error: OSError) -> bool:
    """Whether the operating system refused a write for want of room.

    >>> is_disk_full(OSError(errno.ENOSPC, "No space left on device"))
    True
    >>> is_disk_full(FileNotFoundError(errno.ENOENT, "No such file or directory"))
    False
    """
    return error.errno in _FULL
