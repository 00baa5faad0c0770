"""Datasets of h5py, however they lie in their file."""

import io
import os
import pickle

import h5py
import numpy as np
import pytest

from batchup import data_source, ops, work_pool
from batchup.core.plan import Kind
from batchup.core.sources import Iterated
from batchup.testing import plain
from tests.ops.read.stored import BLOCKS, N, X, read


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
        with work_pool.WorkerProcessPool(1) as pool, pytest.raises(TypeError, match='open it with mode "r"'):
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


def test_views_of_hdf5(tmp_path):
    with h5py.File(tmp_path / "views.h5", "w") as made:
        made["text"] = np.array([f"word {i}" for i in range(N)], h5py.string_dtype())
        made["x"] = X
        made["records"] = np.array([(i, i / 2) for i in range(N)], [("id", "i4"), ("w", "f4")])
    with h5py.File(tmp_path / "views.h5", "r") as opened, work_pool.WorkerProcessPool(1) as pool:
        views = [opened["text"].asstr(), opened["x"].astype("f4"), opened["records"].fields("id")]
        wholes = [view[:] for view in views]
        for block in BLOCKS:
            for view, whole in zip(views, wholes, strict=True):
                batch = read(view, block)
                assert batch.dtype == whole.dtype
                assert batch.tolist() == whole[np.array(block, int)].tolist()
        stream = ops.indices(N) | ops.shuffle(1) | ops.chunk(10) | ops.gather(*views)
        assert list(map(plain, stream | ops.parallel(pool))) == list(map(plain, stream))


class Halves:
    """A user's class that keeps objects of h5py."""

    def __init__(self, file):
        self.file, self.group, self.data = file, file["group"], file["group/x"]

    def __len__(self):
        return N

    def __getitem__(self, block):
        assert self.file["group/x"].shape == self.group["x"].shape
        return np.stack([self.data[int(i)] for i in block]) / 2


def test_hdf5_in_a_class_goes_to_processes(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as made:
        made["group/x"] = X
    with h5py.File(tmp_path / "a.h5", "r") as opened, work_pool.WorkerProcessPool(1) as pool:
        stream = ops.indices(N) | ops.shuffle(1) | ops.chunk(40) | ops.gather(Halves(opened))
        assert list(map(plain, stream | ops.parallel(pool))) == list(map(plain, stream))


def replaced(path, value):
    with h5py.File(f"{path}.new", "w") as made:
        made["first"] = np.arange(300) * 1000
        made["x"] = np.full(8, value)
    os.replace(f"{path}.new", path)


def test_the_file_that_is_open_is_read_whatever_its_name_means(tmp_path, monkeypatch):
    replaced(tmp_path / "a.h5", 0)
    (tmp_path / "sub").mkdir()
    replaced(tmp_path / "sub" / "a.h5", 7)
    monkeypatch.chdir(tmp_path)
    relative = h5py.File("a.h5", "r")["x"]
    monkeypatch.chdir(tmp_path / "sub")
    with work_pool.WorkerProcessPool(1) as pool:
        stream = ops.indices(8) | ops.chunk(4) | ops.gather(relative)
        for one in (stream, stream | ops.parallel(pool), pickle.loads(pickle.dumps(stream))):
            assert np.concatenate([x for (x,) in one]).tolist() == [0] * 8
        replaced(tmp_path / "a.h5", 1)
        for after in (stream, ops.indices(8) | ops.chunk(4) | ops.gather(relative)):
            assert np.concatenate([x for (x,) in after]).tolist() == [0] * 8
            with pytest.raises(TypeError, match=r"a.h5 is another file now.*Open it anew"):
                after | ops.parallel(pool)


def test_another_process_refuses_another_file(tmp_path):
    replaced(tmp_path / "a.h5", 0)
    stream = ops.indices(8) | ops.gather(h5py.File(tmp_path / "a.h5", "r")["x"])
    packed = pickle.dumps(stream)
    replaced(tmp_path / "a.h5", 1)
    with pytest.raises(ValueError, match="another file has this name now"):
        pickle.loads(packed)


def test_a_file_that_has_shrunk_is_an_error(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as made:
        made["x"] = np.arange(100_000)
    with h5py.File(path, "r") as opened:
        stream = ops.indices(100_000) | ops.chunk(50_000) | ops.gather(opened["x"])
        first = iter(stream)
        next(first)
        os.truncate(path, 4096)
        with pytest.raises(ValueError, match=r"it has shrunk to 4096. Open it anew"):
            next(first)


def test_a_cache_for_files_that_no_other_process_opens(tmp_path):
    with h5py.File(tmp_path / "w.h5", "w") as written, h5py.File(io.BytesIO(), "w") as in_memory:
        for opened in (written, in_memory):
            data = opened.create_dataset("x", data=X, chunks=(10, 3, 2))
            assert plain(read(data, [50, 3], cache=10**6)) == X[[50, 3]].tolist()
        with pytest.raises(TypeError, match="in no file that another process can open"):
            pickle.dumps(ops.indices(N) | ops.gather(in_memory["x"]))


def test_fewer_samples_than_asked_for(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as opened:
        data = opened.create_dataset("x", data=X, maxshape=(None, 3, 2), chunks=(10, 3, 2))
        stream = ops.indices(N) | ops.chunk(60) | ops.gather(data, np.arange(N))
        data.resize(50, axis=0)
        with pytest.raises(ValueError, match=r"expected 60 samples of <103x3x2 int64>; got 50. If it was resized"):
            list(stream)
