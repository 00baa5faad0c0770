"""After every test: no process, thread, shared memory or open file of ours is left."""

import gc
import os
import threading
import time
from pathlib import Path

import pytest

DEADLINE = 5.0  # seconds, as promised


def eventually(condition, seconds=DEADLINE):
    """Whether the condition holds before the time is over; looks again and again."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def children(pid="self"):
    """The process ids of the children, those apart that Python itself keeps to the end."""
    found = set()
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found |= {int(child) for child in file.read_text().split()}
        except OSError:  # a thread that has ended meanwhile
            continue
    return {child for child in found if b"resource_tracker" not in _command(child)}


def _command(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _open_files():
    """Sockets, pipes, processes, shared memory; the files of a test are its own affair."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{name}"))
        except OSError:  # that of the listing itself
            continue
    # Not files with a path: those are of arrays that a test has mapped.
    return [name for name in found if not name.startswith("/") or name.startswith("/memfd:")]


def _ours(name):
    """True for a file in /dev/shm that this process made; others on the machine have files there too."""
    return "batchup" in name or f"-{os.getpid()}-" in name


def named_memory():
    """The names of shared memory on this machine, without the semaphores and PyTorch's memory of other tests."""
    return {name for name in os.listdir("/dev/shm") if not name.startswith(("sem.", "torch_"))}


def traces():
    """What pools hold, by kind: the number, or the names."""
    maps = Path("/proc/self/maps").read_text()
    return {
        "children": len(children()),
        "threads": sum(thread.name.startswith("batchup") for thread in threading.enumerate()),
        "shared memory": frozenset(filter(_ours, os.listdir("/dev/shm"))),
        "open files": len(_open_files()),
        "mapped": maps.count("memfd:batchup") if not children() else 0,
    }


def more(after, before):
    """What is there now and was not there before."""
    return {
        kind: (before[kind], after[kind])
        for kind in after
        if (after[kind] - before[kind] if kind == "shared memory" else after[kind] > before[kind])
    }


@pytest.fixture(autouse=True)
def _nothing_is_left(request):
    if not Path("/proc/self/fd").exists():
        yield
        return
    before = traces()
    yield
    if more(traces(), before):  # an exception that is in a cycle with its frame, or what needs a moment
        gc.collect()
        assert eventually(lambda: not more(traces(), before)), more(traces(), before)
