"""Notes on exceptions: which stage, which item, which samples, which line of the user's code."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from batchup.core.blocks import LazyBlock
from batchup.core.checks import describe, shortened
from batchup.core.plan import Again


def note(error: BaseException, text: Callable[[], str]) -> None:
    """Add a note to a user's exception, which must arrive as it was raised whatever it is."""
    if isinstance(error, Exception):  # and no Ctrl-C
        with contextlib.suppress(Exception):
            error.add_note(text())


def no_stop_iteration(error: BaseException) -> BaseException:
    """The error; of a StopIteration, which would silently end the loop around us, a RuntimeError (PEP 479)."""
    if not isinstance(error, StopIteration):
        return error
    other = RuntimeError("a function of the stream raised StopIteration")
    other.__cause__ = error
    return other


def was_noted(error: BaseException) -> bool:
    """Whether a note says at which item it was."""
    return any(str(text).startswith("at item ") for text in getattr(error, "__notes__", ()))


def where(stream: str, again: Again, position: int, item: Any) -> str:
    """The note that says at which item of a stream something happened, and how to have it again."""
    text = f"at item {position} of {shortened(stream)}, made of {shortened(glance(item))}"
    if again is Again.KEYED:
        return f"{text}; stream[{position}] makes it again"
    if again is Again.DRAWN:
        return f"{text}; to make it again, load this iterator's state_dict() into a fresh one"
    return text


def glance(item: Any) -> str:
    """The first few sample indices of what a plan gave for a batch."""
    while hasattr(item, "planned"):  # without its place, or the batch that was made of it
        item = item.planned
    if isinstance(item, range | LazyBlock) or (isinstance(item, np.ndarray) and item.ndim == 1):
        head = ", ".join(str(index) for index in item[:5])
        return f"samples [{head}{', ...' if len(item) > 5 else ''}]"
    if isinstance(item, tuple):
        return f"({', '.join(map(glance, item))})"
    return describe(item)


def users_frame() -> int:
    """How far up the first frame is that is none of ours, for `warnings.warn` where this is called."""
    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(ours):
        level, frame = level + 1, frame.f_back
    return level
