"""The pool never waits for a worker, tells the right one of a death, and does without what is refused."""

import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from batchup import ops, work_pool
from batchup.work_pool import WorkerDied
from batchup.work_pool.processes import launch
from tests.conftest import eventually
from tests.work_pool import scripts
from tests.work_pool.test_work import check_changes_are_seen

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


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_idle_workers_end_at_once_though_a_fork_holds_their_sockets():
    pool = work_pool.WorkerProcessPool(2)
    list(range(9) | ops.map(abs) | ops.parallel(pool))
    assert eventually(lambda: [worker.ready for worker in pool._supervisor.workers] == [True, True])
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    workers = list(pool._supervisor.workers)
    pool.close()
    assert [worker.process.returncode for worker in workers] == [0, 0]  # they were not killed
    os.close(write)
    os.close(read)
    os.waitpid(pid, 0)


# --- who hears of what


def test_a_timeout_takes_its_batch_out_of_the_hand_of_a_worker_at_anothers(tmp_path):
    wait = until(tmp_path / "go")
    with work_pool.WorkerProcessPool(1) as pool:
        patient = iter(range(2) | ops.map(wait) | ops.parallel(pool))
        assert eventually(lambda: any(worker.at_work() for worker in pool._supervisor.workers))
        [pid] = pool._supervisor.pids()
        touched = tmp_path / "done by the impatient"
        with pytest.raises(TimeoutError, match=r"no batch within the timeout of 0.2 s"):
            next(iter([0] | ops.map(lambda n: touched.touch()) | ops.parallel(pool, timeout=0.2)))
        inbox = pool._supervisor._inbox
        assert eventually(lambda: inbox.asleep and not inbox.ended)  # the worker has been told
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
            [0] | ops.map(wait) | ops.map(lambda n: os.kill(os.getpid(), signal.SIGKILL)) | ops.parallel(pool)
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


def test_what_a_worker_has_in_hand_is_not_done_when_the_caller_goes(tmp_path):
    wait = until(tmp_path / "go")

    def note(n):
        (tmp_path / f"done {n}").touch()
        wait()

    with work_pool.WorkerProcessPool(1) as pool:
        it = iter(range(100) | ops.map(note) | ops.parallel(pool, 50))
        workers = pool._supervisor.workers
        assert eventually(lambda: [len(worker.tasks) for worker in workers if worker.at_work()] == [2])
        it.close()
        inbox = pool._supervisor._inbox
        assert eventually(lambda: inbox.asleep and not inbox.ended)  # the worker has been told
        (tmp_path / "go").touch()
        assert list(range(3) | ops.map(abs) | ops.parallel(pool)) == [0, 1, 2]
        assert [path.name for path in tmp_path.glob("done *")] == ["done 0"]


# --- a run that failed leaves its workers to the next


@pytest.mark.parametrize("timeout", [0.001, 0.05, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5])
def test_all_workers_that_hang_at_a_run_that_timed_out_are_replaced(timeout):
    """Whether they had begun it when the time was over, or were just about to."""
    with work_pool.WorkerProcessPool(2) as pool:
        hang = range(6) | ops.map(lambda n: threading.Event().wait()) | ops.parallel(pool, 6, timeout)
        with pytest.raises(TimeoutError):
            list(hang)
        assert list(range(6) | ops.map(abs) | ops.parallel(pool)) == list(range(6))


def test_a_batch_that_hangs_after_its_run_was_broken_off_has_its_timeout_and_no_more(tmp_path):
    def hang(n):
        (tmp_path / "hangs").touch()
        threading.Event().wait()

    with work_pool.WorkerProcessPool(1) as pool:
        run = iter(range(6) | ops.map(hang) | ops.parallel(pool, 6, timeout=0.5))
        assert eventually((tmp_path / "hangs").exists)
        run.close()
        assert list(range(6) | ops.map(abs) | ops.parallel(pool, timeout=60)) == list(range(6))


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
            total += end - start if end - start > launch.PAGE else 0  # where a worker says what it is at
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
                batches = range(8) | ops.map(lambda n: np.full(size - 4096, n, np.uint8)) | ops.parallel(pool)
                kept += list(batches)
                assert mapped() <= limit
                os.kill(pid, signal.SIGKILL)
                assert eventually(lambda pid=pid: pid not in pool._supervisor.pids())
        for n, batch in enumerate(kept):
            assert (batch == n % 8).all()
        del kept, batch
        # And there is room again, for the new workers too.
        stream = range(40) | ops.map(lambda n: np.full(size - 4096, n, np.uint8)) | ops.parallel(pool, 4)
        for _ in range(3):
            list(map(len, stream))
        assert sum(worker.leases.size() for worker in pool._supervisor.workers) >= 4 * size


# --- threads of this process


