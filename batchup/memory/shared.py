"""Shared memory without names: when the last process that has it ends, however it ends, it is gone.

It comes from `memfd_create`, and the open file is sent to who else is to see it. So there is nothing
to unlink, nothing to leak after a SIGKILL, and the size of /dev/shm, 64 MB in many containers, does not
matter. Where there is no `memfd_create`, an unlinked temporary file does.
"""

from __future__ import annotations

import ctypes
import errno
import itertools
import mmap
import os
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.core.checks import describe
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
    """An open file of `size` bytes of memory, all of them there; OSError where there is no room.

    Memory that is only promised is a bus error when it is written to.
    """
    if size > available_memory():
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("batchup", os.MFD_CLOEXEC)
    else:
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
    """The file as memory, a buffer; unmapped when nothing has a view of it any more.

    All see what is written into it, unless it is `private`. OSError where there is no room.
    `mmap.mmap` would keep the file open, and of open files a process may have few. It is mapped at
    once, as page faults would cost more than the copy; not so if private, for reading here and there.
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
    """Whether two arrays of one size, in the order of C, hold the same bytes."""
    return not _libc().memcmp(one.ctypes.data, other.ctypes.data, one.nbytes)


next_key = itertools.count().__next__


class Segment:
    """Shared memory with a key, under which workers know it. Its file is closed when it is dropped."""

    def __init__(self, size: int, key: int | None = None):
        self.key = next_key() if key is None else key
        self.size = size
        self.file = new_file(size)

    def fileno(self) -> int:
        return self.file

    @cached_property
    def memory(self) -> Any:
        """It, mapped in this process: a buffer. OSError where there is no room."""
        return map_file(self.file, self.size)

    def __del__(self) -> None:
        if hasattr(self, "file"):
            os.close(self.file)


class SharedMap(mmap.mmap):
    """The memory of an array that is shared already."""

    segment: Segment


def share(array: NDArray[Any]) -> NDArray[Any]:
    """A copy of a NumPy array in shared memory, which process pools do not have to copy.

    `X = share(X)` keeps one copy of X for this process and all workers. Any shape, dtypes without objects. What is
    written into it is seen by workers at once, also during an iteration. A plain array is copied once for the streams
    that are given to a pool, and compared with the copy whenever an iteration begins, 0.1 s a GB. Raises TypeError for
    what is no such array, MemoryError where there is no room.

    >>> X = share(np.arange(6).reshape(3, 2))
    >>> X[1]
    array([2, 3])
    """
    if not isinstance(array, np.ndarray) or array.dtype.hasobject:
        raise TypeError(f"share: expected a NumPy array without objects; got {describe(array)}")
    with room_for(describe(array), array.nbytes):
        segment = Segment(array.nbytes)
        memory = SharedMap(segment.file, max(segment.size, 1))
    memory.segment = segment
    shared: NDArray[Any] = np.ndarray(array.shape, array.dtype, memory)
    shared[...] = array
    return shared


@contextmanager
def room_for(what: str, size: int) -> Iterator[None]:
    """MemoryError that names what there is no room for."""
    try:
        yield
    except OSError as error:
        raise MemoryError(
            f"expected room for {what} in shared memory, {size} bytes: {error.strerror}. "
            "A memory-mapped file, np.load(path, mmap_mode='r'), needs none"
        ) from error
