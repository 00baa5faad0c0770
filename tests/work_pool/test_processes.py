"""The life of worker processes, and the memory that they share with the caller."""

import gc
import os
import signal
import threading
import time
from dataclasses import dataclass

import numpy as np
import pytest

from batchup import data_source, ops, work_pool
from tests.conftest import children, eventually, named_memory
from tests.work_pool import scripts

X = np.arange(1_200_000, dtype=np.float32).reshape(3000, 400)  # 4.8 MB: through shared memory
BATCH = 64 * X.nbytes // len(X)


@pytest.fixture(scope="module")
def pool():
    with work_pool.WorkerProcessPool(2) as pool:
        list(range(9) | ops.map(abs) | ops.parallel(pool))
        assert eventually(lambda: all(worker.ready for worker in pool._supervisor.workers))
        yield pool


def batches():
    return ops.indices(len(X)) | ops.shuffle(3) | ops.chunk(64) | ops.gather(X)


def slabs(pool):
    return sum(len(slab) for worker in pool._supervisor.workers for slab in worker.leases._slabs.values())


# --- results


def test_the_list_of_all_batches_is_right(pool):
    serial, parallel = list(batches()), list(batches() | ops.parallel(pool))
    assert len(parallel) == 47
    for (a,), (b,) in zip(serial, parallel, strict=True):
        np.testing.assert_array_equal(a, b)


