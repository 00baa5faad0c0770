"""Track which results in shared memory the caller still holds; other memory is used again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from toolz import keyfilter

__all__ = ["Leases"]


class _Lease:
    """An object that all arrays of a batch hold. When it is garbage, the slab is free."""

    def __init__(self, release: Callable[[], Any]):
        self._release = release

    def __del__(self) -> None:
        self._release()


class _Held(np.ndarray[Any, Any]):
    """The array that is the base of all views of a batch, as its own memory is no array."""

    lease: _Lease


def views_of(slab: Any, places: list[tuple[int, int]], release: Callable[[], Any]) -> list[NDArray[Any]]:
    """Parts of a slab as writable buffers. Calls `release` when the last view of them is garbage."""
    lease = _Lease(release)
    views: list[NDArray[Any]] = []
    for start, length in places:
        view = _Held((length,), np.uint8, slab, start)
        view.lease = lease
        views.append(view)
    return views


class Leases:
    """The slabs of one worker in the process of the pool."""

    def __init__(self) -> None:
        self._slabs: dict[int, Any] = {}
        self._held: set[int] = set()
        self._released: deque[int] = deque()  # appended to by the garbage collector, in any thread

    def add(self, number: int, slab: Any) -> None:
        self._slabs[number] = slab

    def drop(self, number: int) -> None:
        self._slabs.pop(number, None)

    def views(self, number: int, places: list[tuple[int, int]]) -> list[NDArray[Any]]:
        """The buffers of a result at these places in a slab. The slab is in use until the last view of them is garbage."""
        self._held.add(number)
        return views_of(self._slabs[number], places, partial(self._released.append, number))

    def released(self) -> list[int]:
        """The slabs that became free since the last call."""
        numbers = []
        while self._released:
            numbers.append(self._released.popleft())
        self._held.difference_update(numbers)
        return numbers

    def keep_held(self) -> int:
        """Drop the slabs that are free, since the worker has ended. Returns the number of bytes that are still in use."""
        self.released()
        self._slabs = keyfilter(self._held.__contains__, self._slabs)
        return self.size()

    def size(self) -> int:
        return sum(map(len, self._slabs.values()))
