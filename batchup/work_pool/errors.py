"""What goes wrong with workers."""

from __future__ import annotations

import signal

__all__ = ["RemoteTraceback", "WorkError", "WorkerDied"]


class WorkerDied(RuntimeError):  # noqa: N818
    """A worker process came to its end, by a signal or by itself; another takes its place."""


class WorkError(RuntimeError):
    """In place of an exception that can't be sent from a worker: its type, text and traceback."""


class RemoteTraceback(Exception):  # noqa: N818
    """The cause of an exception from a worker: its traceback there, as text."""

    def __str__(self) -> str:
        return "in a worker\n\n" + str(self.args[0])


def end_of(status: int) -> str:
    """How a process ended, by its wait status: the negative signal, or its exit code."""
    if status >= 0:
        return f"ended with exit code {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = "a signal"
    return f"was killed by {name} (signal {-status})"
