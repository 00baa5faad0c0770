"""Checkpoints: of pure streams, of generators, shared ones, after failures, and in other processes."""

import json
import subprocess
import sys
import tracemalloc
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import pytest
from numpy.random import RandomState

from batchup import ops, work_pool
from batchup.core.plan import Itemwise
from batchup.core.record import record, unnamed
from batchup.core.work import Step
from batchup.data_source import ArrayDataSource, ChoiceDataSource, CompositeDataSource, IteratorDataSource
from batchup.sampling import StratifiedSampler, WeightedPermutationSampler, WeightedSampler
from batchup.testing import plain

X = np.arange(23)


def resumed(make, items):
    """A fresh iterator that goes on from the checkpoint of `items`, through JSON."""
    state = json.loads(json.dumps(items.state_dict()))
    other = iter(make())
    other.load_state_dict(state)
    return other


def some(items, n=30):
    return [plain(item) for item in islice(items, n)]


GENERATORS = {
    "RandomState": lambda seed: RandomState(seed),
    "RandomState over PCG64": lambda seed: RandomState(np.random.PCG64(seed)),
    "Generator": lambda seed: np.random.default_rng(seed),
    "Generator over MT19937": lambda seed: np.random.Generator(np.random.MT19937(seed)),
    "Generator over SFC64": lambda seed: np.random.Generator(np.random.SFC64(seed)),
    "Generator over Philox": lambda seed: np.random.Generator(np.random.Philox(seed)),
}


@pytest.mark.parametrize("kind", GENERATORS)
@pytest.mark.parametrize("cut", [0, 1, 5, 6, 7, 12])
def test_generators_of_every_kind_are_put_back(kind, cut):
    rng = GENERATORS[kind](5)

    def make(rng=rng):
        return ops.indices(X) | ops.shuffle(rng) | ops.repeat(3) | ops.chunk(4)

    items = iter(make())
    some(items, cut)
    other = GENERATORS[kind](6)
    again = resumed(lambda: make(other), items)
    assert some(again) == some(items)
    # and after the epoch both generators are where they would have been
    assert other.permutation(9).tolist() == rng.permutation(9).tolist()


def test_numpys_global_generator_is_put_back():
    def make():
        return ops.indices(X) | ops.shuffle(True) | ops.repeat(2) | ops.chunk(4)

    np.random.seed(1)
    items = iter(make())
    some(items, 7)
    state = items.state_dict()
    rest = some(items)
    np.random.seed(2)
    again = iter(make())
    again.load_state_dict(state)
    assert some(again) == rest


def test_the_passes_before_are_not_drawn_again():
    drawn = []

    class Counting(RandomState):
        def permutation(self, x):
            drawn.append(x)
            return super().permutation(x)

        def __deepcopy__(self, memo):  # as a pickle, it would come back as its base class
            return Counting()

    rng = Counting(1)
    stream = ops.indices(3000) | ops.shuffle(rng) | ops.repeat(-1) | ops.chunk(1500)
    items = iter(stream)
    some(items, 41)
    state = items.state_dict()
    assert len(drawn) == 21
    items.load_state_dict(state)
    some(items, 1)
    assert len(drawn) == 22


@pytest.mark.parametrize("cut", range(0, 40, 3))
def test_sources_that_share_a_generator(cut):
    def make(rng):
        sources = [
            ArrayDataSource([X], repeats=-1),
            ArrayDataSource([np.arange(9)], sampler=WeightedSampler(np.arange(9))),
            ChoiceDataSource([ArrayDataSource([np.arange(50)]), ArrayDataSource([np.arange(40)])]),
        ]
        return CompositeDataSource(sources).batch_iterator(3, shuffle=rng)

    items = make(RandomState(3))
    some(items, cut)
    state = json.loads(json.dumps(items.state_dict()))
    again = make(RandomState(4))
    again.load_state_dict(state)
    assert some(again, 60) == some(items, 60)


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: ArrayDataSource([X]).batch_iterator(4, shuffle=rng),
        lambda rng: ArrayDataSource([X], sampler=WeightedPermutationSampler(X, repeats=-1)).batch_iterator(4, rng),
        lambda rng: ArrayDataSource([X], sampler=StratifiedSampler(X % 3)).batch_iterator(4, rng),
        lambda rng: ArrayDataSource([X]).map(lambda x, rng: rng.random(2), rng=3).batch_iterator(4, rng),
        lambda rng: ArrayDataSource([X], repeats=-1).batch_iterator(8, rng, shard=(1, 3)),
    ],
)
@pytest.mark.parametrize("rng", [7, RandomState(7)])
@pytest.mark.parametrize("cut", [0, 1, 4, 5])
def test_presets_have_checkpoints(make, rng, cut):
    items = make(rng)
    some(items, cut)
    state = json.loads(json.dumps(items.state_dict()))
    again = make(rng if isinstance(rng, int) else RandomState(8))
    again.load_state_dict(state)
    assert some(again) == some(items)


