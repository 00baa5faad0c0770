"""Epochs, and loaders: what a training loop holds."""

import copy
import json
import os
import pickle
import signal
import sys
import threading
from itertools import islice

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.random import RandomState
from tqdm import tqdm

from batchup import ops, work_pool
from batchup.core.draws import Replay
from batchup.core.plan import replay_of
from batchup.data_source import CallableDataSource
from batchup.testing import SOME, plain
from batchup.testing.items import some
from tests.pipelines import build, model, recipes, wild_recipes

X = np.arange(40)


def batches(shuffle=7, size=3):
    return ops.indices(10) | ops.shuffle(shuffle) | ops.chunk(size) | ops.gather(X)


def noise(x, rng):
    return x + rng.integers(10**9, size=len(x))


def beside_noise(x, rng):
    return x, rng.integers(10**9, size=len(x))


def saved(loader, unused=0):
    return json.loads(json.dumps(loader.state_dict(unused)))


def resumed(stream, state):
    loader = stream.loader()
    loader.load_state_dict(state)
    return loader


# --- epochs


def test_an_epoch_has_an_order_and_noise_of_its_own_wherever_it_is_asked_for():
    stream = ops.indices(10) | ops.chunk(4) | ops.gather(X) | ops.map(noise, rng=7)
    epochs = [some(stream.epoch(e)) for e in range(4)]
    assert all(epochs[0] != other for other in epochs[1:])
    early = ops.indices(10).epoch(3) | ops.chunk(4) | ops.gather(X) | ops.map(noise, rng=7)
    joint = ops.zip(ops.indices(10).epoch(3) | ops.chunk(4) | ops.gather(X)) | ops.map(noise, rng=7)
    assert some(early) == epochs[3]
    assert some(joint) == some(ops.zip(ops.indices(10) | ops.chunk(4) | ops.gather(X)).epoch(3) | ops.map(noise, rng=7))


def test_members_of_different_epochs_have_noise_of_their_own():
    def joint(e):
        return ops.zip(ops.indices(4).epoch(e), ops.indices(4)) | ops.map(lambda a, b, rng: rng.integers(10**9), rng=7)

    assert len({joint(e)[0] for e in range(4)}) == 4


def test_endless_members_begin_anew():
    few = ("chunk", (("repeat", (("shuffle", (("indices", (), (3,)),), (5,)),), (-1,)),), (2, False))
    both = ("zip", (few, ("chunk", (("indices", (), (7,)),), (2, False))), (True, True))
    epochs = [some(build(both).epoch(e)) for e in range(3)]
    assert epochs == [some(model(both, e)) for e in range(3)]
    assert epochs[0] != epochs[1]


def test_an_epoch_is_a_stream_of_its_own():
    stream = batches()
    assert repr(stream.epoch(2)) == f"({stream!r}).epoch(2)"
    assert some(stream.epoch(1).epoch(2)) == some(stream.epoch(1))
    assert some(stream.epoch(2) | ops.repeat(2)) == 2 * some(stream.epoch(2))
    assert some(stream.epoch(0) | ops.take(1) | ops.repeat(3)) == 3 * some(stream, 1)
    assert plain(stream.epoch(2)[1]) == some(stream.epoch(2))[1]
    assert (len(stream.epoch(2)), stream.epoch(2).num_samples) == (4, 10)
    state = iter(stream.epoch(2)).state_dict()
    with pytest.raises(ValueError, match="expected a checkpoint of this stream"):
        iter(stream.epoch(3)).load_state_dict(state)


def test_an_epoch_is_frozen_order_and_noise():
    stream = batches() | ops.map(noise, rng=7)
    for frozen in (stream.epoch(0), stream.epoch(2), batches().epoch(2) | ops.map(noise, rng=7)):
        loader = frozen.loader()
        assert [some(loader), some(loader)] == 2 * [some(frozen)]
    assert some(batches().epoch(2) | ops.map(noise, rng=7)) == some(stream.epoch(2))


def test_a_stage_behind_a_frozen_epoch_draws_anew_and_so_does_its_noise():
    behind = ops.indices(4).epoch(1) | ops.shuffle(3) | ops.chunk(1) | ops.map(beside_noise, rng=7)
    assert len({str(some(behind.epoch(e))) for e in range(20)}) == 20
    one = ops.indices(1).epoch(1) | ops.shuffle(3) | ops.chunk(1) | ops.map(beside_noise, rng=7)
    assert len({str(some(one.epoch(e))) for e in range(20)}) == 20  # the only order there is, and other noise


