"""Loaders whose epochs have a number of steps: `loader(steps=)`."""

import copy
import json
import pickle
from itertools import chain, islice

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from batchup import ops, work_pool
from batchup.core.cursors import cursors_in
from batchup.core.draws import Replay
from batchup.core.plan import replay_of
from batchup.data_source import ArrayDataSource, CallableDataSource, IteratorDataSource
from batchup.testing import plain
from batchup.testing.items import some
from tests.pipelines import build, recipes, wild_recipes

X = np.arange(10)
STREAM = ops.indices(10) | ops.shuffle(7) | ops.chunk(4) | ops.gather(X)


def lists(batches):
    return [plain(batch) for batch in batches]


def saved(loader):
    return json.loads(json.dumps(loader.state_dict()))


def drawn():
    return ops.indices(10) | ops.shuffle(np.random.RandomState(3)) | ops.chunk(4) | ops.gather(X)


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("make", [lambda: STREAM, drawn])
def test_epochs_are_parts_of_the_endless_stream(steps, make):
    loader = make().loader(steps=steps)
    assert len(loader) == steps
    epochs = [lists(loader) for _ in range(5)]
    assert [len(epoch) for epoch in epochs] == [steps] * 5
    assert list(chain.from_iterable(epochs)) == lists(make() | ops.repeat(-1) | ops.take(5 * steps))


def test_the_preset_takes_it():
    ds = ArrayDataSource([X])
    assert lists(ds.loader(4, shuffle=7, steps=5)) == lists(STREAM.loader(steps=5))
    endless = ArrayDataSource([X], repeats=-1)
    assert lists(endless.loader(4, shuffle=7, steps=5)) == lists(endless.stream(4, shuffle=7) | ops.take(5))
    with pytest.raises(TypeError, match=r"is endless: .*or in a loader with steps=n"):
        endless.loader(4)
    assert repr(STREAM.loader(steps=5)).endswith("| steps(5): epoch 0, 5 batches each>")


@pytest.mark.parametrize("make", [lambda: STREAM, drawn])
@pytest.mark.parametrize("received", range(5))
@pytest.mark.parametrize("epoch", range(3))
def test_a_checkpoint_gives_exactly_the_rest(make, received, epoch):
    loader = make().loader(steps=4)
    for _ in range(epoch):
        list(loader)
    list(islice(loader, received)) if received else None
    state = saved(loader)
    assert state == saved(loader)
    other = make().loader(steps=4)
    other.load_state_dict(state)
    got = [lists(other) for _ in range(3)]
    begun = epoch + received // 4  # after the last batch of an epoch, the next one is begun
    whole = lists(make() | ops.repeat(-1) | ops.take(4 * (begun + 3)))
    assert list(chain.from_iterable(got)) == whole[4 * epoch + received :]


@pytest.mark.parametrize("make", [lambda: STREAM, drawn])
def test_after_a_break_the_next_epoch_comes(make):
    loader = make().loader(steps=4)
    whole = lists(make() | ops.repeat(-1) | ops.take(12))
    assert lists(islice(loader, 2)) == whole[:2]
    assert lists(loader) == whole[4:8]
    assert loader.epoch == 2


@pytest.mark.parametrize("make", [lambda: STREAM, drawn])
@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda loader: pickle.loads(pickle.dumps(loader))])
def test_a_copy_goes_on_where_the_loader_is(make, again):
    loader = make().loader(steps=4)
    list(loader)
    other = again(loader)
    expected = lists(make() | ops.repeat(-1) | ops.take(8))[4:]
    if again is not copy.copy or make is not drawn:  # which shares the generator
        assert lists(other) == expected
    assert lists(loader) == expected


def test_an_epoch_of_seeds_can_be_set():
    loader = STREAM.loader(steps=4)
    loader.set_epoch(2)
    assert lists(loader) == lists(STREAM | ops.repeat(-1) | ops.skip(8) | ops.take(4))
    assert loader.epoch == 3
    assert lists(loader.stream.epoch(1)) == lists(STREAM | ops.repeat(-1) | ops.skip(4) | ops.take(4))


def squares(batch_size):
    for start in range(0, 10, batch_size):
        yield (np.arange(start, min(start + batch_size, 10)) ** 2,)


def test_a_users_function_is_not_called_again_for_each_epoch():
    calls = []

    def batches(batch_size):
        calls.append(batch_size)
        return squares(batch_size)

    loader = CallableDataSource(batches).loader(4, steps=2)
    epochs = [lists(loader) for _ in range(3)]
    assert list(chain.from_iterable(epochs)) == lists(squares(4)) * 2
    assert len(calls) == 2
    assert lists(islice(loader, 1)) == lists(squares(4))[:1]
    assert loader.received == 1
    assert lists(loader) == lists(squares(4))[1:]
    assert loader.epoch == 5
    items = iter(loader)
    again = iter(loader)  # nothing was received, so it is the same epoch
    assert lists(again) == lists(squares(4))[:2]
    with pytest.raises(RuntimeError, match="was ended by"):
        next(items)


