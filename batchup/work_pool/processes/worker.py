"""The worker process: runs tasks, one at a time, until the pool closes its socket.

Messages from the pool:

* `("segment", key, size)`, with a file: shared memory with arrays of a job
* `("job", key, pickle)`: the work of a stream
* `("forget", keys)`: drop these segments and jobs
* `("limit", bytes)`: how much shared memory the worker may use for results
* `("do", task, job, item, settings, released)`: run the job for one item. `settings` are those of the caller, None if
  they haven't changed; `released` are the slabs that may be used again
* `("skip", tasks)`: drop these tasks, unless they are begun
* `("drop", slab)`: the pool could not map the slab

Messages to the pool:

* `("ready",)`
* `("slab", number, size)`, with a file: new shared memory for results; `("gone", number)`: the slab was freed
* `("done", task, seconds, (well, pickle, drew), slab, places, squeezed)`: the batch. Its buffers are at `places` in a
  slab; if `slab` is None they are `places` themselves, and `squeezed` is True if there was no room for a slab
* `("skipped", tasks)`: the tasks that were dropped
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Any

import numpy as np

from batchup.memory.shared import map_file
from batchup.memory.slabs import Slabs
from batchup.work_pool.pickling import Outcome, Unpacked, outcome_of, packed_error
from batchup.work_pool.processes.arrays import maps, received_segments
from batchup.work_pool.processes.messages import Connection, Descriptor
from batchup.work_pool.processes.settings import take_over

__all__ = ["main"]

# Bytes: for smaller batches, writing to the socket is as fast as a slab.
SMALL = 32 * 1024

_PR_SET_PDEATHSIG = 1


def main(file: int, page: int, parent: int, limit: int) -> None:
    """Run the tasks of the pool at the other end of the socket `file`, in the process `parent`."""
    _end_with_parent(parent)
    # Ctrl-C goes to all processes of a terminal; only the main process handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    at = np.frombuffer(map_file(page, 8), np.int64)
    os.close(page)
    # A ConnectionError: the pool was closed while a batch was made.
    with socket.socket(fileno=file) as end, suppress(ConnectionError):
        _Worker(Connection(end), limit, at).serve()
    sys.stdout.flush()


class _Worker:
    def __init__(self, connection: Connection, limit: int, at: Any):
        self._connection = connection
        self._at = at  # shared with the pool: the number of the task that runs
        self._jobs: dict[int, Unpacked] = {}
        self._tasks: deque[tuple[Any, ...]] = deque()
        self._slabs = Slabs(
            limit,
            announce=lambda number, size, file: connection.send(("slab", number, size), file=Descriptor(file)),
            forget=lambda number: connection.send(("gone", number)),
        )

    def serve(self) -> None:
        self._connection.send(("ready",))
        while True:
            try:
                messages = self._connection.receive(wait=not self._tasks)
            except BlockingIOError:
                messages = []
            if messages is None:
                return
            for kind, *rest in messages:
                getattr(self, f"_on_{kind}")(*rest)
            if self._tasks:
                self._do(*self._tasks.popleft())

    def _on_segment(self, key: int, size: int) -> None:
        file = self._connection.take_file()
        if file is not None:
            try:
                # Private: what the work writes into it is seen by this worker alone.
                received_segments[key] = map_file(file, size, private=True)
            except OSError:  # no room; the job that needs it will raise
                pass
            finally:
                os.close(file)

    def _on_job(self, key: int, packed: bytes) -> None:
        self._jobs[key] = Unpacked(packed)

    def _on_forget(self, keys: list[int]) -> None:
        for key in keys:
            self._jobs.pop(key, None)
            maps.forget(key)
            received_segments.pop(key, None)

    def _on_limit(self, limit: int) -> None:
        self._slabs.limit = limit

    def _on_do(self, *task: Any) -> None:
        self._tasks.append(task)

    def _on_skip(self, numbers: list[int]) -> None:
        skipped = [task for task in self._tasks if task[0] in numbers]
        for task in skipped:
            self._tasks.remove(task)
            self._prepare(*task[-2:])
        self._connection.send(("skipped", [task[0] for task in skipped]))

    def _on_drop(self, slab: int) -> None:
        self._slabs.drop(slab)

    def _prepare(self, settings: bytes | None, released: list[int]) -> None:
        if settings is not None:
            take_over(settings)
        self._slabs.release(released)

    def _do(self, number: int, job: int, item: bytes, settings: bytes | None, released: list[int]) -> None:
        self._prepare(settings, released)
        self._at[0] = number
        start = time.perf_counter()
        well, packed, buffers, drew = self._outcome(job, item)
        done = "done", number, time.perf_counter() - start
        raw = [np.frombuffer(buffer.raw(), np.uint8) for buffer in buffers]
        size = sum(map(len, raw))
        try:
            put = self._slabs.put(raw) if size > SMALL else None
            if put is not None:
                self._connection.send((*done, (well, packed, drew), *put, False))
            else:
                there = [bytearray(buffer) for buffer in raw]
                self._connection.send((*done, (well, packed, drew), None, there, size > SMALL))
        except MemoryError:
            told = MemoryError(f"expected room for a batch of {size} bytes in a worker, to send it")
            self._connection.send((*done, (False, packed_error(told), ""), None, [], False))
        self._at[0] = -1

    def _outcome(self, job: int, item: bytes) -> Outcome:
        try:
            maps.check(job)
        except ValueError as error:
            return Outcome(False, packed_error(error), [])
        return outcome_of(self._jobs[job], item)


def _end_with_parent(parent: int) -> None:
    """Have this process end when its parent ends, even by SIGKILL."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def watch() -> None:  # for systems without prctl, and for a parent that ended before the call
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, name="batchup-watch", daemon=True).start()
