"""Errors for uses that a data source doesn't have, with what to write instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from batchup.core.hints import METHOD_HINTS, no_attribute

__all__ = ["NotIterable"]


class NotIterable:
    """A data source is not iterable, since it needs a batch size. It is neither a sequence nor a stream."""

    def __iter__(self) -> NoReturn:
        raise TypeError(f"{self!r} can't be iterated: iterate its loader(batch_size), which gives an epoch each time")

    def __len__(self) -> NoReturn:
        raise TypeError(
            f"{self!r} has no len(): its number of samples is num_samples(), its number of batches len(stream(batch_size))"
        )

    def __bool__(self) -> bool:
        return True

    def __or__(self, stage: Any) -> NoReturn:
        raise TypeError(
            f"{self!r} | ...: write ds.map(function) for a data source, or continue its batches, "
            "ds.stream(batch_size) | ..."
        )

    if not TYPE_CHECKING:  # a type checker would accept any attribute

        def __getattr__(self, name: str) -> Any:
            if hasattr(type(self), name):  # a property that raised AttributeError
                return object.__getattribute__(self, name)
            raise no_attribute(self, f"{type(self).__name__!r} object", name, METHOD_HINTS)

    def _refuse(self, method: str) -> NoReturn:
        raise TypeError(
            f"{method}: {self!r} is not a random access data source: "
            "its samples come only one after another, by batch_iterator"
        )
