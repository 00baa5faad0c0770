"""Arrays of zarr and tensorstore: other processes find them, or refuse."""

import pickle

import numpy as np
import pytest
import tensorstore
import zarr

from batchup import ops, work_pool
from batchup.testing import plain
from tests.ops.read.stored import BLOCKS, N, X, read

zarr.array([0])  # it starts an event loop of zarr, whose files stay open


def filled(store):
    array = zarr.create_array(store=store, shape=X.shape, dtype=X.dtype, chunks=(10, 3, 2))
    array[:] = X
    return array


def stores(path):
    return {
        "directory": str(path / "a.zarr"),
        "memory": zarr.storage.MemoryStore(),
        "zip": zarr.storage.ZipStore(path / "a.zip", mode="w"),
        "memory://": zarr.storage.FsspecStore.from_url("memory://x"),
    }


def streamed(array):
    return ops.indices(N) | ops.shuffle(1) | ops.chunk(20) | ops.gather(array)


@pytest.mark.parametrize("kind", ["directory", "memory", "zip", "memory://"])
def test_zarr_in_every_store(tmp_path, kind):
    array = filled(stores(tmp_path)[kind])
    if kind == "zip":
        array.store.close()
        array = zarr.open_array(zarr.storage.ZipStore(tmp_path / "a.zip", mode="r"))
    for block in BLOCKS:
        assert plain(read(array, block)) == X[np.array(block, int)].tolist()
    with work_pool.WorkerProcessPool(1) as pool:
        if kind == "memory://":
            with pytest.raises(TypeError, match=r"is in memory:// of this process, .* Copy it to a directory"):
                streamed(array) | ops.parallel(pool)
        else:
            assert list(map(plain, streamed(array) | ops.parallel(pool))) == list(map(plain, streamed(array)))


def test_workers_find_relative_paths(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    with work_pool.WorkerProcessPool(1) as pool:
        list(ops.indices(4) | ops.parallel(pool))  # it starts where nothing is
        monkeypatch.chdir(tmp_path)
        array = filled("a.zarr")
        inside = ops.indices(N) | ops.chunk(20) | ops.map(Read(array))
        for stream in (streamed(array), inside):
            assert list(map(plain, stream | ops.parallel(pool))) == list(map(plain, stream))


class Read:
    """A user's function that keeps an array of zarr."""

    def __init__(self, array):
        self.array = array

    def __call__(self, block):
        return self.array[int(block[0]) : int(block[-1]) + 1]


def test_a_process_that_finds_another_array_refuses(tmp_path):
    packed = pickle.dumps(streamed(filled(str(tmp_path / "a.zarr"))))
    zarr.create_array(store=str(tmp_path / "a.zarr"), shape=(3,), dtype="f4", overwrite=True)
    with pytest.raises(ValueError, match=r"this process finds another one there, <3 float32>"):
        pickle.loads(packed)
    for file in sorted((tmp_path / "a.zarr").rglob("*"), reverse=True):
        file.unlink() if file.is_file() else file.rmdir()
    with pytest.raises(ValueError, match="this process finds none there"):
        pickle.loads(packed)


def test_groups_are_refused(tmp_path):
    group = zarr.open_group(tmp_path / "g.zarr", mode="w")
    group["x"] = X
    with pytest.raises(TypeError, match=r"got a group of zarr: give one of its arrays, group\['x'\]"):
        ops.gather(group)


@pytest.mark.parametrize("driver", ["file", "memory"])
def test_tensorstore(tmp_path, monkeypatch, driver):
    monkeypatch.chdir(tmp_path)
    spec = {"driver": "zarr", "kvstore": {"driver": driver, "path": "x.zarr/"}}
    metadata = {"shape": X.shape, "chunks": [10, 3, 2], "dtype": "<i8"}
    array = tensorstore.open({**spec, "metadata": metadata}, create=True).result()
    array[:] = X
    for block in BLOCKS:
        assert plain(read(array, block)) == X[np.array(block, int)].tolist()
    with work_pool.WorkerProcessPool(1) as pool:
        list(ops.indices(4) | ops.parallel(pool))
        if driver == "memory":
            with pytest.raises(TypeError, match="is in the memory of this process"):
                streamed(array) | ops.parallel(pool)
            return
        stream = streamed(array)
        (tmp_path / "sub").mkdir()
        monkeypatch.chdir(tmp_path / "sub")
        for one in (stream, stream | ops.parallel(pool)):
            assert list(map(plain, one)) == list(map(plain, streamed(X)))
    with pytest.raises(ValueError, match="this process finds none"):
        ops.gather(array)
