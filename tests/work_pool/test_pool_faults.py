"""The pool never waits for a worker, tells the right one of a death, and does without what is refused."""

import logging
import multiprocessing
import os
import signal
import socket
import threading
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from batchup import ops, work_pool
from batchup.work_pool import WorkerDied
from batchup.work_pool.processes import launch
from tests.conftest import eventually
from tests.work_pool import scripts

X = np.arange(600_000, dtype=np.float32).reshape(1500, 400)


def until(path):
    """A function for workers: waits until there is such a file."""

    def wait(*args):
        while not path.exists():
            threading.Event().wait(0.005)
        return args

    return wait


# --- it never blocks


@pytest.mark.parametrize("streams", [1, 100])
def test_a_stream_over_hundreds_of_arrays_is_dropped_while_a_worker_is_busy(streams):
    arrays = [np.full(70_000, n, np.float32) for n in range(400)]
    each = len(arrays) // streams
    with work_pool.WorkerProcessPool(1) as pool:
        over = []
        for k in range(0, len(arrays), each):
            some = arrays[k : k + each]
            over.append(range(each) | ops.map(lambda n, some=some: some[n][0]) | ops.parallel(pool))
            assert list(over[-1]) == list(range(k, k + each))
        large = range(600) | ops.map(lambda n: np.full(7500, n, np.float32)) | ops.parallel(pool, 200)
        it = iter(large)
        assert next(it)[0] == 0
        del over
        for n, batch in enumerate(it, 1):
            assert batch[0] == n


@pytest.mark.parametrize("size", [4096, 8192])
@pytest.mark.filterwarnings("ignore:.*no room for a batch in shared memory")
def test_with_little_room_in_the_sockets(size, monkeypatch):
    """As a system may have it: what one end does not take, the other keeps."""

    def small(*args):
        ends = pair(*args)
        for end in ends:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
        return ends

    pair = socket.socketpair
    monkeypatch.setattr(launch.socket, "socketpair", small)
    stream = ops.indices(len(X)) | ops.shuffle(1) | ops.chunk(50) | ops.gather(X, X[:, :2])
    with work_pool.WorkerProcessPool(2, max_bytes=0) as pool:
        for (a, b), (c, d) in zip(stream, stream | ops.parallel(pool, 9), strict=True):
            np.testing.assert_array_equal(a, c)
            np.testing.assert_array_equal(b, d)


def test_large_items_to_a_worker_that_is_busy(tmp_path):
    items = [np.full(1_000_000, n) for n in range(12)]
    wait = until(tmp_path / "go")
    with work_pool.WorkerProcessPool(1) as pool:
        other = iter([0] | ops.map(wait) | ops.parallel(pool))
        it = iter(items | ops.map(np.mean) | ops.parallel(pool, 12))
        assert eventually(lambda: any(worker.sending for worker in pool._supervisor.workers))
        (tmp_path / "go").touch()
        assert list(it) == list(range(12))
        assert next(other) == (0,)


# --- forks


