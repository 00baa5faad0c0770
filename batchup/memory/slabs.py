"""The shared memory in which one worker sends its results, in the worker."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.memory.shared import map_file, new_file

__all__ = ["Slabs"]

# The most slabs of one worker: a process may have 65530 mappings.
MOST_SLABS = 2000


class Slabs:
    """The shared memory in which one worker sends its results. A slab is used again when the caller has released it."""

    def __init__(self, limit: int, announce: Callable[[int, int, int], Any], forget: Callable[[int], Any]):
        self.limit = limit
        self._announce = announce  # called with the number, size and file of a new slab
        self._forget = forget  # called with the number of a slab that is freed
        self._slabs: dict[int, NDArray[np.uint8]] = {}
        self._free: list[int] = []
        self._made = 0

    def release(self, numbers: list[int]) -> None:
        self._free += [number for number in numbers if number in self._slabs]

    def drop(self, number: int) -> None:
        """Drop a slab that the pool could not map."""
        self._slabs.pop(number, None)

    def put(self, buffers: list[NDArray[np.uint8]]) -> tuple[int, list[tuple[int, int]]] | None:
        """Copy the buffers into one slab. Returns its number and the place of each; None if there is no room."""
        places, total = [], 0
        for buffer in buffers:
            places.append((total, len(buffer)))
            total += -(-len(buffer) // 64) * 64  # arrays begin at cache lines
        number = self._find(total)
        if number is None:
            return None
        slab = self._slabs[number]
        for buffer, (start, length) in zip(buffers, places, strict=True):
            slab[start : start + length] = buffer
        return number, places

    def _find(self, size: int) -> int | None:
        fitting = [number for number in self._free if len(self._slabs[number]) >= size]
        if fitting:
            # The smallest that is large enough; of several the last released, which may still be in a cache of the CPU.
            number = min(reversed(fitting), key=lambda number: len(self._slabs[number]))
            self._free.remove(number)
            return number
        size = -(-size // 65536) * 65536
        while self._free and self._used() + size > self.limit:  # the free slabs are too small
            number = self._free.pop(0)
            del self._slabs[number]
            self._forget(number)
        if self._used() + size > self.limit or len(self._slabs) >= MOST_SLABS:
            return None
        try:
            file = new_file(size)
        except OSError:
            return None
        try:
            slab = np.frombuffer(map_file(file, size), np.uint8)
        except OSError:  # this process can't map more memory
            return None
        else:
            self._made = number = self._made + 1
            self._announce(number, size, file)
        finally:
            os.close(file)
        self._slabs[number] = slab
        return number

    def _used(self) -> int:
        return sum(map(len, self._slabs.values()))
