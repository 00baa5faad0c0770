"""Exceptions of workers."""

from __future__ import annotations

import signal

__all__ = ["RemoteTraceback", "WorkError", "WorkerDied"]


class WorkerDied(RuntimeError):  # noqa: N818
    """Raised for the batch of a worker process that ended, by a signal or by itself. The pool replaces the worker."""


class WorkError(RuntimeError):
    """Raised in place of an exception that can't be pickled. Has its type, text and traceback."""


class RemoteTraceback(Exception):  # noqa: N818
    """The cause of an exception from a worker: its traceback in the worker, as text."""

    def __str__(self) -> str:
        return "in a worker\n\n" + str(self.args[0])


def end_of(status: int) -> str:
    """Say how a process ended, of its `Popen.returncode`: an exit code, or a negative signal."""
    if status >= 0:
        return f"ended with exit code {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = "a signal"
    return f"was killed by {name} (signal {-status})"
