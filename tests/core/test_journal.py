"""Checkpoints over generators: what is drawn, what is kept of it, and where others draw too."""

import json
from itertools import islice

import numpy as np
import pytest
from numpy.random import RandomState

from batchup import ops, work_pool
from batchup.core.draws import Replay
from batchup.core.plan import JointPlan, Kind, PlanOver, replay_of
from batchup.core.record import record
from batchup.data_source import ArrayDataSource, ChoiceDataSource, CompositeDataSource
from batchup.testing import plain

X = np.arange(200)


def resumed(make, items):
    other = iter(make())
    other.load_state_dict(json.loads(json.dumps(items.state_dict())))
    return other


def test_the_rest_is_right_if_the_loop_drew_from_the_generator():
    """The same draws by others have to follow, as those of a run that was not interrupted would."""
    for cut in range(0, 35, 3):
        np.random.seed(1)
        items = ArrayDataSource([X], repeats=5).batch_iterator(32, shuffle=True)
        for _ in islice(items, cut):
            np.random.rand()
        state = items.state_dict()
        rest = [(plain(batch), np.random.rand()) for batch in items]
        np.random.seed(2)
        again = ArrayDataSource([X], repeats=5).batch_iterator(32, shuffle=True)
        again.load_state_dict(state)
        assert [(plain(batch), np.random.rand()) for batch in again] == rest


def test_passes_that_are_skipped_are_drawn_once():
    def make(rng):
        return ops.indices(5) | ops.shuffle(rng) | ops.repeat(2) | ops.skip(1) | ops.repeat(2)

    whole = list(map(plain, make(RandomState(3))))
    beside = RandomState(3)
    assert whole == [beside.permutation(5).tolist() for _ in range(4)][1::2]
    for cut in range(3):
        items = iter(make(RandomState(3)))
        list(islice(items, cut))
        assert list(map(plain, resumed(lambda: make(RandomState(4)), items))) == whole[cut:]


class Counting(RandomState):
    """Counts its draws; copies of it, which draw again, don't."""

    def __init__(self, seed):
        super().__init__(seed)
        self.drawn = 0

    def permutation(self, x):
        self.drawn += 1
        return super().permutation(x)

    def __deepcopy__(self, memo):
        return RandomState()


