"""Settings of the caller that workers take over: the import path, the warnings filters, the log level."""

from __future__ import annotations

import logging
import pickle
import sys
import warnings
from typing import Any

from batchup.work_pool.pickling import dumps

__all__ = ["present_settings", "take_over"]


def present_settings() -> bytes:
    """The present settings of this process, pickled."""
    path = [entry for entry in sys.path if isinstance(entry, str)]
    filters = [
        (action, _pattern(message), category, _pattern(module), line)
        for action, message, category, module, line in warnings.filters
    ]
    return dumps((path, filters, logging.getLogger().level))


def _pattern(value: Any) -> str:
    return value if isinstance(value, str) else getattr(value, "pattern", "")


def take_over(packed: bytes) -> None:
    """Set the settings of another process in this one."""
    try:
        path, filters, level = pickle.loads(packed)
    except Exception:  # the class of a warning can't be imported here; the job may not need it
        return
    sys.path[:] = path
    logging.getLogger().setLevel(level)
    warnings.resetwarnings()
    for action, message, category, module, line in filters:
        warnings.filterwarnings(action, message, category, module, line, append=True)
