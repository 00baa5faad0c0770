"""Which file is open, so that no other one is read in its place: names may come to mean other files."""

from __future__ import annotations

import os
from functools import cache
from typing import NamedTuple


class OpenFile(NamedTuple):
    """A file that this process has open, and the absolute path by which other processes find it."""

    path: str
    device: int
    inode: int
    size: int
    machine: str

    @staticmethod
    def of(file: int, name: str) -> OpenFile | None:
        """The file with this descriptor, which was opened as `name`. None if no path leads to it now."""
        status = os.fstat(file)
        for path in (os.path.abspath(name), _path_of(file)):
            if path is not None and _is(path, status):
                return OpenFile(path, status.st_dev, status.st_ino, status.st_size, this_machine())
        return None

    @property
    def is_there(self) -> bool:
        """True if the path leads to this file."""
        try:
            return self.is_same(os.stat(self.path))
        except OSError:
            return False

    def is_same(self, status: os.stat_result) -> bool:
        """True if this is the status of the file; on another machine, where devices have other numbers, if its size is."""
        if self.machine == this_machine():
            return (status.st_dev, status.st_ino) == (self.device, self.inode)
        return status.st_size == self.size

    def check(self, file: int) -> None:
        """Raise ValueError if the open file with this descriptor is another one."""
        if not self.is_same(os.fstat(file)):
            raise ValueError(
                f"expected the file {self.path} that was open when the stream was built; another file has this name now. "
                "Open it anew, and build the stream again"
            )


class FileStatus(NamedTuple):
    """A file as it was when the stream was built, which must not change: what is known of its contents would be wrong."""

    path: str
    inode: int
    size: int
    modified: int

    @staticmethod
    def of(path: str) -> FileStatus:
        status = os.stat(path)
        return FileStatus(os.path.abspath(path), status.st_ino, status.st_size, status.st_mtime_ns)

    def check(self, file: int | None = None) -> None:
        """Raise ValueError if the file has changed: the one with this descriptor, or the one that has the path now."""
        status = os.stat(self.path if file is None else file)
        if (status.st_ino, status.st_size, status.st_mtime_ns) != (self.inode, self.size, self.modified):
            raise ValueError(
                f"expected the file {self.path} as it was when the stream was built; it was changed or replaced. Build the "
                "stream again"
            )


def _path_of(file: int) -> str | None:
    """The path of an open file, as Linux knows it."""
    try:
        return os.readlink(f"/proc/self/fd/{file}")
    except OSError:
        return None


def _is(path: str, status: os.stat_result) -> bool:
    try:
        found = os.stat(path)
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == (status.st_dev, status.st_ino)


@cache
def this_machine() -> str:
    """A name of this machine since it was started."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        import platform

        return platform.node()


def mapped_at(address: int) -> tuple[str, str] | None:
    """The device and inode of the file that is mapped at an address, as Linux names them. None if it is unknown."""
    try:
        with open("/proc/self/maps") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    for line in lines:
        addresses, _, _, device, inode, *_ = line.split(maxsplit=5)
        first, last = (int(end, 16) for end in addresses.split("-"))
        if first <= address < last:
            return device, inode
    return None
