"""What may be given: for an index array a slice, or an int for one sample by itself; and which arguments."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from batchup.core.blocks import LazyBlock, as_block

__all__ = ["as_asked", "flat", "listed", "refuse_others", "several"]


def listed(indices: Any, length: int, where: str) -> Any:
    """Of `length` samples, those of a slice as an index array, and one alone as an int >= 0.

    IndexError for an int outside, TypeError for what is neither of these nor a 1-D array of integers.
    """
    if isinstance(indices, slice):
        return np.arange(length)[indices]
    if isinstance(indices, int | np.integer) and not isinstance(indices, bool):
        if not -length <= indices < length:
            raise IndexError(
                f"{where}: expected an index below {length}, the number of samples; got {indices}"
            )
        return int(indices) % length
    return indices if isinstance(indices, LazyBlock) else as_block(indices, where)


def several(indices: Any) -> Any:
    """An index array: of one index, an array of that."""
    return np.array([indices]) if isinstance(indices, int) else indices


def as_asked(indices: Any, batch: Any) -> Any:
    """The batch; of one index, the sample that is in it."""
    if not isinstance(indices, int):
        return batch
    return tuple([part[0] for part in batch]) if isinstance(batch, tuple) else batch[0]


def flat(indices: Any) -> Iterator[Any]:
    """The index arrays of all members, however deep."""
    for part in indices if isinstance(indices, tuple) else (indices,):
        if isinstance(part, tuple):
            yield from flat(part)
        else:
            yield part


# What `batch_iterator` knows, to which others hand it on.
_OPTIONS = "shuffle", "shard", "drop_last", "epoch"


def refuse_others(kwargs: dict[str, Any], method: Callable[..., Any]) -> None:
    """TypeError that names the method, and the nearest argument that it has; `kwargs` are its further ones."""
    for name in kwargs:
        if name in _OPTIONS:
            continue
        parameters = inspect.signature(method).parameters.values()
        own = [each.name for each in parameters if each.kind is not each.VAR_KEYWORD]
        known = list(dict.fromkeys([*own, *_OPTIONS]))
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}=?" if near else f"it takes {', '.join(known)}"
        raise TypeError(f"{method.__name__}: there is no argument {name}=; {hint}")
