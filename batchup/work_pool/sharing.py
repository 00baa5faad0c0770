"""Large arrays on their way to workers: in shared memory, or as the path of their file."""

from __future__ import annotations

import io
import itertools
import mmap
import os
from collections.abc import Callable
from typing import Any

import cloudpickle
import numpy as np
from numpy.typing import NDArray

from batchup.ops.checks import describe
from batchup.work_pool.memory import map_file, new_file, view_of

__all__ = ["Kept", "Packer", "Segment", "next_key", "segments_here", "share"]

# Smaller arrays are pickled with the rest: a mapping of its own costs a page at least.
LARGE = 256 * 1024

next_key = itertools.count().__next__

# In a worker: the memory it was sent, by key.
segments_here: dict[int, mmap.mmap] = {}


class Segment:
    """Shared memory with a key, under which workers know it. Its file is closed when it is dropped."""

    def __init__(self, size: int):
        self.key = next_key()
        self.size = size
        self.file = new_file(size)

    def __del__(self) -> None:
        if hasattr(self, "file"):
            os.close(self.file)


class _SharedMap(mmap.mmap):
    segment: Segment


def share(array: NDArray[Any]) -> NDArray[Any]:
    """A copy of a NumPy array in shared memory, which process pools do not have to copy.

    `X = share(X)` keeps one copy of X for this process and all workers; a plain array is copied once
    for each stream or data source that is given to a pool. Any shape, dtypes without objects. What is
    written into it later may be seen by workers. Raises TypeError for what is no such array,
    MemoryError where there is no room.

    >>> X = share(np.arange(6).reshape(3, 2))
    >>> X[1]
    array([2, 3])
    """
    if not isinstance(array, np.ndarray) or array.dtype.hasobject:
        raise TypeError(f"share: expected a NumPy array without objects; got {describe(array)}")
    segment = _segment(array.nbytes, describe(array))
    memory = _SharedMap(segment.file, max(segment.size, 1))
    memory.segment = segment
    shared = view_of(memory, array.shape, array.dtype, 0)
    shared[...] = array
    return shared


def _segment(size: int, name: str) -> Segment:
    try:
        return Segment(size)
    except OSError as error:
        raise MemoryError(
            f"expected room for {name} in shared memory, {size} bytes: {error.strerror}. "
            "A memory-mapped file, np.load(path, mmap_mode='r'), needs none"
        ) from error


class Kept:
    """Arrays that have been put in shared memory, so that it is done once for each."""

    def __init__(self) -> None:
        self._kept: dict[
            int, tuple[NDArray[Any], Segment]
        ] = {}  # the array, so that its id stays its own

    def segment_of(self, array: NDArray[Any]) -> Segment:
        if id(array) not in self._kept:
            segment = _segment(array.nbytes, describe(array))
            copy = view_of(map_file(segment.file, segment.size), array.shape, array.dtype, 0)
            copy[...] = array
            self._kept[id(array)] = array, segment
        return self._kept[id(array)][1]


class Packer(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles anything; of large arrays only where they are. `segments` are those the pickle needs."""

    def __init__(self, file: io.BytesIO, kept: Kept, segments: list[Segment]):
        super().__init__(file, protocol=5)
        self._kept = kept
        self._segments = segments

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) in (np.ndarray, np.memmap) and obj.nbytes >= LARGE and not obj.dtype.hasobject:
            return self._placed(obj)
        return super().reducer_override(obj)

    def _placed(self, array: NDArray[Any]) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        layout = array.shape, array.dtype, array.flags.writeable
        found = _mapping_under(array)
        if found is not None:
            memory, of_file, offset = found
            if isinstance(memory, _SharedMap):
                self._segments.append(memory.segment)
                return in_segment, (memory.segment.key, offset, array.strides, *layout)
            if of_file is not None:
                at = of_file.offset - of_file.offset % mmap.ALLOCATIONGRANULARITY + offset
                return in_file, (str(of_file.filename), at, array.strides, *layout)
        segment = self._kept.segment_of(array)
        self._segments.append(segment)
        return in_segment, (segment.key, 0, None, *layout)


def _mapping_under(array: NDArray[Any]) -> tuple[mmap.mmap, Any, int] | None:
    """The mapped memory that an array lies in, its memmap if it is a file's, and where it begins."""
    if min(array.strides, default=0) < 0:
        return None
    owner: Any = array
    of_file: np.memmap[Any, Any] | None = None
    while isinstance(owner, np.ndarray | memoryview):
        if isinstance(owner, np.memmap) and owner.filename is not None and owner.mode != "c":
            of_file = owner  # with mode "c" there may be changes that are in no file
        owner = owner.obj if isinstance(owner, memoryview) else owner.base
    if not isinstance(owner, mmap.mmap):
        return None
    if of_file is not None and not os.path.exists(str(of_file.filename)):
        of_file = None
    start = np.frombuffer(owner, np.uint8).ctypes.data
    return owner, of_file, array.ctypes.data - start


# --- in a worker. What it writes into these is its own: the mappings are private, copied on write.


def in_segment(
    key: int,
    offset: int,
    strides: tuple[int, ...] | None,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    writeable: bool,
) -> NDArray[Any]:
    array = view_of(segments_here[key], shape, dtype, offset, strides)
    array.flags.writeable = writeable
    return array


def in_file(
    path: str,
    offset: int,
    strides: tuple[int, ...],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    writeable: bool,
) -> NDArray[Any]:
    last = sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    memory = np.memmap(path, np.uint8, "c", offset, (last + dtype.itemsize,))
    array: NDArray[Any] = np.ndarray(shape, dtype, memory, 0, strides)
    array.flags.writeable = writeable
    return array
