"""seed_globals: work that draws from the global generators of random, NumPy and PyTorch, reproducibly."""

import pickle
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from batchup import ops
from batchup.core import Seed
from batchup.core.global_seeds import GlobalSeeds
from batchup.data_source import ArrayDataSource, CompositeDataSource, SampleDataSource
from batchup.testing import plain
from batchup.work_pool import ExecutorPool, WorkerThreadPool

Y = np.arange(10)
BATCHES = ops.indices(10) | ops.shuffle(3) | ops.chunk(4) | ops.gather(Y)


def drawn(*_):
    """One number of each generator."""
    return random.random(), np.random.rand(), np.random.normal()


def batch_drawn(y):
    return y, np.random.rand(len(y)), np.array([random.random() for _ in y])


class Augmented:
    """A dataset whose samples are augmented by global generators."""

    def __len__(self):
        return 10

    def __getitem__(self, i):
        return (i, *drawn())

    def __getitems__(self, indices):
        raise AssertionError("samples are read one by one")


def lists(stream):
    return [plain(batch) for batch in stream]


def states():
    return random.getstate(), np.random.get_state(legacy=False)


def same(one, other):
    return repr(one) == repr(other)


STREAMS = {
    "map": BATCHES | ops.map(batch_drawn, seed_globals=7),
    "map_samples": BATCHES | ops.map_samples(drawn, seed_globals=7),
    "samples": ops.indices(10) | ops.shuffle(3) | ops.chunk(4) | ops.samples(Augmented(), seed_globals=7),
}


@pytest.mark.parametrize("name", STREAMS)
def test_the_same_bits_each_time_and_the_callers_generators_are_left_alone(name):
    stream = STREAMS[name]
    random.seed(5)
    np.random.seed(5)
    np.random.normal()  # one more is kept for the next call
    before = states()
    batches = lists(stream)
    assert same(states(), before)
    numbers = [number for *_, last in batches for number in last]
    assert len(set(numbers)) == 10
    random.seed(6)
    np.random.seed(6)
    assert lists(stream) == batches
    assert plain(stream[1]) == batches[1]
    assert lists(pickle.loads(pickle.dumps(stream)) | ops.skip(1)) == batches[1:]
    other = lists(stream | ops.repeat(2))
    assert other[:3] == batches
    assert other[3:] != batches
    loader = stream.loader()
    next(iter(loader))
    resumed = stream.loader()
    resumed.load_state_dict(loader.state_dict())
    assert lists(resumed) == batches[1:]


def test_other_seeds_and_places_give_other_numbers():
    def numbers(seed):
        return [x for batch in BATCHES | ops.map_samples(drawn, seed_globals=seed) for x in batch[0]]

    assert not set(numbers(7)) & set(numbers(8))
    twice = BATCHES | ops.map_samples(lambda y: (y, random.random()), seed_globals=7)
    twice = twice | ops.map_samples(lambda y, x: (x, random.random()), seed_globals=7)
    assert all(set(one.tolist()).isdisjoint(two.tolist()) for one, two in twice)
    one = BATCHES | ops.map_samples(drawn, seed_globals=7)
    assert all(set(a.tolist()).isdisjoint(b.tolist()) for a, _, _, b, _, _ in ops.zip(one, one))


def test_an_error_leaves_the_generators_alone():
    def bad(y):
        random.random()
        raise ValueError("bad")

    before = states()
    with pytest.raises(ValueError, match="bad") as caught:
        list(BATCHES | ops.map_samples(bad, seed_globals=7))
    assert caught.value.__notes__[:2] == ["in sample 0 of the batch", "in the stage map_samples(bad, seed_globals=7)"]
    assert same(states(), before)


