"""windows: sliding windows over signals, compared with those that NumPy makes."""

import os
import pickle
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from batchup import ops
from batchup.data_source import ArrayDataSource
from batchup.testing import plain
from batchup.work_pool import WorkerProcessPool

zarr.array([0])  # it starts an event loop of zarr, whose files stay open
RANDOM = np.random.RandomState(0)
SIGNALS = [RANDOM.randint(0, 1000, (n, 3)) for n in (50, 6, 4, 81)]


def by_numpy(signals, size, stride):
    """All windows, and the signal and the start of each."""
    found = [
        (signal[start : start + size], n, start)
        for n, signal in enumerate(signals)
        for start in range(0, len(signal) - size + 1, stride)
    ]
    return [np.array(part) for part in zip(*found, strict=True)]


def check(array, signals, size, stride):
    expected, owner, start = by_numpy(signals, size, stride)
    assert (array.shape, array.dtype) == (expected.shape, expected.dtype)
    assert array.owner.tolist() == owner.tolist()
    assert array.start.tolist() == start.tolist()
    n = len(expected)
    for some in (RANDOM.permutation(n), np.repeat(RANDOM.randint(0, n, 5), 2), np.arange(0), np.arange(n)[::-1]):
        [(batch,)] = [some] | ops.gather(array)
        assert batch.tolist() == expected[some].tolist()
        assert batch.flags.writeable
        assert batch.flags.c_contiguous
    for begin, end in ((0, n), (n // 3, n // 2), (n - 1, n)):
        assert next(iter([range(begin, end)] | ops.gather(array)))[0].tolist() == expected[begin:end].tolist()
    assert array[-1].tolist() == expected[-1].tolist()
    assert array[1::2].tolist() == expected[1::2].tolist()


@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=4),
    st.integers(1, 6),
    st.integers(1, 8),
    st.sampled_from([(), (2,)]),
)
def test_every_window_of_every_signal(lengths, size, stride, shape):
    signals = [np.arange(n * 2).reshape(n, 2)[:, 0] + 100 * k for k, n in enumerate(lengths)]
    signals = [np.stack([s, -s], axis=1) if shape else s for s in signals]
    if max(lengths) < size:
        with pytest.raises(ValueError, match=f"expected a signal of {size} samples, .* the longest has {max(lengths)}"):
            ops.windows(signals, size, stride)
        return
    check(ops.windows(signals, size, stride), signals, size, stride)
    if lengths[0] >= size:
        check(ops.windows(signals[0], size, stride), signals[:1], size, stride)


def test_one_array_is_one_signal():
    x = np.arange(10.0)
    for array in (x, x.tolist(), tuple(x)):
        assert ops.windows(array, 4, 3)[:].tolist() == [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]]
    assert ops.windows([x.tolist(), [5.0, 6.0, 7.0, 8.0]], 4, 4)[:].tolist() == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [5, 6, 7, 8],
    ]
    assert repr(ops.windows(x, 4, 3)) == "<3x4 float64>"


def test_ragged_signals():
    ragged = ops.Ragged.of([[1, 2, 3], [4], [5, 6]])
    array = ops.windows(ragged, 2)
    assert (array[:].tolist(), array.owner.tolist()) == ([[1, 2], [2, 3], [5, 6]], [0, 0, 2])


def hdf5(path, **options):
    with h5py.File(path / "signals.h5", "w") as file:
        for n, signal in enumerate(SIGNALS):
            file.create_dataset(str(n), data=signal, **options)
    file = h5py.File(path / "signals.h5")
    return [file[str(n)] for n in range(len(SIGNALS))]


STORES = {
    "hdf5": lambda path: hdf5(path),
    "chunks": lambda path: hdf5(path, chunks=(4, 3)),
    "compressed": lambda path: hdf5(path, chunks=(4, 3), compression="gzip"),
    "zarr": lambda path: [
        zarr.create_array(store=path / f"{n}.zarr", data=signal, chunks=(4, 3)) for n, signal in enumerate(SIGNALS)
    ],
    "maps": lambda path: [_mapped(path / f"{n}.npy", signal) for n, signal in enumerate(SIGNALS)],
}


def _mapped(file, signal):
    np.save(file, signal)
    return np.load(file, mmap_mode="r")


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize(("size", "stride"), [(5, 1), (5, 7), (3, 20), (60, 2)])
def test_stored_signals(store, size, stride, tmp_path):
    signals = STORES[store](tmp_path)
    check(ops.windows(signals, size, stride), SIGNALS, size, stride)
    check(ops.windows(signals[3], size, stride), SIGNALS[3:], size, stride)
    stream = ops.indices(9) | ops.chunk(4) | ops.gather(ops.windows(signals, 5, 9), cache=10**5)
    assert np.concatenate([batch for (batch,) in stream]).tolist() == by_numpy(SIGNALS, 5, 9)[0][:9].tolist()