def in_a_fork(function):
    """What the function raises in a fork of this process, as text; None where it takes too long."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        try:
            function()
        except BaseException as error:
            os.write(write, f"{type(error).__name__}: {error}".encode())
        os._exit(0)
    os.close(write)
    os.set_blocking(read, False)
    done = eventually(lambda: os.waitpid(pid, os.WNOHANG)[0] == pid)
    if not done:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    with open(read, "rb") as file:
        return (file.read() or b"").decode() if done else None


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
@pytest.mark.parametrize("kind", [work_pool.WorkerThreadPool, work_pool.WorkerProcessPool])
def test_a_fork_of_the_process_is_told_and_does_no_harm(kind, tmp_path):
    wait = until(tmp_path / "go")
    with kind(2) as pool:
        stream = range(5) | ops.map(abs) | ops.parallel(pool)
        assert list(stream) == [0, 1, 2, 3, 4]
        begun = iter(range(3) | ops.map(wait) | ops.parallel(pool))
        for use in (
            lambda: list(stream),
            lambda: list(range(5) | ops.map(abs) | ops.parallel(pool)),
            lambda: next(begun),
            lambda: pool.work_stream([(abs, (3,))]).retrieve(),
        ):
            told = in_a_fork(use)
            assert told is not None
            assert told.startswith("RuntimeError: ")
            assert "expected to be used in the process that made it" in told
        assert in_a_fork(pool.close) == ""
        (tmp_path / "go").touch()
        assert list(begun) == [(0,), (1,), (2,)]
        assert list(stream) == [0, 1, 2, 3, 4]


# --- who hears of what


def test_a_timeout_takes_its_batch_out_of_the_hand_of_a_worker_at_anothers(tmp_path):
    wait = until(tmp_path / "go")
    with work_pool.WorkerProcessPool(1) as pool:
        patient = iter(range(2) | ops.map(wait) | ops.parallel(pool))
        assert eventually(lambda: any(worker.at_work() for worker in pool._supervisor.workers))
        [pid] = pool._supervisor.pids()
        touched = tmp_path / "done by the impatient"
        with pytest.raises(TimeoutError, match=r"no batch after 0.2 s"):
            next(iter([0] | ops.map(lambda n: touched.touch()) | ops.parallel(pool, timeout=0.2)))
        (tmp_path / "go").touch()
        assert list(patient) == [(0,), (1,)]
        assert list(range(3) | ops.map(abs) | ops.parallel(pool)) == [0, 1, 2]
        assert pool._supervisor.pids() == [pid]
        assert not touched.exists()


@pytest.mark.parametrize("processes", [1, 2])
def test_a_death_is_told_to_the_stream_whose_batch_it_was_and_to_no_other(processes, tmp_path):
    with work_pool.WorkerProcessPool(processes) as pool:
        wait = until(tmp_path / "go")
        deadly = iter(
            [0]
            | ops.map(wait)
            | ops.map(lambda n: os.kill(os.getpid(), signal.SIGKILL))
            | ops.parallel(pool)
        )
        assert eventually(lambda: any(worker.at_work() for worker in pool._supervisor.workers))
        others = [iter(range(40) | ops.map(abs) | ops.parallel(pool, 20)) for _ in range(4)]
        (tmp_path / "go").touch()
        assert [list(other) for other in others] == [list(range(40))] * 4
        with pytest.raises(WorkerDied, match=r"was killed by SIGKILL .* while it made this batch"):
            next(deadly)


def test_a_worker_that_is_killed_between_batches_is_logged(caplog):
    with work_pool.WorkerProcessPool(1) as pool:
        stream = range(40) | ops.map(abs) | ops.parallel(pool, 3)
        it = iter(stream)
        assert next(it) == 0
        assert eventually(lambda: not any(w.tasks for w in pool._supervisor.workers))
        [victim] = pool._supervisor.pids()
        with caplog.at_level(logging.WARNING, "batchup.work_pool"):
            os.kill(victim, signal.SIGKILL)
            assert list(it) == list(range(1, 40))
        [record] = caplog.records
        assert f"the worker process {victim} was killed by SIGKILL" in record.getMessage()
        assert "between two batches; another takes its place" in record.getMessage()


BROKEN_START = """
import sys
from batchup import ops, work_pool
with work_pool.WorkerProcessPool(1) as pool:
    list(range(3) | ops.map(abs) | ops.parallel(pool))  # whatever is imported late, is
sys.path[:] = [p for p in sys.path if "site-packages" not in p]
pool = work_pool.WorkerProcessPool(2)
try:
    list(range(3) | ops.map(abs) | ops.parallel(pool))
except work_pool.WorkerDied as error:
    print(error)
