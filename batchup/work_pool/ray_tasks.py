"""Tasks of Ray, as many at a time as it can run.

A task that is no longer needed must not be in Ray yet: if `ray.cancel` meets a task that is just completing, a check in
Ray fails, which ends this process without a message (see github.com/ray-project/ray/pull/54798). So tasks wait in this
process, where they can be dropped.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from batchup.work_pool.base import CLOSED
from batchup.work_pool.pending import Pending
from batchup.work_pool.remote import RemoteItem, RemoteRun, RemoteWorkers

if TYPE_CHECKING:
    from batchup.work_pool.ray import RayPool

__all__ = ["RayWorkers"]

# At most so many seconds after a shutdown of Ray, waiting for a batch raises.
_LOOK = 0.5


class RayWorkers(RemoteWorkers):
    """Workers whose `send` gives items to Ray at once, and returns a reference."""

    pool: RayPool

    def start(self, buffer: int) -> RemoteRun:
        self.refresh()
        return _RayRun(self, buffer, _Line(self.pool, self.send))


class _RayRun(RemoteRun):
    def __init__(self, workers: RemoteWorkers, buffer: int, line: _Line):
        super().__init__(workers, buffer, line.send)
        self._line = line

    def close(self, stuck: Any, timeout: float | None) -> None:
        if isinstance(stuck, RemoteItem):
            stuck.task.sent().end()
        self._line.close(timeout)


class _RayTask(Pending):
    __slots__ = ("items", "pool", "reference")

    def __init__(self, pool: RayPool, items: list[bytes]):
        super().__init__()
        self.pool = pool
        self.items = items
        self.reference: Any = None  # once Ray has it

    def result(self, timeout: float | None = None) -> Any:
        """The result. Raises RuntimeError also if Ray is shut down, which doesn't wake up those who wait."""
        import ray

        deadline = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            try:
                return super().result(max(0.0, min(left, _LOOK)))
            except TimeoutError:
                if self.done() or left <= _LOOK:
                    raise
            if not ray.is_initialized():
                self.fail(RuntimeError(CLOSED))

    def end(self) -> None:
        """End the task by force, unless it is done; see above."""
        import ray

        if self.reference is not None:
            with suppress(Exception), self.pool._connected():  # a cluster that is gone has nothing to end
                if not ray.wait([self.reference], timeout=0)[0]:
                    ray.cancel(self.reference, force=True)


class _Line:
    """The tasks of one iteration."""

    def __init__(self, pool: RayPool, call: Callable[[list[bytes]], Any]):
        import ray

        # Twice as many as can run at once, so no worker waits for the next one.
        with pool._connected():
            resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        self._pool = pool
        self._most = 2 * max(1, int(resources.get("CPU", 1)))
        self._call = call
        self._begun: set[_RayTask] = set()
        self._news: SimpleQueue[_RayTask | None] = SimpleQueue()  # tasks to begin, or done; None at the end
        self._patience: float | None = None
        threading.Thread(target=self._serve, name="batchup-ray", daemon=True).start()

    def send(self, items: list[bytes]) -> _RayTask:
        task = _RayTask(self._pool, items)
        self._news.put(task)
        return task

    def close(self, timeout: float | None) -> None:
        """Drop the tasks that aren't begun, and end by force those that still run after `timeout` seconds."""
        self._patience = timeout
        self._news.put(None)

    def _serve(self) -> None:
        waiting: deque[_RayTask] = deque()
        while (task := self._news.get()) is not None:
            if task in self._begun:
                self._begun.remove(task)
            else:
                waiting.append(task)
            while waiting and len(self._begun) < self._most:
                self._begin(waiting.popleft())
        if self._patience is not None:
            self._end_all(time.monotonic() + self._patience)

    def _begin(self, task: _RayTask) -> None:
        if not task.begin():
            return
        try:
            task.reference = self._call(task.items)
            task.reference.future().add_done_callback(partial(self._made, task))
        except Exception as error:  # Ray was shut down, say
            task.fail(error)
        else:
            self._begun.add(task)

    def _made(self, task: _RayTask, future: Any) -> None:
        import ray

        try:
            task.finish(future.result())
        except Exception as error:
            task.fail(error if ray.is_initialized() else RuntimeError(CLOSED))
        self._news.put(task)

    def _end_all(self, deadline: float) -> None:
        while self._begun and (left := deadline - time.monotonic()) > 0:
            with suppress(Empty):
                self._begun.discard(self._news.get(timeout=left))
        for task in self._begun:
            task.end()
