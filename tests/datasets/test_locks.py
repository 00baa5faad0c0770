"""One process at a time, also if the process that had the lock deletes its file."""

import subprocess
import sys

from tests.work_pool.scripts import ROOT

TAKE_TURNS = """
import os, sys
from pathlib import Path
from filelock import FileLock
from batchup.datasets.locks import locked

acquire = FileLock.acquire  # who waits looks again at once: so it is at the very moment of a release
FileLock.acquire = lambda self, timeout=None: acquire(self, timeout, poll_interval=0)
folder = Path(sys.argv[1])
for _ in range(1000):
    with locked(folder / "lock"):
        os.close(os.open(folder / "inside", os.O_CREAT | os.O_EXCL))  # fails if another process is inside
        os.sched_yield()
        os.unlink(folder / "inside")
"""


def test_no_two_processes_hold_it(tmp_path):
    command = [sys.executable, "-c", TAKE_TURNS, str(tmp_path)]
    processes = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    told = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, told
