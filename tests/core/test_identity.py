"""Law 11: streams that are built differently refuse each other's checkpoints."""

import pickle
from functools import partial

import numpy as np
import pytest
from numpy.random import RandomState

from batchup import ops, work_pool
from batchup.core.record import record
from batchup.core.work import Step

X, Y = np.arange(40.0).reshape(20, 2), np.arange(20)


def accepted(one, other):
    state = iter(one).state_dict()
    try:
        iter(other).load_state_dict(state)
    except ValueError:
        return False
    return True


def base(n=20, size=4, seed=1):
    return ops.indices(n) | ops.shuffle(seed) | ops.chunk(size)


def named(seed):
    return ops.Stage(lambda stream: stream | ops.shuffle(seed))


class Scale:
    def __call__(self, x):
        return x


class Shift(Scale):
    pass


DIFFERENT = {
    "a stage under one name": (ops.indices(5) | named(1), ops.indices(5) | named(2)),
    "a list of blocks": ([np.arange(3)] | ops.shuffle(1), [np.arange(1, 4)] | ops.shuffle(1)),
    "the shapes in a list": ([X[:2], X[:3]] | ops.skip(0), [X[:2], X[:4]] | ops.skip(0)),
    "a subset": (ops.indices([1, 2, 5]) | ops.chunk(2), ops.indices([1, 5, 2]) | ops.chunk(2)),
    "the number of samples": (base(20), base(19)),
    "the size": (base(size=4), base(size=5)),
    "the seed": (base(seed=1), base(seed=(1, 0))),
    "drop_last": (base() | ops.chunk(3), base() | ops.chunk(3, drop_last=True)),
    "the order of stages": (
        ops.indices(9) | ops.chunk(3) | ops.shuffle(1),
        ops.indices(9) | ops.shuffle(1) | ops.chunk(3),
    ),
    "weights": (ops.sample([1, 2], 3) | ops.chunk(2), ops.sample([2, 1], 3) | ops.chunk(2)),
    "labels": (ops.stratify([0, 1, 0], 3) | ops.chunk(2), ops.stratify([0, 0, 1], 3) | ops.chunk(2)),
    "shapes": (base() | ops.gather(X), base() | ops.gather(Y)),
    "dtypes": (base() | ops.gather(X), base() | ops.gather(X.astype(np.float32))),
    "names": (base() | ops.gather(x=X), base() | ops.gather(y=X)),
    "functions": (base() | ops.map(np.sin), base() | ops.map(np.cos)),
    "functions of one name": (base() | ops.map(lambda x: x, name="a"), base() | ops.map(lambda x: x, name="b")),
    "objects that are called": (base() | ops.map(Scale()), base() | ops.map(Shift())),
    "partial functions": (base() | ops.map(partial(np.sin)), base() | ops.map(partial(np.cos))),
    "the seed of a map": (base() | ops.map(np.sin, rng=1), base() | ops.map(np.sin, rng=2)),
    "the member": (ops.zip(base(seed=1), base(seed=2)), ops.zip(base(seed=2), base(seed=1))),
    "the work of the member": (
        ops.zip(base() | ops.gather(X), base() | ops.gather(Y)),
        ops.zip(base() | ops.gather(Y), base() | ops.gather(X)),
    ),
    "flatten": (ops.zip(base()), ops.zip(base(), flatten=False)),
    "stratified": (ops.choose(base(), base()), ops.choose(base(), base(), stratified=True)),
    "the stage over several": (ops.zip(base()), ops.choose(base())),
    "shards that are cut again": (base() | ops.shard(0, 2) | ops.chunk(3), base() | ops.shard(1, 2) | ops.chunk(3)),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_streams_that_are_built_differently_are_refused(what):
    one, other = DIFFERENT[what]
    assert accepted(one, one)
    assert accepted(other, other)
    assert not accepted(one, other)
    assert not accepted(other, one)


def test_what_does_not_count():
    assert accepted(base() | ops.gather(X), base() | ops.gather(X + 1))  # what is in the arrays
    k = 3
    one = base() | ops.map(lambda x: x + k)
    k = 4
    assert accepted(one, base() | ops.map(lambda x: x - k))  # a function's code and closure
    assert accepted(base(seed=RandomState(1)), base(seed=RandomState(2)))  # the generator
    assert accepted(base() | ops.shard(0, 3), base() | ops.shard(1, 2))  # ranks
    assert accepted(base(seed=5), base(seed=[5]))
    assert accepted(base(seed=5), base(seed=(5,)))


def test_who_does_the_work_does_not_count():
    with work_pool.WorkerThreadPool(2) as pool, work_pool.WorkerThreadPool(1) as another:

        def noise(*batch, rng):
            return batch

        def stream(*pools):
            stages = [base() | ops.gather(X) | ops.map(noise, rng=3)] * 2
            stages = [s | ops.parallel(pools[0], 3) if pools else s for s in stages]
            joint = ops.zip(stages[0] | ops.map(noise, rng=1), stages[1]) | ops.skip(1)
            return joint | ops.parallel(pools[1], 7) if pools else joint

        assert accepted(stream(), stream(pool, pool))
        assert accepted(stream(pool, another), stream(another, pool))
        assert accepted(stream(pool, another), stream())


def test_a_long_name_is_hashed_and_names_its_stream_all_the_same():
    many = [base(seed=n) for n in range(60)]
    state = iter(ops.zip(*many)).state_dict()
    assert len(state["stream"]) < 700
    assert not accepted(ops.zip(*many), ops.zip(*many[:-1], base(seed=99)))


@record
class Padded(Step):
    tag = "padded"

    size: int
    mode: str = "edge"
    value: float = 0.5

    def run(self, item):
        return item


def test_a_default_that_is_given_is_the_default():
    """Also in another process, to which values come as copies."""
    mode, value = "".join(["ed", "ge"]), float("0.5")
    stream = base().with_step(Padded(3))
    assert accepted(stream, base().with_step(Padded(3, mode, value)))
    assert accepted(stream, pickle.loads(pickle.dumps(stream)))
    assert not accepted(stream, base().with_step(Padded(3, value=1.5)))
    assert not accepted(stream, base().with_step(Padded(3, "wrap")))


def test_every_function_has_a_name():
    words = ["a", "b"]
    for fn in (str.upper, "x".join, np.add, len, partial(str.upper), Scale()):
        stream = words | ops.map(fn)
        assert accepted(stream, words | ops.map(fn))
        assert not accepted(stream, words | ops.map(str.lower))
