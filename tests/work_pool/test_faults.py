"""What goes wrong, in every pool, at every place, with any buffer: fault x pool x position x buffer."""

import multiprocessing
import os
import signal
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from itertools import product

import numpy as np
import pytest

from batchup import ops, work_pool
from batchup.work_pool import WorkerDied, WorkError
from tests.conftest import eventually

N = 9


class TwoArgumentsError(Exception):
    def __init__(self, what, where):
        super().__init__(f"{what} in {where}")


class NoTextError(Exception):
    def __str__(self):
        raise RuntimeError("not even that")


class KeepsALockError(Exception):
    def __init__(self):
        super().__init__("with a lock")
        self.lock = threading.Lock()


def _raise(error):
    raise error


class Array:
    """An array that can't be read at one place."""

    def __init__(self, bad):
        self.bad = bad

    def __len__(self):
        return N

    def __getitem__(self, block):
        if self.bad in block:
            raise OSError(f"sector {self.bad}")
        return np.array(block)


# What happens at the bad place, the exception, what it says. In threads, what is not raised is no fault.
ERRORS = {
    "an exception": (lambda: _raise(ValueError("bad data")), ValueError, "^bad data"),
    "a key error": (lambda: {}["label"], KeyError, "label"),
    "two arguments": (lambda: _raise(TwoArgumentsError("hole", "file")), TwoArgumentsError, "^hole in file"),
    "no text": (lambda: _raise(NoTextError()), NoTextError, ""),
    "a lock in it": (lambda: _raise(KeepsALockError()), KeepsALockError, "^with a lock"),
    "the end of an iterator": (lambda: next(iter(())), RuntimeError, "StopIteration"),
    "a timeout of its own": (lambda: _raise(TimeoutError("server")), TimeoutError, "^server"),
}
UNREBUILDABLE = {"two arguments": "TwoArgumentsError: hole in file", "a lock in it": "KeepsALockError: with a lock"}
UNSENDABLE = {
    "a generator": (lambda: (n for n in range(3)), "<generator>"),
    "a lock": (lambda: threading.Lock(), "<lock>"),
    "a part": (lambda: (1, threading.Lock()), "1 of it, <lock>"),
    "a field": (lambda: {"image": 1, "label": threading.Lock()}, "'label' of it, <lock>"),
}
DEATHS = {
    "SIGKILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "SIGTERM": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "exit code 0": lambda: os._exit(0),
    "exit code 3": lambda: os._exit(3),
}

POSITIONS = [0, 4, N - 1]
BUFFERS = [1, 3, 40]
PROCESSES = {"1 process": lambda: work_pool.WorkerProcessPool(1), "2 processes": lambda: work_pool.WorkerProcessPool(2)}
REMOTE = {
    **PROCESSES,
    "executor of processes": lambda: work_pool.ExecutorPool(
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
    ),
}
ALL = {"2 threads": lambda: work_pool.WorkerThreadPool(2), **REMOTE}


@pytest.fixture(scope="module")
def pools():
    made = {}

    def pool(name):
        return made[name]

    for name, make in ALL.items():
        made[name] = make()
        list(range(9) | ops.map(abs) | ops.parallel(made[name]))
    yield pool
    for made_pool in made.values():
        if isinstance(made_pool, work_pool.ExecutorPool):
            made_pool.executor.shutdown()
        made_pool.close()


def at(position, happens):
    """A function of blocks of two samples, where something happens at one of them."""
    return lambda block: happens() if block[0] == 2 * position else block[0]


def blocks(position, happens):
    return ops.indices(2 * N) | ops.chunk(2) | ops.map(at(position, happens))


def received(stream):
    """What came before the exception, and the exception."""
    items = []
    try:
        for item in stream:
            items.append(item)
    except Exception as error:
        return items, error
    return items, None


