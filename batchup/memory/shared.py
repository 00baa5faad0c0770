"""Shared memory without names, which is freed when the last process that has it ends, even by SIGKILL.

It is made by `memfd_create`, and the open file is sent to the other processes. So nothing has to be unlinked, nothing
leaks, and the size of /dev/shm, 64 MB in many containers, doesn't matter. Systems without `memfd_create` use an unlinked
temporary file.
"""

from __future__ import annotations

import ctypes
import errno
import itertools
import mmap
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.core.checks import describe, plain_array
from batchup.memory.limits import available_memory

__all__ = ["Segment", "SharedMap", "map_file", "new_file", "next_key", "room_for", "share", "view_of"]

_size = ctypes.c_size_t
_FAILED = ctypes.c_void_p(-1).value


@cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.memcmp.argtypes = ctypes.c_void_p, ctypes.c_void_p, _size
    return libc


def new_file(size: int) -> int:
    """An open file of `size` bytes of memory, all allocated. Raises OSError if there is no room.

    Writing to memory that isn't allocated could end the process by SIGBUS.
    """
    if size > available_memory():
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("batchup", os.MFD_CLOEXEC)
    else:
        import tempfile

        with tempfile.TemporaryFile() as temporary:
            file = os.dup(temporary.fileno())
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file, 0, max(size, 1))
        else:
            os.ftruncate(file, max(size, 1))
    except BaseException:
        os.close(file)
        raise
    return file


def map_file(file: int, size: int, private: bool = False) -> Any:
    """The file as a buffer, which is unmapped when the last view of it is garbage.

    All processes see what is written into it, unless it is `private`. Raises OSError if there is no room. (`mmap.mmap`
    would keep the file open, and a process may have few open files.) All pages are mapped at once, since page faults
    cost more than the copy of a batch; pages of private memory are mapped when they are used.
    """
    libc = _libc()
    size = max(size, 1)
    flags = mmap.MAP_PRIVATE if private else mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)
    address = libc.mmap(None, _size(size), mmap.PROT_READ | mmap.PROT_WRITE, flags, file, _size(0))
    if address == _FAILED:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    memory = (ctypes.c_ubyte * size).from_address(address)
    weakref.finalize(memory, libc.munmap, ctypes.c_void_p(address), _size(size)).atexit = False
    return memory


def view_of(
    memory: Any, shape: tuple[int, ...], dtype: np.dtype[Any], offset: int, strides: tuple[int, ...] | None = None
) -> NDArray[Any]:
    """An array in mapped memory."""
    return np.ndarray(shape, dtype, memory, offset, strides)


def same_bytes(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """True if two arrays of one size, both in C order, have the same bytes."""
    return not _libc().memcmp(one.ctypes.data, other.ctypes.data, one.nbytes)


next_key = itertools.count().__next__


class Segment:
    """Shared memory with a key, by which workers find it. Its file is closed when the segment is garbage."""

    def __init__(self, size: int, key: int | None = None):
        self.key = next_key() if key is None else key
        self.size = size
        self.file = new_file(size)

    def fileno(self) -> int:
        return self.file

    @cached_property
    def memory(self) -> Any:
        """The segment as a buffer in this process. Raises OSError if there is no room."""
        return map_file(self.file, self.size)

    def __del__(self) -> None:
        if hasattr(self, "file"):
            os.close(self.file)


class SharedMap(mmap.mmap):
    """The memory of an array of `share`."""

    segment: Segment


def share(array: NDArray[Any]) -> NDArray[Any]:
    """A copy of a NumPy array in shared memory, which process pools need not copy.

    Workers see at once what is written into it, also during an iteration. A plain array, in contrast, is copied once
    for the streams that are given to a pool, and compared with the copy whenever an iteration begins, which takes 0.1 s
    a GB.

    Parameters
    ----------
    array : NumPy array
        An array of any shape, and any dtype without objects.

    Returns
    -------
    NumPy array
        The copy: the only one for this process and all workers.

    Raises
    ------
    TypeError
        For other values.
    MemoryError
        If there is no room.

    Examples
    --------
    >>> X = share(np.arange(6).reshape(3, 2))
    >>> X[1]
    array([2, 3])
    """
    if not isinstance(array, np.ndarray) or array.dtype.hasobject:
        raise TypeError(f"share: expected a NumPy array without objects; got {describe(array)}")
    array = plain_array(array, "share")
    with room_for(describe(array), array.nbytes):
        segment = Segment(array.nbytes)
        memory = SharedMap(segment.file, max(segment.size, 1))
    memory.segment = segment
    shared: NDArray[Any] = np.ndarray(array.shape, array.dtype, memory)
    shared[...] = array
    return shared


@contextmanager
def room_for(what: str, size: int) -> Iterator[None]:
    """Turn an OSError for want of memory into a MemoryError that says what needs the room."""
    try:
        yield
    except OSError as error:
        raise MemoryError(
            f"expected room for {what} in shared memory, {size} bytes: {error.strerror}. "
            "A memory-mapped file, np.load(path, mmap_mode='r'), needs none"
        ) from error
