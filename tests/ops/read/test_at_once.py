"""Reads that run at once."""

import os
import threading
from itertools import islice

import fsspec.asyn
import numpy as np
import obstore.store
import pyarrow as pa
import pyarrow.dataset
import pytest
import zarr
from zarr.storage import LocalStore, WrapperStore

from batchup import ops, work_pool
from batchup.data_source import ArrayDataSource
from batchup.ops.read.at_once import REMOTE, AtOnce
from batchup.testing import plain

WAIT = 30  # seconds, after which a test fails in place of waiting for ever
N, CHUNK = 96, 8
X = np.arange(N * 4, dtype=np.int32).reshape(N, 4)
# Starts the loops of the clients.
zarr.array([0])[:]
fsspec.asyn.get_loop()
zarr.create_array(zarr.storage.ObjectStore(obstore.store.MemoryStore()), shape=(1,), dtype="u1")[:]


class Gate:
    """Calls wait at it until so many have come."""

    def __init__(self, count):
        self.barrier = threading.Barrier(count)
        self.lock = threading.Lock()
        self.inside = self.most = 0

    def __call__(self):
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.barrier.wait(WAIT)
        with self.lock:
            self.inside -= 1


def test_so_many_run_at_once_and_no_more():
    gate = Gate(3)
    results = AtOnce(3).results([lambda n=n: (gate(), n)[1] for n in range(12)])
    assert list(results) == list(range(12))
    assert gate.most == 3


def test_one_at_a_time_needs_no_thread():
    own = threading.current_thread()
    assert list(AtOnce(1).results([threading.current_thread] * 3)) == [own] * 3


def test_results_are_read_no_further_ahead_than_so_many():
    begun = []
    results = AtOnce(2).results([lambda n=n: begun.append(n) or n for n in range(9)])
    assert next(results) == 0
    assert next(results) == 1
    assert set(begun) <= {0, 1, 2, 3}
    results.close()


def test_an_error_comes_at_its_place_and_the_rest_is_cancelled():
    begun, gate = [], threading.Event()

    def call(n):
        begun.append(n)
        if n == 1:
            raise ValueError("of read 1")
        if n > 1:
            gate.wait(WAIT)
        return n

    results = AtOnce(2).results([lambda n=n: call(n) for n in range(50)])
    assert next(results) == 0
    with pytest.raises(ValueError, match="of read 1"):
        list(results)
    gate.set()
    assert len(begun) < 50


def test_a_fork_has_threads_of_its_own():
    at_once = AtOnce(2)
    assert list(at_once.results([os.getpid] * 4)) == [os.getpid()] * 4
    child = os.fork()
    if not child:
        os._exit(list(at_once.results([os.getpid] * 4)) != [os.getpid()] * 4)
    assert os.waitpid(child, 0)[1] == 0


class Gated(WrapperStore):
    """A store whose reads of chunks wait until so many are under way."""

    def __init__(self, store, count=1):
        super().__init__(store)
        self.count = count
        self.inside = self.most = self.asked = 0
        self.enough = None
        self.broken = None

    def _with_store(self, store):
        return type(self)(store, self.count)

    async def get(self, key, prototype, byte_range=None):
        import asyncio

        if "c/" not in key:
            return await super().get(key, prototype, byte_range)
        if self.enough is None:
            self.enough = asyncio.Event()
        self.inside += 1
        self.asked += 1
        self.most = max(self.most, self.inside)
        if self.inside >= self.count:
            self.enough.set()
        try:
            await asyncio.wait_for(self.enough.wait(), WAIT)
            await asyncio.sleep(0)
            if self.broken is not None and key.endswith(self.broken):
                raise OSError("no such host")
            return await super().get(key, prototype, byte_range)
        finally:
            self.inside -= 1


@pytest.fixture
def path(tmp_path):
    made = zarr.create_array(tmp_path / "x.zarr", shape=X.shape, chunks=(CHUNK, 2), dtype=X.dtype)
    made[:] = X
    return tmp_path / "x.zarr"


def gated(path, count=1):
    store = Gated(LocalStore(path, read_only=True), count)
    return store, zarr.open_array(store, mode="r")


WINDOWS = ops.indices(N) | ops.mix(7, chunks=CHUNK, window=6)


def test_the_chunks_of_a_window_are_read_at_once(path):
    store, array = gated(path, 12)  # six chunks of samples, in two parts each
    batches = list(WINDOWS | ops.gather(array, np.arange(N)) | ops.rebatch(10))
    expected = list(WINDOWS | ops.gather(X, np.arange(N)) | ops.rebatch(10))
    assert list(map(plain, batches)) == list(map(plain, expected))
    assert store.most == 12
    assert store.asked == 2 * N // CHUNK  # each once