def test_streams_of_other_contents_are_refused():
    pairs = [
        (ops.indices([1, 2, 3]), ops.indices([3, 2, 1])),
        (ops.sample([1, 2, 3], 1), ops.sample([3, 2, 1], 1)),
        (ops.stratify([0, 1, 0], 1), ops.stratify([0, 0, 1], 1)),
    ]
    for one, other in pairs:
        with pytest.raises(ValueError, match="expected a checkpoint of this stream"):
            iter(other | ops.chunk(2)).load_state_dict(iter(one | ops.chunk(2)).state_dict())
    same = [ops.indices(5) | ops.shuffle(seed) for seed in ((3, 2), [3, 2], np.array([3, 2]), (np.int64(3), 2))]
    for stream in same:
        iter(stream).load_state_dict(iter(same[0]).state_dict())


def test_an_epoch_may_start_where_another_was_cut():
    """The next epoch after a resumed one is that of the run that was not cut."""
    rng, beside = RandomState(1), RandomState(1)
    ds = ArrayDataSource([X])
    whole = [some(ds.batch_iterator(4, shuffle=beside)) for _ in range(2)]
    first = ds.batch_iterator(4, shuffle=rng)
    assert some(first, 3) == whole[0][:3]
    rng = RandomState(99)
    again = ds.batch_iterator(4, shuffle=rng)
    again.load_state_dict(first.state_dict())
    assert some(again) == whole[0][3:]
    assert some(ds.batch_iterator(4, shuffle=rng)) == whole[1]


def test_a_batch_that_raised_was_not_received():
    bad = {"now": True}

    def sometimes(x):
        if 17 in x and bad["now"]:
            raise OSError("unreadable")
        return x

    for rng in (3, RandomState(3)):
        bad["now"] = False
        stream = ops.indices(X) | ops.shuffle(rng) | ops.repeat(2) | ops.chunk(4) | ops.map(sometimes)
        start = iter(stream).state_dict()
        whole = some(stream)
        bad["now"] = True
        items = iter(stream)
        items.load_state_dict(start)
        seen = []
        with pytest.raises(OSError, match="unreadable"):
            seen.extend(plain(item) for item in items)
        seen = whole[: items.state_dict()["position"]]
        assert 17 in whole[len(seen)]
        with pytest.raises(RuntimeError, match=r"To go on, load its state_dict\(\) into a fresh"):
            next(items)  # it is over
        again = iter(stream)
        again.load_state_dict(items.state_dict())
        with pytest.raises(OSError, match="unreadable"):
            next(again)
        bad["now"] = False
        third = iter(stream)
        third.load_state_dict(again.state_dict())
        assert some(third) == whole[len(seen) :]


@record
class Ahead(Itemwise):
    """As a pool does: asks for items before it is asked for them."""

    tag = "ahead"

    buffer: int = unnamed()

    def items(self, pass_, k, draws):
        return self._ahead(self.up.start(pass_, k, draws))

    def _ahead(self, items):
        waiting = list(islice(items, self.buffer))
        for item in items:
            waiting.append(item)
            yield waiting.pop(0)
        yield from waiting


@pytest.mark.parametrize("buffer", [1, 2, 5, 40])
@pytest.mark.parametrize("cut", [0, 1, 5, 6, 11, 17])
def test_what_was_planned_ahead_was_not_received(buffer, cut):
    def make(rng, buffer):
        inner = (
            ops.indices(X) | ops.shuffle(rng) | ops.repeat(3) | ops.chunk(4),
            ops.sample([1, 2, 3], rng) | ops.chunk(5),
        )
        stream = ops.zip(*inner, trim=False)
        return ops.Stream(Ahead(stream.plan, buffer), stream.steps, stream.text) if buffer else stream

    whole = some(make(RandomState(5), 0))
    items = iter(make(RandomState(5), buffer))
    assert some(items, cut) == whole[:cut]
    rng = RandomState(6)
    again = resumed(lambda: make(rng, buffer + 1), items)
    assert some(again) == some(items) == whole[cut:]


