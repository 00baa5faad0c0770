"""Messages, some with an open file, between a pool and one of its workers."""

from __future__ import annotations

import array
import os
import pickle
import socket
import struct
from collections import deque
from contextlib import suppress
from typing import Any, Protocol

__all__ = ["Connection", "Descriptor"]

_HEADER = struct.Struct("<Q")
_READ_AT_ONCE = 256 * 1024
_RIGHTS = socket.SOL_SOCKET, socket.SCM_RIGHTS
_A_FILE = array.array("i").itemsize


class File(Protocol):
    def fileno(self) -> int: ...


class Descriptor(int):
    """An open file descriptor."""

    def fileno(self) -> int:
        return int(self)


class Connection:
    """One end of a Unix socket. One call writes, or reads, any number of messages.

    So small batches are cheap: a slow reader finds several messages, and reads them all. A message is a tuple of
    numbers, strings and bytes. A message that was sent arrives even if its sender is killed afterwards.

    With a non-blocking socket, `send` never waits: data that the other end doesn't read yet stays here, and `flush` is
    to be called when there is room.
    """

    def __init__(self, sock: socket.socket):
        self.socket = sock
        self._outgoing: deque[tuple[memoryview, File | None]] = deque()
        self._received = bytearray()
        self._files: deque[int | None] = deque()

    def send(self, *messages: tuple[Any, ...], file: File | None = None) -> bool:
        """Write the messages, with an open file. Returns True if all was written; raises OSError if the other end is closed."""
        parts = []
        for message in messages:
            data = pickle.dumps(message, protocol=5)
            parts += [_HEADER.pack(len(data)), data]
        self._outgoing.append((memoryview(b"".join(parts)), file))
        return len(self._outgoing) == 1 and self.flush()

    def flush(self) -> bool:
        """Write as much as the other end takes. Returns True if that was all."""
        outgoing = self._outgoing
        while outgoing:
            data, file = outgoing[0]
            try:
                if file is None:
                    sent = self.socket.send(data)
                else:
                    sent = self.socket.sendmsg([data], [(*_RIGHTS, array.array("i", [file.fileno()]))])
            except BlockingIOError:
                return False
            if sent < len(data):
                outgoing[0] = data[sent:], None  # the file goes with the first byte
            else:
                outgoing.popleft()
        return True

    def receive(self, wait: bool = True) -> list[tuple[Any, ...]] | None:
        """The complete messages that have come; None if the other end is closed.

        Waits for data, of which there may be only a part of a message. Without `wait` raises BlockingIOError if there
        is none.
        """
        flags = getattr(socket, "MSG_CMSG_CLOEXEC", 0) | (0 if wait else socket.MSG_DONTWAIT)
        data, extra, told, _ = self.socket.recvmsg(_READ_AT_ONCE, socket.CMSG_SPACE(16 * _A_FILE), flags)
        for level, kind, files in extra:
            if (level, kind) == _RIGHTS:
                self._files.extend(array.array("i", files[: len(files) // _A_FILE * _A_FILE]))
        if told & socket.MSG_CTRUNC:  # the file is lost: this process can't open more files
            self._files.append(None)
        if not data:
            return None
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

    def take_file(self) -> int | None:
        """The next file that came with a message, which the caller must close; None if it was lost."""
        return self._files.popleft()

    def close(self) -> None:
        self._outgoing.clear()
        while self._files:
            file = self._files.popleft()
            if file is not None:
                os.close(file)
        with suppress(OSError):  # ends the connection even if a fork of this process has a copy of the socket
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