INTERRUPTED = """
import os, random, signal, threading
from batchup import ops, work_pool

pool = work_pool.WorkerThreadPool(2)
stream = range(400) | ops.map(abs) | ops.parallel(pool, 400)  # most of the time something is handed over
main = os.getpid()
over = threading.Event()
armed = False

def on_ctrl_c(*args):  # once, in whatever line of the loop
    global armed
    if armed:
        armed = False
        raise KeyboardInterrupt

def interrupt():
    rng = random.Random(0)
    while not over.wait(rng.random() * 0.003):
        os.kill(main, signal.SIGINT)

signal.signal(signal.SIGINT, on_ctrl_c)
thread = threading.Thread(target=interrupt)
thread.start()
interrupts = 0
while interrupts < 600:
    try:
        armed = True
        for n in stream:
            pass
        armed = False
    except KeyboardInterrupt:
        interrupts += 1
over.set()
thread.join()
assert list(stream) == list(range(400))
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


@pytest.mark.parametrize("n", [6, 200_000])
def test_what_was_changed_before_an_iteration_begins_is_seen_by_it(executor, n):
    check_changes_are_seen(work_pool.ExecutorPool(executor), n)


def test_changes_during_an_iteration_over_an_executor_do_not_reach_its_workers(executor):
    array = X.copy()
    stream = ops.indices(len(X)) | ops.chunk(500) | ops.gather(array)
    items = iter(stream | ops.parallel(work_pool.ExecutorPool(executor), 2))
    array[:] = -1
    for k, (batch,) in enumerate(items):
        np.testing.assert_array_equal(batch, X[500 * k : 500 * (k + 1)])


# --- work that forks, that uses its own pool, and that is stuck

FORKING = """
import os, sys
from batchup import ops, work_pool

def work(n):
    child = os.fork()
    if child == 0:
        if n % 4 == 0:
            sys.exit(n)
        if n % 4 == 1:
            os.execvp("there-is-no-such-program", ["x"])
        if n % 4 == 2:
            raise SystemExit("a text")
        return n
    _, status = os.waitpid(child, 0)
    return n, os.waitstatus_to_exitcode(status)

if __name__ == "__main__":
    with {pool} as pool:
        for _ in range(2):
            print(list(range(8) | ops.map(work) | ops.parallel(pool)))
    {end}
"""


@pytest.mark.parametrize(
    ("pool", "end"),
    [
        ("work_pool.WorkerProcessPool(2)", ""),
        ("work_pool.WorkerThreadPool(2)", ""),
        (
            "work_pool.ExecutorPool(__import__('concurrent.futures').futures.ProcessPoolExecutor(1))",
            "pool.executor.shutdown()",
        ),
    ],
)
def test_a_fork_in_a_worker_never_runs_the_loop_of_the_worker(pool, end):
    """Whether it leaves the function by an exception or a result, the batch is the parent's."""
    with scripts.start(FORKING.format(pool=pool, end=end), warnings="ignore") as process:
        out, err = process.communicate()
    assert process.returncode == 0, err
    statuses = [(n, {0: n, 1: 1, 2: 1, 3: 0}[n % 4]) for n in range(8)]
    assert out.splitlines() == [str(statuses)] * 2
    assert err.count("FileNotFoundError") == err.count("a text") == 4


@pytest.mark.parametrize("kind", ["threads", "executor", "split"])
def test_work_that_uses_its_own_pool_is_done_where_it_is(kind):
    """By two threads, that would both wait for a third."""
    executor = ThreadPoolExecutor(2)
    pool = work_pool.ExecutorPool(executor) if kind == "executor" else work_pool.WorkerThreadPool(2)

    def inner(n):
        blocks = ops.indices(4) | ops.chunk(2) | ops.map(lambda block: int(block.sum()) * n)
        with contextlib.suppress(StopIteration):
            return sum(blocks | ops.parallel(pool)), list(pool.work_stream([(pow, (n, 2))]).retrieve_iter())

    class Dataset:
        def __len__(self):
            return 4

        def __getitem__(self, n):
            return inner(n)[0]

    with pool, executor:
        if kind == "split":
            stream = ops.indices(4) | ops.samples(Dataset()) | ops.parallel(pool, split=True)
            assert [batch.tolist() for batch in stream] == [[0, 6, 12, 18]]
        else:
            assert list(range(4) | ops.map(inner) | ops.parallel(pool, timeout=60)) == [
                (6 * n, [n * n]) for n in range(4)
            ]
        with pytest.raises(ZeroDivisionError):
            list(
                [0] | ops.map(lambda _: list([0] | ops.map(lambda n: 1 / n) | ops.parallel(pool))) | ops.parallel(pool)
            )


STUCK = """
import threading
from batchup import ops, work_pool

for split in (False, True):
    with work_pool.WorkerThreadPool(2) as pool:
        dataset = list(range(4)) if not split else type("Dataset", (), {
            "__len__": lambda self: 4, "__getitem__": lambda self, i: threading.Event().wait()})()
        blocks = ops.indices(4) | ops.chunk(2)
        work = ops.samples(dataset) if split else ops.map(lambda block: threading.Event().wait())
        try:
            list(blocks | work | ops.parallel(pool, timeout=0.1, split=split))
        except TimeoutError as error:
            print(error, flush=True)
    print("closed", flush=True)
"""


def test_a_thread_pool_with_threads_that_are_stuck_after_a_timeout_closes():
    out = scripts.run(STUCK)
    assert out.splitlines() == ["no batch within the timeout of 0.1 s", "closed"] * 2


def test_a_thread_pool_waits_for_work_that_has_not_timed_out(tmp_path):
    done = []

    def work(n):
        until(tmp_path / "go")()
        done.append(n)

    pool = work_pool.WorkerThreadPool(1)
    items = iter(range(2) | ops.map(work) | ops.parallel(pool, timeout=100))
    items.close()
    closing = threading.Thread(target=pool.close)
    closing.start()
    (tmp_path / "go").touch()
    closing.join()
    assert len(done) <= 1
    assert not pool._threads[0].is_alive()