def test_a_state_names_its_stream_and_refuses_others():
    a = ops.indices(10) | ops.shuffle(1) | ops.chunk(3)
    state = iter(a).state_dict()
    for other in (
        ops.indices(10) | ops.shuffle(2) | ops.chunk(3),
        ops.indices(11) | ops.shuffle(1) | ops.chunk(3),
        ops.indices(10) | ops.shuffle(1) | ops.chunk(4),
        a | ops.map(len),
    ):
        with pytest.raises(ValueError, match="expected a checkpoint of this stream") as caught:
            iter(other).load_state_dict(state)
        own = iter(other).state_dict()["stream"]
        one = next((f"  - {a}" for a, b in zip(state["stream"], own, strict=False) if a != b), "")
        two = f"  + {next(b for a, b in zip([*state['stream'], ''], own, strict=False) if a != b)}"
        assert one in str(caught.value)
        assert two in str(caught.value)
        assert repr(other) in str(caught.value)


def test_another_number_of_ranks_is_the_same_stream():
    def make(rank, world):
        return ops.indices(1000) | ops.shuffle(1) | ops.chunk(48) | ops.shard(rank, world) | ops.gather(np.arange(1000))

    eight = [iter(make(rank, 8)) for rank in range(8)]
    seen = [index for items in eight for (batch,) in islice(items, 9) for index in batch]
    state = eight[3].state_dict()
    assert all(items.state_dict() == state for items in eight)
    six = [iter(make(rank, 6)) for rank in range(6)]
    for items in six:
        items.load_state_dict(state)
    seen += [index for items in six for (batch,) in items for index in batch]
    assert sorted(seen) == list(range(1000))


def test_draws_for_the_part_of_one_rank_are_not_those_of_another():
    """Nor are they of use there: a checkpoint holds the indices that were drawn ahead."""

    def make(rank):
        return ops.indices(24) | ops.chunk(8) | ops.shard(rank, 2) | ops.shuffle(RandomState(1))

    with work_pool.WorkerThreadPool(1) as pool:
        items = iter(make(0) | ops.parallel(pool))
        next(items)
        state = items.state_dict()
    assert some(resumed(lambda: make(0), items)) == some(make(0))[1:]
    with pytest.raises(ValueError, match="expected a checkpoint of this stream"):
        iter(make(1)).load_state_dict(state)


def test_shards_that_are_cut_anew_are_streams_of_their_own():
    def make(rank, world):
        return ops.indices(100) | ops.chunk(10) | ops.shard(rank, world) | ops.chunk(5)

    state = iter(make(0, 2)).state_dict()
    iter(make(0, 2)).load_state_dict(state)
    for other in (make(1, 2), make(0, 5), ops.zip(make(0, 5))):
        with pytest.raises(ValueError, match="expected a checkpoint of this stream"):
            iter(other).load_state_dict(state)


@pytest.mark.parametrize("cut", [0, 1, 3, 4, 8, 11])
@pytest.mark.parametrize(
    "make",
    [
        lambda rng: ops.indices(10) | ops.shuffle(rng) | ops.repeat(3) | ops.chunk(8) | ops.shuffle(rng) | ops.chunk(2),
        lambda rng: ops.indices(12) | ops.chunk(3) | ops.shuffle(rng) | ops.chunk(4) | ops.shuffle(5) | ops.chunk(2),
        lambda rng: ops.stratify(X % 3, rng) | ops.chunk(7) | ops.take(9) | ops.chunk(5) | ops.shuffle(rng),
        lambda rng: ops.indices(6) | ops.shuffle(rng) | ops.repeat(4) | ops.chunk(6) | ops.skip(1),
        lambda rng: ChoiceDataSource(
            [
                ChoiceDataSource([ArrayDataSource([X], repeats=4), ArrayDataSource([X], repeats=4)]),
                ArrayDataSource([X], sampler=StratifiedSampler(X % 3)),
            ]
        ).stream(3, rng),
        lambda rng: ops.zip(
            ops.indices(9) | ops.shuffle(np.random.Generator(rng._bit_generator)) | ops.repeat(-1) | ops.chunk(4),
            ops.indices(7) | ops.shuffle(rng) | ops.repeat(-1) | ops.chunk(4),
        ),
    ],
)
def test_what_reaches_further_back_than_the_last_draw(make, cut):
    items = iter(make(RandomState(5)))
    some(items, cut)
    assert some(resumed(lambda: make(RandomState(6)), items)) == some(items)


