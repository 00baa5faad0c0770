"""Frozen records, which plans, grids and steps are, and how many of anything there are."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, eq_default=False)
def record(cls: type[T]) -> type[T]:
    """A frozen dataclass, compared by identity: plans and work hold arrays, which have no `==`."""
    return dataclass(frozen=True, eq=False, repr=False)(cls)


def over_each(thing: T, field: str, f: Callable[[Any], Any]) -> T:
    """The record with `f` of each value of a field that is a tuple; itself, where none is another then."""
    values = getattr(thing, field)
    others = tuple(map(f, values))
    same = all(map(operator.is_, others, values))
    return thing if same else replace(thing, **{field: others})  # type: ignore[type-var]


# How many: an int, math.inf, or None where nobody knows.
Count = int | float | None


def parts_of_size(count: Count, size: int) -> Count:
    """How many parts of a size it takes, the last perhaps smaller."""
    return -(-count // size) if isinstance(count, int) else count


def in_whole_parts(count: Count, size: int) -> Count:
    """How many there are without a last part that is smaller."""
    return count - count % size if isinstance(count, int) else count
