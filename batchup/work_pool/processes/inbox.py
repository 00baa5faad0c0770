"""What other threads have for the supervisor, and how they wake it."""

from __future__ import annotations

import socket
from collections import deque
from contextlib import suppress

from batchup.work_pool.pending import Pending
from batchup.work_pool.processes.jobs import Run, Task

__all__ = ["Inbox"]


class Inbox:
    """Anybody puts something into one of the deques and calls `wake`, also while memory is freed.

    Single operations of deques are atomic, and `wake` changes nothing: a Ctrl-C in the middle of it, or
    before it, leaves nothing locked and nobody asleep for ever.
    """

    def __init__(self) -> None:
        self.tasks: deque[Task] = deque()
        self.ended: deque[tuple[Run, Pending | None]] = deque()
        self.dropped: deque[int] = deque()  # keys of jobs and segments that nobody needs any more
        self.asleep = False  # or about to be: the supervisor looks at the deques once more after that
        self._alarm, self._rope = socket.socketpair()
        self._alarm.setblocking(False)
        self._rope.setblocking(False)

    def wake(self) -> None:
        if self.asleep:
            with suppress(OSError):  # it has been woken often enough, or it has ended
                self._rope.send(b"x")

    def fileno(self) -> int:
        """What can be read from once the supervisor is to wake."""
        return self._alarm.fileno()

    def hush(self) -> None:
        """Call when it is awake."""
        self._alarm.recv(4096)

    def close(self) -> None:
        self._alarm.close()
        self._rope.close()
