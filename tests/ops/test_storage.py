"""Arrays in chunks: the samples are those of the array in memory, and each chunk is read once."""

import pickle
from collections import Counter
from typing import ClassVar

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from batchup import data_source, ops, work_pool
from batchup.core.plan import Kind
from batchup.core.sources import Iterated
from batchup.image.utils import ImageArrayUInt8ToFloat32
from batchup.testing import plain

N = 103
X = np.arange(N * 6).reshape(N, 3, 2)
BLOCKS = [
    [],
    [5],
    [5, 5, 2],
    range(103),
    range(10, 30),
    range(7, 8),
    range(3, 3),
    [102, 0, 50],
    [*range(40, 80)][::-1],
]


class Chunked:
    """Stands for a store: counts the chunks that are decoded, as each part of a slice decodes them."""

    def __init__(self, array, chunks):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.chunks = (chunks, *array.shape[1:])
        sizes = chunks if isinstance(chunks, tuple) else ()
        self.ends = np.cumsum(sizes) if sizes else np.arange(chunks, len(array) + chunks, chunks)
        self.decoded = Counter()

    def __getitem__(self, part):
        assert isinstance(part, slice), f"not by slices, but by {part!r}"
        start, stop, _ = part.indices(len(self.array))
        first, last = self.ends.searchsorted([start, stop - 1], side="right")
        self.decoded.update(range(first, last + 1) if stop > start else [])
        return self.array[part]


class Slices:
    """Files that are read one after another, say: takes slices, and integer arrays."""

    def __init__(self):
        self.asked = []

    def __len__(self):
        return N

    def __getitem__(self, part):
        self.asked.append(part)
        return X[part]


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "data.h5", "w") as made:
        made.create_dataset("plain", data=X, chunks=(10, 3, 2))
        made.create_dataset("gzip", data=X, chunks=(10, 3, 2), compression="gzip")
        made.create_dataset("tiles", data=X, chunks=(10, 2, 1))
        made.create_dataset("flat", data=X)
        made.create_dataset("bool", data=X % 2 == 0, chunks=(7, 3, 2))
        made.create_dataset("big", data=X.astype(">f4"), chunks=(7, 3, 2))
        some = made.create_dataset("some", X.shape, X.dtype, chunks=(10, 3, 2), fillvalue=-1)
        some[20:30] = X[20:30]
        made["nothing"] = X[:0]
        made["none"] = h5py.Empty("f")
        made["single"] = 5
        made["words"] = [f"word {i}" for i in range(N)]
    with h5py.File(tmp_path / "data.h5", "r") as opened:
        yield opened


def read(array, block, **options):
    stream = ([np.array(block, int)] if isinstance(block, list) else [block]) | ops.skip(0)
    [(batch,)] = stream | ops.gather(array, **options)
    return batch


@pytest.mark.parametrize("name", ["plain", "gzip", "tiles", "flat", "bool", "big", "some", "words"])
@pytest.mark.parametrize("cache", [0, 500, 10**6])
def test_hdf5(file, name, cache):
    whole = file[name][:]
    for block in BLOCKS:
        batch = read(file[name], block, cache=cache)
        expected = whole[np.array(block, int)]
        assert batch.dtype == expected.dtype
        assert batch.shape == expected.shape
        assert batch.tolist() == expected.tolist()
        assert batch.flags.writeable
        assert batch.base is None or batch.base.flags.writeable
    with pytest.raises(ValueError, match="expected indices below 103"):
        read(file[name], [2, 103], cache=cache)
    beyond = Iterated(lambda: iter([np.array([2, 103])]), Kind.BLOCKS)
    with pytest.raises(IndexError, match="expected indices below 103; got 103"):
        list(ops.Stream(beyond) | ops.gather(file[name], cache=cache))


def test_hdf5_of_a_file_that_is_written(tmp_path):
    with h5py.File(tmp_path / "written.h5", "w") as made:
        data = made.create_dataset("x", data=X, chunks=(10, 3, 2))
        stream = ops.indices(N) | ops.chunk(5) | ops.gather(data)
        assert plain(stream[2][0]) == X[10:15].tolist()
        data[12] = 7
        assert (stream[2][0][2] == 7).all()
        with (
            work_pool.WorkerProcessPool(1) as pool,
            pytest.raises(TypeError, match='open it with mode "r"'),
        ):
            stream | ops.parallel(pool)
    with h5py.File("nowhere", "w", driver="core", backing_store=False) as made:
        data = made.create_dataset("x", data=X)
        assert plain(read(data, [3])) == X[[3]].tolist()
        with pytest.raises(TypeError, match="in no file that another process can open"):
            pickle.dumps(ops.indices(N) | ops.gather(data))


