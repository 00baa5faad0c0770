"""Weights as exact numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from fractions import Fraction


def as_fraction(weight: Any) -> Fraction:
    """A weight, checked to be a number, as the simplest fraction that is this number: 0.1 is 1/10.

    >>> as_fraction(0.1), as_fraction(1 / 3), as_fraction(2)
    (Fraction(1, 10), Fraction(1, 3), Fraction(2, 1))
    """
    from fractions import Fraction

    kind: Any = float
    if isinstance(weight, np.generic):
        kind, weight = type(weight), weight.item()
    if not isinstance(weight, float):
        return Fraction(weight)
    exact = Fraction(weight)
    most = 1
    while True:
        near = exact.limit_denominator(most)
        if kind(float(near)) == weight:
            return near
        most *= 10


def fractions_of(weights: Any) -> list[Fraction]:
    """The weights of a list or array, each as `as_fraction` has it."""
    return list(map(as_fraction, np.asarray(weights) if hasattr(weights, "__array__") else weights))


def whole_shares(weights: Any) -> tuple[int, ...]:
    """Weights as the smallest whole numbers in the same proportions.

    >>> whole_shares([0.5, 0.3, 0.2])
    (5, 3, 2)
    """
    exact = fractions_of(weights)
    scale = math.lcm(*[weight.denominator for weight in exact])
    numbers = [int(weight * scale) for weight in exact]
    common = math.gcd(*numbers)
    return tuple([number // common for number in numbers])