def test_after_an_error_the_function_is_called_again():
    calls = []

    def batches(batch_size):
        calls.append(batch_size)
        yield (X,)
        if len(calls) == 1:
            raise ValueError("once")
        yield from squares(batch_size)

    loader = CallableDataSource(batches).loader(4, steps=3)
    with pytest.raises(ValueError, match="once"):
        list(loader)
    assert len(list(loader)) == 3
    assert loader.epoch == 2


def test_a_generator_of_a_users_own():
    class Own:
        def __init__(self):
            self.rng = np.random.RandomState(3)

        def permutation(self, x):
            return self.rng.permutation(x)

    loader = (ops.indices(10) | ops.shuffle(Own()) | ops.chunk(4) | ops.gather(X)).loader(steps=2)
    assert [batch for _ in range(6) for batch in lists(loader)] == lists(drawn() | ops.repeat(-1) | ops.take(12))
    with pytest.raises(TypeError, match="its epochs come one after another, and the next is 6"):
        loader.set_epoch(2)


@pytest.mark.parametrize("make", [drawn, lambda: CallableDataSource(squares).stream(4)])
def test_epochs_without_a_seed_can_not_be_set(make):
    loader = make().loader(steps=4)
    loader.set_epoch(0)
    with pytest.raises(TypeError, match=r"set_epoch\(3\): .*steps=.*the next is 0. With a seed any epoch can be set"):
        loader.set_epoch(3)
    list(loader)
    loader.set_epoch(1)
    next(iter(loader))
    with pytest.raises(TypeError, match=r"set_epoch\(1\)"):
        loader.set_epoch(1)
    loader.set_epoch(2)
    assert len(list(loader)) == 4


def test_another_number_of_steps_is_another_loader():
    state = saved(STREAM.loader(steps=4))
    for other in (STREAM.loader(steps=5), STREAM.loader()):
        with pytest.raises(ValueError, match="expected a checkpoint of this stream; got one of another"):
            other.load_state_dict(state)
    with pytest.raises(ValueError, match="expected a checkpoint of this stream"):
        STREAM.loader(steps=4).load_state_dict(saved(STREAM.loader()))


def test_what_has_no_positions_is_refused():
    some_of = ops.filter(lambda x: x > 3)
    for stream in (STREAM | some_of, STREAM | ops.map(lambda x: x, resizes=True) | ops.rebatch(3)):
        with pytest.raises(
            TypeError, match=r"loader: steps: .* has a number of batches that depends on the data.*ops.where"
        ):
            stream.loader(steps=4)
    with pytest.raises(TypeError, match=r"loader: steps: .* goes through a user's iterator.*make it a list"):
        IteratorDataSource(iter([1, 2])).loader(4, steps=4)
    with pytest.raises(ValueError, match="loader: steps: expected a whole number >= 1; got 0"):
        STREAM.loader(steps=0)
    with pytest.raises(ValueError, match="has no samples"):
        (ops.indices(0) | ops.gather(X)).loader(steps=4)
    with pytest.raises(TypeError, match="loader: there is no argument steps_per_epoch=; write steps="):
        ArrayDataSource([X]).loader(4, steps_per_epoch=4)


@pytest.mark.parametrize("make", [lambda: STREAM, drawn, lambda: CallableDataSource(squares).stream(4)])
def test_workers_make_no_difference(make):
    def stream():
        return make() | ops.map(lambda x: x * 2)

    expected = [lists(loader) for loader in [stream().loader(steps=4)] for _ in range(3)]
    with stream().loader(steps=4, threads=2, buffer=3) as loader:
        assert [lists(loader) for _ in range(3)] == expected
    with work_pool.WorkerThreadPool(2) as pool:
        for pooled in (stream().loader(steps=4, pool=pool), (stream() | ops.parallel(pool)).loader(steps=4)):
            assert [lists(pooled) for _ in range(3)] == expected


def _has_samples(recipe):
    """Whether it can be repeated without end."""
    try:
        return any(_size(item) for item in islice(build(recipe) | ops.repeat(-1), 3))
    except ValueError:
        return False


def _size(item):
    while isinstance(item, tuple | dict) and len(item):
        item = next(iter(item.values() if isinstance(item, dict) else item))
    return len(item)


@given(recipes | wild_recipes, st.integers(1, 6), st.integers(0, 7))
def test_every_stream_is_cut_alike(recipe, steps, received):
    stream = build(recipe)
    assume(not cursors_in(stream.plan))
    assume(_has_samples(recipe))
    loader = stream.loader(steps=steps)
    endless = build(recipe) if stream.plan.length == np.inf else build(recipe) | ops.repeat(-1)
    whole = [plain(item) for item in islice(endless, 3 * steps)]
    epochs = [some(loader) for _ in range(2)]
    assert [item for epoch in epochs for item in epoch] == whole[: 2 * steps]
    if replay_of(stream.plan) <= Replay.DRAWN:
        items = iter(loader)
        list(islice(items, min(received, steps)))
        other = build(recipe).loader(steps=steps)
        other.load_state_dict(saved(loader))
        rest = [plain(item) for item in other]
        if received < steps:
            assert rest == whole[2 * steps + received :]
