"""One worker process, as its pool sees it."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import Any

from numpy.typing import NDArray

from batchup.work_pool.memory import map_file, views_of
from batchup.work_pool.sharing import Segment
from batchup.work_pool.wire import Wire

__all__ = ["Process", "start_process"]


class Process:
    """A worker process: what it has in hand, what it knows, and the memory that it sends results in."""

    def __init__(self, pid: int, wire: Wire):
        self.pid = pid
        self.wire = wire
        # A pidfd tells the end of the process even where children of its own keep its socket open.
        self.pidfd = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
        self.ready = False  # it has said so
        self.dismissed = False  # it is ended on purpose
        self.tasks: deque[Any] = deque()  # in its hand, in order; it is at work on the first
        self.bytes_in_hand = 0
        self.known: set[int] = set()  # keys of works and segments that it has been sent
        self.slabs: dict[int, Any] = {}
        self._released: deque[int] = deque()

    def send(self, messages: list[tuple[Any, ...]], files: Iterable[int] = ()) -> None:
        with suppress(OSError):  # it has ended, which will be seen
            self.wire.send(*messages, files=files)

    def send_segments(self, segments: list[Segment]) -> None:
        for segment in segments:
            if segment.key not in self.known:
                self.known.add(segment.key)
                self.send([("segment", segment.key, segment.size)], [segment.file])

    def take_slab(self, number: int, size: int) -> None:
        file = self.wire.take_file()
        try:
            self.slabs[number] = map_file(file, size)
        finally:
            os.close(file)

    def views(self, number: int, places: list[tuple[int, int]]) -> list[NDArray[Any]]:
        """A result, where the worker has put it. The slab is free again when the last view is gone."""
        return views_of(self.slabs[number], places, partial(self._released.append, number))

    def take_released(self) -> list[int]:
        """The slabs that the caller has let go of since this was last asked."""
        released = []
        while self._released:
            released.append(self._released.popleft())
        return released

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def end(self, deadline: float = 0.0) -> int:
        """How it ended, as `os.waitstatus_to_exitcode` says; killed, if it lives after the deadline."""
        try:
            if self.pidfd is not None:
                poll = select.poll()
                poll.register(self.pidfd, select.POLLIN)
                poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
                os.close(self.pidfd)
                self.pidfd = None
            else:
                while (
                    time.monotonic() < deadline
                    and os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
                ):
                    time.sleep(0.01)
            self.kill()  # a process that has ended, but was not waited for, does not mind
            _, status = os.waitpid(self.pid, 0)
            return os.waitstatus_to_exitcode(status)
        except ChildProcessError:  # somebody else has waited for it
            return 0
        finally:
            self.wire.close()


def start_process(limit: int) -> Process:
    """A new worker process, by fork and exec: nothing of this process is in it but its end of a socket.

    It may take `limit` bytes for results.
    """
    from loky.backend.fork_exec import fork_exec

    ours, its = socket.socketpair()
    path = [entry for entry in sys.path if isinstance(entry, str)]
    program = (
        f"import sys; sys.path[:] = {path!r}\n"
        f"from batchup.work_pool.worker import main\n"
        f"main({its.fileno()}, {os.getpid()}, {limit})"
    )
    its.set_inheritable(True)
    try:
        pid = fork_exec([sys.executable, "-c", program], [its.fileno()])
        return Process(pid, Wire(ours))
    except BaseException:
        ours.close()
        raise
    finally:
        its.close()
