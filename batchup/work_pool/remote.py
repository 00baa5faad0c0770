"""Work in executors and clusters, which run any function and know nothing of streams.

A task has the work, as a package, and a few items; it returns their outcomes. A task of a cluster costs up to some
milliseconds, so small batches are sent several at a time.
"""

from __future__ import annotations

import os
import pickle
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from batchup.core.work import Work
from batchup.work_pool.base import WorkerPool
from batchup.work_pool.pending import Pending, failed
from batchup.work_pool.pickling import Outcome, Pickler, Unpacked, opened, outcome_of, pack_item, pack_work

__all__ = ["Package", "RemoteItem", "RemoteRun", "RemoteWorkers", "Send", "package_of", "ship"]

# Seconds: a task of this length costs much more than sending it.
SECONDS_A_TASK = 0.005
# One task takes at most 1 / PART_OF_THE_BUFFER of the buffer, so that enough is left for other workers.
PART_OF_THE_BUFFER = 4

# Seconds for which a worker keeps unpacked work after its last item.
SECONDS_KEPT = 3.0


class Package:
    """The pickled work with its arrays beside it, and a name, by which a worker unpacks it once.

    Arrays beside it are what clusters can hold without a copy for each task, or worker.
    """

    def __init__(self, packed: bytes, buffers: list[Any]):
        self.packed = packed
        self.buffers = buffers
        self.name = uuid.uuid4().hex
        self.made_in = os.getpid()

    def digest(self) -> bytes:
        """A hash of the work and its arrays."""
        import hashlib

        digest = hashlib.sha256(self.packed, usedforsecurity=False)
        for buffer in self.buffers:
            digest.update(buffer)
        return digest.digest()

    def copied(self) -> Package:
        """The same package with copies of the arrays, which don't change later."""
        return Package(self.packed, [array.copy() for array in self.buffers])


def package_of(work: Work, where: str) -> Package:
    """The work as a package, with views of its arrays. Raises TypeError, naming the stage, if it can't be pickled."""
    buffers: list[pickle.PickleBuffer] = []
    packed = pack_work(work, where, lambda file: Pickler(file, buffer_callback=buffers.append))
    return Package(packed, [np.frombuffer(buffer.raw(), np.uint8) for buffer in buffers])


# --- in the worker

_works: dict[str, _Kept] = {}
_works_lock = threading.Lock()


class _Kept(Unpacked):
    users = 0
    last_used = 0.0


class Outcomes:
    """The outcomes of some items, and the seconds that each took. No list, since Dask would take it apart."""

    def __init__(self, outcomes: list[tuple[Outcome, float]]):
        self.outcomes = outcomes


def ship(package: Package, items: list[bytes]) -> Outcomes:
    """The function that the workers run."""
    with _works_lock:
        if not _works:
            threading.Thread(target=_give_up_works, name="batchup-works", daemon=True).start()
        own_process = os.getpid() != package.made_in
        work = _works.setdefault(package.name, _Kept(package.packed, package.buffers, own_process))
        work.users += 1
    try:
        return Outcomes([_shipped(work, item) for item in items])
    finally:
        with _works_lock:
            work.users -= 1
            work.last_used = time.monotonic()


def _shipped(work: Unpacked, item: bytes) -> tuple[Outcome, float]:
    start = time.perf_counter()
    outcome = outcome_of(work, item)
    seconds = time.perf_counter() - start
    # As arrays of bytes, which every cluster can send, mostly without a copy.
    buffers = [np.frombuffer(buffer.raw(), np.uint8) for buffer in outcome.buffers]
    return outcome._replace(buffers=buffers), seconds


def _give_up_works() -> None:
    """Drop unpacked work that was not used for a while: a worker isn't told when a stream ends."""
    pause = threading.Event()
    while True:
        pause.wait(SECONDS_KEPT / 4)
        with _works_lock:
            now = time.monotonic()
            for name, work in list(_works.items()):
                if not work.users and now - work.last_used > SECONDS_KEPT:
                    del _works[name]
            if not _works:
                return


