"""concat: the samples of several arrays, as if these were one."""

import pickle

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
import zarr

from batchup import ops
from batchup.testing import plain
from batchup.work_pool import WorkerProcessPool

zarr.array([0])  # it starts an event loop of zarr, whose files stay open
PARTS = [np.arange(20.0).reshape(10, 2), np.arange(2.0).reshape(1, 2) + 100, np.arange(14.0).reshape(7, 2) * -1]
WHOLE = np.concatenate(PARTS)
BLOCKS = [[], [3], [17, 0, 10, 10, 9, 11], [*range(18)], [5, 4], [10, 10]]


def readings(array):
    """All that is read of an array: blocks, ranges, single samples and masks."""
    stream = [np.array(block, int) for block in BLOCKS] | ops.gather(array)
    yield from (batch for (batch,) in stream)
    for start in range(0, 18, 5):
        for stop in range(start, 19, 4):
            yield (ops.indices(18) | ops.chunk(18) | ops.skip(0) | ops.gather(array))[0][0]
            yield next(iter([range(start, stop)] | ops.gather(array)))[0]
    yield from (array[i] for i in (0, 10, -1, np.int64(12)))
    yield from (array[some] for some in (slice(None), slice(2, 15, 3), slice(8, 12), slice(5, 5)))
    yield array[[1, -1, 17]]
    yield array[np.arange(18) % 3 == 0]


def same(array, whole):
    for ours, theirs in zip(readings(array), readings(whole), strict=True):
        assert plain(ours) == plain(theirs)
        if isinstance(ours, np.ndarray):
            assert ours.dtype == theirs.dtype
            assert ours.flags.writeable


def test_arrays():
    X = ops.concat(*PARTS)
    assert (len(X), X.shape, X.dtype, repr(X)) == (18, (18, 2), np.float64, "<18x2 float64>")
    same(X, WHOLE)
    same(ops.concat(PARTS[0], np.empty((0, 2)), ops.concat(*PARTS[1:])), WHOLE)
    same(ops.concat(np.asfortranarray(PARTS[0]), *PARTS[1:]), WHOLE)
    same(pickle.loads(pickle.dumps(X)), WHOLE)


def test_lists_and_strings():
    words = ["a", "bc", "", "d"] * 3
    X = ops.concat(words[:5], words[5:])
    assert [plain(batch) for batch in [np.array([7, 0, 5])] | ops.gather(X)] == [([words[7], words[0], words[5]],)]
    assert next(iter([range(3, 8)] | ops.gather(X)))[0].tolist() == words[3:8]


def test_ragged():
    samples = [np.arange(n) * n for n in (3, 0, 2, 5, 1, 4)]
    X = ops.concat(ops.Ragged.of(samples[:2]), ops.Ragged.of(samples[2:]))
    [(batch,)] = [np.array([5, 0, 1, 3])] | ops.gather(X)
    assert isinstance(batch, ops.Ragged)
    assert batch.tolist() == [samples[i].tolist() for i in (5, 0, 1, 3)]
    assert X[3].tolist() == samples[3].tolist()
    assert next(iter([range(1, 4)] | ops.gather(X)))[0].tolist() == [s.tolist() for s in samples[1:4]]


@pytest.mark.parametrize("kind", ["pandas", "arrow", "files"])
def test_tables(kind, tmp_path):
    frame = pd.DataFrame({"a": np.arange(9), "b": list("abcdefghi"), "c": np.arange(9) / 4})
    frames = [frame[:4], frame[4:]]
    if kind == "arrow":
        frames = [pa.Table.from_pandas(part) for part in frames]
    if kind == "files":
        for n, part in enumerate(frames):
            pyarrow.parquet.write_table(pa.Table.from_pandas(part), tmp_path / f"{n}.parquet", row_group_size=2)
        frames = [ops.table(tmp_path / f"{n}.parquet") for n in range(2)]
    X = ops.concat(*frames)
    [(batch,)] = [np.array([8, 0, 4])] | ops.gather(X)
    assert plain(batch) == {"a": [8, 0, 4], "b": ["i", "a", "e"], "c": [2.0, 0.0, 1.0]}
    assert X[5]["a"] == 5
    if kind == "files":
        windows = ops.indices(9) | ops.mix(3, X, 2) | ops.gather(X) | ops.rebatch(3)
        assert sorted(i for (part,) in windows for i in part["a"]) == list(range(9))


def test_features_and_target():
    frame = pd.DataFrame({"a": [1.0, 2, 3], "b": [4.0, 5, 6], "y": [0, 1, 2]})
    X = ops.concat(*[ops.table(part, features=["a", "b"], target="y") for part in (frame, frame.assign(y=[7, 8, 9]))])
    [(features, target)] = [np.array([4, 0])] | ops.gather(X)
    assert (features.tolist(), target.tolist()) == ([[2, 5], [1, 4]], [8, 0])
    assert [plain(part) for part in next(iter([range(2, 4)] | ops.gather(X)))] == [[[3, 6], [1, 4]], [2, 7]]
    with pytest.raises(ValueError, match="expected arrays of one dtype"):
        ops.concat(X, ops.table(frame, features=["a", "b"], target="y", dtype="float32"))


def stored(tmp_path, kind):
    if kind == "hdf5":
        with h5py.File(tmp_path / "a.h5", "w") as file:
            for n, part in enumerate(PARTS):
                file.create_dataset(str(n), data=part, chunks=(min(3, len(part)), 2), compression="gzip")
        file = h5py.File(tmp_path / "a.h5")
        return [file[str(n)] for n in range(3)]
    return [
        zarr.create_array(store=tmp_path / f"{n}.zarr", data=part, chunks=(min(3, len(part)), 2))
        for n, part in enumerate(PARTS)
    ]


