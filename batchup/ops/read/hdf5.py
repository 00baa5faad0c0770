"""Datasets of h5py: memory-mapped where the file holds the plain bytes, else read by slices."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.core.blocks import block_array
from batchup.core.checks import describe, is_a
from batchup.files import OpenFile
from batchup.ops.read.arrays import with_samples
from batchup.ops.read.chunked import RUN, Samples, Stored

_UNKNOWN, _NOT_THERE = -1, -2


def in_hdf5(array: Any, where: str) -> Stored | None:
    """A dataset of h5py, or a view of one, to be read from its file; None for anything else."""
    dataset = array
    if type(array).__module__ == "h5py._hl.dataset":
        dataset = getattr(array, "_dset", array)  # dataset.astype(dtype), .asstr() and .fields(names)
    if not is_a(dataset, "h5py.Dataset"):
        return None
    if dataset.shape is None:
        raise TypeError(f"{where}: expected an array; got a dataset of h5py without data, h5py.Empty")
    with_samples(dataset, where)
    return OfHdf5(dataset, None if array is dataset else array)


class OfHdf5(Stored):
    """A dataset of h5py, or a view of one. Another process opens it again, by its file and its name in the file."""

    is_fresh = True

    def __init__(self, dataset: Any, view: Any = None):
        self._dataset = dataset
        super().__init__(dataset)
        self.array = dataset if view is None else view
        if view is not None:
            self.dtype = view[0:0].dtype
        chunked = dataset.chunks is not None
        if not chunked:
            self._ends = max(1, RUN // self.bytes_a_sample)
        self.whole = chunked and dataset.id.get_create_plist().get_nfilters() > 0
        self._file = open_file(dataset)
        self._mapped = _Mapped.of(dataset) if view is None else None

    @property
    def chunks(self) -> int | NDArray[np.intp] | None:
        return None if self._dataset.chunks is None else super().chunks

    def _chunks(self) -> Any:
        return 1 if self._dataset.chunks is None else self._dataset.chunks[0]

    def run(self, block: range) -> Samples:
        if self._mapped is None or block.stop > len(self) or not len(block):
            return super().run(block)
        first = self._mapped.chunk(block.start)
        if first is not None and block.stop <= first[0] + len(first[1]):
            return np.array(first[1][block.start - first[0] : block.stop - first[0]])
        return self.samples(block_array(block))

    def _reads(self, wanted: NDArray[np.intp]) -> Iterator[tuple[int, int, int, Callable[[], Samples]]]:
        mapped = self._mapped
        if mapped is None:
            yield from super()._reads(wanted)
            return
        ends = np.flatnonzero(np.diff(wanted // mapped.size)) + 1
        for a, b in pairwise([0, *ends.tolist(), len(wanted)]):
            begin = int(wanted[a])
            yield a, b, begin, partial(self._part, mapped, begin, int(wanted[b - 1]) + 1)

    def _part(self, mapped: _Mapped, start: int, stop: int) -> Samples:
        """Samples of one chunk."""
        chunk = mapped.chunk(start)
        return self._noted(start, stop) if chunk is None else chunk[1][start - chunk[0] : stop - chunk[0]]

    def __reduce__(self) -> tuple[Any, ...]:
        view = None if self.array is self._dataset else (type(self.array), vars(self.array))
        if view is not None:
            view = view[0], {name: value for name, value in view[1].items() if name != "_dset"}
        return _opened, (*found_by(self._dataset, self._file), view)


def _opened(file: OpenFile, name: str, view: tuple[Any, dict[str, Any]] | None) -> OfHdf5:
    dataset = opened_again(file, name)
    if view is None:
        return OfHdf5(dataset)
    kind, state = view
    again = kind.__new__(kind)
    vars(again).update(state, _dset=dataset)
    return OfHdf5(dataset, again)


def reduced_hdf5(thing: Any) -> Any:
    """How to open a dataset, group or file of h5py in another process; NotImplemented for anything else."""
    if not is_a(thing, "h5py.Dataset", "h5py.Group"):
        return NotImplemented
    return opened_again, found_by(thing, open_file(thing))


def open_file(thing: Any) -> OpenFile | None:
    """The file that a dataset, group or file of h5py is in; None if no other process finds it."""
    file = thing.file
    return OpenFile.of(file.id.get_vfd_handle(), os.fsdecode(file.filename)) if file.driver == "sec2" else None


def found_by(thing: Any, file: OpenFile | None) -> tuple[OpenFile, str]:
    """The file of h5py and the name in it, by which another process finds a dataset. Raises TypeError if none does."""
    what, opened = f"{describe(thing)} of h5py", thing.file
    if file is None and opened.driver != "sec2":
        raise TypeError(f"{what} is in no file that another process can open")
    path = file.path if file else os.fsdecode(opened.filename)
    if opened.mode != "r" and not opened.swmr_mode:
        raise TypeError(
            f"{what} is in a file that is open for writing, {path}, which another process can't open meanwhile: open "
            'it with mode "r"'
        )
    if thing.name is None:
        raise TypeError(f"{what} has no name in its file, by which another process could find it")
    if file is None or not file.is_there:
        raise TypeError(
            f"{what} is in a file that was replaced: {path} is another file now, which another process would open. "
            "Open it anew, and build the stream again"
        )
    return file, thing.name


def opened_again(file: OpenFile, name: str) -> Any:
    """A dataset, group or file of h5py in another process. Raises ValueError if another file has the name now."""
    import h5py

    opened = h5py.File(file.path, "r")
    file.check(opened.id.get_vfd_handle())
    return opened if name == "/" else opened[name]


class _Mapped:
    """The bytes of a dataset in its file: of the whole dataset if it is in one piece, or of each chunk.

    For each slice h5py makes a selection, looks into its cache of chunks and copies, which takes 150 us for one sample. If
    the file can't change, and nothing has to be decoded, the pages of the file are the samples.
    """

    def __init__(self, array: Any, memory: mmap.mmap, size: int):
        self.size = size
        self._id = array.id
        self._memory = memory
        self._file = np.frombuffer(memory, np.uint8)
        self.dtype, self.shape = array.dtype, array.shape
        self._offsets = np.full(max(1, -(-array.shape[0] // size)), _UNKNOWN, np.int64)

    @staticmethod
    def of(array: Any) -> _Mapped | None:
        """None if the file doesn't hold the plain bytes."""
        file, created = array.file, array.id.get_create_plist()
        plain = not array.dtype.hasobject and array.dtype.itemsize and created.get_nfilters() == 0
        if not plain or file.mode != "r" or file.swmr_mode or file.userblock_size or not array.size:
            return None
        if file.driver != "sec2" or created.get_external_count() or array.is_virtual:
            return None
        chunks, shape = array.chunks, array.shape
        if chunks is None and array.id.get_offset() is None:  # in the header, or not written yet
            return None
        if chunks is not None and chunks[1:] != shape[1:]:
            return None
        from h5py import h5t

        if array.id.get_type() != h5t.py_create(array.dtype):  # an unusual number of bits, say
            return None
        try:  # the file that is open, whatever its name means now
            memory = mmap.mmap(file.id.get_vfd_handle(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):
            return None
        return _Mapped(array, memory, shape[0] if chunks is None else chunks[0])

    def chunk(self, sample: int) -> tuple[int, NDArray[Any]] | None:
        """The number of the first sample of the chunk that a sample lies in, and the chunk; None if it was not written."""
        number = sample // self.size
        offset = int(self._offsets[number])
        if offset == _UNKNOWN:
            offset = self._offsets[number] = self._find(number)
        first = number * self.size
        rows = min(self.size, self.shape[0] - first)
        shape = (rows, *self.shape[1:])
        if offset < 0 or offset + int(np.prod(shape)) * self.dtype.itemsize > len(self._file):
            return None  # h5py then raises
        if self._memory.size() < len(self._file):  # reading what was cut off would end the process
            raise ValueError(
                f"expected {len(self._file)} bytes in the file of {describe(self)}; it has shrunk to {self._memory.size()}. "
                "Open it anew, and build the stream again"
            )
        return first, np.ndarray(shape, self.dtype, self._file.data, offset)

    def _find(self, number: int) -> int:
        if len(self._offsets) == 1 and self._id.get_offset() is not None:
            return int(self._id.get_offset())
        try:
            place = (number * self.size,) + (0,) * (len(self.shape) - 1)
            found = self._id.get_chunk_info_by_coord(place)
        except (ValueError, RuntimeError, AttributeError):
            return _NOT_THERE
        whole = found.byte_offset is not None and found.filter_mask == 0
        return int(found.byte_offset) if whole else _NOT_THERE
