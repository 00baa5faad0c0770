"""Ctrl-C at any moment: the iterator is over, and nothing is lost or comes twice."""

import gc
import json
import os
import signal
import sys
from itertools import islice

import numpy as np
import pytest
from numpy.random import RandomState

import batchup
from batchup import ops, work_pool
from batchup.core.memory import _overwrite
from batchup.data_source import ArrayDataSource
from batchup.testing import plain

X = np.arange(1000)
# What a Ctrl-C does in the pools themselves is tested with them.
OURS = tuple(os.path.join(os.path.dirname(batchup.__file__), room, "") for room in ("core", "ops"))

STREAMS = {
    "serial": lambda rng: ops.indices(10) | ops.shuffle(3) | ops.chunk(4) | ops.gather(X) | ops.map(abs),
    "of one step": lambda rng: ops.indices(10) | ops.chunk(4) | ops.gather(X),
    "drawn": lambda rng: ops.indices(10) | ops.shuffle(rng) | ops.repeat(2) | ops.chunk(4),
    "drawn, large": lambda rng: ops.indices(600) | ops.shuffle(rng) | ops.repeat(2) | ops.chunk(250),
    "chosen": lambda rng: ops.choose(
        ops.indices(9) | ops.shuffle(rng) | ops.chunk(2), ops.sample([1, 2], rng) | ops.chunk(2), rng=rng
    ),
    "strata": lambda rng: ops.stratify(X % 3, rng) | ops.chunk(50) | ops.take(3),
}


class InterruptAt:
    """Raises KeyboardInterrupt at line number n that is run of BatchUp, as a Ctrl-C does."""

    def __init__(self, n):
        self.left = n

    def __call__(self, frame, event, arg):
        if not frame.f_code.co_filename.startswith(OURS) or frame.f_code is _overwrite.__code__:
            return None  # `_overwrite` runs only if memory is checked, where an exception can't be raised
        if event == "line":
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self


def next_but(items, n):
    """The next item in a list; an empty one where it was interrupted at line n."""
    tracing = sys.gettrace()
    gc.disable()  # what is collected meanwhile is none of its business
    sys.settrace(InterruptAt(n))
    try:
        item = next(items)
    except KeyboardInterrupt:
        return []
    finally:
        sys.settrace(tracing)
        gc.enable()
    return [plain(item)]


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("first", [0, 1, 2])
def test_at_every_line(name, first):
    """The item before was received; at whatever line the next one is interrupted, it comes after it."""
    make = STREAMS[name]
    whole = list(map(plain, make(RandomState(1))))
    for n in range(1, 10_000):
        items = iter(make(RandomState(1)))
        seen = list(map(plain, islice(items, first)))
        if item := next_but(items, n):
            assert item == whole[first : first + 1]
            break
        again = iter(make(RandomState(2)))
        again.load_state_dict(json.loads(json.dumps(items.state_dict())))
        assert seen + list(map(plain, again)) == whole, f"interrupted at line {n}"
    assert n > 3


def interrupted(bad):
    def fn(x):
        if bad in x:
            signal.raise_signal(signal.SIGINT)
        return x

    return fn


def test_an_interrupted_iterator_is_over_and_says_how_to_go_on():
    stream = ops.indices(20) | ops.chunk(4) | ops.map(interrupted(9))
    items = iter(stream)
    assert len(list(islice(items, 2))) == 2
    with pytest.raises(KeyboardInterrupt):
        next(items)
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"at item 2 of .*load its state_dict\(\) into a fresh"):
            next(items)
    assert items.state_dict()["position"] == 2


def test_of_a_data_source_the_batch_is_not_lost():
    ds = ArrayDataSource([X[:20]]).map(interrupted(9))
    items = ds.batch_iterator(4)
    seen = list(map(plain, islice(items, 2)))
    with pytest.raises(KeyboardInterrupt):
        next(items)
    again = ArrayDataSource([X[:20]]).map(interrupted(-1)).batch_iterator(4)
    state = items.state_dict()
    again.load_state_dict(state)
    assert seen + list(map(plain, again)) == np.arange(20).reshape(5, 4).tolist()


@pytest.mark.parametrize("processes", [False, True])
def test_in_a_pool(processes):
    kind = work_pool.WorkerProcessPool if processes else work_pool.WorkerThreadPool
    with kind(2) as pool:

        def make():
            stream = ops.indices(40) | ops.shuffle(RandomState(1)) | ops.chunk(4) | ops.gather(X)
            return stream | ops.parallel(pool, 3)

        whole = list(map(plain, make()))
        for first in range(3):
            for n in range(1, 400, 7):
                items = iter(make())
                seen = list(map(plain, islice(items, first)))
                seen += next_but(items, n)
                again = iter(make())
                again.load_state_dict(json.loads(json.dumps(items.state_dict())))
                assert seen + list(map(plain, again)) == whole, f"interrupted at line {n}"