@pytest.mark.parametrize("name", ["none", "single"])
def test_hdf5_without_an_axis_is_refused(file, name):
    with pytest.raises((TypeError, ValueError), match=r"axis|got"):
        ops.gather(file[name])


@pytest.mark.parametrize("name", ["plain", "gzip", "flat"])
def test_hdf5_goes_to_processes_by_its_file(file, name):
    stream = ops.indices(N) | ops.shuffle(5) | ops.chunk(20) | ops.gather(file[name], X)
    copy = pickle.loads(pickle.dumps(stream))
    assert len(pickle.dumps(stream | ops.take(1))) < 20_000
    assert plain(copy[1]) == plain(stream[1])
    with work_pool.WorkerProcessPool(2) as pool:
        assert list(map(plain, stream | ops.parallel(pool))) == list(map(plain, stream))
        source = data_source.ArrayDataSource([file[name], X])
        loader = source.loader(20, shuffle=3, pool=pool)
        assert list(map(plain, loader)) == list(map(plain, source.batch_iterator(20, shuffle=3)))


@given(
    st.one_of(st.integers(1, 120), st.lists(st.integers(0, 30), min_size=1).map(tuple)),
    st.lists(st.integers(0, N - 1), max_size=40),
    st.sampled_from([0, 400, 10**6]),
)
def test_whatever_has_chunks_is_read_by_slices_each_once(chunks, block, cache):
    if isinstance(chunks, tuple):
        chunks = (*chunks, N - sum(chunks)) if sum(chunks) <= N else (N,)
    store = Chunked(X, chunks)
    assert plain(read(store, block, cache=cache)) == X[np.array(block, int)].tolist()
    assert set(store.decoded.values()) <= {1}


def test_chunks_that_are_not_of_the_array_are_refused():
    with pytest.raises(ValueError, match="expected chunks of 103 samples in all; they have 30"):
        ops.gather(Chunked(X, (10, 20)))


@pytest.mark.parametrize("chunks", [10, (20, 3, 40, 40)])
@pytest.mark.parametrize("window", [1, 3, 100])
def test_each_chunk_is_decoded_once_a_pass(chunks, window):
    store = Chunked(X, chunks)
    batches = (
        ops.indices(N) | ops.mix(7, chunks, window) | ops.gather(store, np.arange(N)) | ops.rebatch(8)
    )
    seen = np.concatenate([y for _, y in batches])
    assert sorted(seen.tolist()) == list(range(N))
    assert set(store.decoded.values()) == {1}
    assert len(store.decoded) == len(store.ends)


def test_a_cache_keeps_chunks_that_lie_elsewhere():
    X_stored, y_stored = Chunked(X, 10), Chunked(np.arange(N), 40)
    windows = ops.indices(N) | ops.mix(7, 10, 2)
    list(windows | ops.gather(X_stored, y_stored))
    assert set(X_stored.decoded.values()) == {1}
    assert max(y_stored.decoded.values()) > 1
    X_stored.decoded.clear(), y_stored.decoded.clear()
    list(windows | ops.gather(X_stored, y_stored, cache=10**6))
    assert {*X_stored.decoded.values(), *y_stored.decoded.values()} == {1}


def test_a_cache_is_shared_by_the_threads_of_a_pool():
    store = Chunked(X, 10)
    with work_pool.WorkerThreadPool(4) as pool:
        stream = ops.indices(N) | ops.shuffle(1) | ops.chunk(5) | ops.gather(store, cache=10**6)
        assert list(map(plain, stream | ops.parallel(pool))) == [
            (X[block].tolist(),) for block in ops.indices(N) | ops.shuffle(1) | ops.chunk(5)
        ]
    assert set(store.decoded.values()) == {1}


def test_what_cannot_be_read_is_asked_for_again():
    class Failing(Chunked):
        fails = True

        def __getitem__(self, part):
            if self.fails:
                raise OSError("unreadable")
            return super().__getitem__(part)

    store = Failing(X, 10)
    stream = ops.indices(N) | ops.chunk(5) | ops.gather(store, cache=10**6)
    with pytest.raises(OSError, match="unreadable"):
        stream[0]
    store.fails = False
    assert plain(stream[0]) == (X[:5].tolist(),)


def test_in_order_whatever_takes_slices_is_read_by_slices():
    source = Slices()
    batches = [batch for (batch,) in ops.indices(N) | ops.chunk(10) | ops.gather(source)]
    assert np.array_equal(np.concatenate(batches), X)
    assert all(isinstance(part, slice) for part in source.asked)
    batches[0][:] = -1
    assert X.min() == 0  # a slice of ours was a view of the array
    assert plain(read(source, [3, 1])) == X[[3, 1]].tolist()


