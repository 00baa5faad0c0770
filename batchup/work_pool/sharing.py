"""Arrays in shared memory, which workers can be told of."""

from __future__ import annotations

import itertools
import mmap
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.ops.checks import describe

__all__ = ["Segment", "SharedMap", "new_segment", "next_key", "share"]

next_key = itertools.count().__next__


class Segment:
    """Shared memory with a key, under which workers know it. Its file is closed when it is dropped."""

    def __init__(self, size: int):
        from batchup.work_pool.memory import new_file

        self.key = next_key()
        self.size = size
        self.file = new_file(size)

    def __del__(self) -> None:
        if hasattr(self, "file"):
            os.close(self.file)


class SharedMap(mmap.mmap):
    """The memory of an array that is shared already."""

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
    segment = new_segment(array.nbytes, describe(array))
    memory = SharedMap(segment.file, max(segment.size, 1))
    memory.segment = segment
    shared: NDArray[Any] = np.ndarray(array.shape, array.dtype, memory)
    shared[...] = array
    return shared


def new_segment(size: int, name: str) -> Segment:
    """A segment for an array of that name; MemoryError where there is no room."""
    try:
        return Segment(size)
    except OSError as error:
        raise MemoryError(
            f"expected room for {name} in shared memory, {size} bytes: {error.strerror}. "
            "A memory-mapped file, np.load(path, mmap_mode='r'), needs none"
        ) from error
