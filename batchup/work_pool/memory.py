"""Shared memory without names: when the last process that has it ends, however it ends, it is gone.

It comes from `memfd_create`, and the open file is sent to who else is to see it. So there is nothing
to unlink, nothing to leak after a SIGKILL, and the size of /dev/shm, 64 MB in many containers, does not
matter. Where there is no `memfd_create`, an unlinked temporary file does.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import tempfile
import weakref
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Slabs", "available_memory", "map_file", "new_file", "view_of"]


_size = ctypes.c_size_t
_FAILED = ctypes.c_void_p(-1).value

# Of one worker, held by the caller at once: a process may have 65530 mappings in all.
MOST_SLABS = 2000


@cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    return libc


def available_memory() -> int:
    """How many bytes may still be taken: what the system has, or less where a container has a limit."""
    room = []
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                room.append(int(line.split()[1]) * 1024)
    except OSError:
        room.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2)
    for limit, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        try:
            room.append(int(Path(limit).read_text()) - int(Path(used).read_text()))
        except (OSError, ValueError):  # no such limit, or "max"
            continue
    return max(0, min(room))


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


def map_file(file: int, size: int) -> Any:
    """The file as memory that all see, a buffer; unmapped when nothing has a view of it any more.

    `mmap.mmap` would keep the file open, and of open files a process may have few. It is mapped at
    once, as page faults would cost more than the copy.
    """
    libc = _libc()
    size = max(size, 1)
    flags = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)
    address = libc.mmap(None, _size(size), mmap.PROT_READ | mmap.PROT_WRITE, flags, file, _size(0))
    if address == _FAILED:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    memory = (ctypes.c_ubyte * size).from_address(address)
    weakref.finalize(memory, libc.munmap, ctypes.c_void_p(address), _size(size)).atexit = False
    return memory


class Slabs:
    """The memory in which one worker sends its results; used again when the caller lets go of it."""

    def __init__(
        self, limit: int, announce: Callable[[int, int, int], Any], forget: Callable[[int], Any]
    ):
        self.limit = limit
        self._announce = announce  # number, size, file: a new one
        self._forget = forget  # number: it is no more
        self._slabs: dict[int, NDArray[np.uint8]] = {}
        self._free: list[int] = []
        self._made = 0

    def release(self, numbers: list[int]) -> None:
        self._free += numbers

    def put(self, buffers: list[NDArray[np.uint8]]) -> tuple[int, list[tuple[int, int]]] | None:
        """Copy the buffers into one slab: its number and where each is; None where there is no room."""
        places, total = [], 0
        for buffer in buffers:
            places.append((total, len(buffer)))
            total += -(-len(buffer) // 64) * 64  # arrays begin at cache lines
        number = self._find(total)
        if number is None:
            return None
        slab = self._slabs[number]
        for buffer, (start, length) in zip(buffers, places, strict=True):
            slab[start : start + length] = buffer
        return number, places

    def _find(self, size: int) -> int | None:
        fitting = [number for number in self._free if len(self._slabs[number]) >= size]
        if fitting:
            # The smallest; of those the last that came back, which may still be in a cache.
            number = min(reversed(fitting), key=lambda number: len(self._slabs[number]))
            self._free.remove(number)
            return number
        size = -(-size // 65536) * 65536
        while self._free and self._used() + size > self.limit:  # those are too small
            number = self._free.pop(0)
            del self._slabs[number]
            self._forget(number)
        if self._used() + size > self.limit or len(self._slabs) >= MOST_SLABS:
            return None
        try:
            file = new_file(size)
        except OSError:
            return None
        try:
            slab = np.frombuffer(map_file(file, size), np.uint8)
            self._made = number = self._made + 1
            self._announce(number, size, file)
        finally:
            os.close(file)
        self._slabs[number] = slab
        return number

    def _used(self) -> int:
        return sum(map(len, self._slabs.values()))


class _Lease:
    """Held by all arrays of one batch; when it goes, so does the claim on the slab."""

    def __init__(self, release: Callable[[], Any]):
        self._release = release

    def __del__(self) -> None:
        self._release()


class _Held(np.ndarray[Any, Any]):
    """The array that all views of a batch end at, as the one that it is a view of is no array."""

    lease: _Lease


def views_of(
    slab: Any, places: list[tuple[int, int]], release: Callable[[], Any]
) -> list[NDArray[Any]]:
    """Parts of a slab as writable buffers; calls `release` when the last view of them is gone."""
    lease = _Lease(release)
    views: list[NDArray[Any]] = []
    for start, length in places:
        view = _Held((length,), np.uint8, slab, start)
        view.lease = lease
        views.append(view)
    return views


def view_of(
    memory: Any,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    offset: int,
    strides: tuple[int, ...] | None = None,
) -> NDArray[Any]:
    """An array in mapped memory."""
    return np.ndarray(shape, dtype, memory, offset, strides)