def check(stream, position, kind, says):
    items, error = received(stream)
    assert items == [2 * n for n in range(position)]
    assert type(error) is kind, error
    assert says in _text(error)
    note = error.__notes__[-1]
    assert f"at item {position} of indices" in note
    assert f"samples [{2 * position}, {2 * position + 1}]" in note
    assert f"stream[{position}] makes it again" in note
    return error


def _text(error):
    return "" if isinstance(error, NoTextError) else str(error)


def check_it_goes_on(pool):
    assert list(blocks(-1, None) | ops.parallel(pool)) == [2 * n for n in range(N)]
    if isinstance(pool, work_pool.WorkerProcessPool):
        assert eventually(lambda: is_complete(pool))


def is_complete(pool):
    """Whether it has all its workers, and they have started."""
    workers = list(pool._supervisor.workers)
    return len(workers) == pool.processes and all(worker.ready for worker in workers)


matrix = [(position, buffer) for position in POSITIONS for buffer in BUFFERS]


@pytest.mark.parametrize(("position", "buffer"), matrix)
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("fault", ERRORS)
def test_an_exception_comes_at_its_batch(pools, fault, name, position, buffer):
    happens, kind, says = ERRORS[fault]
    if name != "2 threads" and fault in UNREBUILDABLE:
        kind, says = WorkError, UNREBUILDABLE[fault]
    stream = blocks(position, happens) | ops.parallel(pools(name), buffer)
    error = check(stream, position, kind, says.lstrip("^"))
    first = error.__cause__ if kind is RuntimeError else error
    assert any("in the stage map(<lambda>)" in note for note in first.__notes__)
    if name != "2 threads":
        assert "test_faults.py" in str(first.__cause__)
    check_it_goes_on(pools(name))


@pytest.mark.parametrize("name", ALL)
def test_an_array_that_fails(pools, name):
    stream = ops.indices(N) | ops.chunk(2) | ops.gather(Array(5)) | ops.parallel(pools(name), 3)
    items, error = received(stream)
    assert len(items) == 2
    assert type(error) is OSError
    assert "sector 5" in str(error)
    assert "in the stage gather(<Array of 9>)" in error.__notes__[0]
    check_it_goes_on(pools(name))


@pytest.mark.parametrize(("position", "buffer"), matrix)
@pytest.mark.parametrize("name", REMOTE)
@pytest.mark.parametrize("fault", UNSENDABLE)
def test_a_result_that_cannot_be_pickled_is_named(pools, fault, name, position, buffer):
    happens, says = UNSENDABLE[fault]
    stream = blocks(position, happens) | ops.parallel(pools(name), buffer)
    check(stream, position, TypeError, f"expected a batch that can be pickled, to send it from a worker; {says}")
    check_it_goes_on(pools(name))


# The supervisor tells a signal from an exit. One of each is tried at all places, the other signal and code at one place.
DYING = [*product(["SIGKILL", "exit code 0"], POSITIONS, BUFFERS), *product(["SIGTERM", "exit code 3"], [4], [3])]


@pytest.mark.parametrize(("fault", "position", "buffer"), DYING)
@pytest.mark.parametrize("name", PROCESSES)
def test_a_worker_that_dies_at_work(pools, fault, name, position, buffer):
    stream = blocks(position, DEATHS[fault]) | ops.parallel(pools(name), buffer)
    error = check(stream, position, WorkerDied, fault)
    assert "while it made this batch" in str(error)
    check_it_goes_on(pools(name))


@pytest.mark.parametrize("name", ALL)
def test_sys_exit_ends_the_caller_as_it_would_without_a_pool(pools, name):
    with pytest.raises(SystemExit):
        list(blocks(3, lambda: sys.exit(3)) | ops.parallel(pools(name)))
    check_it_goes_on(pools(name))


