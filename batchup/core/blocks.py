"""Index blocks: 1-D integer arrays, ranges, and blocks whose slices are computed on demand."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.core.checks import describe, plain_array


class LazyBlock(ABC):
    """An index block whose slices are computed on demand."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, part: slice) -> NDArray[np.intp]: ...

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:].astype(dtype or np.intp, copy=False)


class LazyPart(LazyBlock):
    """Places `start` to `stop` of a block whose slices are computed on demand."""

    def __init__(self, block: Any, start: int, stop: int):
        self.block, self.start, self.stop = block, start, stop

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, part: slice) -> NDArray[np.intp]:
        start, stop, step = part.indices(len(self))
        if step < 0:
            start, stop, step = 0, len(self), 1
        else:
            part = slice(None)
        indices: NDArray[np.intp] = self.block[self.start + start : self.start + max(start, stop) : step]
        return indices[part]

    def __reduce__(self) -> tuple[Any, ...]:
        return LazyPart, (self.block, self.start, self.stop)


PlainBlock = range | NDArray[np.intp]
Block = PlainBlock | LazyBlock


def as_block(value: Any, where: str) -> PlainBlock:
    """A value that a user passed, as an index block.

    Parameters
    ----------
    value : any
        A `range`, or a 1-D sequence of integers >= 0.
    where : str
        The beginning of the error.

    Returns
    -------
    range or 1-D array of intp
        The block; a `range` has step 1.

    Raises
    ------
    TypeError
        For anything but a 1-D sequence of integers.
    ValueError
        For negative numbers.
    """
    wanted = f"{where}: expected an index block, that is a 1-D array of integers >= 0 or a range"
    if isinstance(value, range):
        if len(value) and min(value[0], value[-1]) < 0:
            raise ValueError(f"{wanted}; got {value}")
        return value if value.step == 1 else np.arange(value.start, value.stop, value.step)
    array_like = hasattr(value, "__array__") and not isinstance(value, np.generic)
    if isinstance(value, str | bytes) or not (array_like or isinstance(value, Sequence)):
        number = isinstance(value, int | np.integer)
        hint = "; a whole array is a block: write [array], or indices(array)" if number else ""
        raise TypeError(f"{wanted}; got {describe(value)}{hint}")
    try:
        array = plain_array(value, where)
    except ValueError as error:  # a ragged list
        raise TypeError(f"{wanted}; NumPy can't make an array of this list: {error}") from None
    if array.ndim == 1 and array.size == 0:
        return range(0)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        hint = "; for a mask use np.flatnonzero(mask)" if array.dtype.kind == "b" else ""
        raise TypeError(f"{wanted}; got {describe(array)}{hint}")
    if array.min() < 0 or array.max() > np.iinfo(np.intp).max:
        raise ValueError(f"{wanted}; got the index {array.min() if array.min() < 0 else array.max()}")
    return array.astype(np.intp, copy=False)


def as_indices(value: Any, where: str, length: int | None = None) -> PlainBlock:
    """Which of several samples a user chose: an index block, or a mask of all samples as the indices that it selects.

    Raises TypeError and ValueError as `as_block`; also ValueError for a mask of another number than `length` samples.
    """
    listed = isinstance(value, list | tuple) and value and all(isinstance(yes, bool | np.bool_) for yes in value)
    if not (listed or hasattr(value, "__array__")):
        return as_block(value, where)
    mask = plain_array(value, where)
    if mask.dtype.kind != "b" or mask.ndim != 1:
        return as_block(value, where)
    if length not in (None, len(mask)):
        raise ValueError(f"{where}: expected a mask with a value for each of {length} samples; got {len(mask)}")
    return np.flatnonzero(mask)


def labelled(indices: PlainBlock | None, count: int, where: str) -> NDArray[np.intp]:
    """Which of the samples with `count` labels a user chose; None stands for all. Raises ValueError for one without."""
    if indices is None:
        return np.arange(count)
    chosen = block_array(indices)
    if len(chosen) and chosen.max() >= count:
        raise ValueError(f"{where}: expected indices below {count}, the number of labels; got {chosen.max()}")
    return chosen


def block_array(block: Block) -> NDArray[np.intp]:
    """The block as an integer array.

    Parameters
    ----------
    block : index block
        A `range`, an array, or a `LazyBlock`.

    Returns
    -------
    1-D array of intp
        The indices.
    """
    if isinstance(block, range):
        return np.arange(block.start, block.stop, dtype=np.intp)
    return block[:] if isinstance(block, LazyBlock) else block


def joined(pieces: list[Block]) -> Block:
    """Several blocks as one.

    Parameters
    ----------
    pieces : list of index blocks
        The blocks, in order.

    Returns
    -------
    index block
        A `range` if consecutive ranges are joined, else an array; a single block as it is.
    """
    if len(pieces) == 1:
        return pieces[0]
    ranges = [piece for piece in pieces if isinstance(piece, range)]
    if len(ranges) == len(pieces) and all(a.stop == b.start for a, b in pairwise(ranges)):
        return range(ranges[0].start, ranges[-1].stop)
    return np.concatenate([block_array(piece) for piece in pieces])
