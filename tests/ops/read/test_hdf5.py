"""Datasets of h5py, however they lie in their file."""

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
