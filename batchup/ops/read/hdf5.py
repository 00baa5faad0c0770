"""Datasets of h5py: memory-mapped where the file holds the plain bytes, else read by slices."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.core.blocks import block_array
from batchup.core.checks import describe, is_a
from batchup.ops.read.arrays import with_samples
from batchup.ops.read.chunked import RUN, Samples, Stored

_UNKNOWN, _NOT_THERE = -1, -2


def in_hdf5(array: Any, where: str) -> Stored | None:
    """A dataset of h5py, to be read from its file; None for anything else."""
    if not is_a(array, "h5py.Dataset"):
        return None
    if array.shape is None:
        raise TypeError(f"{where}: expected an array; got a dataset of h5py without data, h5py.Empty")
    return OfHdf5(with_samples(array, where))


class OfHdf5(Stored):
    """A dataset of h5py. Another process opens it again, by its file and its name in the file."""

    is_fresh = True

    def __init__(self, array: Any):
        super().__init__(array)
        chunked = array.chunks is not None
        if not chunked:
            self._ends = max(1, RUN // self.bytes_a_sample)
        self.whole = chunked and array.id.get_create_plist().get_nfilters() > 0
        self._mapped = _Mapped.of(array)

    @property
    def chunks(self) -> int | NDArray[np.intp] | None:
        return None if self.array.chunks is None else super().chunks

    def _chunks(self) -> Any:
        return 1 if self.array.chunks is None else self.array.chunks[0]

    def read(self, start: int, stop: int) -> NDArray[Any]:
        data: NDArray[Any] = self.array[start:stop]
        return data

    def run(self, block: range) -> Samples:
        if self._mapped is None or block.stop > len(self) or not len(block):
            return super().run(block)
        first = self._mapped.chunk(block.start)
        if first is not None and block.stop <= first[0] + len(first[1]):
            return np.array(first[1][block.start - first[0] : block.stop - first[0]])
        return self.samples(block_array(block))

    def _reads(self, wanted: NDArray[np.intp]) -> Iterator[tuple[int, int, int, Samples]]:
        mapped = self._mapped
        if mapped is None:
            yield from super()._reads(wanted)
            return
        ends = np.flatnonzero(np.diff(wanted // mapped.size)) + 1
        for a, b in pairwise([0, *ends.tolist(), len(wanted)]):
            begin, stop = int(wanted[a]), int(wanted[b - 1]) + 1
            chunk = mapped.chunk(begin)
            if chunk is None:
                yield a, b, begin, self.read(begin, stop)
            else:
                yield a, b, begin, chunk[1][begin - chunk[0] : stop - chunk[0]]

    def __reduce__(self) -> tuple[Any, ...]:
        file = self.array.file
        path = os.fsdecode(file.filename)
        if not os.path.exists(path):
            raise TypeError(f"{describe(self.array)} of h5py is in no file that another process can open")
        if file.mode != "r" and not file.swmr_mode:
            raise TypeError(
                f"{describe(self.array)} of h5py is in a file that is open for writing, {path}, which another process "
                'can\'t open meanwhile: open it with mode "r"'
            )
        return _opened, (os.path.abspath(path), self.array.name)


def _opened(path: str, name: str) -> OfHdf5:
    import h5py

    return OfHdf5(h5py.File(path, "r")[name])


class _Mapped:
    """The bytes of a dataset in its file: of the whole dataset if it is in one piece, or of each chunk.

    For each slice h5py makes a selection, looks into its cache of chunks and copies, which takes 150 us for one sample. If
    the file can't change, and nothing has to be decoded, the pages of the file are the samples.
    """

    def __init__(self, array: Any, file: NDArray[np.uint8], size: int):
        self.size = size
        self._id = array.id
        self._file = file
        self._dtype, self._shape = array.dtype, array.shape
        self._offsets = np.full(max(1, -(-array.shape[0] // size)), _UNKNOWN, np.int64)

    @staticmethod
    def of(array: Any) -> _Mapped | None:
        """None if the file doesn't hold the plain bytes."""
        file, created = array.file, array.id.get_create_plist()
        plain = not array.dtype.hasobject and array.dtype.itemsize and created.get_nfilters() == 0
        if not plain or file.mode != "r" or file.swmr_mode or file.userblock_size or not array.size:
            return None
        if file.driver not in ("sec2", "stdio") or created.get_external_count() or array.is_virtual:
            return None
        chunks, shape = array.chunks, array.shape
        if chunks is None and array.id.get_offset() is None:  # in the header, or not written yet
            return None
        if chunks is not None and chunks[1:] != shape[1:]:
            return None
        from h5py import h5t

        if array.id.get_type() != h5t.py_create(array.dtype):  # an unusual number of bits, say
            return None
        try:
            mapped = np.memmap(os.fsdecode(file.filename), np.uint8, "r").view(np.ndarray)
        except (OSError, ValueError):
            return None
        return _Mapped(array, mapped, shape[0] if chunks is None else chunks[0])

    def chunk(self, sample: int) -> tuple[int, NDArray[Any]] | None:
        """The number of the first sample of the chunk that a sample lies in, and the chunk; None if it was not written."""
        number = sample // self.size
        offset = int(self._offsets[number])
        if offset == _UNKNOWN:
            offset = self._offsets[number] = self._find(number)
        first = number * self.size
        rows = min(self.size, self._shape[0] - first)
        shape = (rows, *self._shape[1:])
        if offset < 0 or offset + int(np.prod(shape)) * self._dtype.itemsize > len(self._file):
            return None  # h5py then raises
        return first, np.ndarray(shape, self._dtype, self._file.data, offset)

    def _find(self, number: int) -> int:
        if len(self._offsets) == 1 and self._id.get_offset() is not None:
            return int(self._id.get_offset())
        try:
            place = (number * self.size,) + (0,) * (len(self._shape) - 1)
            found = self._id.get_chunk_info_by_coord(place)
        except (ValueError, RuntimeError, AttributeError):
            return _NOT_THERE
        whole = found.byte_offset is not None and found.filter_mask == 0
        return int(found.byte_offset) if whole else _NOT_THERE
