"""Checks of arguments, made when a thing is built: what was expected, what came, where."""

from __future__ import annotations

import operator
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


class LazyBlock(ABC):
    """An index block of which only slices are written out, each when it is asked for."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, part: slice) -> NDArray[np.intp]: ...

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:].astype(dtype or np.intp, copy=False)


PlainBlock = range | NDArray[np.intp]
Block = PlainBlock | LazyBlock


def whole_number(value: Any, name: str, *, least: int = 0, also: int | None = None) -> int:
    """`value` as an int that is at least `least`, or is `also`; `name` says where it came from."""
    wanted = f"{name}: expected a whole number >= {least}" + ("" if also is None else f", or {also}")
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{wanted}; got {value!r}")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{wanted}; got {describe(value)}") from None
    if number < least and number != also:
        raise ValueError(f"{wanted}; got {number}")
    if number > sys.maxsize:
        raise ValueError(f"{wanted} and at most {sys.maxsize}; got {number}")
    return number


def as_block(value: Any, where: str) -> PlainBlock:
    """`value` as an index block: a `range` of step 1, or a 1-D intp array, of numbers >= 0.

    Raises TypeError for what is not a 1-D sequence of integers, ValueError for negative ones.
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
        array = np.asarray(value)
    except ValueError as error:  # a ragged list
        raise TypeError(f"{wanted}; got a list that is no array: {error}") from None
    if array.ndim == 1 and array.size == 0:
        return range(0)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        hint = "; for a mask use np.flatnonzero(mask)" if array.dtype.kind == "b" else ""
        raise TypeError(f"{wanted}; got {describe(array)}{hint}")
    if array.min() < 0 or array.max() > np.iinfo(np.intp).max:
        raise ValueError(f"{wanted}; got the index {array.min() if array.min() < 0 else array.max()}")
    return array.astype(np.intp, copy=False)


def block_array(block: Block) -> NDArray[np.intp]:
    """The block as an integer array; a `range` or a lazy block is written out."""
    if isinstance(block, range):
        return np.arange(block.start, block.stop, dtype=np.intp)
    return block[:] if isinstance(block, LazyBlock) else block


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """A read-only copy. Samplers keep these, because their streams don't see later changes."""
    copy = np.array(array)
    copy.flags.writeable = False
    return copy


def as_labels(y: ArrayLike, where: str) -> NDArray[np.intp]:
    """`y` as the labels of samples, (n,) integers >= 0."""
    labels = np.asarray(y)
    if labels.ndim != 1 or (labels.size and labels.dtype.kind not in "iub"):
        wanted = f"{where}: expected labels, a 1-D array of integers >= 0"
        raise TypeError(f"{wanted}; got {describe(labels)}")
    if labels.size and labels.min() < 0:
        raise ValueError(f"{where}: expected labels >= 0; sample {labels.argmin()} has {labels.min()}")
    return labels.astype(np.intp)


def describe(value: Any, most: int = 120) -> str:
    """A name of any value of at most some `most` characters, for errors and reprs: `<60000x28x28 uint8>` for what has a
    shape.

    >>> describe(np.zeros((3, 2), np.float32)), describe([1, 2, 3]), describe(1.5)
    ('<3x2 float32>', '<list of 3>', '1.5')
    """
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if isinstance(shape, tuple) and shape and dtype is not None:
        dtype = shortened(str(dtype).removeprefix("torch."), most)  # of a table all of its columns
        return f"<{'x'.join(map(str, shape))} {dtype}>"
    if value is None or isinstance(value, bool | int | float | str | np.generic):
        text = repr(value)
        return text if len(text) <= 40 else text[:37] + "..."
    try:
        return f"<{type(value).__name__} of {len(value)}>"
    except Exception:  # whatever a user's class does, it must not get into the way of an error
        return f"<{type(value).__name__}>"


def listed(parts: Iterable[str], most: int = 120) -> str:
    """The parts with commas between, for an error: without the middle where they are too many."""
    return shortened(", ".join(parts), most)


def shortened(text: str, most: int = 240) -> str:
    """The text, for an error or a repr: with the middle left out if it has more than `most` characters.

    >>> shortened("indices(100) | chunk(4) | gather(<100 int64>)", most=30)
    'indices(100)  ... <100 int64>)'
    """
    half = (most - 5) // 2
    return text if len(text) <= most else f"{text[: half + 1]} ... {text[-half:]}"


def describe_callable(fn: Any, qualified: bool = False) -> str:
    """The name under which a user knows a function, or the class of what is called: `augment`, `Crop`."""
    inner = getattr(fn, "func", None)  # functools.partial
    if inner is not None and not hasattr(fn, "__name__"):
        return f"partial({describe_callable(inner, qualified)})"
    named = fn if hasattr(fn, "__name__") else type(fn)
    if not qualified:
        return str(named.__name__)
    # Older ufuncs have no other name, and methods of built-in types no module.
    return f"{getattr(named, '__module__', '')}.{getattr(named, '__qualname__', named.__name__)}"
