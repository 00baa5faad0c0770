"""An item that is being made: what a worker and whoever waits for it share."""

from __future__ import annotations

import threading
from typing import Any

__all__ = ["Pending", "failed"]


class Pending:
    """Like a `concurrent.futures.Future`, but a Ctrl-C while waiting can't leave it locked.

    That one's lock, once left locked, would stop the thread that has the result. Here whoever has it
    takes no lock: what only one may do is to take the one thing from a list.
    """

    __slots__ = ("_beginning", "_end", "_error", "_over", "_value")

    def __init__(self) -> None:
        self._beginning = [True]
        self._end = [True]
        self._value: Any = None
        self._error: BaseException | None = None
        self._over = threading.Lock()  # locked until it is over
        self._over.acquire()

    # --- the worker's side

    def begin(self) -> bool:
        """Whether it is still wanted; after that it can't be cancelled."""
        return _taken(self._beginning)

    def finish(self, value: Any) -> None:
        if _taken(self._end):
            self._value = value
            self._over.release()

    def fail(self, error: BaseException) -> None:
        if _taken(self._end):
            self._error = error
            self._over.release()

    # --- the caller's side

    def result(self, timeout: float | None = None) -> Any:
        """What was made, or raises what went wrong; TimeoutError after so many seconds."""
        if not self._over.acquire(timeout=-1 if timeout is None else timeout):
            raise TimeoutError
        self._over.release()
        if self._error is None:
            return self._value
        try:
            raise self._error
        finally:
            del self  # else the error would keep itself, by its traceback

    def done(self) -> bool:
        return not self._end

    def cancel(self) -> bool:
        """Have it not begun; whether it was in time."""
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
    """An item that can't be made."""
    pending = Pending()
    pending.fail(error)
    return pending