def idle(pool):
    supervisor = pool._supervisor
    return not supervisor._inbox.tasks and not any(worker.tasks for worker in supervisor.workers)


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("buffer", [1, 3])
@pytest.mark.parametrize("name", PROCESSES)
def test_a_worker_that_is_killed_between_batches_is_replaced(pools, name, buffer, sign, caplog):
    pool = pools(name)
    it = iter(ops.indices(40) | ops.chunk(2) | ops.map(at(-1, None)) | ops.parallel(pool, buffer))
    assert next(it) == 0
    assert eventually(lambda: is_complete(pool) and idle(pool))
    victim = pool._supervisor.pids()[-1]
    os.kill(victim, sign)
    assert eventually(lambda: victim not in pool._supervisor.pids())
    assert list(it) == list(range(2, 40, 2))
    [record] = caplog.records
    assert f"process {victim} was killed by {sign.name} (signal {sign:d}) between two batches" in record.message
    assert record.name == "batchup.work_pool"
    check_it_goes_on(pool)


@pytest.mark.parametrize("name", PROCESSES)
def test_a_worker_that_is_killed_between_epochs_causes_no_error(pools, name):
    pool = pools(name)
    for victim in pool._supervisor.pids():
        os.kill(victim, signal.SIGKILL)
        assert eventually(lambda victim=victim: victim not in pool._supervisor.pids())
    check_it_goes_on(pool)


def test_a_worker_that_is_killed_from_outside_at_work(pools, tmp_path):
    pool = pools("2 processes")

    def wait_at_2(n):
        if n == 2:
            (tmp_path / "unfinished").write_text(str(os.getpid()))
            (tmp_path / "unfinished").rename(tmp_path / "pid")
            threading.Event().wait()
        return os.getpid()

    it = iter(range(6) | ops.map(wait_at_2) | ops.parallel(pool, 4))
    others = {next(it), next(it)}
    assert others <= set(pool._supervisor.pids())
    assert eventually((tmp_path / "pid").exists)
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    with pytest.raises(WorkerDied, match=r"SIGKILL .* while it made this batch"):
        list(it)
    check_it_goes_on(pool)


@pytest.mark.parametrize("name", ["2 threads", *PROCESSES])
@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("buffer", [1, 3])
def test_a_timeout_names_the_batch(pools, name, position, buffer):
    gate = threading.Event()
    if name == "2 threads":
        happens = gate.wait
    else:

        def happens():
            threading.Event().wait()

    before = set() if name == "2 threads" else set(pools(name)._supervisor.pids())
    stream = blocks(position, happens) | ops.parallel(pools(name), buffer, timeout=0.3)
    assert "timeout=0.3" in repr(stream)
    try:
        check(stream, position, TimeoutError, "no batch within the timeout of 0.3 s")
    finally:
        gate.set()
    if before:  # only the one that was stuck is replaced
        assert eventually(lambda: len(before - set(pools(name)._supervisor.pids())) == 1)
    check_it_goes_on(pools(name))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("buffer", BUFFERS)
def test_an_exception_of_the_plan_comes_at_its_place(pools, name, position, buffer):
    class Blocks:
        def __iter__(self):
            yield from range(position)
            raise OSError("no more blocks")

    items, error = received(Blocks() | ops.map(abs) | ops.parallel(pools(name), buffer))
    assert items == list(range(position))
    assert type(error) is OSError
    check_it_goes_on(pools(name))


@pytest.mark.parametrize("name", REMOTE)
def test_an_item_that_cannot_be_pickled_comes_at_its_place(pools, name):
    items, error = received([1, 2, threading.Lock()] | ops.map(id) | ops.parallel(pools(name)))
    assert len(items) == 2
    assert type(error) is TypeError
    assert "expected an item that can be pickled" in str(error)
    assert "<lock>" in str(error)
    check_it_goes_on(pools(name))


class GoneError(Exception):
    pass


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("buffer", BUFFERS)
@pytest.mark.parametrize("how", ["break", "raise", "drop", "close", "never started"])
def test_a_caller_that_goes_away(pools, how, name, position, buffer):
    stream = blocks(-1, None) | ops.parallel(pools(name), buffer)
    if how == "break":
        for n, _ in enumerate(stream):
            if n == position:
                break
    elif how == "raise":
        with pytest.raises(GoneError):
            for n, _ in enumerate(stream):
                if n == position:
                    raise GoneError
    else:
        it = iter(stream)
        if how != "never started":
            for _ in range(position):
                next(it)
        if how == "close":
            it.close()
            assert list(it) == []
        del it
    if name in PROCESSES:
        assert not pools(name)._supervisor.runs
    check_it_goes_on(pools(name))


