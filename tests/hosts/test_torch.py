"""PyTorch's DataLoader and torchdata's StatefulDataLoader: the batches of the stream, for any number of workers."""

import json
import pickle
from itertools import islice

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader

from batchup import ops, work_pool
from batchup.data_source import ArrayDataSource, CompositeDataSource
from batchup.hosts.torch import Batches, Every
from batchup.testing import SOME, check_laws, plain

X = np.arange(200, dtype=np.float32).reshape(100, 2)
Y = np.arange(100)


def noise(x, y, rng):
    return x + rng.random(x.shape, dtype=np.float32), y


def source():
    return CompositeDataSource([ArrayDataSource([X, Y])]).map(noise, rng=7)


def batches(size=9):
    return source().stream(size, shuffle=12345)


def numbers(loader):
    return [plain(tuple(batch)) for batch in loader]


def same(loader, stream):
    assert numbers(loader) == numbers(stream)


KINDS = [DataLoader, StatefulDataLoader]
WORKERS = [{"num_workers": 0}, {"num_workers": 2}, {"num_workers": 2, "persistent_workers": True}]
SPAWNED = {"num_workers": 2, "multiprocessing_context": "spawn"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("workers", [*WORKERS, SPAWNED], ids=str)
def test_the_batches_are_those_of_the_stream(kind, workers):
    loader = kind(Batches(batches()), batch_size=None, **workers)
    assert len(loader) == 12
    for _ in range(2):
        for batch, expected in zip(loader, batches(), strict=True):
            assert all(isinstance(part, torch.Tensor) for part in batch)
            for part, array in zip(batch, expected, strict=True):
                assert part.numpy().tobytes() == array.tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("workers", WORKERS, ids=str)
def test_of_a_loader_each_iteration_is_the_next_epoch(kind, workers):
    epochs = [numbers(batches().epoch(e)) for e in range(8)]
    dataset = Batches(source().loader(9, shuffle=12345))
    loader = kind(dataset, batch_size=None, **workers)
    assert [numbers(loader) for _ in range(2)] == epochs[:2]
    assert numbers(islice(loader, 3)) == epochs[2][:3]
    assert numbers(loader) == epochs[3]
    dataset.set_epoch(6)
    assert [numbers(loader) for _ in range(2)] == epochs[6:]
    dataset.set_epoch(1)
    assert [numbers(loader) for _ in range(2)] == epochs[1:3]
    dataset.set_epoch(1)
    assert numbers(loader) == epochs[1]


@pytest.mark.parametrize("workers", WORKERS, ids=str)
def test_epochs_of_steps_go_on_where_the_last_one_stopped(workers):
    loader = source().loader(9, shuffle=12345, steps=5)
    expected = numbers(batches() | ops.repeat(-1) | ops.take(15))
    dataloader = DataLoader(Batches(loader), batch_size=None, **workers)
    assert len(dataloader) == 5
    assert [batch for _ in range(3) for batch in numbers(dataloader)] == expected


def test_a_loader_with_workers_of_its_own_needs_none_of_a_dataloader():
    with source().loader(9, shuffle=12345, threads=2) as loader:
        same(DataLoader(Batches(loader), batch_size=None), batches().epoch(0))


def test_epochs_of_workers_that_are_started_anew():
    dataset = Batches(source().loader(9, shuffle=12345))
    loader = DataLoader(dataset, batch_size=None, **SPAWNED)
    assert [numbers(loader) for _ in range(2)] == [numbers(batches().epoch(e)) for e in range(2)]


@pytest.mark.parametrize("workers", WORKERS, ids=str)
def test_epochs_that_are_set_of_a_stream(workers):
    dataset = Batches(batches())
    loader = DataLoader(dataset, batch_size=None, **workers)
    same(loader, batches())
    for e in (3, 3, 0, 1):
        dataset.set_epoch(e)
        same(loader, batches().epoch(e))
        same(loader, batches().epoch(e))


@pytest.mark.parametrize("workers", WORKERS, ids=str)
@pytest.mark.parametrize("start", [0, 1, 2, 5, 11, 12, 40])
def test_a_plain_dataloader_goes_on_from_a_batch(workers, start):
    loader = DataLoader(Batches(batches(), start=start), batch_size=None, **workers)
    same(loader, batches() | ops.skip(start))
    # Of a loader, and where the epoch is set: the rest of the first one, then whole epochs.
    loaded = source().loader(9, shuffle=12345)
    loaded.set_epoch(3)
    loader = DataLoader(Batches(loaded, start=start), batch_size=None, **workers)
    same(loader, batches().epoch(3) | ops.skip(start))
    same(loader, batches().epoch(4))
    dataset = Batches(batches(), start=start)
    for e in (2, 3):
        dataset.set_epoch(e)
        same(DataLoader(dataset, batch_size=None, **workers), batches().epoch(e) | ops.skip(start if e == 2 else 0))


@pytest.mark.parametrize("workers", WORKERS, ids=str)
@pytest.mark.parametrize("start", [0, 3])
def test_a_loader_in_the_midst_of_an_epoch_goes_on_there(workers, start):
    loaded = source().loader(9, shuffle=12345)
    list(islice(loaded, 5))
    again = source().loader(9, shuffle=12345)
    again.load_state_dict(loaded.state_dict())
    for each in (again, loaded):
        loader = DataLoader(Batches(each, start=start), batch_size=None, **workers)
        same(loader, batches() | ops.skip(5 + start))
        same(loader, batches().epoch(1))
    list(islice(again, 3))
    list(islice(again, 12))  # all of it, and no more was asked for
    loader = DataLoader(Batches(again, start=start), batch_size=None, **workers)
    same(loader, batches().epoch(2) | ops.skip(start))


@pytest.mark.parametrize("workers", WORKERS, ids=str)
@pytest.mark.parametrize("cut", [0, 1, 2, 5, 11, 12])
def test_a_stateful_dataloader_goes_on_exactly(workers, cut):
    epochs = [numbers(batches().epoch(e)) for e in range(4)]

    def make(of_stream=False):
        dataset = Batches(batches() if of_stream else source().loader(9, shuffle=12345))
        return StatefulDataLoader(dataset, batch_size=None, **workers)

    loader = make()
    assert numbers(loader) == epochs[0]
    items = iter(loader)
    assert numbers(islice(items, cut)) == epochs[1][:cut]
    state = pickle.loads(pickle.dumps(loader.state_dict()))
    del items
    again = make()
    again.load_state_dict(state)
    rest = numbers(again)
    if cut == 12 and rest == epochs[2]:  # torchdata may have seen the end, or not yet
        assert numbers(again) == epochs[3]
    else:
        assert rest == epochs[1][cut:]
        assert numbers(again) == epochs[2]
    # Of a stream with an epoch that was set.
    loader = make(of_stream=True)
    loader.dataset.set_epoch(2)
    items = iter(loader)
    list(islice(items, min(cut, 11)))
    state = loader.state_dict()
    again = make(of_stream=True)
    again.load_state_dict(state)
    assert numbers(again) == epochs[2][min(cut, 11) :]


def test_states_are_small_and_of_that_stream_alone():
    loader = StatefulDataLoader(Batches(batches()), batch_size=None)
    next(iter(loader))
    state = loader.state_dict()
    assert len(json.dumps(state)) < 2000
    other = StatefulDataLoader(Batches(batches(8)), batch_size=None)
    other.load_state_dict(state)
    with pytest.raises(ValueError, match="expected a checkpoint of this stream"):
        next(iter(other))


def test_pools_make_the_batches_where_there_are_no_workers():
    with work_pool.WorkerThreadPool(2) as pool:
        same(DataLoader(Batches(batches() | ops.parallel(pool)), batch_size=None), batches())
        same(DataLoader(Batches(batches() | ops.parallel(pool), start=5), batch_size=None), batches() | ops.skip(5))
        made_twice = DataLoader(Batches(batches() | ops.parallel(pool)), batch_size=None, num_workers=1)
        with pytest.raises(RuntimeError, match="this is a fork of that process"):
            next(iter(made_twice))


def test_an_exception_reaches_the_training_loop():
    def broken(x, y):
        raise OSError("unreadable")

    for workers in (0, 1):
        with pytest.raises(OSError, match="unreadable"):
            next(iter(DataLoader(Batches(batches() | ops.map(broken)), batch_size=None, num_workers=workers)))


def test_what_is_refused():
    with pytest.raises(TypeError, match=r"Batches: expected a stream or a loader, .*; got <20 int64>"):
        Batches(np.arange(20))
    rng = np.random.RandomState(1)
    for drawn in (source().stream(9, shuffle=rng), source().loader(9, shuffle=rng)):
        with pytest.raises(TypeError, match=r"Batches: .* draws from a generator, of which each worker .*a seed"):
            Batches(drawn)
    with pytest.raises(ValueError, match="Batches: start: expected a whole number >= 0; got -1"):
        Batches(batches(), start=-1)
    endless = Batches(ArrayDataSource([X], repeats=-1).stream(9, shuffle=5))
    with pytest.raises(TypeError, match=r"set_epoch\(1\): .* is endless"):
        endless.set_epoch(1)
    loader = DataLoader(endless, batch_size=None, num_workers=2)
    assert numbers(islice(loader, 30)) == numbers(islice(ArrayDataSource([X], repeats=-1).stream(9, 5), 30))
    with pytest.raises(TypeError, match="is endless"):
        len(loader)


def test_streams_over_iterators_have_no_checkpoints_but_go_on():
    def pair(n):
        return np.full(2, n), np.arange(3)

    stream = [1, 2, 3] | ops.map(pair)
    foreign = ops.choose({1: "a", 2: "b", 3: "c"}.keys(), [1, 2, 3]) | ops.map(pair)
    for each in (stream, foreign):
        for workers in (0, 2):
            loader = StatefulDataLoader(Batches(each), batch_size=None, num_workers=workers)
            same(loader, each)


def test_every_obeys_the_laws():
    def every(stream, rng):
        return (stream | ops.skip(1)).with_plan(lambda plan: Every(plan, 2))

    check_laws(every, members=1, model=lambda items: items[1::2])
    assert SOME


@pytest.mark.parametrize("workers", [*WORKERS, SPAWNED], ids=str)
def test_epochs_have_nothing_to_do_with_the_seed_of_torch(workers):
    loader = DataLoader(Batches(source().loader(9, shuffle=12345)), batch_size=None, **workers)
    seen = []
    for _ in range(3):
        torch.manual_seed(0)
        seen.append(numbers(loader))
    assert seen == [numbers(batches().epoch(e)) for e in range(3)]


def test_a_loop_that_is_broken_off_has_begun_its_epoch():
    for workers in (*WORKERS, SPAWNED):
        dataset = Batches(source().loader(9, shuffle=12345))
        loader = DataLoader(dataset, batch_size=None, **workers)
        next(iter(loader))
        next(iter(loader))
        same(loader, batches().epoch(2))


@pytest.mark.parametrize("epoch", [2**24, 2**31, 2**40])
def test_any_number_is_an_epoch(epoch):
    for workers in WORKERS:
        dataset = Batches(source().loader(9, shuffle=12345))
        dataset.set_epoch(epoch)
        loader = DataLoader(dataset, batch_size=None, **workers)
        for e in (epoch, epoch + 1):
            same(loader, batches().epoch(e))


def test_several_dataloaders_of_one_dataset_and_of_several():
    """A new one each epoch, also after one whose workers live on; training and validation in turns."""
    dataset = Batches(source().loader(9, shuffle=12345))
    validation = DataLoader(Batches(source().loader(20, shuffle=5)), batch_size=None, num_workers=2)
    expected = iter(range(20))
    for n in range(2):
        for workers in (*WORKERS, {"num_workers": 1}):
            loader = DataLoader(dataset, batch_size=None, **workers)
            for _ in range(2 if "persistent_workers" in workers else 1):
                same(loader, batches().epoch(next(expected)))
        same(validation, source().stream(20, shuffle=5).epoch(n))
    dataset.set_epoch(30)
    persistent = DataLoader(dataset, batch_size=None, **WORKERS[2])
    same(persistent, batches().epoch(30))
    dataset.set_epoch(40)
    same(persistent, batches().epoch(40))
    same(persistent, batches().epoch(41))
    same(DataLoader(dataset, batch_size=None, num_workers=2), batches().epoch(42))


class Wrapped(torch.utils.data.IterableDataset):
    def __init__(self, dataset):
        self.dataset = dataset

    def __iter__(self):
        return iter(self.dataset)


class Hidden(torch.utils.data.IterableDataset):
    """A dataset that has another where it is not found."""

    def __init__(self, dataset):
        self.make = lambda: dataset

    def __iter__(self):
        return iter(self.make())


def test_a_dataset_inside_of_others():
    for wrap in (Wrapped, lambda dataset: Wrapped(Wrapped(dataset)), lambda dataset: [dataset]):
        dataset = Batches(source().loader(9, shuffle=12345))
        wrapped = wrap(dataset)
        if isinstance(wrapped, list):
            wrapped = torch.utils.data.ChainDataset(wrapped)
        loader = DataLoader(wrapped, batch_size=None, num_workers=2)
        for e in range(3):
            same(loader, batches().epoch(e))


def test_an_epoch_that_can_not_be_known_is_refused_and_the_remedies_work():
    dataset = Batches(source().loader(9, shuffle=12345))
    loader = DataLoader(Hidden(dataset), batch_size=None, num_workers=2)
    same(loader, batches().epoch(0))
    with pytest.raises(RuntimeError, match=r"(?s)expected a call of set_epoch.*batches.set_epoch\(epoch\)"):
        next(iter(loader))
    for e in (1, 2, 7):
        dataset.set_epoch(e)
        same(loader, batches().epoch(e))
    same(DataLoader(Batches(source().loader(9, shuffle=12345)), batch_size=None, num_workers=2), batches())
    persistent = DataLoader(Hidden(Batches(source().loader(9, 12345))), batch_size=None, **WORKERS[2])
    for e in range(3):
        same(persistent, batches().epoch(e))
    of_stream = DataLoader(Hidden(Batches(batches())), batch_size=None, num_workers=2)
    for _ in range(2):
        same(of_stream, batches())


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stateful_dataloader_of_a_stream_goes_on(workers):
    def make():
        return StatefulDataLoader(Batches(batches()), batch_size=None, num_workers=workers)

    loader = make()
    items = iter(loader)
    list(islice(items, 5))
    again = make()
    again.load_state_dict(loader.state_dict())
    same(again, batches() | ops.skip(5))
    same(again, batches())
