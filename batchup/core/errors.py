"""Notes on exceptions: at which stage, item and samples they were raised; and where in the user's code a warning points."""

import contextlib
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from batchup.core.blocks import LazyBlock
from batchup.core.checks import describe, shortened
from batchup.core.draws import Replay
from batchup.core.item import planned_in

# After so many items, or passes, in a row without a sample an endless stream counts as empty: an error or a warning is
# better than waiting for ever.
EMPTY_IN_A_ROW = 1000


class ItemNote(str):
    """A note that says at which item of a stream an exception was raised."""

    __slots__ = ()


def note(error: BaseException, text: Callable[[], str]) -> None:
    """Add a note to an exception of a user's code; Ctrl-C gets none. Whatever fails here, `error` must be raised."""
    if isinstance(error, Exception):
        with contextlib.suppress(Exception):
            error.add_note(text())


def no_stop_iteration(error: BaseException) -> BaseException:
    """The error; for a StopIteration, which would end the caller's loop silently, a RuntimeError (PEP 479)."""
    if not isinstance(error, StopIteration):
        return error
    other = RuntimeError("a function of the stream raised StopIteration")
    other.__cause__ = error
    return other


def has_item_note(error: BaseException) -> bool:
    """True if a note says already at which item the exception was raised."""
    return any(isinstance(text, ItemNote) for text in getattr(error, "__notes__", ()))


def item_note(stream: str, replay: Replay, position: int, item: Any) -> ItemNote:
    """The note that says at which item of a stream an exception was raised, and how to make that item again."""
    text = f"at item {position} of {shortened(stream)}, made of {shortened(glance(item))}"
    if replay is Replay.KEYED:
        text += f"; stream[{position}] makes it again"
    if replay is Replay.DRAWN:
        text += "; to make it again, load this iterator's state_dict() into a fresh one"
    return ItemNote(text)


def glance(item: Any) -> str:
    """The first sample indices of an item of a plan."""
    item = planned_in(item)
    if isinstance(item, range | LazyBlock) or (isinstance(item, np.ndarray) and item.ndim == 1):
        head = ", ".join(str(index) for index in item[:5])
        return f"samples [{head}{', ...' if len(item) > 5 else ''}]"
    if isinstance(item, tuple):
        return f"({', '.join(map(glance, item))})"
    return describe(item)


def users_frame() -> int:
    """The `stacklevel` for `warnings.warn` that points at the user's code."""
    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(ours):
        level, frame = level + 1, frame.f_back
    return level
