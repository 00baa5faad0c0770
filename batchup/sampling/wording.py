"""Errors of stages, said of the preset that a user wrote."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["said_of"]


@contextmanager
def said_of(preset: str, *parts: str) -> Iterator[None]:
    """What one of its `parts` refuses is refused by the `preset`, which is all that the user wrote.

    >>> with said_of("WeightedSampler", "sample"):
    ...     raise ValueError("sample: expected weights")
    Traceback (most recent call last):
    ValueError: WeightedSampler: expected weights
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        part, _, text = str(error).partition(": ")
        if part not in parts:
            raise
        raise type(error)(f"{preset}: {text}") from None