def test_what_was_not_begun_is_not_done_when_the_caller_goes(pools):
    calls = []
    gate = threading.Event()

    def count(n):
        calls.append(n)
        gate.wait()

    it = iter(range(100) | ops.map(count) | ops.parallel(pools("2 threads"), 50))
    assert eventually(lambda: len(calls) == 2)
    del it
    gate.set()
    check_it_goes_on(pools("2 threads"))
    assert sorted(calls) == [0, 1]


# --- when the pool is given the work


@pytest.mark.parametrize("name", REMOTE)
def test_work_that_cannot_be_pickled_is_named_at_once(pools, name):
    lock = threading.Lock()

    def locked(block):
        with lock:
            return block

    good = ops.indices(4) | ops.chunk(2)
    bad = good | ops.map(abs) | ops.map(locked)
    wanted = r"expected work that can be pickled.* the stage map\(locked\) can't be: .*lock"
    with pytest.raises(TypeError, match=wanted):
        bad | ops.parallel(pools(name))
    with pytest.raises(TypeError, match=wanted):
        ops.zip(good, ops.choose(good, bad)) | ops.parallel(pools(name))
    with pytest.raises(TypeError, match=r"the stage gather\(<Locked of 4>\)"):
        good | ops.gather(Locked()) | ops.parallel(pools(name))


class Locked:
    def __init__(self):
        self.lock = threading.Lock()

    def __len__(self):
        return 4

    def __getitem__(self, block):
        return block


def test_in_threads_nothing_need_be_picklable(pools):
    stream = ops.indices(4) | ops.chunk(2) | ops.gather(Locked()) | ops.parallel(pools("2 threads"))
    assert len(list(stream)) == 2


@pytest.mark.parametrize("name", ["2 threads", *PROCESSES])
def test_a_closed_pool_says_so(name):
    pool = ALL[name]()
    stream = blocks(-1, None) | ops.parallel(pool, 2)
    it = iter(stream)
    next(it)
    pool.close()
    pool.close()
    items, error = received(it)
    assert type(error) is RuntimeError
    assert str(error) in ("the pool was closed", "expected an open pool to iterate; this one is closed")
    assert len(items) < N
    with pytest.raises(RuntimeError, match="expected an open pool to iterate; this one is closed"):
        list(stream)


def test_arguments_are_checked_when_the_stage_is_built(pools):
    pool = pools("2 threads")
    with pytest.raises(TypeError, match=r"parallel\(pool\): expected a pool.*ExecutorPool\(executor\)"):
        ops.parallel(3)
    with pytest.raises(TypeError, match="ExecutorPool"):
        ops.parallel(pools("executor of processes").executor)
    with pytest.raises(ValueError, match="parallel: buffer: expected a whole number >= 1; got 0"):
        ops.parallel(pool, buffer=0)
    for timeout in (0, -1.5):
        with pytest.raises(ValueError, match="parallel: timeout: expected seconds > 0"):
            ops.parallel(pool, timeout=timeout)
    with pytest.raises(TypeError, match="Put parallel last"):
        ops.indices(5) | ops.parallel(pool) | ops.chunk(2)
    for kind in (work_pool.WorkerThreadPool, work_pool.WorkerProcessPool):
        with pytest.raises(ValueError, match="processes: expected a whole number >= 1; got 0"):
            kind(0)
    with pytest.raises(ValueError, match="max_bytes"):
        work_pool.WorkerProcessPool(1, max_bytes=-1)
    with pytest.raises(TypeError, match=r"ExecutorPool: expected a concurrent.futures.Executor"):
        work_pool.ExecutorPool(pool)
