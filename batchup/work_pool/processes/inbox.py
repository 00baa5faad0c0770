"""Messages of other threads to the supervisor, and how they wake it."""

from __future__ import annotations

import socket
from collections import deque
from contextlib import suppress

from batchup.work_pool.pending import Pending
from batchup.work_pool.processes.jobs import Run, Task

__all__ = ["Inbox"]


class Inbox:
    """Any thread appends to one of the deques and then calls `wake`, also from the garbage collector.

    Single operations of deques are atomic, and `wake` changes no state. So Ctrl-C at any moment leaves no lock taken,
    and the supervisor never sleeps for ever.
    """

    def __init__(self) -> None:
        self.tasks: deque[Task] = deque()
        self.ended: deque[tuple[Run, Pending | None]] = deque()
        self.dropped: deque[int] = deque()  # the keys of jobs and segments that are garbage
        self.asleep = False  # set before the supervisor looks at the deques for the last time
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def wake(self) -> None:
        if self.asleep:
            with suppress(OSError):  # the socket is full of wake-ups, or closed
                self._writer.send(b"x")

    def fileno(self) -> int:
        """The file that becomes readable by `wake`."""
        return self._reader.fileno()

    def clear(self) -> None:
        """Read the wake-ups."""
        self._reader.recv(4096)

    def close(self) -> None:
        self._reader.close()
        self._writer.close()
