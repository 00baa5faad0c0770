"""What the caller has of results in shared memory: the memory is used again when he lets go of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Leases"]


class _Lease:
    """Held by all arrays of one batch; when it goes, so does the claim on the slab."""

    def __init__(self, release: Callable[[], Any]):
        self._release = release

    def __del__(self) -> None:
        self._release()


class _Held(np.ndarray[Any, Any]):
    """The array that all views of a batch end at, as the one that it is a view of is no array."""

    lease: _Lease


def views_of(slab: Any, places: list[tuple[int, int]], release: Callable[[], Any]) -> list[NDArray[Any]]:
    """Parts of a slab as writable buffers; calls `release` when the last view of them is gone."""
    lease = _Lease(release)
    views: list[NDArray[Any]] = []
    for start, length in places:
        view = _Held((length,), np.uint8, slab, start)
        view.lease = lease
        views.append(view)
    return views


class Leases:
    """The slabs that one worker sends its results in, as the caller sees them."""

    def __init__(self) -> None:
        self._slabs: dict[int, Any] = {}
        self._held: set[int] = set()
        self._released: deque[int] = deque()  # appended to wherever memory is freed

    def add(self, number: int, slab: Any) -> None:
        self._slabs[number] = slab

    def drop(self, number: int) -> None:
        self._slabs.pop(number, None)

    def views(self, number: int, places: list[tuple[int, int]]) -> list[NDArray[Any]]:
        """A result, where the worker has put it; the caller holds it until the last view is gone."""
        self._held.add(number)
        return views_of(self._slabs[number], places, partial(self._released.append, number))

    def released(self) -> list[int]:
        """The slabs that the caller has let go of since this was last asked."""
        numbers = []
        while self._released:
            numbers.append(self._released.popleft())
        self._held.difference_update(numbers)
        return numbers

    def keep_held(self) -> int:
        """Let go of all that the caller does not hold, as the worker is no more; the bytes he holds."""
        self.released()
        self._slabs = {number: slab for number, slab in self._slabs.items() if number in self._held}
        return self.size()

    def size(self) -> int:
        return sum(map(len, self._slabs.values()))