@pytest.mark.parametrize("rng", [RandomState, np.random.default_rng])
def test_noise_is_new_in_each_epoch_over_a_generator_too(rng):
    def stream(generator):
        return ops.indices(3) | ops.shuffle(generator) | ops.chunk(1) | ops.map(beside_noise, rng=7)

    loader = stream(rng(5)).loader()
    seen = [str(batch[1:]) for _ in range(40) for batch in loader]
    assert len(set(seen)) == len(seen)
    again = stream(rng(5)).loader()
    some(again)
    items = iter(again)
    first = some(items, 1)
    state = saved(again)
    rest = some(items)
    resumed_loader = resumed(stream(rng(9)), state)
    assert some(resumed_loader) == rest
    assert str(first[0][1][0]) in seen[3]
    plain_order = ops.indices(3) | ops.shuffle(rng(5)) | ops.chunk(1)
    assert some(plain_order) == [batch[0] for batch in some(stream(rng(5)))]  # the order is as without noise


def test_epochs_in_pools():
    stream = batches() | ops.map(noise, rng=7)
    with work_pool.WorkerThreadPool(2) as pool:
        assert some((stream | ops.parallel(pool)).epoch(2)) == some(stream.epoch(2))
        assert some(stream.epoch(2) | ops.parallel(pool)) == some(stream.epoch(2))


def test_what_has_no_epochs():
    with pytest.raises(TypeError, match=r"epoch\(1\): .* draws from a generator, .* give a seed"):
        batches(RandomState(1)).epoch(1)
    with pytest.raises(TypeError, match=r"epoch\(0\): .* is endless: behind take\(n\)"):
        (ops.indices(3) | ops.repeat(-1)).epoch(0)
    with pytest.raises(ValueError, match=r"epoch\(e\): expected a whole number >= 0; got -1"):
        batches().epoch(-1)
    with pytest.raises(TypeError, match=r"loader: .* is endless: behind take\(n\)"):
        ops.sample([1, 2], 5).loader()
    weighted = ops.sample([1, 2], 5) | ops.chunk(4) | ops.take(2)
    loader = weighted.loader()
    assert [some(loader), some(loader)] == [some(weighted), some(weighted.epoch(1))]


# --- loaders: every epoch, and checkpoints anywhere


@given(recipes | wild_recipes, st.data())
def test_a_checkpoint_anywhere_goes_on_exactly_there(recipe, data):
    stream = build(recipe)
    assume(isinstance(stream.plan.length, int) and len(stream) < SOME)
    assume(replay_of(stream.plan) <= Replay.DRAWN)
    loader = stream.loader()
    epochs = [some(loader) for _ in range(3)]
    assert stream.pure is False or epochs == [some(stream.epoch(e)) for e in range(3)]
    cut = data.draw(st.integers(0, len(stream)))
    unused = data.draw(st.integers(0, min(2, cut)))

    loader = build(recipe).loader()
    before = some(loader)
    begun = iter(loader)
    part = some(begun, cut)
    assert (before, part) == (epochs[0], epochs[1][:cut])
    state = saved(loader, unused)
    for again in (resumed(build(recipe, RandomState(9)), state), loader):
        if again is loader:  # the same one
            again.load_state_dict(state)
        position = cut - unused
        over = position == len(stream) and not unused
        assert again.epoch == (2 if over else 1)
        assert saved(again) == state
        assert over or some(again) == epochs[1][position:]
        assert again.epoch == 2
        assert some(again) == epochs[2]


def test_unused_batches_of_draws_that_are_long_over():
    """As many as it says of a stream over a generator, whatever was drawn and forgotten meanwhile."""
    for n in (31, 33, 150):
        stream = ops.sample(np.ones(500), RandomState(3)) | ops.chunk(300) | ops.take(200)
        whole = some(ops.sample(np.ones(500), RandomState(3)) | ops.chunk(300), 200)
        loader = stream.loader()
        assert some(loader, n) == whole[:n]
        most = min(n, 32)
        again = resumed(ops.sample(np.ones(500), RandomState(4)) | ops.chunk(300) | ops.take(200), saved(loader, most))
        assert some(again, 200) == whole[n - most :]
        with pytest.raises(ValueError, match=f"unused: expected at most {most} here"):
            loader.state_dict(unused=most + 1)