def test_writing_into_results_changes_nothing_else(pool):
    untouched = X.copy()
    kept = []
    for (batch,) in batches() | ops.parallel(pool, 4):
        assert batch.flags.writeable
        kept.append((batch, batch.copy()))
        if len(kept) % 2:
            batch[...] = -1
            kept[-1][1][...] = -1
    for batch, copy in kept:
        np.testing.assert_array_equal(batch, copy)
    np.testing.assert_array_equal(X, untouched)
    for (a,), (b,) in zip(batches(), batches() | ops.parallel(pool), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_slab_is_used_again_when_the_last_view_is_gone():
    with work_pool.WorkerProcessPool(1) as pool:
        for _ in batches() | ops.parallel(pool, 2):
            pass
        # One is being filled, two are ahead, one the caller has; and one more may be on its way back.
        few = slabs(pool)
        assert few <= 5 * (BATCH + 65536)
        for _ in range(3):
            for _ in batches() | ops.parallel(pool, 2):
                pass
        assert slabs(pool) <= few + BATCH + 65536
        parts = [batch[3:5, ::7] for (batch,) in batches() | ops.parallel(pool, 2)]  # a view of a view
        assert slabs(pool) >= len(parts) * BATCH
        for (batch,), part in zip(batches(), parts, strict=True):
            np.testing.assert_array_equal(batch[3:5, ::7], part)


def test_batches_outlive_the_pool():
    with work_pool.WorkerProcessPool(2) as pool:
        kept = list(batches() | ops.parallel(pool))
    for (a,), (b,) in zip(batches(), kept, strict=True):
        np.testing.assert_array_equal(a, b)


@dataclass
class Labelled:
    image: np.ndarray
    label: dict


def test_results_of_any_structure(pool):
    structured = np.dtype([("x", "f4", 3), ("y", "i8")])

    @dataclass
    class Local:  # workers know it only by what they are sent
        image: np.ndarray

    def make(n):
        big = np.full((300, 400), n, np.float32)
        return Labelled(big, {"f": np.asfortranarray(big), "empty": np.empty((0, 3)), "n": n}), [
            np.full(9000, n, structured),
            (big[::2, ::3], big.T, "text", None, big.astype(object)[:1]),
            Local(big),
            np.datetime64("2020-01-01") + np.arange(3),
        ]

    for n, (labelled, (records, views, local, dates)) in enumerate(range(5) | ops.map(make) | ops.parallel(pool, 2)):
        assert isinstance(labelled, Labelled)
        assert (labelled.image == n).all()
        assert labelled.label["f"].flags.f_contiguous
        assert labelled.label["empty"].shape == (0, 3)
        assert records.dtype == structured
        assert (records["y"] == n).all()
        assert views[0].shape == (150, 134)
        assert views[1].shape == (400, 300)
        assert views[2:4] == ("text", None)
        assert (views[4] == n).all()
        assert type(local) is Local
        assert (local.image == n).all()
        assert dates.dtype.kind == "M"


def test_memory_stays_under_the_limit_and_the_rest_goes_through_the_pipe():
    limit = 6 * (BATCH + 65536)
    with work_pool.WorkerProcessPool(2, max_bytes=limit) as pool:
        with pytest.warns(RuntimeWarning, match="no room for a batch in shared memory"):
            kept = list(batches() | ops.parallel(pool, 8))
        for _ in range(2):  # and there is room
            assert slabs(pool) <= limit
            for (a,), (b,) in zip(batches(), kept, strict=True):
                np.testing.assert_array_equal(a, b)
                assert b.flags.writeable
            kept = list(batches() | ops.parallel(pool, 8))
        del kept, a, b
        for _ in batches() | ops.parallel(pool, 1):  # there is room again, and there is room
            assert slabs(pool) <= limit


def test_batches_in_shared_memory_take_no_open_files(pool):
    before = len(os.listdir("/proc/self/fd"))
    kept = list(batches() | ops.parallel(pool))
    assert len(os.listdir("/proc/self/fd")) <= before + 2
    assert slabs(pool) >= len(kept) * BATCH


def test_a_larger_batch_makes_room_of_slabs_that_are_too_small():
    with work_pool.WorkerProcessPool(1, max_bytes=5 << 20) as pool:
        sizes = [100_000] * 6 + [400_000] + [100_000] * 3
        for n, batch in zip(sizes, sizes | ops.map(np.zeros) | ops.parallel(pool, 1), strict=True):
            assert batch.shape == (n,)
            assert batch.nbytes <= slabs(pool) <= 5 << 20


def test_no_shared_memory_file_has_a_name(pool):
    before = named_memory()
    it = iter(batches() | ops.parallel(pool, 4))
    kept = [next(it) for _ in range(3)]
    assert named_memory() == before
    assert len(kept) == 3


# --- the work


def test_the_work_reaches_each_worker_once(pool):
    class Counted:
        """Counts how often it is unpickled, in each process."""

        def __init__(self):
            self.here = 0

        def __setstate__(self, state):
            self.here = state["here"] + 1

        def __call__(self, n):
            return os.getpid(), self.here, id(self)

    stream = range(40) | ops.map(Counted()) | ops.parallel(pool, 4)
    seen = set(stream) | set(stream)
    assert {here for _, here, _ in seen} == {1}
    assert len(seen) == len({pid for pid, _, _ in seen}) <= 2


def test_arrays_are_shared_and_what_a_worker_writes_is_its_own(pool):
    big = np.zeros(1_000_000)

    def write(n):
        big[n] += 1
        return big[: n + 1].sum()

    list(range(10) | ops.map(write) | ops.parallel(pool))
    assert not big.any()
    shared = work_pool.share(big)

    def read(n):
        return float(shared[n])

    stream = range(3) | ops.map(read) | ops.parallel(pool)
    assert list(stream) == [0, 0, 0]
    shared[:3] = 7, 8, 9  # of a shared array there is only the one
    assert list(stream) == [7, 8, 9]


def test_views_of_shared_and_mapped_arrays(pool, tmp_path):
    np.save(tmp_path / "X.npy", X)
    for array in (
        np.load(tmp_path / "X.npy", mmap_mode="r"),
        np.load(tmp_path / "X.npy", mmap_mode="r+"),
        np.load(tmp_path / "X.npy", mmap_mode="c"),
        work_pool.share(X),
        X,
        np.asfortranarray(X),
    ):
        for view in (array, array[100:], array[::2, 5:300], array.T, array[::-1], array[:, None]):
            stream = ops.indices(50) | ops.chunk(20) | ops.gather(view)
            for (a,), (b,) in zip(stream, stream | ops.parallel(pool), strict=True):
                np.testing.assert_array_equal(a, b)


def test_a_changed_map_of_a_file_is_sent_as_it_is(pool, tmp_path):
    np.save(tmp_path / "X.npy", X)
    mine = np.load(tmp_path / "X.npy", mmap_mode="c")
    mine[:4] = -1
    [(batch,)] = ops.indices(4) | ops.gather(mine) | ops.parallel(pool)
    assert (batch == -1).all()
    gone = np.load(tmp_path / "X.npy", mmap_mode="r")
    (tmp_path / "X.npy").unlink()
    [(batch,)] = ops.indices(4) | ops.gather(gone) | ops.parallel(pool)
    np.testing.assert_array_equal(batch, X[:4])


def test_share_copies_any_array_and_refuses_what_is_none():
    for array in (X, X.T, X[::3], np.zeros((0, 3)), np.array(3.0), np.zeros(4, "i4,f8")):
        shared = work_pool.share(array)
        np.testing.assert_array_equal(shared, array)
        assert shared.dtype == array.dtype
    for wrong in ([1, 2], np.array([object()]), None):
        with pytest.raises(TypeError, match="share: expected a NumPy array"):
            work_pool.share(wrong)
    with pytest.raises(MemoryError, match="expected room for <1000000x1000000 uint8>"):
        work_pool.share(np.broadcast_to(np.uint8(0), (10**6, 10**6)))


FAMILY = """
import gc, os, sys
from pathlib import Path
import numpy as np
from batchup import ops, work_pool

def pss():
    found = 0
    for pid in [os.getpid(), *pool._supervisor.pids()]:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        found += int(next(l for l in rollup.splitlines() if l.startswith("Pss:")).split()[1])
    return found / 1024

kind, path = sys.argv[1:]
n = 2**20
if kind == "shared":
    X = work_pool.share(np.broadcast_to(np.uint8(1), (n, 1024)))
else:
    X = np.lib.format.open_memmap(path, "w+", np.uint8, (n, 1024))
    X[:] = 1
with work_pool.WorkerProcessPool(2) as pool:
    total = 0
    for block, _ in ops.indices(n) | ops.chunk(4096) | ops.gather(X, include_indices=True) | ops.parallel(pool):
        total += len(block)
        if total == n:  # all has been read, and nothing let go of yet
            print(pss())
"""


@pytest.mark.parametrize("kind", ["shared", "mapped"])
def test_one_copy_of_a_1_gb_array_for_all(kind, tmp_path):
    megabytes = float(scripts.run(FAMILY, kind, tmp_path / "X.npy"))
    assert megabytes < (1.2e9 + 3 * 100e6) / 2**20


# --- life and death


def test_it_reads_as_it_is_written(pool):
    assert repr(pool) == "WorkerProcessPool(processes=2)"
    assert repr([1, 2] | ops.map(abs) | ops.parallel(pool, timeout=2)).endswith(
        " | map(abs) | parallel(WorkerProcessPool(processes=2), buffer=32, timeout=2)"
    )
    assert work_pool.WorkerThreadPool().processes == len(os.sched_getaffinity(0))


def test_the_next_epoch_has_the_same_workers(pool):
    stream = range(20) | ops.map(lambda n: os.getpid()) | ops.parallel(pool)
    assert set(stream) | set(stream) <= set(pool._supervisor.pids())


def test_the_buffer_fills_at_iter_and_no_further():
    calls = []
    with work_pool.WorkerThreadPool(2) as pool:
        it = iter(range(50) | ops.map(calls.append) | ops.parallel(pool, 6))
        assert eventually(lambda: len(calls) == 6)
        for n in range(1, 4):
            next(it)
            assert eventually(lambda n=n: len(calls) == 6 + n)


@pytest.mark.parametrize("buffer", [1, 2, 7])
def test_the_plan_is_never_further_than_the_buffer(pool, buffer):
    planned = []

    class Blocks:
        def __iter__(self):
            for n in range(30):
                planned.append(n)
                yield n

    stream = Blocks() | ops.map(abs) | ops.parallel(pool, buffer)
    for received, _ in enumerate(stream, 1):
        assert len(planned) <= received + buffer


def test_streams_in_several_threads_at_once(pool):
    results = {}

    def consume(name):
        stream = ops.indices(200) | ops.shuffle(name) | ops.chunk(3) | ops.gather(X) | ops.parallel(pool, 5)
        results[name] = [batch.sum() for (batch,) in stream]

    threads = [threading.Thread(target=consume, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, sums in results.items():
        stream = ops.indices(200) | ops.shuffle(name) | ops.chunk(3) | ops.gather(X)
        assert sums == [batch.sum() for (batch,) in stream]


def test_a_pool_made_in_a_thread_that_ends_lives_on():
    made = []
    thread = threading.Thread(target=lambda: made.append(work_pool.WorkerProcessPool(1)))
    thread.start()
    thread.join()
    assert list(range(5) | ops.map(abs) | ops.parallel(made[0])) == [0, 1, 2, 3, 4]
    made[0].close()


@pytest.mark.parametrize("started", [False, True])
def test_a_pool_that_is_dropped_takes_everything_with_it(started):
    before = children()
    pool = work_pool.WorkerProcessPool(2)
    if started:
        it = iter(batches() | ops.parallel(pool))
        next(it)
        del it
    del pool
    assert eventually(lambda: children() == before)


def test_a_stream_keeps_its_pool():
    stream = range(5) | ops.map(abs) | ops.parallel(work_pool.WorkerProcessPool(1))
    gc.collect()
    assert list(stream) == [0, 1, 2, 3, 4]


def test_close_does_not_wait_for_work_that_is_stuck():
    pool = work_pool.WorkerProcessPool(2)
    it = iter([0] | ops.map(lambda n: threading.Event().wait()) | ops.parallel(pool))
    assert eventually(lambda: any(worker.tasks for worker in pool._supervisor.workers))
    start = time.monotonic()
    pool.close()
    assert time.monotonic() - start < 5
    with pytest.raises(RuntimeError, match="the pool was closed"):
        next(it)


BUSY = """
import sys, time
from batchup import ops, work_pool
import numpy as np

how = sys.argv[1]

def work(n):
    if n > 3:
        if how == "sleeps":
            time.sleep(60)
        elif how == "holds the lock":
            sum(range(10**10))  # one call into C, which no other thread interrupts
    return np.zeros(100_000)

pool = work_pool.WorkerProcessPool(2)
stream = range(9999) | ops.map(work) | ops.parallel(pool, 8)
for n, _ in enumerate(stream):
    if n == 3:
        print(*pool._supervisor.pids(), flush=True)
    if n == 3 and how == "is idle":
        time.sleep(60)
"""


@pytest.mark.parametrize("how", ["sleeps", "holds the lock", "is idle", "streams"])
def test_when_the_main_process_is_killed_its_workers_end(how):
    before = named_memory()
    with scripts.start(BUSY, how) as process:
        pids = [int(pid) for pid in process.stdout.readline().split()]
        assert len(pids) == 2
        process.kill()
    assert eventually(lambda: all(map(scripts.is_gone, pids)))
    assert named_memory() == before


@pytest.mark.parametrize("how", ["sleeps", "is idle", "streams"])
def test_ctrl_c(how):
    with scripts.start(BUSY, how) as process:
        pids = [int(pid) for pid in process.stdout.readline().split()]
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
        _, err = process.communicate()
    assert process.returncode == -signal.SIGINT
    assert err.count("Traceback") == err.count("KeyboardInterrupt") == 1, err
    assert eventually(lambda: all(map(scripts.is_gone, pids)))


UNTIDY = """
import sys
from batchup import ops, work_pool

class Doubled:  # of __main__, which the workers don't have
    def __init__(self, n):
        self.n = n
    def __call__(self, n):
        return Doubled(self.n * n)

pool = work_pool.WorkerProcessPool(2)
it = iter(range(100) | ops.map(Doubled(2)) | ops.parallel(pool, 8))
assert [next(it).n for _ in range(3)] == [0, 2, 4]
assert type(next(it)) is Doubled
print(*pool._supervisor.pids())
"""


def test_a_script_that_ends_without_closing_anything():
    pids = [int(pid) for pid in scripts.run(UNTIDY).split()]
    assert len(pids) == 2
    assert eventually(lambda: all(map(scripts.is_gone, pids)))


LIGHT = """
import sys
import batchup
from batchup import work_pool
pool = work_pool.WorkerThreadPool(2)
heavy = {"cloudpickle", "multiprocessing", "dask", "distributed", "ray"}
print(*sorted(heavy & set(sys.modules)))
"""


def test_what_is_not_used_is_not_imported():
    assert scripts.run(LIGHT).split() == []


def test_a_fork_of_the_program_leaves_the_workers_alone():
    with work_pool.WorkerProcessPool(1) as pool:
        stream = range(5) | ops.map(abs) | ops.parallel(pool)
        assert list(stream) == [0, 1, 2, 3, 4]
        assert len(pool._supervisor.pids()) == 1
        pool._supervisor._owner = -1  # as it is in a fork
        pool._supervisor.close()
        assert list(stream) == [0, 1, 2, 3, 4]
        pool._supervisor._owner = os.getpid()


# --- presets


class Squares(data_source.AbstractDataSource):
    """A user's own, with random access, that only promises what the base class asks for."""

    is_random_access = True

    def num_samples(self, **kwargs):
        return 10

    def batch_iterator(self, batch_size, shuffle=None, **kwargs):
        return (self.samples_by_indices_nomapping(i) for i in self.batch_indices_iterator(batch_size))

    def batch_indices_iterator(self, batch_size, shuffle=None, **kwargs):
        return (np.arange(k, min(k + batch_size, 10)) for k in range(0, 10, batch_size))

    def samples_by_indices_nomapping(self, indices):
        return indices**2, np.full(len(indices), os.getpid())


def test_parallel_data_source_over_any_random_access_source(pool):
    par = pool.parallel_data_source(Squares(), 3)
    squares, pids = par.batch_map_concat(lambda *batch: batch, batch_size=4)
    np.testing.assert_array_equal(squares, np.arange(10) ** 2)
    assert set(pids) <= set(pool._supervisor.pids())


def test_the_arrays_of_a_parallel_data_source_are_put_in_shared_memory_once():
    with work_pool.WorkerProcessPool(2) as pool:
        par = pool.parallel_data_source(data_source.ArrayDataSource([X]))
        [segment] = par._pool.job.segments
        for _ in range(3):
            assert par.num_samples() == len(list(par.map(lambda x: x).batch_iterator(1)))
            assert par._pool.job.segments == [segment]
            assert any(segment.key in worker.known for worker in pool._supervisor.workers)
        del segment
        del par
        assert eventually(lambda: not any(worker.known for worker in pool._supervisor.workers))


def test_views_go_to_workers_by_the_memory_below_them():
    series = np.arange(200_000, dtype=np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(series, 64)
    spread = np.broadcast_to(np.arange(100_000), (100, 100_000))
    with work_pool.WorkerProcessPool(1) as pool:
        stream = ops.indices(100) | ops.shuffle(1) | ops.chunk(7) | ops.gather(windows[::1000][:100], spread)
        parallel = stream | ops.parallel(pool)
        assert sum(segment.size for segment in parallel.plan.workers.job.segments) < 2 * (
            series.nbytes + spread[0].nbytes
        )
        for one, other in zip(stream, parallel, strict=True):
            assert all(map(np.array_equal, one, other))
        parallel = ops.indices(100) | ops.chunk(7) | ops.gather(windows[:100]) | ops.parallel(pool)
        series += 1
        for one, block in zip(parallel, ops.indices(100) | ops.chunk(7), strict=True):
            assert np.array_equal(
                one[0], windows[block[:]] if isinstance(block, np.ndarray) else windows[:100][list(block)]
            )


def mapped_rows(path, value, n=2000):
    np.save(f"{path}.new.npy", np.full((n, 64), value))
    os.replace(f"{path}.new.npy", path)
    return np.load(path, mmap_mode="r")


def batches_of(X, pool):
    return ops.indices(len(X)) | ops.chunk(500) | ops.gather(X) | ops.parallel(pool)


def test_a_memory_map_of_a_file_that_was_replaced(tmp_path):
    path = tmp_path / "x.npy"
    X = mapped_rows(path, 0)
    with work_pool.WorkerProcessPool(1) as pool:
        early = batches_of(X, pool)
        assert not early.plan.workers.job.segments  # workers map the file
        assert mapped_rows(path, 1).max() == 1
        late = batches_of(X, pool)
        for stream in (early, late):
            assert {int(x.max()) for (x,) in stream} == {0}


def test_a_memory_map_of_a_file_that_has_shrunk(tmp_path):
    path = tmp_path / "x.npy"
    X = mapped_rows(path, 0)
    with work_pool.WorkerProcessPool(1) as pool:
        stream = ops.indices(len(X)) | ops.chunk(500) | ops.gather(X) | ops.parallel(pool, buffer=1)
        batches = iter(stream)
        next(batches)
        os.truncate(path, 200_000)
        with pytest.raises(ValueError, match=r"it has shrunk to 200000. Map it anew"):
            list(batches)
