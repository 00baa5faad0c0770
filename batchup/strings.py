"""A list of strings in two arrays, which worker processes share: `Strings`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from batchup.core.work import Copyable


class Strings(Copyable, Sequence[Any]):
    """A sequence of `str`, or of `bytes`: the bytes of all of them in one array, and where each begins and ends.

    An int gives a string, a slice another `Strings`, and an integer array an object array of strings. Text is in UTF-8,
    in which surrogates that stand alone, as in names of files, are kept too.
    """

    def __init__(self, data: NDArray[np.uint8], offsets: NDArray[np.signedinteger[Any]], text: bool):
        self._data, self._offsets, self._text = data, offsets, text
        self.shape = (len(offsets) - 1,)
        self.dtype = "str" if text else "bytes"

    @staticmethod
    def of(values: Sequence[Any]) -> Strings:
        """The strings of a list, all of them `str` or all `bytes`."""
        text = not len(values) or isinstance(values[0], str)
        parts: Iterable[bytes] = (value.encode("utf-8", "surrogatepass") for value in values) if text else values
        encoded = list(parts)
        ends = np.fromiter(chain([0], map(len, encoded)), np.int64, len(encoded) + 1).cumsum()
        return Strings(np.frombuffer(b"".join(encoded), np.uint8), ends, text)

    @staticmethod
    def joined(several: Sequence[Strings]) -> Strings:
        """The strings of several, one after another."""
        spans = [(int(part._offsets[0]), int(part._offsets[-1])) for part in several]
        data = np.concatenate([part._data[a:b] for part, (a, b) in zip(several, spans, strict=True)])
        ends = np.concatenate([[0], *[np.diff(part._offsets) for part in several]]).cumsum(dtype=np.int64)
        return Strings(data, ends, several[0]._text)

    @property
    def nbytes(self) -> int:
        """The number of bytes of both arrays."""
        return int(self._offsets[-1]) - int(self._offsets[0]) + self._offsets.nbytes

    def copy(self) -> NDArray[Any]:
        """All strings as an object array."""
        return self._several(np.arange(len(self)))

    def __len__(self) -> int:
        return self.shape[0]

    @overload
    def __getitem__(self, which: int) -> Any: ...
    @overload
    def __getitem__(self, which: slice) -> Strings: ...
    @overload
    def __getitem__(self, which: NDArray[Any]) -> NDArray[Any]: ...
    def __getitem__(self, which: Any) -> Any:
        if isinstance(which, slice):
            start, stop, step = which.indices(len(self))
            if step != 1:
                return Strings.of([self[i] for i in range(start, stop, step)])
            return Strings(self._data, self._offsets[start : max(start, stop) + 1], self._text)
        if isinstance(which, np.ndarray):
            return self._several(which)
        place = range(len(self))[which]
        first, last = self._offsets[place : place + 2].tolist()
        value = self._data[first:last].tobytes()
        return value.decode("utf-8", "surrogatepass") if self._text else value

    def _several(self, which: NDArray[np.intp]) -> NDArray[Any]:
        ends = self._offsets[1:]
        pairs = zip(self._offsets[:-1].take(which).tolist(), ends.take(which).tolist(), strict=True)
        data = memoryview(self._data.data)
        values = [bytes(data[first:last]) for first, last in pairs]
        return objects([value.decode("utf-8", "surrogatepass") for value in values] if self._text else values)

    def __getstate__(self) -> dict[str, Any]:
        first, last = int(self._offsets[0]), int(self._offsets[-1])
        if last - first == len(self._data):
            return self.__dict__
        return {**self.__dict__, "_data": self._data[first:last], "_offsets": self._offsets - first}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(_same, self, other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self)} {self.dtype}>"


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def objects(values: Sequence[Any]) -> NDArray[Any]:
    """The values as a 1-D object array."""
    array = np.empty(len(values), object)
    array[:] = values
    return array


def packed(values: Any) -> Any:
    """A list of strings as `Strings`; anything else as it is."""
    if type(values) in (list, tuple) and len(values) and type(values[0]) in (str, bytes):
        kind = type(values[0])
        if all(type(value) is kind for value in values):
            return Strings.of(values)
    return values
