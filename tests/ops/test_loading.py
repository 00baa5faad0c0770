"""Loaders with workers of their own: `workers=` and `threads=`."""

import copy
import gc
import os
import pickle
import threading
import warnings
from functools import partial

import numpy as np
import pytest

from batchup import ops, work_pool
from batchup.core import Loader
from batchup.data_source import AbstractDataSource, ArrayDataSource, CallableDataSource, RandomAccessDataSource
from batchup.testing import plain
from tests.conftest import children

X = np.arange(40).reshape(20, 2)


def with_pid(x):
    return x, np.full(len(x), os.getpid())


def with_thread(x):
    return x, np.full(len(x), threading.get_ident())


def doubled(x):
    return x * 2


SOURCE = ArrayDataSource([X])
STREAM = SOURCE.map(doubled).stream(4, shuffle=7)


def lists(batches):
    return [plain(batch) for batch in batches]


def test_processes_make_the_batches_and_serve_all_epochs():
    before = set(children())
    with SOURCE.map(with_pid).loader(4, shuffle=7, workers=2) as loader:
        assert set(children()) == before
        epochs = [list(loader) for _ in range(3)]
        assert len(set(children()) - before) == 2
    assert set(children()) == before
    serial = SOURCE.map(with_pid).loader(4, shuffle=7)
    assert [[x.tolist() for x, _ in epoch] for epoch in epochs] == [[x.tolist() for x, _ in serial] for _ in range(3)]
    pids = {pid for epoch in epochs for _, pids in epoch for pid in pids.tolist()}
    assert os.getpid() not in pids
    assert len(pids) <= 2


def test_threads_make_the_batches():
    def ours():
        return [thread for thread in threading.enumerate() if thread.name.startswith("batchup_")]

    before = len(ours())
    loader = STREAM.loader(threads=2)
    assert len(ours()) == before
    assert lists(loader) == lists(STREAM.loader())
    assert len(ours()) == before + 2
    loader.close()
    assert len(ours()) == before
    made_by = {n for _, numbers in SOURCE.map(with_thread).loader(4, threads=1) for n in numbers.tolist()}
    assert threading.get_ident() not in made_by


def test_workers_end_with_the_loader():
    before = set(children())
    loader = STREAM.loader(workers=1)
    items = iter(loader)
    next(items)
    del loader
    next(items)  # which keeps the loader alive
    del items
    gc.collect()
    assert set(children()) == before


def test_a_loader_that_was_never_iterated_leaves_nothing():
    STREAM.loader(workers=2)
    STREAM.loader(threads=2).close()
    with STREAM.loader(workers=2):
        pass


def test_a_closed_loader():
    loader = STREAM.loader(workers=1)
    items = iter(loader)
    first = next(items)
    loader.close()
    loader.close()
    with pytest.raises(RuntimeError, match=r"expected an open loader to iterate; .* was closed. Make another"):
        iter(loader)
    with pytest.raises(RuntimeError, match=r"was ended by .* or close\(\)"):
        next(items)
    other = STREAM.loader()
    other.load_state_dict(loader.state_dict())
    assert [plain(first), *lists(other)] == lists(STREAM.loader())
    with pytest.raises(ValueError, match="bad"), STREAM.loader() as plain_loader:
        next(iter(plain_loader))
        raise ValueError("bad")
    assert plain_loader.state_dict()["iterator"]["position"] == 1


@pytest.mark.parametrize("given", [{"workers": 1}, {"threads": 1}])
@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda loader: pickle.loads(pickle.dumps(loader))])
def test_copies_start_workers_of_their_own(given, again):
    with STREAM.loader(**given) as loader:
        items = iter(loader)
        next(items)
        with again(loader) as other:
            assert lists(other) == lists(items)
        assert lists(loader) == lists(STREAM.epoch(1))


def test_0_workers_are_none():
    for given in ({"workers": 0}, {"threads": 0}):
        assert repr(STREAM.loader(**given)) == repr(STREAM.loader())


