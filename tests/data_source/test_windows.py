"""window= of data sources: the batches are those of the documented composition, in every pool."""

import warnings

import h5py
import numpy as np
import pytest

from batchup import ops, work_pool
from batchup.data_source import ArrayDataSource, CompositeDataSource, RandomAccessDataSource
from batchup.sampling import WeightedSampler
from batchup.testing import plain
from tests.conftest import eventually

N = 103
X = np.arange(N * 2).reshape(N, 2)
Y = np.arange(N)


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "data.h5", "w") as made:
        made.create_dataset("X", data=X, chunks=(10, 2))
        made.create_dataset("y", data=Y, chunks=(40,))
        made["flat"] = Y  # in one piece
    with h5py.File(tmp_path / "data.h5", "r") as opened:
        yield opened


def twice(x, y):
    return x * 2, y


def test_the_batches_are_those_of_the_composition(file):
    ds = ArrayDataSource([file["X"], Y])
    whole = ops.indices(N) | ops.mix(5, 10, 3) | ops.gather(file["X"], Y) | ops.rebatch(16)
    assert list(map(plain, ds.stream(16, shuffle=5, window=3))) == list(map(plain, whole))
    loader = ds.loader(16, shuffle=5, window=3)
    assert len(loader) == 7
    for epoch in range(2):
        assert list(map(plain, loader)) == list(map(plain, whole.epoch(epoch)))
    dropped = ds.loader(16, shuffle=5, window=3, drop_last=True)
    assert [len(y) for _, y in dropped] == [16] * 6
    parts = [ds.stream(16, shuffle=5, window=3, shard=(rank, 2)) for rank in range(2)]
    assert [len(a) + len(b) for (_, a), (_, b) in zip(*parts, strict=True)] == [16] * 6 + [7]


def test_in_pools_with_a_map_and_with_a_subset(file):
    some = np.random.RandomState(0).permutation(N)[:60]
    ds = ArrayDataSource([file["X"], Y], indices=some, repeats=2).map(twice)
    expected = list(map(plain, ds.stream(16, shuffle=5, window=3)))
    seen = np.concatenate([y for _, y in expected])
    assert sorted(seen) == sorted([*some, *some])
    assert all((np.array(x) == 2 * X[y]).all() for x, y in expected)
    for make_pool in (work_pool.WorkerThreadPool, work_pool.WorkerProcessPool):
        with make_pool(2) as pool:
            loader = ds.loader(16, shuffle=5, window=3, pool=pool)
            assert "buffer=2" in repr(loader)
            assert list(map(plain, loader)) == expected
            assert "buffer=4" in repr(ds.loader(16, shuffle=5, window=3, pool=pool, buffer=4))
            rest = iter(pool.parallel_data_source(ds).loader(16, shuffle=5, window=3))
            assert plain(next(rest)) == expected[0]


def test_a_generator_has_checkpoints(file):
    ds = ArrayDataSource([file["X"], Y])
    rng = np.random.RandomState(1)
    loader = ds.loader(16, shuffle=rng, window=3)
    assert len(loader) == 7
    it = iter(loader)
    for _ in range(3):
        next(it)
    state = loader.state_dict()
    rest = list(map(plain, it))
    again = ds.loader(16, shuffle=np.random.RandomState(2), window=3)
    again.load_state_dict(state)
    assert list(map(plain, again)) == rest
    assert list(map(plain, again)) == list(map(plain, loader))


def test_chunks_at_other_places_want_a_cache(file):
    ds = ArrayDataSource([file["X"], file["y"]])
    with pytest.raises(ValueError, match="those of array 0 have 10, those of array 1 have 40 samples"):
        ds.loader(16, shuffle=5, window=3)
    cached = ArrayDataSource([file["X"], file["y"]], cache=10**6)
    beside = ArrayDataSource([file["X"], Y])
    assert list(map(plain, cached.loader(16, shuffle=5, window=3))) == list(
        map(plain, beside.loader(16, shuffle=5, window=3))
    )


class Chunked:
    def __init__(self, chunks):
        self.shape, self.dtype, self.chunks = X.shape, X.dtype, (chunks, 2)

    def __getitem__(self, part):
        return X[part]


def test_chunks_are_compared_by_where_they_lie():
    same = (10,) * 10 + (3,)
    beside = ArrayDataSource([Chunked(10), Chunked(same)])
    assert len(beside.loader(16, shuffle=5, window=3)) == 7
    many = np.ones(5000, int)
    other = many.copy()
    other[2000:2002] = 2, 0  # where a repr of so many leaves them out
    wide = np.zeros((5000, 1))

    class Wide(Chunked):
        def __init__(self, chunks):
            self.shape, self.dtype, self.chunks = wide.shape, wide.dtype, (tuple(chunks), 1)

    with pytest.raises(ValueError, match="chunks lie at the same places"):
        ArrayDataSource([Wide(many), Wide(other)]).loader(16, shuffle=5, window=3)


def test_what_lies_in_one_piece_has_no_chunks(file):
    ds = ArrayDataSource([file["X"], file["flat"]])
    beside = ArrayDataSource([file["X"], Y])
    assert list(map(plain, ds.loader(16, shuffle=5, window=3))) == list(
        map(plain, beside.loader(16, shuffle=5, window=3))
    )
    with pytest.raises(TypeError, match="expected an array with chunks"):
        ArrayDataSource([file["flat"]]).loader(16, shuffle=5, window=3)
    found = ops.survey(ops.indices(N) | ops.chunk(5) | ops.gather(file["X"], file["flat"]))
    assert list(found.chunks) == ["<103x2 int64>"]