def test_the_epoch_counts_as_the_loop_does():
    loader = batches().loader()
    seen = []
    for epoch in range(loader.epoch, 3):
        for n, _ in enumerate(loader):
            seen.append((loader.epoch, saved(loader)["epoch"], saved(loader)["iterator"]["position"]))
            assert (loader.epoch, loader.received, len(loader)) == (epoch, n + 1, 4)
            if epoch == 1 and n == 1:
                break
    # Behind the last batch the state is the beginning of the next epoch.
    first = [(0, 0, 1), (0, 0, 2), (0, 0, 3), (0, 1, 0)]
    assert seen == [*first, (1, 1, 1), (1, 1, 2), (2, 2, 1), (2, 2, 2), (2, 2, 3), (2, 3, 0)]
    assert (loader.epoch, loader.received) == (3, 0)


def test_after_a_break_comes_the_next_epoch_and_after_loading_the_rest():
    stream = batches()
    loader = stream.loader()
    assert some(loader, 2) == some(stream)[:2]
    state = saved(loader)
    assert some(loader) == some(stream.epoch(1))
    loader.load_state_dict(state)
    assert loader.epoch == 0
    assert some(loader) == some(stream)[2:]
    assert some(loader) == some(stream.epoch(1))


def test_set_epoch():
    stream = batches()
    loader = stream.loader()
    loader.set_epoch(5)
    assert loader.epoch == 5
    assert some(loader, 2) == some(stream.epoch(5))[:2]
    state = saved(loader)
    loader.set_epoch(5)  # anew
    assert saved(loader)["iterator"]["position"] == 0
    assert some(loader) == some(stream.epoch(5))
    assert loader.epoch == 6
    loader.load_state_dict(state)
    loader.set_epoch(5)  # as hosts say it, who have loaded: that stays the rest
    assert some(loader) == some(stream.epoch(5))[2:]
    with pytest.raises(ValueError, match="set_epoch: expected a whole number >= 0; got -1"):
        loader.set_epoch(-1)


@pytest.mark.parametrize("how", ["iter", "set_epoch", "load_state_dict"])
def test_of_a_loader_there_is_one_iterator_at_a_time(how):
    loader = batches().loader()
    state = saved(loader)
    first = iter(loader)
    next(first)
    if how == "iter":
        other = iter(loader)
    elif how == "set_epoch":
        loader.set_epoch(3)
    else:
        loader.load_state_dict(state)
    with pytest.raises(RuntimeError, match=r"epoch 0 of <Loader of .* was ended by a new iter"):
        next(first)
    if how == "iter":
        assert plain(next(other)) == some(batches().epoch(1))[0]


@pytest.mark.parametrize("shuffle", [7, RandomState(3)])
def test_an_epoch_of_which_nothing_was_received_is_still_to_come(shuffle):
    """Hosts ask for an iterator more than once, and use the last."""
    with work_pool.WorkerThreadPool(2) as pool:
        loader = (batches(shuffle) | ops.parallel(pool)).loader()
        first = iter(loader)
        assert len(some(iter(loader))) == 4
        with pytest.raises(RuntimeError, match="was ended by a new iter"):
            next(first)
        state = saved(loader)
        assert loader.epoch == 1
        some(loader, 2)
        loader.load_state_dict(state)
        again = [iter(loader) for _ in range(3)]
        del again[:2]
        rest = some(again[0])
        if shuffle == 7:
            assert rest == some(batches(7).epoch(1))
        assert sorted(i for (part,) in rest for i in part) == list(range(10))
        assert loader.epoch == 2


def test_an_iterator_outlives_its_loader():
    assert some(iter(batches().loader())) == some(batches())


def test_an_exception_ends_its_epoch():
    def fails(x):
        if 5 in x:
            raise OSError("unreadable")
        return (x,)

    def stream():
        return batches(None) | ops.map(fails)

    loader = stream().loader()
    begun = iter(loader)
    next(begun)
    with pytest.raises(OSError, match="unreadable"):
        next(begun)
    with pytest.raises(RuntimeError, match="ended by an exception"):
        next(begun)
    assert (loader.epoch, saved(loader)["iterator"]["position"]) == (0, 1)
    assert loader.epoch == 0
    next(iter(loader))
    assert loader.epoch == 1


def test_a_pool_that_refuses_loses_no_epoch():
    pool = work_pool.WorkerThreadPool(1)
    loader = (batches() | ops.parallel(pool)).loader()
    pool.close()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="expected an open pool"):
            iter(loader)
        assert loader.epoch == 0