def test_what_is_given_together_is_refused():
    with work_pool.WorkerThreadPool(1) as pool:
        for given in ({"workers": 2, "threads": 2}, {"workers": 2, "pool": pool}, {"threads": 0, "pool": pool}):
            for make in (STREAM.loader, lambda **given: SOURCE.loader(4, **given)):
                with pytest.raises(
                    ValueError, match="loader: expected one of workers=, for processes, threads= and pool="
                ):
                    make(**given)
    with pytest.raises(TypeError, match="loader: workers: expected a whole number"):
        STREAM.loader(workers=2.5)
    with pytest.raises(ValueError, match="loader: threads: expected a whole number >= 0; got -1"):
        STREAM.loader(threads=-1)
    with pytest.raises(TypeError, match="expected a stream without a pool"), work_pool.WorkerThreadPool(1) as pool:
        (STREAM | ops.parallel(pool)).loader(workers=1)
    with pytest.raises(TypeError, match=r"loader: buffer: expected workers=, threads= or pool="):
        STREAM.loader(buffer=3)
    with pytest.raises(TypeError, match=r"expected work that can be pickled.*threads= of a loader, needs no pickling"):
        (STREAM | ops.map(partial(doubled, lock=threading.Lock()))).loader(workers=1)


def sevens(batch_size, **kwargs):
    return iter([(np.full(batch_size, 7),)])


class Own(AbstractDataSource):
    def num_samples(self, **kwargs):
        return 2

    def batch_iterator(self, batch_size, shuffle=None, **kwargs):
        return sevens(batch_size)


@pytest.mark.parametrize("source", [SOURCE, CallableDataSource(sevens), Own()])
def test_num_workers_names_workers(source):
    with pytest.raises(
        TypeError, match=r"there is no argument num_workers=; write workers=, for processes, or threads="
    ):
        source.loader(4, num_workers=2)
    with pytest.raises(TypeError, match=r"loader: there is no argument num_workers=; write workers="):
        source.stream(4).loader(num_workers=2)


def test_a_users_function_may_have_a_parameter_of_that_name():
    def batches(batch_size, num_workers):
        return iter([num_workers])

    assert list(CallableDataSource(batches).loader(4, num_workers=2)) == [2]


@pytest.mark.parametrize("given", [{"workers": 1}, {"threads": 1}])
def test_work_that_needs_no_workers_is_told(given):
    pair = ops.zip(SOURCE.stream(4), SOURCE.stream(4))
    for make in (lambda: SOURCE.loader(4, **given), lambda: pair.loader(**given)):
        with pytest.warns(UserWarning, match=r"loader: (workers|threads)=1: .* only reads arrays in memory") as told:
            loader = make()
        assert [warning.filename for warning in told] == [__file__]
        with loader:
            assert len(list(loader)) == 5
    with pytest.warns(UserWarning, match="has no work for workers, since its batches come one after another"):
        CallableDataSource(sevens).loader(4, **given).close()


class Read(RandomAccessDataSource):
    def read(self, indices):
        return (X[indices],)


def test_work_that_may_need_workers_is_not_told(tmp_path):
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for source in (SOURCE.map(doubled), ArrayDataSource([mapped]), ArrayDataSource([np.asarray(mapped)]), Read(20)):
            source.loader(4, workers=1).close()
        (ops.indices(20) | ops.samples(X)).loader(threads=1).close()


def test_windows_are_made_by_the_workers(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("X", data=X, chunks=(4, 2))
    with h5py.File(tmp_path / "x.h5") as file:
        ds = ArrayDataSource([file["X"]]).map(doubled)
        expected = lists(ds.loader(3, shuffle=7, window=2))
        with ds.loader(3, shuffle=7, window=2, workers=1) as loader:
            assert lists(loader) == expected


def test_a_loader_by_itself_is_a_context_manager():
    with Loader(STREAM) as loader:
        assert lists(loader) == lists(STREAM.epoch(0))