def test_what_can_have_no_windows_is_refused(file):
    class Squares(RandomAccessDataSource):
        def read(self, indices):
            return (indices**2,)

    stored = ArrayDataSource([file["X"], Y])
    with pytest.raises(ValueError, match="expected shuffle="):
        stored.loader(16, window=3)
    with pytest.raises(ValueError, match=r"window: expected a whole number >= 1; got 0"):
        stored.loader(16, shuffle=5, window=0)
    with pytest.raises(TypeError, match="expected an array with chunks, of h5py, zarr or Arrow say; got <103x2 int64>"):
        ArrayDataSource([X, Y]).loader(16, shuffle=5, window=3)
    with pytest.raises(TypeError, match="draws them one by one from anywhere"):
        ArrayDataSource([file["X"]], sampler=WeightedSampler(np.ones(N))).loader(16, shuffle=5, window=3)
    for source in (Squares(9), CompositeDataSource([stored, stored])):
        with pytest.raises(TypeError, match="window: expected an ArrayDataSource"):
            source.loader(16, shuffle=5, window=3)


def test_labels_in_runs_are_said_once_for_a_source(tmp_path):
    y = np.repeat(np.arange(10), 100)
    with h5py.File(tmp_path / "runs.h5", "w") as made:
        made.create_dataset("X", data=np.zeros((1000, 2)), chunks=(10, 2))
    with h5py.File(tmp_path / "runs.h5") as opened:
        ds = ArrayDataSource([opened["X"], y])
        with pytest.warns(UserWarning, match="labels lie in runs"):
            ds.loader(16, shuffle=5, window=3)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            list(ds.loader(16, shuffle=5, window=3))
            list(ArrayDataSource([opened["X"], y]).loader(16, shuffle=5, window=60))


class _Counted:
    """An array with chunks that counts the samples read of it."""

    def __init__(self, n, chunk):
        self.array = np.arange(n)
        self.chunks, self.shape, self.dtype, self.ndim = (chunk,), (n,), self.array.dtype, 1
        self.read = 0

    def __len__(self):
        return len(self.array)

    def __getitem__(self, some):
        self.read += len(self.array[some])
        return self.array[some]


@pytest.mark.parametrize("how", ["loader", "parallel source", "stream.loader", "asked for"])
def test_two_windows_are_read_ahead_unless_a_buffer_is_given(how):
    array = _Counted(8000, 8)
    ds = ArrayDataSource([array])
    with work_pool.WorkerThreadPool(1) as pool:
        batches = {
            "loader": lambda: ds.loader(8, shuffle=1, window=10, pool=pool),
            "parallel source": lambda: pool.parallel_data_source(ds).loader(8, shuffle=1, window=10),
            "stream.loader": lambda: ds.stream(8, shuffle=1, window=10).loader(pool=pool),
            "asked for": lambda: ds.stream(8, shuffle=1, window=10).loader(pool=pool, buffer=5),
        }[how]()
        items = iter(batches)
        first = next(items)
        ahead = 5 if how == "asked for" else 2
        assert eventually(lambda: array.read >= 80 * (ahead + 1))
        pool.close()  # waits for what is under way
        assert array.read == 80 * (ahead + 1)
        serial = next(ds.batch_iterator(8, shuffle=1, window=10, epoch=0))
        assert first[0].tolist() == serial[0].tolist()


def test_window_means_the_same_in_all_three():
    ds = ArrayDataSource([_Counted(640, 8)])
    with work_pool.WorkerThreadPool(1) as pool:
        ways = [
            ds.batch_iterator(16, shuffle=1, window=10),
            ds.stream(16, shuffle=1, window=10),
            ds.loader(16, shuffle=1, window=10),
            ds.stream(16, shuffle=1, window=10).loader(pool=pool),
            ds.map(lambda x: (x,)).batch_iterator(16, shuffle=1, window=10),
        ]
        orders = [[batch.tolist() for (batch,) in way] for way in ways]
    assert all(order == orders[0] for order in orders)


def test_the_pool_arguments_of_a_streams_loader():
    stream = ops.indices(20) | ops.chunk(4) | ops.gather(np.arange(20)) | ops.rebatch(3)
    with work_pool.WorkerThreadPool(1) as pool:
        loader = stream.loader(pool=pool, buffer=7)
        assert "gather(<20 int64>) | parallel(WorkerThreadPool(processes=1), buffer=7) | rebatch(3)" in repr(loader)
        assert "buffer=32" in repr((ops.indices(4) | ops.chunk(2)).loader(pool=pool))
        filtered = ops.indices(4) | ops.chunk(2) | ops.filter(len)
        assert "chunk(2) | parallel(WorkerThreadPool(processes=1), buffer=32) | filter(len)" in repr(
            filtered.loader(pool=pool)
        )
        with pytest.raises(TypeError, match="loader: expected a stream without a pool, for other workers"):
            (stream | ops.parallel(pool)).loader(pool=pool)
        samples = ops.indices(4) | ops.samples(range(4))
        assert [batch.tolist() for batch in samples.loader(pool=pool, split=True)] == [[0, 1, 2, 3]]
    for wrong in ({"split": True}, {"buffer": 3}):
        with pytest.raises(TypeError, match="expected workers=, threads= or pool=, which make the batches"):
            stream.loader(**wrong)
