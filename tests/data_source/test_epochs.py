"""Epochs, loaders and `drop_last` of every data source."""

import json

import numpy as np
import pytest

from batchup import ops, work_pool
from batchup.data_source import (
    AbstractDataSource,
    ArrayDataSource,
    CallableDataSource,
    ChoiceDataSource,
    CompositeDataSource,
    IteratorDataSource,
)
from batchup.sampling import WeightedSampler
from batchup.testing import plain
from tests.data_source.test_joint import OddFirst, OneByOne, Squares

X = np.arange(10)


def noise(*batch, rng):
    return (*batch, rng.integers(10**9, size=len(batch[0])))


def swap(*batch):
    return batch[::-1]


def counted(batch_size, shuffle=None, epoch=0, drop_last=False):
    """A user's own batches, which know of epochs."""
    order = np.random.default_rng((shuffle, epoch)).permutation(10) if shuffle is not None else X
    for start in range(0, 10 - drop_last * (10 % batch_size), batch_size):
        yield (order[start : start + batch_size],)


class Weird(AbstractDataSource):
    """A source of a user's own with random access, of squares, that knows of epochs."""

    is_random_access = True

    def num_samples(self, **kwargs):
        return 10

    def batch_iterator(self, batch_size, shuffle=None, epoch=0, drop_last=False):
        for (block,) in counted(batch_size, shuffle, epoch, drop_last):
            yield self.samples_by_indices_nomapping(block)

    def batch_indices_iterator(self, batch_size, shuffle=None, epoch=0, drop_last=False):
        return (block for (block,) in counted(batch_size, shuffle, epoch, drop_last))

    def samples_by_indices_nomapping(self, indices):
        return (np.asarray(indices) ** 2,)


ARRAYS = ArrayDataSource([X, X * 10])
SUBSET = ArrayDataSource([X], indices=[1, 3, 5, 7, 9], repeats=3)
SOURCES = {
    "arrays": ARRAYS,
    "subset": SUBSET,
    "squares": Squares(10),
    "a user's sampler": ArrayDataSource([X], sampler=OddFirst()),
    "mapped": ARRAYS.map(swap),
    "noise": ARRAYS.map(noise, rng=2024).map(noise, rng=2024),
    "composite": CompositeDataSource([ARRAYS.map(noise, rng=7), SUBSET]),
    "with an endless one": CompositeDataSource([ARRAYS, ArrayDataSource([X], repeats=-1)]),
    "choice": ChoiceDataSource([ARRAYS, ArrayDataSource([-X, -X])]),
    "stratified": ChoiceDataSource([ARRAYS, ArrayDataSource([-X, -X])], stratified=True),
    "nested": CompositeDataSource([ChoiceDataSource([ARRAYS, ARRAYS]), ARRAYS], flatten=False),
    "a function": CallableDataSource(counted, 10),
    "of a function": CompositeDataSource([CallableDataSource(counted, 10).map(noise, rng=1), ARRAYS]),
    "a user's class": Weird(),
}


def some(batches):
    return [plain(batch) for batch in batches]


@pytest.mark.parametrize("name", SOURCES)
def test_every_epoch_of_every_source_is_another_and_the_same_again(name):
    ds = SOURCES[name]
    epochs = [some(ds.batch_iterator(4, shuffle=12345, epoch=e)) for e in range(3)]
    different = 1 if name == "a user's sampler" else 3  # which gives one order
    assert len(set(map(str, epochs))) == different
    assert some(ds.batch_iterator(4, shuffle=12345)) == epochs[0]
    assert [some(ds.stream(4, shuffle=12345, epoch=e)) for e in range(3)] == epochs
    stream = ds.stream(4, shuffle=12345)
    assert some(stream | ops.repeat(3)) == [batch for epoch in epochs for batch in epoch]
    loader = ds.loader(4, shuffle=12345)
    assert [some(loader) for _ in range(3)] == epochs
    if stream.plan.length is not None:
        assert len(loader) == len(epochs[0])


