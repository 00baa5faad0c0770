"""The worker process: does what it is told, one batch at a time, until the pool is gone.

The pool tells it, in messages:

* `("segment", key, size)`, with a file: memory that the work will need
* `("work", key, pickle)`: the work of a stream
* `("forget", key)`: either of these
* `("do", task, key, item, released)`: the work for one item; slabs that may be used again

and hears from it:

* `("ready",)`
* `("slab", number, size)`, with a file, and `("gone", number)`: memory for results
* `("done", task, seconds, well, pickle, slab, places, squeezed)`: the batch; its buffers are in a
  slab, or, where `slab` is None, in `places` themselves: `squeezed` if there was no room for a slab
"""

from __future__ import annotations

import ctypes
import mmap
import os
import pickle
import signal
import socket
import sys
import threading
import time
from typing import Any

import numpy as np

from batchup.work_pool.memory import Slabs
from batchup.work_pool.packing import segments_here
from batchup.work_pool.shipping import outcome_of
from batchup.work_pool.wire import Wire

__all__ = ["main"]

# Below that, writing to the socket is as fast as a slab.
SMALL = 32 * 1024

_PR_SET_PDEATHSIG = 1


def main(file: int, parent: int, limit: int) -> None:
    """Serve the pool at the other end of the socket `file`, a process `parent`."""
    _end_with(parent)
    # Ctrl-C goes to all processes of a terminal; the one that was started by hand answers to it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    wire = Wire(socket.socket(fileno=file))
    slabs = Slabs(
        limit,
        announce=lambda number, size, slab: wire.send(("slab", number, size), files=[slab]),
        forget=lambda number: wire.send(("gone", number)),
    )
    works: dict[int, Any] = {}
    try:
        wire.send(("ready",))
        while (messages := wire.receive()) is not None:
            for kind, *rest in messages:
                if kind == "do":
                    _do(wire, slabs, works, *rest)
                elif kind == "segment":
                    _take_segment(wire, *rest)
                elif kind == "work":
                    key, packed = rest
                    works[key] = _Unpacked(packed)
                else:
                    [key] = rest
                    works.pop(key, None)
                    segments_here.pop(key, None)
    except ConnectionError:  # the pool was closed while a batch was made
        pass
    sys.stdout.flush()


class _Unpacked:
    """The work, unpacked when it is first run: what goes wrong is then an error of that batch."""

    def __init__(self, packed: bytes):
        self._packed = packed
        self._work: Any = None

    def run(self, item: Any) -> Any:
        if self._work is None:
            self._work = pickle.loads(self._packed)
        return self._work.run(item)


def _take_segment(wire: Wire, key: int, size: int) -> None:
    file = wire.take_file()
    segments_here[key] = mmap.mmap(file, size, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
    os.close(file)


def _do(
    wire: Wire,
    slabs: Slabs,
    works: dict[int, Any],
    task: int,
    key: int,
    item: bytes,
    released: list[int],
) -> None:
    slabs.release(released)
    start = time.perf_counter()
    well, packed, buffers = outcome_of(works[key].run, item)
    seconds = time.perf_counter() - start
    raw = [np.frombuffer(buffer.raw(), np.uint8) for buffer in buffers]
    large = sum(map(len, raw)) > SMALL
    put = slabs.put(raw) if large else None
    there: tuple[Any, Any] = put or (None, [bytearray(buffer) for buffer in raw])
    wire.send(("done", task, seconds, well, packed, *there, large and put is None))


def _end_with(parent: int) -> None:
    """See to it that this process ends when its parent does, though it be by SIGKILL."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def watch() -> None:  # where there is no such call, and for a parent that ended before it
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, name="batchup-watch", daemon=True).start()