@pytest.mark.parametrize("order", ["windows", "in order", "in order, whole", "shuffled", "repeated", "empty"])
@pytest.mark.parametrize("options", [{}, {"reads": 2}, {"reads": 5, "cache": 200}])
def test_samples_are_those_of_memory(path, order, options):
    blocks = {
        "windows": WINDOWS,
        "in order": ops.indices(N) | ops.chunk(20),
        "in order, whole": ops.indices(N),
        "shuffled": ops.indices(N) | ops.shuffle(3) | ops.chunk(7),
        "repeated": ops.sample(np.arange(N) + 1.0, 5) | ops.chunk(30) | ops.take(4),
        "empty": ops.indices(0),
    }[order]
    _, array = gated(path)
    stream = blocks | ops.gather(array, X, array, **options)
    expected = list(map(plain, blocks | ops.gather(X, X, X)))
    assert list(map(plain, stream)) == expected
    with work_pool.WorkerThreadPool(2) as pool:
        assert list(map(plain, stream | ops.parallel(pool))) == expected


def test_several_arrays_are_read_at_once(path, tmp_path):
    store, array = gated(path, 4)
    other = zarr.open_array(store, mode="r")
    [(first, second)] = ops.indices(CHUNK) | ops.gather(array, other)  # two parts of each
    np.testing.assert_array_equal(first, second)
    assert store.most == 4


def test_no_more_are_in_flight_than_the_user_says(path):
    store, array = gated(path)
    blocks = [np.array([0, 20, 40, 90]), np.array([10, 70])]
    list(blocks | ops.gather(array, array, reads=1))
    assert store.most == 2  # the parts of one chunk, which zarr reads at once
    ds = ArrayDataSource([array], reads=2)
    assert len(list(ds.batch_iterator(32, shuffle=7, window=3))) == 3
    assert store.most <= 4
    for wrong in (0, -1):
        with pytest.raises(ValueError, match=r"gather: reads: expected a whole number >= 1; got"):
            ops.gather(array, reads=wrong)
    assert repr(ops.gather(array, reads=8)) == "gather(<96x4 int32>, reads=8)"


def test_how_many_depends_on_the_kind_of_store(path):
    def reads(store):
        [column] = (ops.indices(N) | ops.gather(zarr.open_array(store, mode="r"))).steps[0].reader.columns
        return column.at_once.most

    local = zarr.storage.LocalStore(path, read_only=True)
    memory = zarr.storage.MemoryStore()
    zarr.create_array(memory, shape=X.shape, chunks=(CHUNK, 4), dtype=X.dtype)
    assert reads(local) == reads(memory) == 1
    assert reads(zarr.storage.ObjectStore(obstore.store.LocalStore(path), read_only=True)) == 1
    assert reads(zarr.storage.FsspecStore.from_url(f"file://{path}", read_only=True)) == 1
    assert reads(Gated(local)) == REMOTE
    in_memory = pyarrow.dataset.dataset(pa.table({"x": np.arange(4)}))
    [column] = ops.gather(in_memory)(ops.indices(4)).steps[0].reader.columns
    assert column.at_once.most == 1


def test_an_error_names_the_chunk(path):
    store, array = gated(path)
    store.broken = "c/3/1"
    with pytest.raises(OSError, match="no such host") as caught:
        list(WINDOWS | ops.gather(array))
    assert any(
        "while samples 24 to 31 of <96x4 int32> were read, from chunk 3 on" in note for note in caught.value.__notes__
    )


def test_a_stream_that_is_dropped_reads_no_further(path):
    store, array = gated(path)
    it = iter(ops.indices(N) | ops.chunk(CHUNK) | ops.merge(4) | ops.gather(array, reads=2) | ops.rebatch(4))
    list(islice(it, 2))
    del it
    asked = store.asked
    assert asked <= 2 * 4


def test_concat_and_windows_read_at_once(path):
    store, array = gated(path, 12)
    _, other = gated(path)
    joined = ops.concat(array, other)
    [(batch,)] = [np.arange(48)] | ops.gather(joined)
    np.testing.assert_array_equal(batch, X[:48])
    assert store.most == 12
    store.most = 0
    [(batch,)] = [np.array([3, 60])] | ops.gather(ops.windows(array, 4, 1))
    np.testing.assert_array_equal(batch, np.stack([X[3:7], X[60:64]]))


def test_survey_says_how_many_requests_there_will_be(path):
    store, array = gated(path)
    windows = ops.indices(N) | ops.shuffle(3) | ops.chunk(20) | ops.gather(array, np.arange(N))
    found = ops.survey(windows)
    assert store.asked == 0
    list(windows)
    assert found.requests == {"<96x4 int32>": store.asked}
    assert found.bytes_read == {"<96x4 int32>": store.asked * CHUNK * 2 * 4}
    assert f": {store.asked} requests for 0.0 MB" in str(found)
