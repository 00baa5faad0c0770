"""What a system may refuse a pool: open files, mappings, pidfd_open."""

import os

import pytest

from tests.work_pool import scripts

FULL_TABLE = """
import os, resource, sys
import numpy as np
from batchup import ops, work_pool

def read(stream):
    for (batch,) in stream:
        assert (batch == 7).all()

X = np.full((64, 50_000), 7.0)
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
with work_pool.WorkerProcessPool(1) as pool:
    plain = ops.indices(64) | ops.chunk(4) | ops.gather(X)
    list(range(3) | ops.map(abs) | ops.parallel(pool))
    stream = plain | ops.parallel(pool)
    taken = []
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass
    try:
        read(stream)
        print("by the pipe")
    except OSError as error:
        print(error.strerror)
    for file in taken:
        os.close(file)
    read(stream)
    print("the next epoch works")
"""


def test_a_full_table_of_open_files():
    shown = scripts.run(FULL_TABLE).splitlines()
    assert shown[0].startswith("expected a free file descriptor for a batch in shared memory")
    assert shown[1] == "the next epoch works"


NO_PIDFD = """
import ctypes, os, signal, struct, sys
from pathlib import Path
from batchup import ops, work_pool

# A filter as sandboxes have it (seccomp(2)): pidfd_open, 434 on every architecture, is refused.
program = struct.pack("HBBIHBBIHBBIHBBI",
    0x20, 0, 0, 0,               # load the number of the system call
    0x15, 0, 1, 434,             # if it is this one
    0x06, 0, 0, 0x00050000 | 1,  # EPERM
    0x06, 0, 0, 0x7fff0000)      # else allow
buffer = ctypes.create_string_buffer(program)
filter_ = struct.pack("HxxxxxxQ", 4, ctypes.addressof(buffer))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, filter_, 0, 0) == 0, ctypes.get_errno()
try:
    os.pidfd_open(os.getpid())
except PermissionError:
    print("refused")

note = sys.argv[1]

def die(n):
    if n == 3:
        child = os.fork()
        if child == 0:  # it keeps the socket open
            signal.pause()
        Path(note).write_text(str(child))
        os.kill(os.getpid(), signal.SIGKILL)
    return n

with work_pool.WorkerProcessPool(2) as pool:
    try:
        for n in range(9) | ops.map(die) | ops.parallel(pool, 4):
            print(n)
    except work_pool.WorkerDied as error:
        print(error.args[0].partition("killed")[2])
    print(list(range(3) | ops.map(abs) | ops.parallel(pool)))
os.kill(int(Path(note).read_text()), signal.SIGKILL)
"""


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="there is nothing to refuse")
def test_without_pidfd_open(tmp_path):
    shown = scripts.run(NO_PIDFD, tmp_path / "child").splitlines()
    assert shown == [
        "refused",
        "0",
        "1",
        "2",
        " by SIGKILL (signal 9) while it made this batch; making it here may end this process, too",
        "[0, 1, 2]",
    ]


NO_ROOM_IN_WORKERS = """
import os, resource, warnings
import numpy as np
from pathlib import Path
from batchup import ops, work_pool

# In workers whatever is allocated comes from the heap, and stays there when it is freed.
os.environ["MALLOC_MMAP_THRESHOLD_"] = os.environ["MALLOC_TRIM_THRESHOLD_"] = str(1 << 30)

def no_more(spare):
    bytearray(spare)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + (1 << 20), resource.getrlimit(resource.RLIMIT_AS)[1]))

def large(n):
    if n == 2:
        no_more(100 << 20)
    return np.full(1_000_000 + n * 70_000, n, np.float32)

def too_large(n):
    if n == 2:
        no_more(10 << 20)
    return np.full(1_000_000 if n < 2 else 2_000_000, n, np.float32)

with warnings.catch_warnings(record=True) as caught, work_pool.WorkerProcessPool(1) as pool:
    warnings.simplefilter("always")
    kept = list(range(6) | ops.map(large) | ops.parallel(pool, 2))
    assert [int(batch[-1]) for batch in kept] == list(range(6))
print([str(w.message).partition(";")[0] for w in caught])
with work_pool.WorkerProcessPool(1) as pool:
    kept = []
    try:
        for batch in range(6) | ops.map(too_large) | ops.parallel(pool, 2):
            kept.append(batch)
    except MemoryError as error:
        print(len(kept), error)
    assert list(range(3) | ops.map(abs) | ops.parallel(pool)) == [0, 1, 2]
    print(len(pool._supervisor.pids()))
"""


def test_a_mapping_that_fails_in_a_worker():
    shown = scripts.run(NO_ROOM_IN_WORKERS).splitlines()
    assert shown[0].count("no room for a batch in shared memory") == 1
    assert shown[1] == "2 expected room for a batch of 8000000 bytes in a worker, to send it"
    assert shown[2] == "1"


NO_ROOM_IN_THE_CALLER = """
import mmap, warnings
import numpy as np
from pathlib import Path
from batchup import ops, work_pool

most = int(Path("/proc/sys/vm/max_map_count").read_text())
with warnings.catch_warnings(record=True) as caught, work_pool.WorkerProcessPool(1) as pool:
    warnings.simplefilter("always")
    stream = range(6) | ops.map(lambda n: np.full(20_000, n, np.float32)) | ops.parallel(pool, 1)
    list(range(3) | ops.map(abs) | ops.parallel(pool))
    filler = []
    try:
        for n in range(2 * most):  # neighbours that are alike would be one mapping
            filler.append(mmap.mmap(-1, 4096, prot=mmap.PROT_READ | (n % 2) * mmap.PROT_WRITE))
    except OSError:
        pass
    kept = list(stream)
    assert [int(batch[-1]) for batch in kept] == list(range(6))
    del filler
    assert [int(batch[-1]) for batch in stream] == list(range(6))
print([str(w.message).partition(";")[0] for w in caught])
"""


def test_a_mapping_that_fails_in_the_caller():
    shown = scripts.run(NO_ROOM_IN_THE_CALLER)
    assert shown.count("no room for a batch in shared memory") == 1


def test_many_large_arrays_take_few_open_files():
    program = """
import resource
import numpy as np
from batchup import ops, work_pool
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
arrays = [np.full(70_000, n, np.float32) for n in range(1200)]
with work_pool.WorkerProcessPool(2) as pool:
    stream = range(1200) | ops.map(lambda n: float(arrays[n][-1])) | ops.parallel(pool)
    assert list(stream) == list(range(1200))
"""
    assert scripts.run(program) == ""
