"""Pickle work without its large arrays: for each of these, only where the workers find it."""

from __future__ import annotations

import errno
import io
import mmap
import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from batchup.core.checks import describe
from batchup.files import OpenFile, mapped_at
from batchup.memory.shared import Segment, SharedMap, next_key, room_for, same_bytes, view_of
from batchup.work_pool.pickling import Pickler, span_of

DummyArray: Any = type(as_strided(np.zeros(1)).base)  # which views of `as_strided` have for a base

__all__ = ["ArrayPickler", "Copies", "Place", "maps", "received_segments"]

# Bytes: smaller arrays are pickled with the rest.
LARGE = 256 * 1024

# In a worker: the shared memory that was sent to it, by key.
received_segments: dict[int, Any] = {}


class Place(NamedTuple):
    """The place of a copy of an array in shared memory, in C order, and its shape and dtype."""

    segment: Segment
    offset: int
    layout: tuple[Any, ...]


class Copies:
    """The copies of arrays in shared memory. A copy lives as long as a stream uses it.

    An array is found by its identity. One that is created whenever the work is pickled, such as that of a tensor, is
    found by its position among the arrays of the work. The copy is used if its bytes equal those of the array.
    """

    def __init__(self, compare: bool = True, places: Sequence[Place] = ()):
        self._compare = compare
        self._before = places

    def find(self, array: NDArray[Any], number: int) -> Place | None:
        """The copy of an array, which is the large array of this number in the work; None if there is none."""
        candidates = [_copied.get(array)]
        if number < len(self._before):
            candidates.append(self._before[number])
        for place in candidates:
            if place is None or place.layout != (array.shape, array.dtype):
                continue
            if not self._compare or _same_bytes(array, place):
                return place
        return None


class _Copied:
    """The last copy of each array, while both the array and the copy are alive."""

    def __init__(self) -> None:
        self._places: dict[int, tuple[weakref.ref[Any], weakref.ref[Any], Any]] = {}

    def get(self, array: NDArray[Any]) -> Place | None:
        found = self._places.get(id(array))
        if found is None or found[0]() is not array:
            return None
        segment = found[1]()
        return None if segment is None else Place(segment, *found[2])

    def add(self, array: NDArray[Any], place: Place) -> None:
        key, places = id(array), self._places
        gone = weakref.ref(array, lambda ref: places.pop(key) if places.get(key, (0,))[0] is ref else None)
        places[key] = gone, weakref.ref(place.segment), (place.offset, place.layout)


_copied = _Copied()

# An array that is not in C order is compared in pieces of so many bytes, each copied to C order.
_STEP = 16 * 2**20