@pytest.mark.parametrize("state", [None, {}, {"version": "1"}, [1]])
def test_what_is_no_checkpoint(state):
    with pytest.raises(TypeError, match="expected a dict that state_dict"):
        iter(ops.indices(3)).load_state_dict(state)


def test_a_checkpoint_of_another_version_is_named_and_the_remedy_works():
    loader = (ops.indices(9) | ops.shuffle(1) | ops.chunk(2)).loader()
    state = {**loader.state_dict(), "epoch": 4}
    old = {**state, "iterator": {**state["iterator"], "version": 2}}
    for wrong, version in ((old, 2), ({**state, "loader": 7}, 7)):
        with pytest.raises(ValueError, match=rf"got one of version {version}, .* loader.set_epoch\(e\)"):
            loader.load_state_dict(wrong)
    loader.set_epoch(4)
    assert some(loader) == some(loader.stream.epoch(4))


class _Counted:
    """An iterator that counts how often it is asked after its end, and goes on then."""

    def __init__(self, n):
        self.n, self.asked_again, self.over = n, 0, False

    def __iter__(self):
        return self

    def __next__(self):
        self.asked_again += self.over
        if self.n == 0 and not self.over:
            self.over = True
            raise StopIteration
        self.n -= 1
        return (np.arange(2),)


@pytest.mark.parametrize("pool", [None, 1, 2, 7, 32])
def test_nothing_is_asked_after_the_end(pool):
    """Neither of a plan, by a pool or a `next`, nor of a user's iterator."""
    source = _Counted(5)
    stream = IteratorDataSource(source).stream(2)
    rng = RandomState(0)
    drawn = ops.indices(9) | ops.shuffle(rng) | ops.repeat(-1) | ops.chunk(9)

    class Two:
        def __iter__(self):
            return iter([1, 2])

    both = ops.zip(drawn, Two())
    with work_pool.WorkerThreadPool(2) as threads:
        for one in (stream, both):
            items = iter(one if pool is None else one | ops.parallel(threads, pool))
            assert len(list(items)) == (5 if one is stream else 2)
            state = rng.get_state()
            assert [next(items, None) for _ in range(3)] == [None] * 3
            assert all(np.array_equal(a, b) for a, b in zip(state, rng.get_state(), strict=True))
    assert source.asked_again == 0
    serial = RandomState(0)
    for _ in range(3):  # zip asks its first member for one more, and no pool for others
        serial.permutation(9)
    assert rng.random_sample() == serial.random_sample()


def test_a_generator_that_is_none_of_numpys_has_no_checkpoints():
    class Reversing:
        def permutation(self, x):
            return (np.arange(x) if isinstance(x, int) else x)[::-1]

    stream = ops.indices(4) | ops.shuffle(Reversing()) | ops.chunk(3)
    assert some(stream) == [[3, 2, 1], [0]]
    assert not stream.pure
    for act in (lambda: iter(stream).state_dict(), stream.loader().state_dict, lambda: stream[0]):
        with pytest.raises(TypeError, match=r"draws from a generator.*give a seed"):
            act()
    with pytest.raises(TypeError, match="sample: expected a seed or one of NumPy's generators"):
        ops.sample([1, 2], Reversing())
    loader = (stream | ops.map(lambda block, rng: rng.random(), rng=1)).loader()
    assert len({value for _ in range(3) for value in loader}) == 6  # noise is new all the same


def test_a_field_that_no_checkpoint_can_name_is_refused():
    class Options:
        pass

    @record
    class Scaled(Step):
        tag = "scaled"

        options: Any

        def run(self, item):
            return item

    def stream(options):
        return ops.indices(3).with_step(Scaled(options))

    state = iter(stream({"by": 2, "of": [1, (2, None)]})).state_dict()
    for other in ({"by": 3, "of": [1, (2, None)]}, {"by": 2, "of": [1, (2, 0)]}, {"by": 2}):
        with pytest.raises(ValueError, match="expected a checkpoint of this stream"):
            iter(stream(other)).load_state_dict(state)
    assert len(list(stream(Options()))) == 1
    with pytest.raises(TypeError, match=r"can't name 'options' of the stage .* which has <Options> in it"):
        iter(stream({"a": [Options()]})).state_dict()
    mapped = ops.indices(3) | ops.map(partial(pow, Options()))
    with pytest.raises(TypeError, match=r"A map can be given a name, map\(fn, name='...'\)"):
        iter(mapped).state_dict()
    assert iter(ops.indices(3) | ops.map(partial(pow, Options()), name="power")).state_dict()


