"""Pickling of work, but for its large arrays: of these only where the workers find them."""

from __future__ import annotations

import errno
import io
import mmap
import os
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from batchup.core.checks import describe
from batchup.memory.shared import Segment, SharedMap, map_file, next_key, room_for, view_of
from batchup.work_pool.pickling import Pickler

__all__ = ["ArrayPickler", "Kept", "segments_here"]

# Smaller arrays are pickled with the rest.
LARGE = 256 * 1024

# In a worker: the memory it was sent, by key.
segments_here: dict[int, Any] = {}


class Place(NamedTuple):
    """Where a copy of an array is in shared memory, in the order of C."""

    segment: Segment
    offset: int


class Kept:
    """Arrays that have been put in shared memory, so that it is done once for each."""

    def __init__(self) -> None:
        # With the array itself, so that its id stays its own.
        self._places: dict[int, tuple[NDArray[Any], Place]] = {}

    def __getitem__(self, array: NDArray[Any]) -> Place | None:
        if id(array) in self._places:
            return self._places[id(array)][1]
        return _unchanging.get(array)

    def __setitem__(self, array: NDArray[Any], place: Place) -> None:
        self._places[id(array)] = array, place
        _unchanging.add(array, place)


class _Unchanging:
    """Arrays of which there is a copy already, for as long as they live: those that nobody can have changed."""

    def __init__(self) -> None:
        self._places: dict[int, tuple[weakref.ref[NDArray[Any]], Any, Place]] = {}

    def get(self, array: NDArray[Any]) -> Place | None:
        found = self._places.get(id(array))
        if found is None or found[1] != _layout(array) or not _is_read_only(array):
            return None
        return found[2]

    def add(self, array: NDArray[Any], place: Place) -> None:
        if _is_read_only(array):
            key, places = id(array), self._places
            gone = weakref.ref(array, lambda _: places.pop(key, None))
            places[key] = gone, _layout(array), place


_unchanging = _Unchanging()


def _layout(array: NDArray[Any]) -> Any:
    return array.shape, array.strides, array.dtype, array.ctypes.data


def _is_read_only(array: NDArray[Any]) -> bool:
    """Whether nobody can write into it, or into what it is a view of."""
    owner: Any = array
    while isinstance(owner, np.ndarray):
        if owner.flags.writeable:
            return False
        owner = owner.base
    return owner is None or isinstance(owner, bytes)


class ArrayPickler(Pickler):
    """Pickles anything; of large arrays only where they are: in segments, which are put into `used`."""

    def __init__(self, file: io.BytesIO, kept: Kept, used: dict[int, Segment]):
        super().__init__(file, protocol=5)
        self._kept = kept
        self._used = used
        # What is to be copied goes into one segment, with an open file for all of them.
        self._key = next_key()
        self._new: list[tuple[NDArray[Any], int]] = []
        self._size = 0

    def dump(self, obj: Any) -> None:
        super().dump(obj)
        if self._new:
            self._copy()

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
                self._used[memory.segment.key] = memory.segment
                return in_segment, (memory.segment.key, offset, array.strides, *layout)
            if of_file is not None:
                at = of_file.offset - of_file.offset % mmap.ALLOCATIONGRANULARITY + offset
                return in_file, (str(of_file.filename), at, array.strides, *layout)
        place = self._kept[array]
        if place is not None:
            self._used[place.segment.key] = place.segment
            return in_segment, (place.segment.key, place.offset, None, *layout)
        offset = self._size
        self._new.append((array, offset))
        self._size += -(-array.nbytes // 64) * 64  # arrays begin at cache lines
        return in_segment, (self._key, offset, None, *layout)

    def _copy(self) -> None:
        count, (array, _) = len(self._new), self._new[0]
        with room_for(describe(array) if count == 1 else f"{count} arrays", self._size):
            segment = Segment(self._size, self._key)
            memory = map_file(segment.file, segment.size)
        self._used[segment.key] = segment
        for array, offset in self._new:
            view_of(memory, array.shape, array.dtype, offset)[...] = array
            self._kept[array] = Place(segment, offset)


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
    if key not in segments_here:
        raise OSError(
            errno.ENOMEM,
            f"expected room in a worker for the arrays of its work, {np.prod(shape)} x {dtype} and more; it had "
            "no memory, or no free file descriptor, when they were sent",
        )
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