def test_a_loader_is_no_stream():
    expected = r"map\(abs\): expected a stream, .*; got <Loader of .*, of which each iteration is another epoch: put"
    with pytest.raises(TypeError, match=expected):
        batches().loader() | ops.map(abs)


def test_what_has_epochs_of_its_own_is_no_loader():
    """A sampler of PyTorch's, say, or a dataset that is iterated: sources as any other."""

    class Sampled:
        def set_epoch(self, epoch):
            raise AssertionError("not to be called")

        def __iter__(self):
            return iter([1, 2])

    assert list(Sampled() | ops.map(lambda n: n * 2)) == [2, 4]


def test_lengths_and_reprs():
    stream = batches()
    loader = stream.loader()
    assert (len(loader), bool(loader)) == (4, True)
    assert repr(loader) == f"<Loader of {stream!r}: epoch 0, 4 batches each>"
    begun = iter(loader)
    next(begun)
    assert (len(begun), bool(begun)) == (3, True)
    assert repr(begun) == f"<LoaderIterator, epoch 0, of {stream!r}: at item 1, 3 left>"
    unknown = ops.choose([1, 2], [3], rng=5)
    loader = unknown.loader()
    assert repr(loader) == f"<Loader of {unknown!r}: epoch 0>"
    for thing in (loader, iter(loader)):
        with pytest.raises(TypeError, match="no length that is known beforehand"):
            len(thing)
        assert thing
    assert some(loader) == some(unknown.epoch(1))


def test_iterators_say_how_many_batches_are_left():
    items = iter(batches())
    assert (len(items), bool(items)) == (4, True)
    next(items)
    assert repr(items) == f"<StreamIterator of {batches()!r}: at item 1, 3 left>"
    bar = tqdm(items, disable=True)
    assert len(bar) == 3
    assert len(list(bar)) == 3
    assert (len(items), bool(items)) == (0, True)
    with pytest.raises(TypeError, match="is endless"):
        len(iter(ops.indices(2) | ops.repeat(-1)))
    with pytest.raises(TypeError, match="no length that is known"):
        len(iter(ops.choose([1, 2], [3], rng=5)))


def test_what_is_no_state_of_the_loader_is_refused_and_changes_nothing():
    loader = batches().loader()
    begun = iter(loader)
    next(begun)
    before = saved(loader)
    other = batches(8).loader()
    with pytest.raises(ValueError, match="expected a checkpoint of this stream"):
        loader.load_state_dict(saved(other))
    for state in (None, {}, iter(batches()).state_dict()):
        with pytest.raises(TypeError, match=r"expected a dict that the state_dict\(\) of a loader gave"):
            loader.load_state_dict(state)
    with pytest.raises(TypeError, match="epoch: expected a whole number"):
        loader.load_state_dict({**before, "epoch": None})
    with pytest.raises(TypeError, match=r"expected a dict that state_dict\(\) gave"):
        loader.load_state_dict({**before, "iterator": None})
    assert saved(loader) == before
    assert plain(next(begun)) == some(batches())[1]
    with pytest.raises(ValueError, match="unused: expected at most 2 here"):
        loader.state_dict(unused=3)


def test_generators_are_put_back_when_a_state_is_loaded_and_left_alone_until_it_goes_on():
    rng = RandomState(3)
    loader = batches(rng).loader()
    some(loader, 2)
    state, rest = saved(loader), rng.random_sample()
    other = RandomState(4)
    again = resumed(batches(other), state)
    assert other.random_sample() == rest
    after = other.get_state(legacy=False)["state"]["pos"]
    assert len(some(again)) == 2  # of an order that was drawn before
    assert other.get_state(legacy=False)["state"]["pos"] == after


# --- pools, threads, signals


def test_the_buffer_fills_at_iter_and_a_break_cancels_it():
    begun, go = [], threading.Event()

    def work(n):
        begun.append(n)
        go.wait()
        return n

    with work_pool.WorkerThreadPool(1) as pool:
        loader = (range(50) | ops.map(work) | ops.parallel(pool, 10)).loader()
        assert pool._queue.qsize() == 0
        items = iter(loader)
        while not begun:  # nothing was asked for yet
            pass
        del items  # as a loop that was broken off
        go.set()
        pool.close()
        assert begun == [0]