def _same_bytes(array: NDArray[Any], place: Place) -> bool:
    copy = view_of(place.segment.memory, array.shape, array.dtype, place.offset)
    if array.flags.c_contiguous:
        return same_bytes(array, copy)
    rows = max(1, _STEP * len(array) // max(1, array.nbytes))
    return all(
        same_bytes(np.ascontiguousarray(array[k : k + rows]), copy[k : k + rows]) for k in range(0, len(array), rows)
    )


class ArrayPickler(Pickler):
    """Pickles large arrays as their places in shared memory. The segments that they lie in are added to `used`.

    The places of the copies are appended to `places`, in the order of the arrays.
    """

    def __init__(self, file: io.BytesIO, copies: Copies, used: dict[int, Segment], places: list[Place | None]):
        super().__init__(file, protocol=5)
        self._copies = copies
        self._used = used
        self._places = places
        # All new copies go into one segment, which takes one open file.
        self._key = next_key()
        self._new: list[tuple[NDArray[Any], int, int]] = []  # each with its number and its place
        self._size = 0

    def dump(self, obj: Any) -> None:
        super().dump(obj)
        if self._new:
            self._copy()

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) in (np.ndarray, np.memmap) and not obj.dtype.hasobject:
            mapped = self._mapped(obj)
            if mapped is not None:
                return mapped
            if obj.nbytes >= LARGE and span_of(obj) is None:
                return self._placed(obj)
        return super().reducer_override(obj)

    def _mapped(self, array: NDArray[Any]) -> tuple[Callable[..., Any], tuple[Any, ...]] | None:
        """How to map an array again that is in mapped memory: that of `share`, whatever its size, or of a file."""
        found = _mapping_under(array)
        if found is None:
            return None
        memory, of_file, offset = found
        layout = array.strides, array.shape, array.dtype, array.flags.writeable
        if isinstance(memory, SharedMap):
            self._used[memory.segment.key] = memory.segment
            return in_segment, (memory.segment.key, offset, *layout)
        if of_file is None or array.nbytes < LARGE:
            return None
        file = _file_of(memory, str(of_file.filename))
        at = of_file.offset - of_file.offset % mmap.ALLOCATIONGRANULARITY + offset
        return None if file is None else (in_file, (file, at, *layout))

    def _placed(self, array: NDArray[Any]) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        layout = array.shape, array.dtype, array.flags.writeable
        place = self._copies.find(array, len(self._places))
        self._places.append(place)
        if place is not None:
            self._used[place.segment.key] = place.segment
            return in_segment, (place.segment.key, place.offset, None, *layout)
        offset = self._size
        self._new.append((array, len(self._places) - 1, offset))
        self._size += -(-array.nbytes // 64) * 64  # arrays begin at cache lines
        return in_segment, (self._key, offset, None, *layout)

    def _copy(self) -> None:
        count, (array, *_) = len(self._new), self._new[0]
        with room_for(describe(array) if count == 1 else f"{count} arrays", self._size):
            segment = Segment(self._size, self._key)
            memory = segment.memory
        self._used[segment.key] = segment
        for array, number, offset in self._new:
            view_of(memory, array.shape, array.dtype, offset)[...] = array
            place = Place(segment, offset, (array.shape, array.dtype))
            self._places[number] = place
            _copied.add(array, place)


def _mapping_under(array: NDArray[Any]) -> tuple[mmap.mmap, Any, int] | None:
    """The mapped memory that an array lies in, its memmap if it is a file's, and where it begins."""
    if min(array.strides, default=0) < 0:
        return None
    owner: Any = array
    of_file: np.memmap[Any, Any] | None = None
    while isinstance(owner, np.ndarray | memoryview | DummyArray):
        if isinstance(owner, np.memmap) and owner.filename is not None and owner.mode != "c":
            of_file = owner  # with mode "c" there may be changes that are in no file
        owner = owner.obj if isinstance(owner, memoryview) else owner.base
    if not isinstance(owner, mmap.mmap):
        return None
    return owner, of_file, array.ctypes.data - _address_of(owner)


def _address_of(memory: mmap.mmap) -> int:
    return int(np.frombuffer(memory, np.uint8).ctypes.data)


def _file_of(memory: mmap.mmap, path: str) -> OpenFile | None:
    """The file that is mapped; None if its path leads to another one now, so that the array has to be copied.

    A mapping doesn't tell which file it is of. So the file that has the path now is mapped, too, and compared.
    """
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as again:
            same = mapped_at(_address_of(again)) == mapped_at(_address_of(memory)) and again.size() == memory.size()
            return OpenFile.of(file.fileno(), path) if same else None
    except (OSError, ValueError):
        return None


# --- in a worker. What it writes into these is its own: the mappings are private, copied on write.


def in_segment(
    key: int,
    offset: int,
    strides: tuple[int, ...] | None,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    writeable: bool,
) -> NDArray[Any]:
    if key not in received_segments:
        raise OSError(
            errno.ENOMEM,
            f"expected room in a worker for the arrays of its work, {np.prod(shape)} x {dtype} and more; it had "
            "no memory, or no free file descriptor, when they were sent",
        )
    array = view_of(received_segments[key], shape, dtype, offset, strides)
    array.flags.writeable = writeable
    return array


class _Maps:
    """The maps of files that were opened here, each with the number of bytes that are read, by the job that reads them."""

    def __init__(self) -> None:
        self._job = -1
        self._of_jobs: dict[int, list[tuple[mmap.mmap, int]]] = {}

    def check(self, job: int) -> None:
        """Begin to run a job. Raise ValueError if a file that it reads has shrunk: reading it could end the process."""
        self._job = job
        for memory, size in self._of_jobs.get(job, ()):
            if memory.size() < size:
                raise ValueError(
                    f"expected {size} bytes in a memory-mapped file; it has shrunk to {memory.size()}. Map it anew, and build "
                    "the stream again"
                )

    def add(self, memory: mmap.mmap, size: int) -> None:
        self._of_jobs.setdefault(self._job, []).append((memory, size))

    def forget(self, job: int) -> None:
        self._of_jobs.pop(job, None)


maps = _Maps()


def in_file(
    opened: OpenFile,
    offset: int,
    strides: tuple[int, ...],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    writeable: bool,
) -> NDArray[Any]:
    last = sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    with open(opened.path, "rb") as file:
        opened.check(file.fileno())
        begin = offset - offset % mmap.ALLOCATIONGRANULARITY
        end = offset + last + dtype.itemsize
        memory = mmap.mmap(file.fileno(), end - begin, access=mmap.ACCESS_COPY, offset=begin)
    maps.add(memory, end)
    array: NDArray[Any] = np.ndarray(shape, dtype, memory, offset - begin, strides)
    array.flags.writeable = writeable
    return array
