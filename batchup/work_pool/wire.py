"""Messages, and now and then an open file, between a pool and one of its workers."""

from __future__ import annotations

import os
import pickle
import socket
import struct
from collections import deque
from collections.abc import Iterable
from typing import Any

__all__ = ["Wire"]

_HEADER = struct.Struct("<Q")
_READ_AT_ONCE = 256 * 1024


class Wire:
    """One end of a Unix socket. Any number of messages are written, and read, in one call.

    That is what makes small batches cheap: whoever is behind finds several messages waiting, and
    takes them all. A message is a tuple of anything plain; before it is one byte stream, so a
    message that was sent arrives, though the sender is killed afterwards.
    """

    def __init__(self, sock: socket.socket):
        self.socket = sock
        self._received = bytearray()
        self._files: deque[int] = deque()

    def send(self, *messages: tuple[Any, ...], files: Iterable[int] = ()) -> None:
        """Write the messages; `files` are open files that go with the first of them."""
        parts = []
        for message in messages:
            data = pickle.dumps(message, protocol=5)
            parts += [_HEADER.pack(len(data)), data]
        data = b"".join(parts)
        files = list(files)
        sent = socket.send_fds(self.socket, [data], files) if files else 0
        self.socket.sendall(memoryview(data)[sent:])

    def receive(self) -> list[tuple[Any, ...]] | None:
        """All messages that are there, at the least a part of one; None when the other end is gone."""
        data, files, _, _ = socket.recv_fds(self.socket, _READ_AT_ONCE, 16)
        if not data:
            return None
        self._files += files
        received = self._received
        received += data
        messages = []
        start = 0
        while len(received) - start >= _HEADER.size:
            end = start + _HEADER.size + _HEADER.unpack_from(received, start)[0]
            if end > len(received):
                break
            with memoryview(received) as view:
                messages.append(pickle.loads(view[start + _HEADER.size : end]))
            start = end
        del received[:start]
        return messages

    def take_file(self) -> int:
        """The open file that came with a message; from now on it is the caller's to close."""
        return self._files.popleft()

    def close(self) -> None:
        while self._files:
            os.close(self._files.popleft())
        self.socket.close()