def test_arrays_are_shared_once_for_all_epochs():
    big = np.zeros((1000, 100))
    with work_pool.WorkerProcessPool(1) as pool:
        loader = (ops.indices(1000) | ops.chunk(300) | ops.gather(big) | ops.parallel(pool)).loader()
        watched = len(pool._supervisor._watched)
        for _ in range(3):
            assert len(some(loader)) == 4
        assert len(pool._supervisor._watched) == watched


def test_states_that_another_thread_takes_are_those_between_batches():
    loader = (ops.indices(3000) | ops.shuffle(7) | ops.chunk(1) | ops.gather(np.arange(3000))).loader()
    states = []
    begun, over = threading.Event(), threading.Event()

    def take():
        while not over.is_set():
            states.append(loader.state_dict())
            begun.set()

    thread = threading.Thread(target=take)
    thread.start()
    begun.wait()
    positions = []
    for _ in loader:
        positions.append(loader.state_dict()["iterator"]["position"])
    over.set()
    thread.join()
    assert positions == [*range(1, 3000), 0]
    seen = [(state["epoch"], state["iterator"]["position"]) for state in states]
    assert seen == sorted(seen)
    assert {epoch for epoch, _ in seen} <= {0, 1}


def test_a_signal_handler_takes_the_state_in_the_midst_of_a_batch():
    states = []

    def interrupted(n):
        if n == 2:
            os.kill(os.getpid(), signal.SIGUSR1)
        return n

    loader = (range(4) | ops.map(interrupted)).loader()
    before = signal.signal(signal.SIGUSR1, lambda *_: states.append(saved(loader)))
    try:
        assert list(islice(loader, 9)) == [0, 1, 2, 3]
        loader.load_state_dict(states[0])
        assert list(loader) == [2, 3]
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert [state["iterator"]["position"] for state in states] == [2, 2]


@pytest.mark.parametrize("kind", ["serial", "threads", "drawn", "drawn in threads", "cursor"])
def test_a_state_never_waits_for_a_batch(kind):
    """The batch that another thread waits for is made only after the state was taken."""
    waiting, go = threading.Event(), threading.Event()

    def work(x):
        if 6 in x:
            waiting.set()
            go.wait()
        return x

    rng = RandomState(3) if "drawn" in kind else None
    stream = ops.indices(12) | ops.repeat(1) | ops.chunk(3) | ops.map(work)
    if rng:
        stream = ops.zip([1] * 4, stream, ops.indices(9) | ops.shuffle(rng) | ops.repeat(-1), trim=False)
    if kind == "cursor":
        stream = stream | ops.filter(lambda x: True)
    with work_pool.WorkerThreadPool(1) as pool:
        loader = stream.loader(pool=pool) if "threads" in kind else stream.loader()
        items = iter(loader)
        seen = [plain(next(items)), plain(next(items))]
        third = []
        thread = threading.Thread(target=lambda: third.append(plain(next(items))))
        thread.start()
        waiting.wait()
        state = saved(loader)
        assert (state["iterator"]["position"], loader.received, loader.epoch) == (2, 2, 0)
        for change in (
            lambda: loader.load_state_dict(state),
            lambda: loader.set_epoch(3),
            lambda: iter(loader),
            lambda: next(items),
        ):
            with pytest.raises(RuntimeError, match=r"a next\(\) of .* is under way, in another thread"):
                change()
        go.set()
        thread.join()
        rest = third + some(items)
        loader.load_state_dict(state)
        assert some(loader) == rest
        assert len(seen + rest) == 4


def test_states_over_a_generator_that_another_thread_takes_while_it_is_drawn_from():
    def stream(seed):
        return ops.indices(300) | ops.shuffle(RandomState(seed)) | ops.repeat(40) | ops.chunk(299)

    whole = some(stream(1), 100)
    loader = stream(1).loader()
    states, begun, over = [], threading.Event(), threading.Event()

    def take():
        while not over.is_set():
            states.append(json.dumps(loader.state_dict()))
            begun.set()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # so that each sees the other at any moment
    try:
        thread = threading.Thread(target=take)
        thread.start()
        begun.wait()
        assert some(loader, 100) == whole
    finally:
        over.set()
        thread.join()
        sys.setswitchinterval(interval)
    for text in dict.fromkeys(states):
        state = json.loads(text)
        if state["epoch"] == 0:
            assert some(resumed(stream(9), state), 100) == whole[state["iterator"]["position"] :]


