"""How much memory and how many cores this process may use, by the system and its control groups.

The files are those of the kernel's documentation, Admin Guide, "Control Group v2" and "Control Groups
version 1". Groups are nested, and the limits of all of them hold.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

__all__ = ["available_cpus", "available_memory"]

ROOT = "/"
Place = str | os.PathLike[str]


def available_memory(root: Place = ROOT) -> int:
    """The number of bytes of free memory: that of the system, or less if a container has a limit.

    The cache of files counts as free, since the kernel drops it when memory is needed.
    """
    room = [_of_the_system(root)]
    for group in _groups(root, "memory"):
        for limit, used, cached in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            with suppress(OSError, ValueError, KeyError):  # no such limit, or "max"
                most, taken = int(_text(group, limit)), int(_text(group, used))
                room.append(most - taken + _numbers(os.path.join(group, "memory.stat"))[cached])
    return max(0, min(room))


def available_cpus(root: Place = ROOT) -> int:
    """The number of cores that this process may use: those it is bound to, or fewer if it has a quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for group in _groups(root, "cpu"):
        with suppress(OSError, ValueError):  # no such limit, or "max"
            quota, period = map(int, _text(group, "cpu.max").split())
            cores = min(cores, quota // period)
        with suppress(OSError, ValueError):
            quota = int(_text(group, "cpu.cfs_quota_us"))
            if quota > 0:  # -1 means no limit
                cores = min(cores, quota // int(_text(group, "cpu.cfs_period_us")))
    return max(1, cores)


def _of_the_system(root: Place) -> int:
    try:
        return _numbers(os.path.join(root, "proc/meminfo"))["MemAvailable:"] * 1024
    except (OSError, KeyError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _text(*path: Place) -> str:
    with open(os.path.join(*path)) as file:
        return file.read()


def _numbers(path: Place) -> dict[str, int]:
    """The numbers in a file with a name and a number on each line, by their names."""
    fields = (line.split() for line in _text(path).splitlines())
    return {name: int(number) for name, number, *_ in fields}


def _groups(root: Place, controller: str) -> Iterator[str]:
    """The folders of the control groups of this process, from its own to the outermost."""
    try:
        lines = _text(root, "proc/self/cgroup").splitlines()
    except OSError:  # not on Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        mounted = os.path.join(root, "sys/fs/cgroup", controller if controllers else "").rstrip("/")
        # In a container the path may be that of the host, of which only the outermost folder exists.
        names = [name for name in path.split("/") if name not in ("", ".")]
        for count in range(len(names), -1, -1):
            folder = os.path.join(mounted, *names[:count])
            if os.path.isdir(folder) and ".." not in names[:count]:
                yield folder
