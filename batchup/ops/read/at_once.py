"""Reads that run at once: those of the chunks of a window, from storage where each takes long."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

# Requests in flight to a store that is not local.
REMOTE = 32


class AtOnce:
    """At most so many reads at once, for all threads that read from some arrays. Its threads start when they are needed."""

    def __init__(self, most: int):
        self.most = most
        self._lock = threading.Lock()
        self._executor: tuple[int, ThreadPoolExecutor] | None = None  # and the process that it belongs to

    def _threads(self) -> ThreadPoolExecutor:
        from concurrent.futures import ThreadPoolExecutor

        executor = self._executor
        if executor is None or executor[0] != os.getpid():
            with self._lock:
                executor = self._executor
                if executor is None or executor[0] != os.getpid():
                    executor = os.getpid(), ThreadPoolExecutor(self.most, "batchup_read")
                    self._executor = executor
        return executor[1]

    def results(self, calls: list[Callable[[], Any]]) -> Iterator[Any]:
        """The results of the calls, in order. The first calls begin at once, and at most `most` results wait."""
        if self.most == 1:
            return (call() for call in calls)
        left = iter(calls)
        submit = self._threads().submit
        begun: deque[Future[Any]] = deque(map(submit, islice(left, self.most)))
        results = _results(begun, left, submit)
        next(results)
        return results


def _results(begun: deque[Future[Any]], left: Iterator[Callable[[], Any]], submit: Callable[..., Any]) -> Iterator[Any]:
    """None, then the results. The None makes the `finally` below run also if the iterator is dropped at once."""
    try:
        yield None
        while begun:
            result = begun[0].result()
            begun.popleft()
            begun.extend(map(submit, islice(left, 1)))
            yield result
            del result  # so that it is not kept while the next is read
    finally:
        for future in begun:
            future.cancel()


ONE = AtOnce(1)