"""


def test_a_worker_that_dies_while_it_starts():
    with scripts.start(BROKEN_START) as process:
        out, err = process.communicate()
    assert "ended with exit code 1 while it started" in out
    assert "ModuleNotFoundError" in err


# --- a run that failed leaves its workers to the next


def test_all_workers_that_hang_at_a_run_that_timed_out_are_replaced():
    with work_pool.WorkerProcessPool(2) as pool:
        hang = range(6) | ops.map(lambda n: threading.Event().wait()) | ops.parallel(pool, timeout=0.3)
        with pytest.raises(TimeoutError):
            list(hang)
        assert list(range(6) | ops.map(abs) | ops.parallel(pool)) == list(range(6))


# --- what a system may refuse


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
        " by SIGKILL (signal 9) while it made this batch",
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


# --- time, and memory


@pytest.mark.parametrize("timeout", [np.inf, 1e10, 1e300, float(threading.TIMEOUT_MAX)])
@pytest.mark.parametrize("kind", [work_pool.WorkerThreadPool, work_pool.WorkerProcessPool])
def test_a_timeout_that_never_comes(kind, timeout):
    with kind(1) as pool:
        assert list(range(3) | ops.map(abs) | ops.parallel(pool, timeout=timeout)) == [0, 1, 2]
        with pytest.raises(ValueError, match="timeout: expected seconds > 0"):
            ops.parallel(pool, timeout=np.nan)


def mapped():
    """The bytes of results that this process has mapped."""
    total = 0
    for line in Path("/proc/self/maps").read_text().splitlines():
        if "memfd:batchup" in line:
            start, end = (int(at, 16) for at in line.split()[0].split("-"))
            total += (
                end - start if end - start > launch.PAGE else 0
            )  # where a worker says what it is at
    return total


@pytest.mark.filterwarnings("ignore:.*no room for a batch in shared memory")
def test_max_bytes_holds_also_when_workers_die_whose_batches_are_held():
    limit, size = 8 << 20, 1 << 20
    kept = []
    with work_pool.WorkerProcessPool(2, max_bytes=limit) as pool:
        list(range(9) | ops.map(abs) | ops.parallel(pool))
        for _ in range(5):
            for worker in list(pool._supervisor.workers):
                pid = worker.pid
                batches = (
                    range(8) | ops.map(lambda n: np.full(size - 4096, n, np.uint8)) | ops.parallel(pool)
                )
                kept += list(batches)
                assert mapped() <= limit
                os.kill(pid, signal.SIGKILL)
                assert eventually(lambda pid=pid: pid not in pool._supervisor.pids())
        for n, batch in enumerate(kept):
            assert (batch == n % 8).all()
        del kept, batch
        # And there is room again, for the new workers too.
        stream = (
            range(40) | ops.map(lambda n: np.full(size - 4096, n, np.uint8)) | ops.parallel(pool, 4)
        )
        for _ in range(3):
            list(map(len, stream))
        assert sum(worker.leases.size() for worker in pool._supervisor.workers) >= 4 * size


# --- arrays


def test_what_can_not_have_changed_is_copied_once(monkeypatch):
    from batchup import data_source
    from batchup.work_pool.processes import arrays

    copies = []
    segment = arrays.Segment

    def counted(size, key):
        copies.append(size)
        return segment(size, key)

    monkeypatch.setattr(arrays, "Segment", counted)

    def epochs(pool, array):
        copies.clear()
        for _ in range(3):
            stream = ops.indices(len(array)) | ops.chunk(500) | ops.gather(array) | ops.parallel(pool)
            for (a,), b in zip(stream, (array[:500], array[500:1000], array[1000:]), strict=True):
                np.testing.assert_array_equal(a, b)
            ds = pool.parallel_data_source(data_source.ArrayDataSource([array]))
            assert sum(len(a) for (a,) in ds.batch_iterator(700)) == len(array)
        return len(copies)

    with work_pool.WorkerProcessPool(2) as pool:
        mine = X.copy()
        assert epochs(pool, mine) == 6
        frozen = X.copy()
        frozen.flags.writeable = False
        assert epochs(pool, frozen) == 1
        assert epochs(pool, frozen) == 0
        view = mine[:]  # read-only, but of what can be written to
        view.flags.writeable = False
        assert epochs(pool, view) == 6
        assert epochs(pool, np.frombuffer(X.tobytes(), X.dtype).reshape(X.shape)) in (1, 6)
        frozen.flags.writeable = True
        frozen[:] = -1
        assert epochs(pool, frozen) == 6
        frozen.flags.writeable = False
        frozen.flags.writeable = True
        assert epochs(pool, work_pool.share(X)) == 0


def test_record_arrays_there_and_back():
    program = """