ENDLESS = {
    "choices": lambda rng: ops.choose(
        *[ops.indices(50) | ops.shuffle(rng) | ops.repeat(-1) | ops.chunk(7) for _ in range(3)], rng=rng
    ),
    "strata": lambda rng: ops.stratify(X % 3, rng) | ops.chunk(10),
    "strata cut again": lambda rng: ops.stratify(X % 3, rng) | ops.chunk(10) | ops.chunk(4),
    "orders cut again": lambda rng: (
        ops.indices(90) | ops.shuffle(rng) | ops.repeat(-1) | ops.chunk(50) | ops.shuffle(rng) | ops.chunk(7)
    ),
    "choices in a data source": lambda rng: ChoiceDataSource(
        [ArrayDataSource([X], repeats=-1), ArrayDataSource([X], repeats=-1)]
    ).stream(64, rng),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_going_on_draws_nothing_again_and_keeps_little(name):
    make = ENDLESS[name]
    items = iter(make(Counting(1)))
    list(islice(items, 1001))
    state = items.state_dict()
    assert len(json.dumps(state)) < 60_000
    assert sum(map(len, state["draws"])) < 12
    rng = Counting(2)
    again = iter(make(rng))
    again.load_state_dict(json.loads(json.dumps(state)))
    assert rng.drawn == 0
    assert plain(next(again)) == plain(next(items))
    assert rng.drawn <= 3
    assert list(map(plain, islice(again, 50))) == list(map(plain, islice(items, 50)))


def test_what_is_kept_while_iterating_does_not_grow():
    items = iter(ENDLESS["choices"](RandomState(1)))
    list(islice(items, 20_000))
    assert all(len(site.kept) < 200 for site in items._journal._sites)


def test_large_draws_are_kept_as_states():
    rng = RandomState(1)
    items = iter(ops.indices(10**5) | ops.shuffle(rng) | ops.chunk(64))
    next(items)
    assert len(json.dumps(items.state_dict())) < 10_000


@record
class Lazy(PlanOver):
    """A plan of a user who declares nothing: it starts at the first `next`."""

    tag = "lazy"

    length = None

    def items(self, pass_, k, draws):
        yield from islice(self.up.start(pass_, 0, draws), k, None)


def test_a_plan_that_says_nothing_is_slow_and_right():
    def make(rng):
        stream = ops.indices(9) | ops.shuffle(rng) | ops.repeat(3) | ops.chunk(4)
        stream = ops.Stage(lambda s: s.with_plan(Lazy))(stream)
        assert stream.plan.kind is Kind.BORROWED
        assert replay_of(stream.plan) is Replay.DRAWN
        return stream | ops.repeat(2)

    whole = list(map(plain, make(RandomState(3))))
    assert len(whole) == 14
    for cut in range(15):
        items = iter(make(RandomState(3)))
        list(islice(items, cut))
        assert list(map(plain, resumed(lambda: make(RandomState(4)), items))) == whole[cut:]


def test_a_plan_that_stands_in_two_places_is_told():
    plan = (ops.indices(4) | ops.shuffle(RandomState(1))).plan
    with pytest.raises(RuntimeError, match=r"takes their plans from members_of\(streams\)"):
        iter(ops.Stream(JointPlanOfPairs((plan, plan))))


@record
class JointPlanOfPairs(JointPlan):
    tag = "jointplanofpairs"

    def items(self, pass_, k, draws):
        return zip(*[plan.start(pass_, k, draws) for plan in self.plans], strict=False)


def test_a_stream_that_is_joined_with_itself():
    def make(rng):
        stream = ops.indices(9) | ops.shuffle(rng) | ops.repeat(2) | ops.chunk(4)
        return ops.zip(stream, stream)

    whole = list(map(plain, make(RandomState(3))))
    items = iter(make(RandomState(3)))
    next(items)
    assert list(map(plain, resumed(lambda: make(RandomState(4)), items))) == whole[1:]


@pytest.mark.parametrize("buffer", [1, 2, 5, 40])
def test_take_and_repeat_after_a_pool_are_as_without_it(buffer):
    """They go below the pool, which draws nothing for what is not wanted, so no pass is shifted."""
    with work_pool.WorkerThreadPool(2) as pool:

        def make(*pool):
            stream = ops.indices(9) | ops.shuffle(RandomState(1)) | ops.chunk(2) | ops.gather(X)
            for stage in pool:
                stream = stream | stage
            return stream | ops.take(1) | ops.repeat(3)

        assert list(map(plain, make(ops.parallel(pool, buffer)))) == list(map(plain, make()))


def test_data_sources_that_plan_ahead_side_by_side_take_no_generator():
    with work_pool.WorkerThreadPool(2) as pool:
        ahead = [pool.parallel_data_source(ArrayDataSource([X])) for _ in range(2)]
        both = CompositeDataSource(ahead)
        with pytest.raises(TypeError, match=r"parallel_data_source\(CompositeDataSource\(\.\.\.\)\); or give seeds"):
            both.batch_iterator(64, shuffle=RandomState(1))
        serial = CompositeDataSource([ArrayDataSource([X]), ArrayDataSource([X])])
        assert list(map(plain, both.batch_iterator(64, shuffle=1))) == list(
            map(plain, serial.batch_iterator(64, shuffle=1))
        )
        outermost = pool.parallel_data_source(serial)
        assert list(map(plain, outermost.batch_iterator(64, shuffle=RandomState(1)))) == list(
            map(plain, serial.batch_iterator(64, shuffle=RandomState(1)))
        )


def test_a_broken_checkpoint_leaves_the_generator_as_it_was():
    rng, beside = RandomState(1), RandomState(1)
    items = iter(ops.indices(9) | ops.shuffle(rng) | ops.chunk(4))
    state = iter(ops.indices(9) | ops.shuffle(RandomState(2)) | ops.chunk(4)).state_dict()
    with pytest.raises(ValueError, match="values to unpack"):
        items.load_state_dict(state | {"draws": [[[0, 0]]]})
    assert rng.permutation(9).tolist() == beside.permutation(9).tolist()
