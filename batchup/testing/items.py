"""The items of streams, in a form that can be compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from batchup.ragged import Ragged

SOME = 16  # the number of items of a stream that are compared


class LawError(AssertionError):
    """Raised for a stream that breaks a law."""


def plain(item: Any) -> Any:
    """An item as lists and numbers, in its tuples and dicts: it can be compared by `==`.

    Parameters
    ----------
    item : any
        The item.

    Returns
    -------
    any
        Lists, numbers, tuples and dicts.
    """
    if isinstance(item, tuple):
        return tuple(map(plain, item))
    if isinstance(item, dict):
        return {key: plain(part) for key, part in item.items()}
    if isinstance(item, Ragged):
        return item.tolist()
    if hasattr(item, "__array__"):
        return np.asarray(item).tolist()
    return list(item) if isinstance(item, range | list) else item


def some(stream: Iterable[Any], n: int = SOME) -> list[Any]:
    """The first items of a stream, as `plain` makes them."""
    return [plain(item) for item in islice(stream, max(0, n))]


def arrays(item: Any) -> Iterator[np.ndarray[Any, Any]]:
    """The arrays in an item, also inside of nested tuples, lists and dicts."""
    if isinstance(item, tuple | list | dict):
        for part in item.values() if isinstance(item, dict) else item:
            yield from arrays(part)
    elif isinstance(item, np.ndarray | Ragged):
        yield item.values if isinstance(item, Ragged) else item


def size(item: Any) -> int | None:
    """The number of samples of an item: the length of its first array; None if it has none."""
    while isinstance(item, tuple | dict) and len(item):
        item = next(iter(item.values() if isinstance(item, dict) else item))
    return len(item) if isinstance(item, np.ndarray | range | Ragged) else None


def same(got: Any, expected: Any, law: str, stream: Any) -> None:
    """Raise LawError unless two values are equal."""
    if got != expected:
        raise LawError(f"{law}, of {stream!r}: expected\n  {expected!s:.2000}\ngot\n  {got!s:.2000}")


def refused(act: Callable[[], Any], kind: type[Exception], law: str, stream: Any) -> None:
    """Raise LawError unless `act()` raises an error of this kind."""
    try:
        got = act()
    except kind:
        return
    raise LawError(f"{law}, of {stream!r}: expected {kind.__name__}; got {got!r}")


def beside(items: Iterator[Any], rng: Any, n: int) -> list[Any]:
    """The next items, while others draw from the generator, if there is one."""
    seen = []
    for item in islice(items, n):
        seen.append(plain(item))
        if rng is not None:
            rng.random_sample()
    return seen