import numpy as np
from batchup import ops, work_pool
records = np.zeros(9, "f4,i8").view(np.recarray)
records.f1 = range(9)
chars = np.char.chararray(4)
chars[:] = b"x"

def fields(block):
    taken = records[block]
    return taken, type(taken) is np.recarray, np.ma.masked_array([1, 2], [0, 1]), chars

with work_pool.WorkerProcessPool(1) as pool:
    for batch, same, masked, text in ops.indices(9) | ops.chunk(4) | ops.map(fields) | ops.parallel(pool):
        assert same and type(batch) is np.recarray and batch.f1[0] in (0, 4, 8)
        assert type(masked) is np.ma.MaskedArray and type(text) is type(chars)
"""
    assert scripts.run(program) == ""


# --- what holds in the caller holds in workers


def test_settings_of_the_caller(tmp_path, monkeypatch):
    (tmp_path / "later_added.py").write_text("def double(n):\n    return 2 * n\n")
    with work_pool.WorkerProcessPool(1) as pool:
        assert list(range(3) | ops.map(abs) | ops.parallel(pool)) == [0, 1, 2]
        monkeypatch.syspath_prepend(tmp_path)  # after the worker has started
        import later_added

        assert list(range(3) | ops.map(later_added.double) | ops.parallel(pool)) == [0, 2, 4]

        def warn(n):
            import warnings

            warnings.warn("of mine", UserWarning, stacklevel=1)
            return logging.getLogger().level

        with pytest.raises(UserWarning, match="of mine"):  # as in this process, all are errors here
            list([1] | ops.map(warn) | ops.parallel(pool))
        level = logging.getLogger().level
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", "of .*ours", UserWarning)
            logging.getLogger().setLevel(17)
            try:
                assert list([1] | ops.map(warn) | ops.parallel(pool)) == [17]
            finally:
                logging.getLogger().setLevel(level)


def test_the_options_of_the_interpreter():
    program = """
import subprocess, sys
program = '''
from batchup import ops, work_pool
import sys
def options(n):
    return sys.flags.optimize, sys.flags.dont_write_bytecode, sys._xoptions, sys.warnoptions
with work_pool.WorkerProcessPool(1) as pool:
    [there] = [1] | ops.map(options) | ops.parallel(pool)
assert there == options(1), there
print(there)
'''
print(subprocess.run([sys.executable, "-OO", "-B", "-Xutf8", "-Wignore::UserWarning", "-X", "importtime=0", "-c", program], check=True, stdout=-1, text=True).stdout)
"""
    assert "(2, 1, {" in scripts.run(program.replace(', "-X", "importtime=0"', ""))


def test_a_module_that_workers_can_not_import_is_named():
    program = """
import sys, types
from batchup import ops, work_pool
import numpy as np

source = "def helper(n): return n"
from pathlib import Path
import tempfile
with tempfile.TemporaryDirectory() as folder:
    Path(folder, "vanished.py").write_text(source)
    sys.path.insert(0, folder)
    import vanished
    stream = range(3) | ops.map(abs) | ops.map(vanished.helper)
sys.path.remove(folder)
from concurrent.futures import ProcessPoolExecutor
import multiprocessing
with work_pool.WorkerProcessPool(1) as pool, ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as ex:
    for workers in (pool, work_pool.ExecutorPool(ex)):
        try:
            list(stream | ops.parallel(workers))
        except ModuleNotFoundError as error:
            print(error)
            assert error.name == "vanished"
