"""Errors for uses that a data source doesn't have, with what to write instead."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ["NotIterable"]


class NotIterable:
    """No iterable, as it needs a batch size; no sequence, and no stream."""

    def __iter__(self) -> NoReturn:
        raise TypeError(f"{self!r}: its batches are those of loader(batch_size), an epoch each time")

    def __len__(self) -> NoReturn:
        raise TypeError(
            f"{self!r}: the number of its samples is num_samples(), that of its batches len(stream(batch_size))"
        )

    def __bool__(self) -> bool:
        return True

    def __or__(self, stage: Any) -> NoReturn:
        raise TypeError(
            f"{self!r} | ...: write ds.map(function) for a data source, or continue its batches, "
            "ds.stream(batch_size) | ..."
        )

    def _refuse(self, method: str) -> NoReturn:
        raise TypeError(
            f"{method}: {self!r} is not a random access data source: "
            "its samples come only one after another, by batch_iterator"
        )