@pytest.mark.parametrize("name", SOURCES)
def test_pools_and_generators_make_no_difference_to_epochs(name):
    ds = SOURCES[name]
    epochs = [some(ds.batch_iterator(4, shuffle=12345, epoch=e)) for e in range(2)]
    with work_pool.WorkerThreadPool(2) as pool:
        loader = ds.loader(4, shuffle=12345, pool=pool, buffer=3)
        assert "parallel(WorkerThreadPool(processes=2), buffer=3)" in repr(loader)
        assert [some(loader) for _ in range(2)] == epochs
        if ds.is_random_access:
            par_ds = pool.parallel_data_source(ds)
            loader = par_ds.loader(4, shuffle=12345)
            assert [some(loader) for _ in range(2)] == epochs
            assert some(par_ds.batch_iterator(4, 12345, epoch=1)) == epochs[1]
    if name in ("arrays", "mapped", "composite", "stratified"):  # with a generator, as without a loader
        rng = np.random.RandomState(5)
        loader = ds.loader(4, shuffle=rng)
        loaded = [some(loader) for _ in range(2)]
        rng = np.random.RandomState(5)
        assert loaded == [some(ds.batch_iterator(4, shuffle=rng)) for _ in range(2)]


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("shuffle", [None, 12345])
def test_drop_last_leaves_out_what_is_short(name, shuffle):
    ds = SOURCES[name]
    full = [batch for batch in ds.batch_iterator(4, shuffle) if not isinstance(batch[0], tuple) and len(batch[0]) == 4]
    dropped = list(ds.batch_iterator(4, shuffle, drop_last=True))
    if name in ("choice", "nested"):  # in turns, until there is no whole batch left of one
        assert len(dropped) == (4 if name == "choice" else 2)
    elif name == "stratified":
        assert len(dropped) == 4
    else:
        assert some(dropped) == some(full)
    stream = ds.stream(4, shuffle, drop_last=True)
    if stream.plan.length is not None:
        assert len(stream) == len(ds.loader(4, shuffle, drop_last=True)) == len(dropped)
    if stream.num_samples is not None:
        assert stream.num_samples == sum(len(batch[0]) for batch in dropped)


def test_indices_of_an_epoch():
    for name in ("arrays", "squares", "mapped", "a user's class", "composite"):
        ds = SOURCES[name]
        if name == "a user's class":
            ds = ds.map(swap)
        for e in range(2):
            indices = ds.batch_indices_iterator(4, shuffle=12345, epoch=e, drop_last=True)
            batches = ds.batch_iterator(4, shuffle=12345, epoch=e, drop_last=True)
            for block, batch in zip(indices, batches, strict=True):
                assert plain(ds.samples_by_indices_nomapping(block))[:1] == plain(batch)[:1] or name in ("composite")


def test_epochs_of_shards_are_those_of_the_whole():
    for e in range(2):
        whole = list(ARRAYS.batch_iterator(4, shuffle=5, epoch=e, drop_last=True))
        ranks = [list(ARRAYS.batch_iterator(4, shuffle=5, epoch=e, shard=(r, 2), drop_last=True)) for r in range(2)]
        for batch, *parts in zip(whole, *ranks, strict=True):
            assert plain(batch)[0] == [i for part in parts for i in plain(part)[0]]


def test_weights_without_end_have_epochs_behind_take():
    ds = ArrayDataSource([X], sampler=WeightedSampler(X + 1.0))
    with pytest.raises(TypeError, match=r"loader: .* is endless: behind take\(n\) its epochs have n items"):
        ds.loader(4, shuffle=5)
    with pytest.raises(TypeError, match=r"epoch\(1\): .* is endless"):
        ds.batch_iterator(4, shuffle=5, epoch=1)
    loader = (ds.stream(4, shuffle=5) | ops.take(3)).loader()
    assert len({str(some(loader)) for _ in range(3)}) == 3