@pytest.mark.parametrize("what", ["load_state_dict", "set_epoch", "iter", "next", "close"])
def test_a_signal_handler_changes_nothing_in_the_midst_of_a_batch(what):
    told = []

    def handler(*_):
        with pytest.raises(RuntimeError, match=r"is under way, .*Call it between two batches") as caught:
            {
                "load_state_dict": lambda: loader.load_state_dict(state),
                "set_epoch": lambda: loader.set_epoch(5),
                "iter": lambda: iter(loader),
                "next": lambda: next(items),
                "close": lambda: items._epoch.close(),
            }[what]()
        told.append(str(caught.value))

    def work(x):
        if 6 in x:
            signal.raise_signal(signal.SIGUSR1)
        return x

    stream = ops.indices(12) | ops.shuffle(RandomState(2)) | ops.repeat(1) | ops.chunk(3) | ops.map(work)
    serial = some(ops.indices(12) | ops.shuffle(RandomState(2)) | ops.repeat(1) | ops.chunk(3))
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        loader = stream.loader()
        state = loader.state_dict()
        items = iter(loader)
        assert some(items) == serial
        assert len(told) == 1
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        loader.load_state_dict(state)  # between two batches it works
        assert some(loader) == serial
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("again", [pickle.dumps, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("shuffle", [7, None, RandomState])
def test_a_loader_pickles_and_copies(again, shuffle):
    def make():
        drawn = batches(RandomState(4) if shuffle is RandomState else shuffle)
        return drawn.loader()

    loader = make()
    some(loader)
    items = iter(loader)
    next(items)
    other = again(loader)
    other = pickle.loads(other) if again is pickle.dumps else other
    assert (other.epoch, saved(other)) == (loader.epoch, saved(loader))
    rest = some(items)
    if again is copy.copy and shuffle is RandomState:
        return  # they share the generator, which has been drawn from meanwhile
    assert some(other) == rest
    assert some(other) == some(loader)


def test_a_loader_of_what_has_no_checkpoints_is_copied_as_of_its_next_epoch():
    def source(batch_size, epoch):
        return iter([(np.array([epoch]),)] * 3)

    loader = CallableDataSource(source).stream(1).loader()
    some(loader)
    next(iter(loader))
    assert some(copy.copy(loader)) == [([2],)] * 3


def test_a_pool_is_not_pickled_and_says_what_to_do():
    with work_pool.WorkerThreadPool(1) as pool:
        loader = batches().loader(pool=pool)
        with pytest.raises(TypeError, match=r"can't be pickled, .*Pickle the stream without it, and add"):
            pickle.dumps(loader)
        assert some(copy.deepcopy(loader)) == some(copy.copy(loader)) == some(batches())
        remade = pickle.loads(pickle.dumps(batches())).loader(pool=pool)  # the remedy
        assert some(remade) == some(batches())
        array = np.arange(40)
        stream = ops.indices(4) | ops.gather(array) | ops.parallel(pool)
        deep = copy.deepcopy(stream)
        array[:] = 0
        assert (some(stream), some(deep)) == ([([0, 0, 0, 0],)], [([0, 1, 2, 3],)])


class Streaming:
    """A re-iterable with an order for each epoch, as a streaming dataset of Hugging Face."""

    def __init__(self):
        self.epoch = 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __iter__(self):
        return iter([(np.array([self.epoch, n]),) for n in range(3)])


def test_a_re_iterable_with_epochs_of_its_own_is_told_them():
    source = Streaming()
    stream = source | ops.map(lambda x: (x,))
    source.set_epoch(7)
    assert [x[0] for (x,) in stream] == [7, 7, 7]  # by itself it is as the user has it
    loader = stream.loader()
    assert [x[0] for _ in range(3) for (x,) in loader] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    loader.set_epoch(5)
    assert [x[0] for (x,) in loader] == [5, 5, 5]
    assert [x[0] for (x,) in stream.epoch(4)] == [4, 4, 4]
    assert [x[0] for (x,) in stream | ops.repeat(2)] == [0, 0, 0, 1, 1, 1]
    joint = ops.zip(stream, ops.indices(3) | ops.shuffle(1) | ops.chunk(1)).loader()
    assert [x[0] for _ in range(2) for x, _ in joint] == [0, 0, 0, 1, 1, 1]
    with work_pool.WorkerThreadPool(1) as pool:
        assert [x[0] for e in range(2) for (x,) in stream.loader(pool=pool)] == [0] * 6
