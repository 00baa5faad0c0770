"""Pickling of work, but for its large arrays: of these only where the workers find them."""

from __future__ import annotations

import io
import mmap
import os
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.ops.checks import describe
from batchup.work_pool.memory import map_file, view_of
from batchup.work_pool.sharing import Segment, SharedMap, new_segment
from batchup.work_pool.tracebacks import Pickler

__all__ = ["Kept", "Packer", "segments_here"]

# Smaller arrays are pickled with the rest: a mapping of its own costs a page at least.
LARGE = 256 * 1024

# In a worker: the memory it was sent, by key.
segments_here: dict[int, mmap.mmap] = {}


class Kept:
    """Arrays that have been put in shared memory, so that it is done once for each."""

    def __init__(self) -> None:
        self._kept: dict[
            int, tuple[NDArray[Any], Segment]
        ] = {}  # the array, so that its id stays its own

    def segment_of(self, array: NDArray[Any]) -> Segment:
        if id(array) not in self._kept:
            segment = new_segment(array.nbytes, describe(array))
            copy = view_of(map_file(segment.file, segment.size), array.shape, array.dtype, 0)
            copy[...] = array
            self._kept[id(array)] = array, segment
        return self._kept[id(array)][1]


class Packer(Pickler):
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
            if isinstance(memory, SharedMap):
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