class Counting:
    """A signal in chunks that notes which slices are read of it."""

    def __init__(self, signal, size):
        self.signal, self.chunks, self.shape, self.dtype = signal, (size,), signal.shape, signal.dtype
        self.read = []

    def __len__(self):
        return len(self.signal)

    def __getitem__(self, some):
        self.read.append((some.start, some.stop))
        return self.signal[some]


def test_windows_that_overlap_or_share_a_chunk_are_read_by_one_slice():
    signal = Counting(np.arange(1000), 10)
    array = ops.windows(signal, 5)
    signal.read.clear()
    assert array[[3, 0, 900, 1, 902, 3]][:, 0].tolist() == [3, 0, 900, 1, 902, 3]
    assert signal.read == [(0, 8), (900, 907)]
    signal.read.clear()
    array[[100, 105, 130, 137]]  # the last two lie in two chunks, next to one another
    assert signal.read == [(100, 110), (130, 135), (137, 142)] or signal.read == [(100, 110), (130, 142)]


def test_windows_of_chunks_are_mixed_as_chunks_are(tmp_path):
    array = ops.windows(STORES["compressed"](tmp_path), 5, 3)
    expected = by_numpy(SIGNALS, 5, 3)[0]
    assert array.chunks.sum() == len(expected)
    ds = ArrayDataSource([array], include_indices=True)
    seen = []
    for indices, batch in ds.batch_iterator(8, shuffle=7, window=3):
        assert batch.tolist() == expected[indices].tolist()
        seen += indices.tolist()
    assert sorted(seen) == list(range(len(expected)))
    train, val = ds.split(0.6, 0.4, groups=array.owner)
    seen = list(train.batch_iterator(8, shuffle=7, window=3))
    assert all(batch.tolist() == expected[indices].tolist() for indices, batch in seen)
    assert sorted(i for indices, _ in seen for i in indices) == sorted(train.sample_indices)
    assert not {*array.owner[train.sample_indices]} & {*array.owner[val.sample_indices]}


def test_all_windows_are_a_view_of_one_signal_in_memory():
    signal = np.arange(10**6, dtype=np.float32)
    array = ops.windows(signal, 1000)
    data = pickle.dumps(ops.indices(5) | ops.gather(array))
    assert len(data) < 1.1 * signal.nbytes
    [(batch,)] = pickle.loads(data)
    assert batch.tolist() == sliding_window_view(signal, 1000)[:5].tolist()


@pytest.mark.parametrize("store", ["maps", "compressed", "zarr"])
def test_in_worker_processes(store, tmp_path):
    with WorkerProcessPool(processes=1) as pool:
        list(ops.indices(3) | ops.map(len) | ops.parallel(pool))  # the worker starts before files are open
        signals = STORES[store](tmp_path)
        for array in (ops.windows(signals, 5, 2), ops.windows(signals[0], 5, 2)):
            stream = ops.indices(len(array)) | ops.shuffle(3) | ops.chunk(8) | ops.gather(array)
            assert [plain(batch) for batch in stream | ops.parallel(pool)] == [plain(batch) for batch in stream]


def test_a_relative_path_of_a_map_is_no_matter(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    array = ops.windows(_mapped(Path("signal.npy"), SIGNALS[0]), 5)
    data = pickle.dumps(ops.indices(3) | ops.gather(array))
    monkeypatch.chdir(os.path.sep)
    assert next(iter(pickle.loads(data)))[0].tolist() == by_numpy(SIGNALS[:1], 5, 1)[0][:3].tolist()


@pytest.mark.parametrize(
    ("args", "error", "match"),
    [
        (([], 3), ValueError, "windows: expected one signal at least; got none"),
        ((np.arange(9), 0), ValueError, "windows: size: expected a whole number >= 1; got 0"),
        ((np.arange(9), 3, 0), ValueError, "windows: stride: expected a whole number >= 1; got 0"),
        ((np.arange(9), 2.5), TypeError, "windows: size: expected a whole number"),
        ((np.arange(9), 10), ValueError, "expected a signal of 10 samples, a window, at least; the longest has 9"),
        (([np.arange(9), np.arange(9.0)], 3), ValueError, "signal 0 is <9 int64>, signal 1 <9 float64>"),
        (([np.zeros((9, 2)), np.zeros((9, 3))], 3), ValueError, "of one shape but for the first axis"),
        ((["a", "b"], 1), TypeError, "windows: signal 0: expected an array"),
        (([np.array(["a", None])], 1), TypeError, "signal 0: expected an array of numbers"),
        ((np.ma.masked_array([1, 2, 3], [0, 1, 0]), 2), TypeError, "windows: expected an array of numbers"),
        ((pd.DataFrame({"a": [1, 2, 3]}), 2), TypeError, r"got a table, <DataFrame of 3>\. Write table.to_numpy\(\)"),
        ((7, 2), TypeError, "windows: expected an array"),
    ],
)
def test_wrong_arguments(args, error, match):
    with pytest.raises(error, match=match):
        ops.windows(*args)


def test_indices_outside():
    array = ops.windows(SIGNALS, 5)
    with pytest.raises(IndexError, match=f"expected indices below {len(array)}; got {len(array)}"):
        array[[0, len(array)]]
