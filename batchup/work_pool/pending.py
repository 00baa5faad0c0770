"""An item in work: the state that a worker and the caller, who waits for it, share."""

from __future__ import annotations

import threading
from typing import Any

__all__ = ["Pending", "failed"]


class Pending:
    """Like a `concurrent.futures.Future`, but Ctrl-C while waiting can't leave it locked.

    The lock of a Future that was left locked would block the thread that sets the result. Here, setting the result
    takes no lock: the thread that pops the one element of a list may do it.
    """

    __slots__ = ("_beginning", "_end", "_error", "_over", "_value")

    def __init__(self) -> None:
        self._beginning = [True]
        self._end = [True]
        self._value: Any = None
        self._error: BaseException | None = None
        self._over = threading.Lock()  # locked until there is a result
        self._over.acquire()

    # --- called by the worker

    def begin(self) -> bool:
        """Begin the item, which can't be cancelled any more. Returns False if it was cancelled, or begun before."""
        return _taken(self._beginning)

    def finish(self, value: Any) -> None:
        if _taken(self._end):
            self._value = value
            self._over.release()

    def fail(self, error: BaseException) -> None:
        if _taken(self._end):
            self._error = error
            self._over.release()

    # --- called by the caller

    def result(self, timeout: float | None = None) -> Any:
        """Return the result, or raise the exception of the work. Raises TimeoutError after `timeout` seconds."""
        if not self._over.acquire(timeout=-1 if timeout is None else timeout):
            raise TimeoutError
        self._over.release()
        if self._error is None:
            return self._value
        try:
            raise self._error
        finally:
            del self  # otherwise the traceback of the error keeps the error alive

    def done(self) -> bool:
        return not self._end

    def cancel(self) -> bool:
        """Cancel the item. Returns False if it was begun already."""
        if _taken(self._beginning):
            self.fail(RuntimeError("it was cancelled before it was begun"))
            return True
        return False


def _taken(token: list[bool]) -> bool:
    try:
        return token.pop()
    except IndexError:
        return False


def failed(error: BaseException) -> Pending:
    """An item whose `result` raises the error."""
    pending = Pending()
    pending.fail(error)
    return pending