def test_presets_take_it():
    ds = ArrayDataSource([Y])
    assert lists(ds.map(batch_drawn, seed_globals=7).stream(4, 3)) == lists(STREAMS["map"])
    mapped = ds.map_samples(drawn, seed_globals=7)
    assert lists(mapped.stream(4, 3)) == lists(STREAMS["map_samples"])
    sampled = SampleDataSource(Augmented(), seed_globals=7)
    assert lists(sampled.stream(4, 3)) == lists(STREAMS["samples"])
    for source in (mapped, sampled, CompositeDataSource([mapped])):
        indices = ([1, 2],) if isinstance(source, CompositeDataSource) else [1, 2]
        before = states()
        once = plain(source.samples_by_indices(indices))
        assert once == plain(source.samples_by_indices(indices))
        assert same(states(), before)


def test_pools_of_threads_are_refused():
    with WorkerThreadPool(1) as pool, ThreadPoolExecutor(1) as executor:
        for stream in [*STREAMS.values(), ops.zip(STREAMS["map"], BATCHES)]:
            for threads in (pool, ExecutorPool(executor)):
                with pytest.raises(
                    TypeError, match=r"seed_globals: expected a pool of processes.*Use WorkerProcessPool"
                ):
                    stream | ops.parallel(threads)
                with pytest.raises(TypeError, match="whose threads share the generators that"):
                    stream.loader(pool=threads)
        with pytest.raises(TypeError, match="seed_globals: expected a pool of processes"):
            list(pool.parallel_data_source(ArrayDataSource([Y]).map(batch_drawn, seed_globals=7)).batch_iterator(4))


def test_threads_of_the_caller_take_turns():
    expected = lists(STREAMS["map_samples"])
    with ThreadPoolExecutor(4) as executor:
        assert list(executor.map(lambda _: lists(STREAMS["map_samples"]), range(8))) == [expected] * 8


def test_its_arguments_are_checked():
    for stage in (ops.map, ops.map_samples, lambda fn, **options: ops.samples(Y, **options)):
        with pytest.raises(TypeError, match="seed_globals: expected a seed"):
            stage(drawn, seed_globals="7")
        with pytest.raises(ValueError, match=r"seed_globals: .*-1"):
            stage(drawn, seed_globals=-1)
    for stage in (ops.map, ops.map_samples):
        with pytest.raises(ValueError, match=r"expected rng=.* or seed_globals=.*got both"):
            stage(drawn, rng=7, seed_globals=7)
    with pytest.raises(TypeError, match="samples: there is no argument seed=; write seed_globals="):
        ops.samples(Y, seed=7)


def test_checkpoints_tell_the_seeds_apart():
    states = [iter(BATCHES | ops.map(drawn, **given)).state_dict() for given in ({}, {"rng": 7}, {"seed_globals": 7})]
    assert len({str(state["stream"]) for state in states}) == 3


LATE = """
import sys
from batchup import ops

def draw(i):
    import torch
    return torch.rand(()).item()

stream = ops.indices(2) | ops.map_samples(draw, seed_globals=7)
assert "torch" not in sys.modules
try:
    list(stream)
except RuntimeError as error:
    print(error)
print(list(stream)[0].tolist() == list(stream)[0].tolist())
"""


def test_pytorch_is_seeded_only_where_it_was_imported():
    pytest.importorskip("torch")
    lines = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines == [
        "seed_globals: PyTorch was imported while a batch was made, so that its generator was not seeded before. Import torch "
        "before the first batch",
        "True",
    ]


def test_pytorch_draws_the_same_and_is_left_alone():
    torch = pytest.importorskip("torch")
    stream = BATCHES | ops.map_samples(lambda y: (y, torch.rand(2)), seed_globals=7)
    torch.manual_seed(1)
    before = torch.default_generator.get_state()
    first = lists(stream)
    assert torch.equal(torch.default_generator.get_state(), before)
    torch.manual_seed(2)
    assert lists(stream) == first
    seeds = pickle.loads(pickle.dumps(GlobalSeeds(Seed((7,)))))
    assert seeds.__getstate__()["torch"]
