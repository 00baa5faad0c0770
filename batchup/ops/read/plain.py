"""Read arrays of NumPy: into memory that was used before where batches are large, and at cache lines for XLA."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.core.blocks import Block, block_array
from batchup.core.memory import LEAST, copied, empty

Read = Callable[[Any], Any]

# Bytes: of samples that are smaller, no batch is large in practice, and each of its checks would cost.
SMALL_SAMPLE = 64


def is_plain(column: Any) -> bool:
    """True for arrays of NumPy without objects."""
    return isinstance(column, np.ndarray) and not column.dtype.hasobject


def least_samples(column: NDArray[Any]) -> int:
    """The number of samples of a batch from which on its memory is used again."""
    size = math.prod(column.shape[1:]) * column.itemsize
    if type(column) is not np.ndarray or size < min(SMALL_SAMPLE, LEAST):
        return sys.maxsize
    return -(-LEAST // size)


def _is_taken_from(column: NDArray[Any]) -> bool:
    """True for arrays of which `take` reads samples 1.5 to 2 times faster than an index, if samples are small.

    An array that is not C-contiguous it would copy whole for every batch.
    """
    return type(column) is np.ndarray and column.flags.c_contiguous


def pick_plain(column: NDArray[Any]) -> Read:
    """How to read the samples of an index array."""
    if not _is_taken_from(column):
        return column.__getitem__
    take = column.take
    least, n, sample = least_samples(column), len(column), column.shape[1:]

    def pick(block: Block) -> NDArray[Any]:
        if len(block) >= least:
            places = block_array(block)
            if places.view(np.uintp).max() < n:  # also false for negative ones
                # The indices are inside, so nothing is clipped. With mode="raise", `take` would copy twice.
                out = empty((len(places), *sample), column.dtype)
                return take(places, 0, out, "clip")
        return take(block, 0)

    return pick


def run_plain(column: NDArray[Any]) -> Read:
    """How to read the samples of a range of step 1."""
    least = least_samples(column)

    def run(block: range) -> NDArray[Any]:
        part = column[block.start : block.stop]
        return part.copy() if len(part) < least else copied(part)

    return run


def read_two(X: NDArray[Any], y: NDArray[Any]) -> Read:
    """How to read from two arrays: most often there are two.

    Small batches need no call that can be avoided: each takes a tenth of a microsecond, and so does a keyword.
    """
    pick_X, pick_y = pick_plain(X), pick_plain(y)
    run_X, run_y = run_plain(X), run_plain(y)
    take_X, take_y = X.take, y.take
    least = min(least_samples(X), least_samples(y))
    least_to_pick = least if _is_taken_from(X) and _is_taken_from(y) else 0

    def read_small(block: Block) -> tuple[Any, ...]:
        if type(block) is range:
            start, stop = block.start, block.stop
            return X[start:stop].copy(), y[start:stop].copy()
        if type(block) is not np.ndarray:
            block = block_array(block)
        return take_X(block, 0), take_y(block, 0)

    if least_to_pick == sys.maxsize:
        return read_small

    def read(block: Block) -> tuple[Any, ...]:
        if type(block) is range:
            start, stop = block.start, block.stop
            if stop - start < least:
                return X[start:stop].copy(), y[start:stop].copy()
            return run_X(block), run_y(block)
        if type(block) is not np.ndarray:
            block = block_array(block)
        if len(block) < least_to_pick:
            return take_X(block, 0), take_y(block, 0)
        return pick_X(block), pick_y(block)

    return read


def pick_aligned(column: NDArray[Any]) -> Read:
    """How to read the samples of a block into memory that begins at a cache line, where XLA uses it in place of a copy.

    It is never used again, as Python doesn't see all that XLA has of it.
    """

    def pick(block: Block) -> NDArray[Any]:
        shape = (len(block), *column.shape[1:])
        size = math.prod(shape) * column.itemsize
        memory = np.empty(size + 63, np.uint8)
        start = -memory.ctypes.data % 64
        out = memory[start : start + size].view(column.dtype).reshape(shape)
        if type(block) is range:
            out[...] = column[block.start : block.stop]
            return out
        places = block_array(block)
        # mode="clip" doesn't raise for these; mode="raise" does, but copies.
        if len(places) and places.max() >= len(column):
            raise IndexError(f"expected indices below {len(column)}; got {places.max()}")
        column.take(places, axis=0, out=out, mode="clip")
        return out

    return pick
