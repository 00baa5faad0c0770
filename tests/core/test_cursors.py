"""Where the data says how many items there are: going on from a checkpoint, whatever stands above."""

import json
from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest

from batchup import ops
from batchup.core.plan import PlanOver
from batchup.core.record import record
from batchup.testing import plain

N = 200
Y = np.random.RandomState(0).permutation(N)


@record
class Every(PlanOver):
    """Every n-th item: a stage that a user may write."""

    tag = "every"

    n: int

    @property
    def kind(self):
        return self.up.kind

    def items(self, pass_, k, draws) -> Iterator:
        return islice(self.up.start(pass_, k * self.n, draws), 0, None, self.n)


def every(stream, n):
    return stream.with_plan(lambda plan: Every(plan, n))


def odd(y):
    return y % 2 == 1


def low(y):
    return y[0] < 150


def some(y):
    return y[: 1 + int(y[0]) % 4]


CURSORS = {
    "a mask": ops.filter(odd),
    "whole batches": ops.filter(low),
    "unknown sizes": ops.map(some, resizes=True) | ops.rebatch(3),
    "several": ops.filter(odd) | ops.rebatch(3) | ops.filter(low) | ops.rebatch(2),
    "and noise": ops.filter(odd) | ops.map(lambda y, rng: (y, rng.random()), rng=3) | ops.filter(lambda y, r: r < 0.8),
}


def batches(stages, above, rng):
    stream = ops.indices(N) | ops.shuffle(rng) | ops.chunk(7) | ops.gather(Y) | stages
    return stream | ops.Stage(every, above) if above > 1 else stream | ops.skip(2)


@pytest.mark.parametrize("above", [1, 2, 3])
@pytest.mark.parametrize("kind", ["seed", "generator"])
@pytest.mark.parametrize("stages", CURSORS.values(), ids=CURSORS)
def test_going_on_from_everywhere(stages, kind, above):
    def made(seed):
        rng = np.random.RandomState(seed)
        return rng, batches(stages, above, rng if kind == "generator" else 7)

    whole = list(map(plain, made(1)[1]))
    assert len(whole) > 5
    for k in range(len(whole) + 1):
        for unused in {0, min(k, 3)}:
            it = iter(made(1)[1])
            for _ in range(k):
                next(it)
            state = json.loads(json.dumps(it.state_dict(unused)))
            assert kind == "generator" or len(json.dumps(state)) < 1000
            again = iter(made(2)[1])
            again.load_state_dict(state)
            assert again.state_dict() == state
            assert list(map(plain, again)) == whole[k - unused :]


def test_only_what_was_held_in_part_is_made_again():
    made = []

    def spy(y):
        made.append(len(y))
        return y

    stream = ops.indices(N) | ops.chunk(10) | ops.gather(Y) | ops.map(spy) | ops.filter(odd) | ops.rebatch(8)
    it = iter(stream)
    for _ in range(9):
        next(it)
    state, before = it.state_dict(), len(made)
    made.clear()
    again = iter(stream)
    again.load_state_dict(state)
    list(again)
    assert len(made) <= N // 10 - before + 1


def test_a_state_without_its_cursor_is_refused():
    it = iter(ops.indices(N) | ops.chunk(10) | ops.gather(Y) | ops.filter(odd))
    state = it.state_dict()
    del state["cursor"]
    with pytest.raises(TypeError, match="expected a list under 'cursor'"):
        it.load_state_dict(state)
    with pytest.raises(ValueError, match="unused: expected at most 0"):
        it.state_dict(1)


def test_loaders_have_epochs_of_them():
    loader = (
        ops.indices(N) | ops.shuffle(7) | ops.chunk(10) | ops.gather(Y) | ops.filter(odd) | ops.rebatch(8)
    ).loader()
    first = list(map(plain, loader))
    it = iter(loader)
    next(it)
    state = loader.state_dict()
    rest = list(map(plain, it))
    loader.load_state_dict(state)
    assert list(map(plain, loader)) == rest
    assert sorted(i for (b,) in first for i in b) == sorted(i for i in Y.tolist() if i % 2)
