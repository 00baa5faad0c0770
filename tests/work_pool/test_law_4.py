"""Law 4: `s | parallel(pool)` is `s`, for every pool, any number of workers, any buffer."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from batchup import ops, testing, work_pool
from batchup.core.draws import Replay
from batchup.core.plan import cursors_in, replay_of
from batchup.testing import plain
from batchup.testing.items import some
from tests.pipelines import build, has, is_uneven, recipes, wild_recipes


def _spawned():
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


POOLS = {
    "1 thread": lambda: work_pool.WorkerThreadPool(1),
    "2 threads": lambda: work_pool.WorkerThreadPool(2),
    "5 threads": lambda: work_pool.WorkerThreadPool(5),
    "1 process": lambda: work_pool.WorkerProcessPool(1),
    "2 processes": lambda: work_pool.WorkerProcessPool(2),
    "3 processes": lambda: work_pool.WorkerProcessPool(3),
    "2 processes, no shared memory": lambda: work_pool.WorkerProcessPool(2, max_bytes=0),
    "executor of threads": lambda: work_pool.ExecutorPool(ThreadPoolExecutor(2)),
    "executor of processes": lambda: work_pool.ExecutorPool(_spawned()),
}


@pytest.fixture(scope="module")
def pools():
    """All pools, by their names. They are made at once: a worker that starts in a test would be a trace of it."""
    with ExitStack() as stack:
        made = {name: stack.enter_context(make()) for name, make in POOLS.items()}
        for pool in made.values():
            if isinstance(pool, work_pool.ExecutorPool):
                stack.callback(pool.executor.shutdown)
            list([1, 2, 3] * 5 | ops.map(abs) | ops.parallel(pool))  # some start when there is work
        yield made


@pytest.fixture(params=POOLS)
def pool(request, pools):
    return pools[request.param]


@pytest.fixture(scope="module")
def other():
    with work_pool.WorkerThreadPool(3) as other:
        yield other


def seeds(recipe):
    """Whether the recipe seeds global generators, which threads would share."""
    return has("seeded", recipe) or has("seeded_samples", recipe)


def fitting(pools, name, recipe):
    """The pool; of processes where threads are refused."""
    return pools["2 processes" if seeds(recipe) and "thread" in name else name]


everything = recipes | wild_recipes
positions = st.lists(st.integers(0, 12), max_size=2)
names = st.sampled_from(list(POOLS))


@settings(max_examples=200)
@given(name=names, recipe=everything, buffer=st.integers(1, 40), positions=positions)
def test_law_4(pools, name, recipe, buffer, positions):
    testing.parallel(lambda rng=None: build(recipe, rng), fitting(pools, name, recipe), buffer, positions)


@settings(max_examples=100)
@given(name=names, recipe=everything, buffer=st.integers(1, 9))
def test_law_4_inside_of_joins(pools, name, recipe, buffer):
    pool = fitting(pools, name, recipe)
    stream = build(recipe)
    assume(stream.pure and not cursors_in(stream.plan))
    parallel = stream | ops.parallel(pool, buffer)
    trim = not is_uneven(recipe)
    assert some(ops.zip(parallel, parallel, trim=trim)) == some(ops.zip(stream, stream, trim=trim))
    assert some(ops.choose(stream, parallel, rng=3)) == some(ops.choose(stream, stream, rng=3))


@settings(max_examples=120)
@given(name=names, recipe=everything, buffer=st.integers(1, 9), positions=positions)
def test_law_7_a_checkpoint_knows_no_pool(pools, other, name, recipe, buffer, positions):
    """One of a parallel stream goes on in a serial one, the other way round, and in another pool."""
    assume(replay_of(build(recipe).plan) <= Replay.DRAWN)
    pool = fitting(pools, name, recipe)
    other = pools["1 process"] if seeds(recipe) else other
    testing.checkpoints_across(lambda rng=None: build(recipe, rng), pool, buffer, positions, other)


@settings(max_examples=100)
@given(name=names, recipe=recipes, buffer=st.integers(1, 9))
def test_law_8_writing_into_a_batch_changes_nothing_else(pools, name, recipe, buffer):
    testing.memory(lambda: build(recipe) | ops.parallel(pools[name], buffer))


def test_a_batch_by_its_number_is_made_here(pool):
    import os

    stream = list(range(5)) | ops.map(lambda n: (n, os.getpid())) | ops.parallel(pool)
    assert stream[3] == (3, os.getpid())
    assert (stream | ops.skip(1))[1] == (2, os.getpid())
    assert ops.zip(stream, [7])[0][1] == os.getpid()
    assert ops.choose(stream, stream)[1] == (0, os.getpid())


def test_two_streams_at_once_and_the_same_stream_twice(pool):
    X = np.arange(90).reshape(30, 3)
    stream = ops.indices(30) | ops.shuffle(1) | ops.chunk(4) | ops.gather(X) | ops.parallel(pool, 3)
    other = stream | ops.skip(2)
    pairs = list(zip(stream, stream, other, strict=False))
    assert [plain(a) for a, _, _ in pairs] == [plain(b) for _, b, _ in pairs] == some(stream)[:6]
    assert [plain(c) for _, _, c in pairs] == some(stream)[2:]


def test_a_generator_that_the_plan_draws_from_stays_with_the_caller(pool):
    serial, parallel = np.random.RandomState(3), np.random.RandomState(3)
    for epoch in range(3):
        batches = ops.indices(20) | ops.shuffle(serial) | ops.chunk(6)
        again = ops.indices(20) | ops.shuffle(parallel) | ops.chunk(6) | ops.parallel(pool)
        assert some(batches) == some(again), epoch
    assert serial.randint(1000) == parallel.randint(1000)


def test_random_maps_on_both_sides_of_parallel(pool):
    """They are told apart as they are without it: by how many came before, and by the member."""

    def noise(*batch, rng):
        return (*batch, rng.integers(1000, size=3))

    def stream(*stage):
        def noisy(source):
            for one in (ops.map(noise, rng=1), *stage, ops.skip(1), ops.map(noise, rng=1)):
                source = source | one
            return source

        member = noisy(ops.indices(30) | ops.shuffle(2) | ops.chunk(4) | ops.gather(np.arange(30)))
        inner = ops.zip(member, ops.choose(member, member), flatten=False, trim=False)
        return noisy(ops.zip(inner, member, flatten=False, trim=False))

    def text(stream):
        return [repr(item) for item in stream]

    parallel = stream(ops.parallel(pool, 3))
    assert text(parallel) == text(stream())
    assert repr(parallel[1]) == text(stream())[1]
