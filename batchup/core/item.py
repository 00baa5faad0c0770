"""Items of a stream: what is known of one besides its batch, walks over items and over the parts of a batch."""

import sys
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from batchup.core.record import Count

Cursors = tuple[tuple[int, ...], ...]


class Place(NamedTuple):
    """The place of an item among those of all passes, for steps that draw random numbers."""

    pass_: Any  # the number of the pass; a tuple for several streams and over generators
    position: int
    indexed: bool  # True if the item is made of index blocks


class Item(NamedTuple):
    """An item of a plan together with what else is known of it. Plans that know nothing more give `planned` alone.

    Parameters
    ----------
    planned : any
        What the plan gave: an index block, say.
    batch : any
        The batch, if it is made.
    made : bool
        True if the batch is made.
    place : Place or None
        The place of the item, which its random numbers are keyed by.
    cursors : tuple of tuples of int
        Where the plans with a cursor go on after this item, the innermost first.
    """

    planned: Any  # what the plan gave: an index block, say
    batch: Any = None
    made: bool = False  # True if `batch` is there
    place: Place | None = None
    cursors: Cursors = ()  # where the plans with a cursor go on after this item, the innermost first


def planned_in(item: Any) -> Any:
    """What the plan gave for an item."""
    return item.planned if type(item) is Item else item


def with_batch(item: Any, batch: Any) -> Item:
    """The item, with its batch."""
    if type(item) is Item:
        return Item(item.planned, batch, True, item.place, item.cursors)
    return Item(item, batch, True)


def as_batch(value: Any) -> Any:
    """A batch as a user's function or source returns it: a list of its parts becomes a tuple.

    Parameters
    ----------
    value : any
        What was returned.

    Returns
    -------
    any
        The batch.
    """
    return tuple(value) if type(value) is list else value


def mapped(item: Any, f: Callable[[Any], Any], kinds: tuple[type, ...] = (tuple, list, dict)) -> Any:
    """Call a function with each part of an item, also inside of nested tuples, lists and dicts.

    Parameters
    ----------
    item : any
        The item.
    f : callable
        `f(part)` returns the new part.
    kinds : tuple of types
        The containers to look into.

    Returns
    -------
    any
        The item with the new parts.
    """
    if isinstance(item, dict) and dict in kinds:
        return {key: mapped(part, f, kinds) for key, part in item.items()}
    if isinstance(item, tuple | list) and isinstance(item, kinds):
        parts = [mapped(part, f, kinds) for part in item]
        if isinstance(item, list):
            return parts
        return type(item)(*parts) if hasattr(item, "_fields") else tuple(parts)
    return f(item)


def walk(items: Iterator[Any], start: int, stop: Count = None) -> Iterator[Any]:
    """Some of the items of an iterator: `islice`, for numbers of any size.

    Parameters
    ----------
    items : iterator
        The items.
    start : int
        The number of items to leave out.
    stop : int, math.inf or None
        The number of items after which to stop; None for the end.

    Returns
    -------
    iterator
        The items from `start` up to `stop`, one by one.
    """
    end = stop if isinstance(stop, int) and stop <= sys.maxsize else None
    return islice(items, min(start, sys.maxsize), end) if start or end is not None else items


def once(items: Iterator[Any]) -> Iterator[Any]:
    """The items of an iterator, which is not asked again after its end: some would go on, and a `zip` would draw."""
    yield from items