"""
    first, second = scripts.run(program).splitlines()
    assert first == second
    assert (
        "'vanished', which the stage map(helper) needs, they can't: No module named 'vanished'" in first
    )
    assert "cloudpickle.register_pickle_by_value(vanished)" in first


def test_threads_of_blas_in_workers(monkeypatch):
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    for name in names:
        monkeypatch.delenv(name, raising=False)

    def there(**options):
        with work_pool.WorkerProcessPool(2, **options) as pool:
            [found] = (
                [0] | ops.map(lambda _: [os.environ.get(name) for name in names]) | ops.parallel(pool)
            )
        return found

    from batchup.memory.limits import available_cpus

    part = str(max(1, available_cpus() // 2))
    assert there() == [part] * 4
    monkeypatch.setenv("MKL_NUM_THREADS", "5")
    assert there() == [part, part, "5", part]
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    assert there() == ["3,2", "3", "5", "3"]
    assert there(threads_per_worker=7) == ["7"] * 4
    with pytest.raises(ValueError, match="threads_per_worker: expected a whole number >= 1; got 0"):
        work_pool.WorkerProcessPool(1, threads_per_worker=0)


def test_threads_of_torch_in_workers(monkeypatch):
    pytest.importorskip("torch", reason="PyTorch is not installed")

    def threads(_):
        import torch

        return torch.get_num_threads()

    with work_pool.WorkerProcessPool(1, threads_per_worker=1) as pool:
        assert list([0] | ops.map(threads) | ops.parallel(pool)) == [1]


# --- threads of this process


INTERRUPTED = """
import os, signal, sys, threading, time
from batchup import ops, work_pool

pool = work_pool.WorkerThreadPool(2)
stream = range(50) | ops.map(abs) | ops.parallel(pool, 8)
main = os.getpid()
over = threading.Event()

def interrupt():
    import random
    rng = random.Random(0)
    while not over.wait(rng.random() * 0.002):
        os.kill(main, signal.SIGINT)

interrupts = 0
thread = threading.Thread(target=interrupt)
thread.start()
while True:
    try:
        while interrupts < 600:
            for n in stream:
                pass
        break
    except KeyboardInterrupt:
        interrupts += 1
while True:
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        break
    except KeyboardInterrupt:
        pass
over.set()
thread.join()
assert list(stream) == list(range(50))
pool.close()
print("goes on")
"""


def test_a_thread_pool_survives_any_number_of_interrupts():
    with scripts.start(INTERRUPTED) as process:
        out, err = process.communicate(timeout=120)
    assert out == "goes on\n", err


def test_a_thread_pool_that_is_closed_early_says_so(tmp_path):
    pool = work_pool.WorkerThreadPool(1)
    it = iter(range(4) | ops.map(until(tmp_path / "go")) | ops.parallel(pool))
    closing = threading.Thread(target=pool.close)
    closing.start()
    assert eventually(lambda: pool.closed)
    (tmp_path / "go").touch()
    closing.join()
    with pytest.raises(RuntimeError, match="the pool was closed"):
        list(it)


AT_EXIT = """
import atexit
from batchup import ops, work_pool

def use():
    try:
        print(list(stream))
    except RuntimeError as error:
        print(error.args[0])

atexit.register(use)
pool = work_pool.WorkerThreadPool(1)
stream = range(3) | ops.map(abs) | ops.parallel(pool)
if early:
    atexit.register(use)
"""


def test_a_thread_pool_that_is_used_at_exit():
    assert scripts.run("early = True\n" + AT_EXIT).splitlines()[0] == "[0, 1, 2]"


# --- executors


def works_kept():
    from batchup.work_pool import remote

    return len(remote._works)


@pytest.fixture(scope="module")
def executor():
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
        executor.submit(abs, 1).result()  # it starts its worker when there is work
        yield executor


def test_workers_of_executors_give_works_up(executor):
    pool = work_pool.ExecutorPool(executor)
    for n in range(3):
        stream = range(4) | ops.map(partial(pow, n)) | ops.parallel(pool)
        assert list(stream) == [n**k for k in range(4)]
    assert executor.submit(works_kept).result() == 3
    del stream
    assert eventually(lambda: executor.submit(works_kept).result() == 0, 30)
