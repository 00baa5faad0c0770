"""Memory of large batches, used again when nothing refers to a batch any more.

Filling fresh memory costs page faults: above some 30 MB they take longer than the copy of the samples, as the system maps
such memory anew for every batch. `empty` gives an array as `np.empty` does, in memory that an earlier batch of the same
iteration had, if there is any.

A batch keeps its memory as long as anything refers to it or to a view of it, in whatever thread, library or traceback.
NumPy lets every view refer to the batch itself, since the memory behind it is an array of another class. A weak reference
tells when the batch is gone. That is when its last reference has gone, not earlier: arrays are not tracked by the garbage
collector, which would clear weak references before the finalizers of a cycle run.

The memory is private. A fork of this process has its own copy of it.
"""

from __future__ import annotations

import math
import os
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["CURRENT", "LEAST", "BatchMemory", "copied", "empty", "reuse"]


class _Settings:
    def __init__(self, value: str):
        if value not in ("", "0", "1", "check"):
            raise ValueError(
                f"BATCHUP_REUSE: expected 1 to use the memory of batches again, 0 not to, or check; got {value!r}"
            )
        self.on = value != "0"
        self.checked = value == "check"


_settings = _Settings(os.environ.get("BATCHUP_REUSE", ""))
# Bytes: the memory of smaller arrays is in the heap, and costs less than looking for it (`benchmarks/memory.py`).
LEAST = 1 if _settings.checked else 2**22
# What memory that is free is filled with, if it is checked.
PATTERN = 0xA5


def reuse(on: bool) -> None:
    """Say whether the memory of large batches, of 4 MB and more, is used again. It is unless you turn it off.

    Turn it off if something reads the memory of a batch by its address, without a reference to the array: a C library
    that keeps a raw pointer, say. The environment variable `BATCHUP_REUSE=0` does the same. With `BATCHUP_REUSE=check`
    memory of all sizes is used again, and overwritten as soon as it is free, so that tests find such a reader.

    Parameters
    ----------
    on : bool
        False to give every batch fresh memory from now on.

    Raises
    ------
    TypeError
        For anything but a bool.

    Examples
    --------
    >>> import batchup.memory
    >>> batchup.memory.reuse(False)
    >>> batchup.memory.reuse(True)
    """
    if not isinstance(on, bool | np.bool_):
        raise TypeError(f"reuse(on): expected True or False; got {on!r}")
    _settings.on = bool(on)


class _Block(np.ndarray[Any, Any]):
    """The memory behind a batch."""

    start: int


_Lent = weakref.ref[NDArray[Any]]


def _overwrite(memory: weakref.ref[BatchMemory], append: Callable[[_Lent], None], lent: _Lent) -> None:
    own = memory()
    _, block = (None, None) if own is None else own._lent.get(id(lent), (None, None))
    # Of the batch that is going, of `_lent`, of this function and of the call: otherwise somebody keeps its `base`.
    if block is not None and sys.getrefcount(block) <= 4:
        block.fill(PATTERN)
    append(lent)


class BatchMemory:
    """The memory of the batches of one iteration. Any thread may ask for some.

    It has never more bytes than the batches that were alive at once. When it is garbage, so is the memory that is free;
    the rest goes with the batches.
    """

    def __init__(self) -> None:
        self._process = os.getpid()
        self._lock = threading.RLock()  # a finalizer may ask for memory at any moment
        self._lent: dict[int, tuple[_Lent, _Block]] = {}  # by the id of the weak reference
        self._free: dict[int, list[_Block]] = {}  # by size; sizes and blocks that were used last come last
        self._ended: deque[_Lent] = deque()  # appended to by whichever thread drops a batch
        self._lent_bytes = self._free_bytes = self._most = 0

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any], size: int) -> NDArray[Any]:
        """An array, of `size` bytes, whose values may be anything."""
        if self._process != os.getpid():  # a fork: another thread may have held the lock
            BatchMemory.__init__(self)
        step = 1 << max(0, size.bit_length() - 4)  # batches of similar sizes share memory; what isn't used costs none
        size = -(-size // step) * step
        with self._lock:
            self._collect()
            block = self._found(size)
            array: NDArray[Any] = np.ndarray(shape, dtype, block, block.start)
            # In C, where Ctrl-C can't come in between.
            append: Any = self._ended.append
            lent = weakref.ref(array, partial(_overwrite, weakref.ref(self), append) if _settings.checked else append)
            self._lent[id(lent)] = lent, block
            self._lent_bytes += size
            self._most = max(self._most, self._lent_bytes)
            while self._free_bytes and self._lent_bytes + self._free_bytes > self._most:
                self._drop_one()
        return array

    def _collect(self) -> None:
        """Take back the memory of batches that are gone."""
        while self._ended:
            _, block = self._lent.pop(id(self._ended.popleft()), (None, None))
            if block is not None:  # else Ctrl-C came before it was entered
                size = len(block) - _ROOM
                self._lent_bytes -= size
                self._free_bytes += size
                self._free.setdefault(size, []).append(block)

    def _found(self, size: int) -> _Block:
        blocks = self._free.pop(size, [])
        while blocks:
            block = blocks.pop()
            self._free_bytes -= size
            if sys.getrefcount(block) <= 2:  # else somebody keeps the `base` of a batch in place of the batch
                if blocks:
                    self._free[size] = blocks
                return block
        return _new_block(size)

    def _drop_one(self) -> None:
        size = next(iter(self._free))
        del self._free[size][0]
        if not self._free[size]:
            del self._free[size]
        self._free_bytes -= size


_ROOM = 64


def _new_block(size: int) -> _Block:
    block = np.ndarray.__new__(_Block, (size + _ROOM,), np.uint8)
    # Never at a multiple of 64 bytes, where JAX would use the memory itself in place of a copy.
    block.start = (16 - block.ctypes.data) % 64
    return block


class _Owner(Protocol):
    """What has memory for the batches that a thread makes."""

    @property
    def memory(self) -> BatchMemory: ...


class _Current(threading.local):
    """A weak reference to the iteration that this thread makes batches for, or made one for last."""

    owner: weakref.ref[Any] | None = None


CURRENT = _Current()


def empty(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """An array whose values may be anything, as `np.empty` gives it: if it is large, in memory that was used before."""
    kind = np.dtype(dtype)
    size = math.prod(shape) * kind.itemsize
    if size >= LEAST and _settings.on and not kind.hasobject and CURRENT.owner is not None:
        owner: _Owner | None = CURRENT.owner()
        if owner is not None:
            return owner.memory.empty(shape, kind, size)
    return np.empty(shape, kind)


def copied(array: NDArray[Any]) -> NDArray[Any]:
    """A copy of a plain array, in C order, in memory as `empty` gives it."""
    out = empty(array.shape, array.dtype)
    out[...] = array
    return out