# --- in the caller


Send = Callable[[list[bytes]], Any]


class RemoteWorkers:
    """Workers that know the work.

    `publish` makes it known to them: it returns the function that gives items to one of them, and itself returns what is
    like a Future. The work is published anew where it has changed when an iteration begins.
    """

    def __init__(self, pool: WorkerPool, work: Work, where: str, publish: Callable[[Package], Send]):
        self.pool = pool
        self.work = work
        self.where = where
        self.seconds: float | None = None  # for one item, if it is known
        self._publish = publish
        package = package_of(work, where)
        self._digest = package.digest()
        self.send = publish(package)

    def start(self, buffer: int) -> RemoteRun:
        self.refresh()
        return RemoteRun(self, buffer, self.send)

    def refresh(self) -> None:
        """Publish the work as it is now, if it has changed."""
        self.pool.check()
        package = package_of(self.work, self.where)
        digest = package.digest()
        if digest != self._digest:
            self.send, self._digest = self._publish(package), digest


class RemoteRun:
    """One iteration."""

    def __init__(self, workers: RemoteWorkers, buffer: int, send: Send):
        self._workers = workers
        self._most = max(1, buffer // PART_OF_THE_BUFFER)
        self._send = send
        self._task = _Task(workers, send)

    def submit(self, item: Any) -> RemoteItem | Pending:
        self._workers.pool.check()
        try:
            packed = pack_item(item)
        except TypeError as error:
            return failed(error)
        task = self._task
        task.items.append(packed)
        pending = RemoteItem(task, len(task.items) - 1)
        seconds = self._workers.seconds
        if seconds is None or len(task.items) >= min(self._most, SECONDS_A_TASK / max(seconds, 1e-6)):
            task.sent()
            self._task = _Task(self._workers, self._send)
        return pending

    def close(self, stuck: Any, timeout: float | None) -> None:
        """Do nothing: what is stuck can't be ended from this process."""


class _Task:
    """Items that go to a worker together, as soon as they are enough or one of them is waited for."""

    def __init__(self, workers: RemoteWorkers, send: Send):
        self.workers = workers
        self.items: list[bytes] = []
        self._send = send
        self._sent: Any = None
        self._cancelled = False
        self._outcomes: dict[int, tuple[Outcome, float]] = {}

    def sent(self) -> Any:
        if self._sent is None:
            self._sent = self._send(self.items)
        return self._sent

    def outcome(self, index: int, timeout: float | None) -> Outcome:
        if not self._outcomes:  # a cluster may send them again each time it is asked
            self._outcomes = dict(enumerate(self.sent().result(timeout).outcomes))
        outcome, self.workers.seconds = self._outcomes.pop(index)
        return outcome

    def done(self) -> bool:
        return self._sent is not None and bool(self._sent.done())

    def cancel(self) -> None:
        # Once for all items, and only if it isn't done.
        if self._sent is not None and not (self._cancelled or self.done()):
            self._cancelled = True
            with suppress(Exception):  # a cluster that is gone has nothing to cancel
                self._sent.cancel()


class RemoteItem:
    """An item that is being made."""

    def __init__(self, task: _Task, index: int):
        self.task = task
        self.index = index

    def result(self, timeout: float | None = None) -> Any:
        workers = self.task.workers
        workers.pool.check_process()
        outcome = self.task.outcome(self.index, timeout)
        if outcome.drew:
            workers.pool._warn_of_draws(outcome.drew)
        # Some clusters return read-only memory, but a batch belongs to the caller.
        buffers = [b if b.flags.writeable else b.copy() for b in outcome.buffers]
        return opened(outcome._replace(buffers=buffers), workers.work)

    def done(self) -> bool:
        return self.task.done()

    def cancel(self) -> None:
        self.task.cancel()
