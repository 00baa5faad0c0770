"""End processes that a function of the user has forked, so that a fork never runs the loop of a worker."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

__all__ = ["called"]


def called(run: Callable[[Any], Any], item: Any) -> Any:
    """Return `run(item)`. A process that was forked by it ends here, with the exit status that a script would have."""
    pid = os.getpid()
    try:
        batch = run(item)
    except BaseException as error:
        if os.getpid() != pid:
            _end(error)
        raise
    if os.getpid() != pid:
        os._exit(0)
    return batch


def _end(error: BaseException) -> NoReturn:
    try:
        if isinstance(error, SystemExit) and (error.code is None or isinstance(error.code, int)):
            os._exit((error.code or 0) & 0xFF)
        if isinstance(error, SystemExit):
            print(error.code, file=sys.stderr)
        else:
            sys.excepthook(type(error), error, error.__traceback__)
        sys.stderr.flush()
    finally:
        os._exit(1)