@pytest.mark.parametrize("kind", ["hdf5", "zarr"])
def test_chunked_storage_keeps_its_chunks(kind, tmp_path):
    X = ops.concat(*stored(tmp_path, kind))
    assert X.chunks.tolist() == [3, 3, 3, 1, 1, 3, 3, 1]
    same(X, WHOLE)
    batches = ops.indices(18) | ops.mix(7, X, window=3) | ops.gather(X, include_indices=True) | ops.rebatch(5)
    for indices, batch in batches:
        assert batch.tolist() == WHOLE[indices].tolist()
    cached = ops.indices(18) | ops.shuffle(3) | ops.chunk(4) | ops.gather(X, cache=10**6)
    assert np.array_equal(
        np.concatenate([batch for (batch,) in cached]), WHOLE[np.concatenate(list(ops.indices(18) | ops.shuffle(3)))]
    )
    assert ops.concat(X, PARTS[2]).chunks is None


def test_in_worker_processes(tmp_path):
    parts = [*PARTS[:2], np.memmap(tmp_path / "part", np.float64, "w+", shape=(7, 2))]
    parts[2][:] = PARTS[2]
    stream = ops.indices(18) | ops.shuffle(3) | ops.chunk(4) | ops.gather(ops.concat(*parts)) | ops.map(np.negative)
    expected = [plain(batch) for batch in stream]
    with WorkerProcessPool(processes=2) as pool:
        assert [plain(batch) for batch in stream | ops.parallel(pool)] == expected


class Squares:
    """An array-like that says nothing of its samples."""

    def __init__(self, n, dtype=int):
        self.n, self.dtype_ = n, dtype

    def __len__(self):
        return self.n

    def __getitem__(self, indices):
        return (np.asarray(indices) ** 2).astype(self.dtype_)


def test_array_likes():
    X = ops.concat(Squares(4), Squares(3))
    assert next(iter([np.array([6, 1, 4])] | ops.gather(X)))[0].tolist() == [4, 1, 0]
    with pytest.raises(ValueError, match=r"array 0 has samples of \(\) int64, array 1 has samples of \(\) float64"):
        ops.concat(Squares(4), Squares(3, float))
    changing = Squares(3)
    mixed = ops.concat(Squares(4), changing)
    changing.dtype_ = float
    with pytest.raises(ValueError, match="concat: expected samples of one dtype and shape, to put them together"):
        next(iter([np.array([6, 1])] | ops.gather(mixed)))


@pytest.mark.parametrize(
    ("arrays", "error", "match"),
    [
        ((), ValueError, "concat: expected one array at least; got none"),
        (
            (np.zeros(3), np.zeros(3, np.float32)),
            ValueError,
            r"array 0 has samples of \(\) float64, array 1 has .* float32",
        ),
        (
            (np.zeros((3, 2)), np.zeros((3, 4))),
            ValueError,
            r"array 0 has samples of \(2,\) float64, array 1 has .*\(4,\)",
        ),
        ((np.zeros(3), ops.Ragged.of([[1.0]])), ValueError, "array 1 has Ragged samples of"),
        ((np.zeros(3), ["a", "b"]), ValueError, "array 1 has samples of"),
        (([np.zeros(3), np.zeros(3)],), TypeError, r"got one <list of 2>. Write concat\(\*arrays\)"),
        ((np.zeros(3), 5), TypeError, "concat: array 1: expected an array"),
        ((np.ma.masked_array([1, 2], [0, 1]), np.zeros(3, int)), TypeError, "array 0: expected a plain"),
        (
            (pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]})),
            ValueError,
            "array 0 has {a: int64}, array 1 has {b: int64}",
        ),
        ((pd.DataFrame({"a": [1]}), np.zeros(1, int)), ValueError, "expected arrays of one dtype"),
    ],
)
def test_what_can_not_be_joined_is_refused(arrays, error, match):
    with pytest.raises(error, match=match):
        ops.concat(*arrays)


def test_codes_of_other_categories_are_refused():
    tables = [ops.table(pd.DataFrame({"t": pd.Categorical(values)})) for values in (["a", "b"], ["b", "c"], ["b", "a"])]
    with pytest.raises(
        ValueError, match=r"one list of categories of column 't', .* table 0 has 'a', 'b', table 1 'b', 'c'"
    ):
        ops.concat(tables[0], tables[1])
    assert ops.concat(tables[0], tables[2]).categories["t"].tolist() == ["a", "b"]


def test_indices_outside():
    X = ops.concat(*PARTS)
    for wrong in (18, -19):
        with pytest.raises(IndexError, match=f"expected an index below 18, the number of samples; got {wrong}"):
            X[wrong]
    with pytest.raises(IndexError, match="expected indices below 18; got 18"):
        X[[3, 18]]
    with pytest.raises(
        IndexError, match="expected an int, a slice, a 1-D array of integers, or a mask of 18; got <2 float64>"
    ):
        X[[1.0, 2.0]]
    with pytest.raises(ValueError, match="expected indices below 18"):
        ops.indices(19) | ops.gather(X)


def test_the_ranks_of_a_large_run():
    X = ops.concat(*PARTS)
    stream = ops.blend([10, 1, 7], 3, weights=[6, 1, 3], block=10) | ops.chunk(4096)
    parts = [(stream | ops.shard(rank, 1024) | ops.gather(X))[0][0] for rank in range(1024)]
    assert np.array_equal(np.concatenate(parts), WHOLE[stream[0]])
