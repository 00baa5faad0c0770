"""What may be given: for an index array a slice, or an int for one sample by itself; and which arguments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from batchup.core.blocks import LazyBlock, as_block
from batchup.core.item import mapped

__all__ = ["as_asked", "flat", "listed", "several"]


def listed(indices: Any, length: int, where: str) -> Any:
    """`indices` of `length` samples: a slice as an index array, one sample as an int >= 0, an index array checked.

    Raises IndexError for an int outside, TypeError for anything else.
    """
    if isinstance(indices, slice):
        return np.arange(length)[indices]
    if isinstance(indices, int | np.integer) and not isinstance(indices, bool):
        if not -length <= indices < length:
            raise IndexError(f"{where}: expected an index below {length}, the number of samples; got {indices}")
        return int(indices) % length
    return indices if isinstance(indices, LazyBlock) else as_block(indices, where)


def several(indices: Any) -> Any:
    """The indices as an array, also for one index."""
    return np.array([indices]) if isinstance(indices, int) else indices


def as_asked(indices: Any, batch: Any) -> Any:
    """The batch; for one index, the sample in it."""
    if not isinstance(indices, int):
        return batch
    return mapped(batch, lambda part: part[0], (tuple, dict))


def flat(indices: Any) -> Iterator[Any]:
    """The index arrays of all members, however deeply nested."""
    for part in indices if isinstance(indices, tuple) else (indices,):
        if isinstance(part, tuple):
            yield from flat(part)
        else:
            yield part
