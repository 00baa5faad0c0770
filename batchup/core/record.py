"""Frozen records, which plans, grids and steps are, and how many of anything there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, eq_default=False)
def record(cls: type[T]) -> type[T]:
    """A frozen dataclass, compared by identity: plans and work hold arrays, which have no `==`."""
    return dataclass(frozen=True, eq=False, repr=False)(cls)


# How many: an int, math.inf, or None where nobody knows.
Count = int | float | None

# The distance between the numbers of two passes of a plan without end: it never gets that far.
ENDLESS = 2**64