zarr.zeros(1)[:]  # starts the thread that it keeps for ever


def test_zarr(tmp_path):
    class Counting(zarr.storage.LocalStore):
        asked: ClassVar = Counter()

        async def get(self, key, *args, **kwargs):
            self.asked[key] += "/c/" in f"/{key}"
            return await super().get(key, *args, **kwargs)

    store = Counting(tmp_path)
    made = zarr.create_array(store, shape=X.shape, chunks=(10, 3, 2), dtype=X.dtype)
    made[:] = X
    store.asked.clear()
    for block in BLOCKS:
        assert plain(read(made, block)) == X[np.array(block, int)].tolist()
    store.asked.clear()
    batches = ops.indices(N) | ops.mix(7, 10, 3) | ops.gather(made) | ops.rebatch(8)
    assert sum(len(batch) for (batch,) in batches) == N
    read_of = {key: n for key, n in store.asked.items() if n}
    assert len(read_of) == 11
    assert set(read_of.values()) == {1}


def test_parquet_and_datasets_of_arrow(tmp_path):
    table = pa.table({"a": np.arange(N) * 2, "b": [f"word {i}" for i in range(N)]})
    pq.write_table(table, tmp_path / "one.parquet", row_group_size=10)
    pq.write_table(table.slice(0, 50), tmp_path / "part-0.parquet", row_group_size=20)
    pq.write_table(table.slice(50), tmp_path / "part-1.parquet", row_group_size=20)
    file = pq.ParquetFile(tmp_path / "one.parquet")
    parts = ds.dataset([tmp_path / "part-0.parquet", tmp_path / "part-1.parquet"])
    for block in BLOCKS:
        places = np.array(block, int)
        expected = {"a": (places * 2).tolist(), "b": [f"word {i}" for i in places]}
        assert plain(read(file, block)) == expected
        assert plain(read(parts, block, cache=1000)) == expected
    stream = (
        ops.indices(N) | ops.mix(3, [20, 20, 10, 20, 20, 13], 2) | ops.gather(parts) | ops.rebatch(16)
    )
    with work_pool.WorkerProcessPool(1) as pool:
        given = ops.indices(N) | ops.chunk(16) | ops.gather(parts)
        assert list(map(plain, given | ops.parallel(pool))) == list(map(plain, given))
        with pytest.raises(TypeError, match=r"pyarrow\.dataset\.dataset\(path\)"):
            ops.indices(N) | ops.gather(file) | ops.parallel(pool)
    assert sorted(np.concatenate([rows["a"] for (rows,) in stream])) == list(range(0, 2 * N, 2))


def test_a_window_is_read_again_where_it_was_cut():
    store = Chunked(X, 10)
    batches = ops.indices(N) | ops.mix(7, 10, 2) | ops.gather(store, np.arange(N)) | ops.rebatch(8)
    whole = [plain(batch) for batch in batches]
    store.decoded.clear()
    for k in range(len(whole) + 1):
        it = iter(batches)
        for _ in range(k):
            next(it)
        again = iter(batches)
        again.load_state_dict(it.state_dict())
        del it
        before = set(store.decoded)
        store.decoded.clear()
        assert list(map(plain, again)) == whole[k:]
        assert len(before & set(store.decoded)) <= 4  # of two windows
        store.decoded.clear()


def test_what_an_array_like_gives_is_copied_even_where_it_seems_to_have_no_other_owner():
    class Reusing:
        """Gives arrays that own their memory, and writes into the last one again."""

        def __init__(self):
            self.held = []

        def __len__(self):
            return 12

        def __getitem__(self, some):
            if not isinstance(some, slice):
                return np.arange(12.0)[some]
            if some.start == some.stop:
                return np.empty(0)
            fresh = np.arange(12.0)[some].copy()
            self.held.append(memoryview(fresh))  # a buffer, which no count of references shows
            return fresh

    source = Reusing()
    batches = [batch for (batch,) in ops.indices(12) | ops.chunk(4) | ops.gather(source)]
    for view in source.held:
        np.asarray(view)[:] = -1
    assert np.concatenate(batches).tolist() == list(range(12))


@pytest.mark.parametrize("block", [range(3), np.array([2, 0, 1])])
def test_images_are_read_without_a_further_copy(block):
    images = ImageArrayUInt8ToFloat32(np.arange(12, dtype=np.uint8).reshape(3, 4))
    [(batch,)] = [block] | ops.gather(images)
    assert batch.flags.owndata
    batch[:] = -1
    assert images[0][0] == 0
