"""Start worker processes, by fork and exec: a worker inherits nothing from this process but its end of a socket."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import numpy as np

from batchup.memory.limits import available_cpus
from batchup.memory.shared import map_file, new_file
from batchup.work_pool.processes.handle import Handle, Share
from batchup.work_pool.processes.messages import Connection

__all__ = ["launch", "threads_in"]

# The variables that say to libraries, when they are imported, how many threads to use.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")

_FLAGS = {
    "isolated": "I",
    "ignore_environment": "E",
    "no_user_site": "s",
    "no_site": "S",
    "dont_write_bytecode": "B",
    "bytes_warning": "b",
    "optimize": "O",
}

# A worker writes the number of the task that it runs into a page of memory that it shares with the pool.
PAGE = 4096


def launch(share: Share, threads: dict[str, str]) -> Handle:
    """Start a worker process. When the thread that calls this ends, so does the worker."""
    ours, its = socket.socketpair()
    page = None
    try:
        ours.setblocking(False)
        page = new_file(PAGE)
        at = np.frombuffer(map_file(page, PAGE), np.int64)
        at[0] = -1
        path = [entry for entry in sys.path if isinstance(entry, str)]
        program = (
            f"import sys; sys.path[:] = {path!r}\n"
            f"from batchup.work_pool.processes.worker import main\n"
            f"main({its.fileno()}, {page}, {os.getpid()}, {share.remaining()})"
        )
        process = subprocess.Popen(
            [sys.executable, *_flags(), "-c", program], pass_fds=(its.fileno(), page), env={**os.environ, **threads}
        )
        return Handle(process, Connection(ours), share, at)
    except BaseException:
        ours.close()
        raise
    finally:
        its.close()
        if page is not None:
            os.close(page)


def _flags() -> list[str]:
    """The command-line options of this interpreter."""
    flags = [f"-{flag * getattr(sys.flags, name)}" for name, flag in _FLAGS.items()]
    options = [f"-X{name}" if value is True else f"-X{name}={value}" for name, value in sys._xoptions.items()]
    return [flag for flag in flags if flag != "-"] + options + [f"-W{w}" for w in sys.warnoptions]


def threads_in(workers: int, threads: int | None) -> dict[str, str]:
    """The environment variables that limit the threads of BLAS and OpenMP in each of so many workers.

    The cores are divided among the workers, or each gets `threads`. A variable that the user has set stays, and if
    OMP_NUM_THREADS is set, the others get its value.
    """
    if threads is not None:
        return dict.fromkeys(_THREADS, str(threads))
    part = str(max(1, available_cpus() // workers))
    wanted = os.environ.get("OMP_NUM_THREADS", part).partition(",")[0]  # one number a nesting level
    return {name: os.environ.get(name, wanted) for name in _THREADS}
