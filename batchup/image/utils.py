"""Images that are stored as bytes and read as floats."""

import math
import mmap
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from batchup.core.memory import empty

__all__ = ["ImageArrayUInt8ToFloat32"]


class ImageArrayUInt8ToFloat32:
    """An array of uint8 that reads as float32.

    What is read is `u8.astype(float32) * float32((val_upper - val_lower) / 255) + float32(val_lower)`, computed when it
    is indexed. So the whole takes the memory of its bytes alone. Iteration and every kind of index are those of `arr`,
    and `np.asarray` converts all of it. The result is a new array: writable, and never a view of `arr`.

    If `arr` is an `np.memmap`, or a view of one, it is pickled as the path of the file and the place in it. The file
    must then exist where it is unpickled.

    Parameters
    ----------
    arr : array of uint8
        In memory or memory-mapped; or anything with `__len__` and a `__getitem__` that gives arrays of uint8. An
        attribute that it doesn't have (`shape`, `ndim`, `size`, `nbytes`) is missing here too.
    val_lower : float
        The value of 0.
    val_upper : float
        The value of 255.
    arr_u8 : array of uint8
        The name of `arr` in 0.2.3.

    Raises
    ------
    TypeError
        If `arr` is not of uint8: at once, or for an array-like without a `dtype` when it is indexed.
    ValueError
        If a value is not finite.

    Examples
    --------
    >>> images = ImageArrayUInt8ToFloat32(np.array([[0, 255, 0], [0, 0, 255]], dtype=np.uint8))
    >>> images
    ImageArrayUInt8ToFloat32(shape=(2, 3), dtype=float32, values 0.0 to 1.0 from uint8)
    >>> images[0]
    array([0., 1., 0.], dtype=float32)
    >>> images[:, [2, 1]]
    array([[0., 1.],
           [1., 0.]], dtype=float32)
    """

    dtype = np.dtype(np.float32)
    batchup_gives_fresh_arrays = True  # `gather` need not copy them

    def __init__(self, arr: Any = None, val_lower: float = 0.0, val_upper: float = 1.0, *, arr_u8: Any = None) -> None:
        if (arr is None) == (arr_u8 is None):
            raise TypeError(
                "ImageArrayUInt8ToFloat32: expected arr=, or arr_u8= as in 0.2.3; got "
                + ("neither" if arr is None else "both")
            )
        arr = arr_u8 if arr is None else arr
        array_like = hasattr(arr, "__len__") and hasattr(arr, "__getitem__")
        if not array_like or isinstance(arr, str | bytes | list | tuple | dict):
            raise TypeError(f"arr must be an array of uint8, or array-like, got {type(arr).__name__}")
        if getattr(arr, "dtype", np.uint8) != np.uint8:
            raise TypeError(f"arr must be an array of uint8, or array-like, got dtype {arr.dtype}")
        if not (math.isfinite(val_lower) and math.isfinite(val_upper)):
            raise ValueError(f"val_lower and val_upper must be finite, got {val_lower} and {val_upper}")
        # A plain view: indexing an np.memmap costs several times more, and gives memmaps.
        self._u8 = arr.view(np.ndarray) if isinstance(arr, np.ndarray) else arr
        self._is_array = isinstance(arr, np.ndarray)
        self.val_lower = float(val_lower)
        self.val_upper = float(val_upper)
        self._scale = np.float32((self.val_upper - self.val_lower) / 255)
        self._offset = np.float32(self.val_lower)

    @property
    def arr_u8(self) -> Any:
        """The array of uint8, under its name of 0.2.3."""
        return self._u8

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of `arr`."""
        shape: tuple[int, ...] = self._u8.shape
        return shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        ndim: int = self._u8.ndim
        return ndim

    @property
    def size(self) -> int:
        """The number of values."""
        size: int = self._u8.size
        return size

    @property
    def nbytes(self) -> int:
        """The number of bytes as float32; it takes a quarter of them."""
        return self.size * 4

    def __len__(self) -> int:
        return len(self._u8)

    def __getitem__(self, index: Any) -> Any:
        is_rows = isinstance(index, np.ndarray) and index.dtype.kind == "i"
        if is_rows and self._is_array and self._u8.flags.c_contiguous:
            # Faster than indexing. An array that is not C-contiguous would be copied whole first.
            return self._converted(self._u8.take(index, axis=0))
        return self._converted(self._u8[index])

    def __iter__(self) -> Iterator[Any]:
        return map(self._converted, self._u8 if self._is_array else map(self._u8.__getitem__, range(len(self))))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("float32 can't be read from uint8 without a copy: leave copy out")
        whole: np.ndarray = self[...] if self._is_array else self[np.arange(len(self))]
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def __repr__(self) -> str:
        found = getattr(self._u8, "shape", None)
        shape = f"len={len(self)}" if found is None else f"shape={found}"
        return (
            f"{type(self).__name__}({shape}, dtype={self.dtype}, "
            f"values {self.val_lower} to {self.val_upper} from uint8)"
        )

    def __reduce__(self) -> "tuple[Callable[..., ImageArrayUInt8ToFloat32], tuple[Any, ...]]":
        place = _place_in_file(self._u8) if self._is_array else None
        if place is None:
            return type(self), (self._u8, self.val_lower, self.val_upper)
        return _from_file, (type(self), place, self.val_lower, self.val_upper)

    def _converted(self, u8: Any) -> Any:
        if getattr(u8, "dtype", None) != np.uint8:
            raise TypeError(f"arr must give arrays of uint8, got {getattr(u8, 'dtype', type(u8).__name__)}")
        if not isinstance(u8, np.ndarray):
            return np.float32(u8) * self._scale + self._offset
        out = empty(u8.shape, np.float32)
        for some in _in_cache(out):
            part = out[some]
            part[...] = u8[some]
            part *= self._scale
            part += self._offset
        return out


# Bytes: three passes over so many take half of the time that they take over an array of some MB.
_CACHED = 256 * 1024


def _in_cache(array: np.ndarray) -> Iterator[Any]:
    """Indices that divide an array into parts of this many bytes, of one row at least."""
    if array.nbytes <= _CACHED or not array.ndim:
        yield ...
        return
    rows = max(1, _CACHED * len(array) // array.nbytes)
    for start in range(0, len(array), rows):
        yield slice(start, start + rows)


_Place = tuple[str, int, tuple[int, ...], tuple[int, ...]]


def _place_in_file(view: np.ndarray) -> _Place | None:
    """The path, offset, shape and strides of a view of a memory map; None for others."""
    root: Any = view
    while isinstance(root, np.ndarray) and not isinstance(root.base, mmap.mmap):
        root = root.base
    # A copy-on-write map may differ from its file, and a map may have no file.
    if not isinstance(root, np.memmap) or root.mode == "c" or root.filename is None:
        return None
    start = root.offset + _address(view) - _address(root)
    return str(root.filename), start, view.shape, view.strides


def _address(array: np.ndarray) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def _from_file(
    cls: type[ImageArrayUInt8ToFloat32], place: _Place, val_lower: float, val_upper: float
) -> ImageArrayUInt8ToFloat32:
    path, start, shape, strides = place
    whole = np.memmap(path, np.uint8, "r")
    return cls(np.ndarray(shape, np.uint8, whole, start, strides), val_lower, val_upper)
