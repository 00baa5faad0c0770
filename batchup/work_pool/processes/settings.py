"""What holds in the caller and should in workers too: the import path, warnings filters, the log level."""

from __future__ import annotations

import logging
import pickle
import sys
import warnings
from typing import Any

from batchup.work_pool.pickling import dumps

__all__ = ["settings_here", "take_over"]


def settings_here() -> bytes:
    """Those of this process, as of now."""
    path = [entry for entry in sys.path if isinstance(entry, str)]
    filters = [
        (action, _pattern(message), category, _pattern(module), line)
        for action, message, category, module, line in warnings.filters
    ]
    return dumps((path, filters, logging.getLogger().level))


def _pattern(value: Any) -> str:
    return value if isinstance(value, str) else getattr(value, "pattern", "")


def take_over(packed: bytes) -> None:
    """Have them hold here."""
    try:
        path, filters, level = pickle.loads(packed)
    except Exception:  # of warnings whose class can't be had here: the job itself may not need it
        return
    sys.path[:] = path
    logging.getLogger().setLevel(level)
    warnings.resetwarnings()
    for action, message, category, module, line in filters:
        warnings.filterwarnings(action, message, category, module, line, append=True)