def test_a_partial_counts_with_its_arguments():
    states = {
        str(iter(ops.indices(3) | ops.map(fn)).state_dict()["stream"])
        for fn in (pow, partial(pow, 2), partial(pow, 3), partial(pow, exp=2), partial(pow, exp=3))
    }
    assert len(states) == 5
    named = iter(ops.indices(3) | ops.map(partial(pow, 2), name="f")).state_dict()
    iter(ops.indices(3) | ops.map(partial(pow, 3), name="f")).load_state_dict(named)


def test_generators_of_another_kind_are_refused():
    def make(rng):
        return iter(ops.indices(5) | ops.shuffle(rng) | ops.chunk(2))

    state = make(np.random.Generator(np.random.PCG64(1))).state_dict()
    state["stream"] = make(np.random.Generator(np.random.SFC64(1))).state_dict()["stream"]
    with pytest.raises(ValueError, match="state of a generator over PCG64"):
        make(np.random.Generator(np.random.SFC64(1))).load_state_dict(state)


def test_a_users_iterator_has_no_checkpoints():
    class Again:
        def __iter__(self):
            return iter([1, 2])

    once = IteratorDataSource(iter([(X,)]))
    for items in (once.batch_iterator(3), iter(Again() | ops.take(1)), iter(ops.zip(Again(), [1]))):
        with pytest.raises(TypeError, match="comes from an iterator of yours, which can't start at any position"):
            items.state_dict()
        with pytest.raises(TypeError, match="an iterator of yours"):
            items.load_state_dict({})


def test_a_checkpoint_is_small_whatever_the_name_of_the_stream():
    many = ops.zip(*[ops.indices(n) | ops.shuffle(n) | ops.chunk(3) for n in range(1, 90)])
    state = json.dumps(iter(many).state_dict())
    assert len(state) < 1000
    other = ops.zip(*[ops.indices(n) | ops.shuffle(n) | ops.chunk(3) for n in range(1, 89)])
    with pytest.raises(ValueError, match="expected a checkpoint of this stream"):
        iter(other).load_state_dict(json.loads(state))


def test_loading_reads_no_data_and_takes_no_memory():
    class Untouchable:
        def __len__(self):
            return 10**12

        def __getitem__(self, indices):
            raise AssertionError("read")

    stream = ops.indices(10**12) | ops.permute(7) | ops.chunk(64) | ops.gather(Untouchable())
    state = iter(stream).state_dict() | {"position": 10**9}
    tracemalloc.start()
    items = iter(stream)
    items.load_state_dict(state)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000
    assert items.state_dict() == state


def test_in_a_fresh_process(tmp_path):
    code = """
import json, sys
import numpy as np
from batchup import ops
from batchup.data_source import ArrayDataSource

def noisy(x, rng):
    return x + rng.integers(1000, size=len(x))

rng = np.random.RandomState(int(sys.argv[1]))
source = ArrayDataSource([np.arange(50)], repeats=2).map(noisy, rng=4)
items = source.batch_iterator(7, shuffle=rng)
if len(sys.argv) > 2:
    items.load_state_dict(json.loads(sys.argv[2]))
    print(json.dumps([batch.tolist() for batch in items]))
else:
    whole = [next(items).tolist() for _ in range(9)]
    state = json.dumps(items.state_dict())
    print(json.dumps([state, [batch.tolist() for batch in items]]))
"""

    def run(*args):
        command = [sys.executable, "-W", "error", "-c", code, *args]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    state, rest = run("1")
    assert run("2", state) == rest


def test_it_is_a_plain_iterator_and_closes():
    class Source:
        closed = 0

        def __iter__(self):
            try:
                yield from [1, 2, 3]
            finally:
                self.closed += 1

    source = Source()
    items = iter(source | ops.map(lambda x: x))
    assert iter(items) is items
    assert next(items) == 1
    items.close()
    assert source.closed == 1
    assert list(items) == []