def test_what_would_be_the_same_in_each_epoch_is_refused():
    def plainly(batch_size, shuffle=None):
        return counted(batch_size, shuffle)

    for ds in (
        CallableDataSource(plainly),
        CallableDataSource(plainly).map(swap),
        CompositeDataSource([ARRAYS, CallableDataSource(plainly)]),
    ):
        expected = r"has one order for all epochs: expected a parameter epoch of plainly of CallableData"
        with pytest.raises(TypeError, match=f"loader: .*{expected}"):
            ds.loader(4, shuffle=5)
        with pytest.raises(TypeError, match=rf"epoch\(1\): .*{expected}"):
            ds.stream(4, shuffle=5, epoch=1)
        for shuffle in (None, np.random.RandomState(1), True):
            assert len(some(ds.map(swap).loader(5))) == 2, shuffle
    with pytest.raises(TypeError, match="expected a parameter epoch of batch_iterator of OneByOne"):
        OneByOne().loader(4, shuffle=5)
    with pytest.raises(TypeError, match=r"draws from a generator, .* give a seed, or use a loader"):
        ARRAYS.batch_iterator(4, shuffle=np.random.RandomState(1), epoch=1)


def test_what_does_not_know_drop_last_is_refused():
    def plainly(batch_size):
        return counted(batch_size)

    for ds in (
        CallableDataSource(plainly),
        CallableDataSource(plainly).map(swap),
        CompositeDataSource([ARRAYS, CallableDataSource(plainly)]),
    ):
        with pytest.raises(TypeError, match="drop_last: expected a parameter drop_last of plainly of Call"):
            ds.stream(4, drop_last=True)
        assert len(some(ds.stream(4))) == 3
    with pytest.raises(TypeError, match=r"drop_last: IteratorDataSource.* gives the batches of its iterator"):
        IteratorDataSource(iter([])).batch_iterator(4, drop_last=True)


@pytest.mark.parametrize("stratified", [False, True])
def test_a_member_of_a_choice_that_is_smaller_than_a_batch_is_refused(stratified):
    ds = ChoiceDataSource([ARRAYS, ArrayDataSource([X[:3], X[:3]])], stratified=stratified)
    expected = "with drop_last, expected members with at least 4 samples; number 1, ArrayData.* has 3 samples"
    with pytest.raises(ValueError, match=f"^ChoiceDataSource: {expected}"):
        ds.batch_iterator(4, drop_last=True)
    assert len(some(ds.batch_iterator(3, drop_last=True))) == (4 if stratified else 3)


def test_arguments_of_loaders():
    with pytest.raises(TypeError, match=r"loader: there is no argument epoch=; write loader.set_epoch"):
        ARRAYS.loader(4, epoch=3)
    with pytest.raises(TypeError, match="loader: there is no argument shufle=; did you mean shuffle="):
        ARRAYS.loader(4, shufle=3)
    with pytest.raises(TypeError, match="loader: split: expected workers=, threads= or pool="):
        ARRAYS.loader(4, split=True)
    with pytest.raises(TypeError, match=r"parallel\(pool\): expected a pool"):
        ARRAYS.loader(4, pool=5)
    with pytest.raises(ValueError, match=r"epoch\(e\): expected a whole number >= 0; got -1"):
        ARRAYS.batch_iterator(4, epoch=-1)


def test_a_loader_of_a_data_source_stops_and_goes_on():
    def make():
        ds = CompositeDataSource([ARRAYS.map(noise, rng=7), ArrayDataSource([X[:3]], repeats=-1)])
        return ds.loader(3, shuffle=12345, drop_last=True)

    loader = make()
    whole = [some(loader) for _ in range(3)]
    for cut in range(4):
        loader = make()
        loader.set_epoch(1)
        items = iter(loader)
        for _ in range(cut):
            next(items)
        again = make()
        again.load_state_dict(json.loads(json.dumps(loader.state_dict())))
        rest = [some(again) for _ in range(1 + (cut < 3))]
        assert rest == ([whole[1][cut:], whole[2]] if cut < 3 else [whole[2]])


def test_the_noise_of_samples_by_indices_is_of_the_seed():
    def noisy(x, rng):
        return rng.integers(10**9, size=len(x))

    source = ArrayDataSource([np.arange(4)])
    drawn = [
        source.map(noisy, rng=seed).samples_by_indices([1, 2]).tolist() for seed in (5, (5,), (5, 0), (5, 0, 0), 6)
    ]
    assert drawn[0] == drawn[1]
    assert len(set(map(tuple, drawn))) == 4


def test_a_map_that_resizes_does_not_know_its_samples():
    source = ArrayDataSource([np.arange(4)])
    assert source.map(lambda x: x[:1], resizes=True).num_samples() is None
    assert source.map(lambda x: x).num_samples() == 4
