"""The random numbers of steps: keyed by seed and place."""

import pickle
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest

from batchup import ops
from batchup.core import SAME, Noise, Step, as_seed, record
from batchup.testing import check_laws, plain
from tests.noisy import BASE, X, draw, numbers

ROOT = Path(__file__).resolve().parents[2]


def test_the_numbers_are_a_function_of_seed_and_place():
    stream = BASE | ops.map(draw, rng=7)
    drawn = numbers(stream)
    assert numbers(stream) == drawn
    assert len(set(drawn)) == 5
    assert [tuple(stream[k][-1].tolist()) for k in range(5)] == drawn
    assert numbers(stream | ops.skip(2)) == drawn[2:]
    assert not set(numbers(BASE | ops.map(draw, rng=8))) & set(drawn)
    assert numbers(BASE | ops.map(draw, rng=(7,))) == drawn


def test_each_pass_has_numbers_of_its_own():
    for repeated in (BASE | ops.map(draw, rng=7) | ops.repeat(3), BASE | ops.repeat(3) | ops.map(draw, rng=7)):
        assert len(set(numbers(repeated))) == 15
    endless = BASE | ops.repeat(-1) | ops.take(5) | ops.map(draw, rng=7) | ops.repeat(2)
    assert len(set(numbers(endless))) == 10


def test_two_maps_with_one_seed_share_no_numbers():
    twice = BASE | ops.map(draw, rng=7) | ops.map(draw, rng=7)
    assert not {tuple(a.tolist()) for _, a, _ in twice} & {tuple(b.tolist()) for _, _, b in twice}


def test_members_of_a_joint_stream_share_no_numbers():
    one = BASE | ops.map(draw, rng=7)
    for joint in (ops.zip(one, one), ops.zip(ops.zip(one), ops.choose(one, one))):
        drawn = [tuple(part.tolist()) for batch in joint for part in batch[1::2]]
        assert len(set(drawn)) == len(drawn)
    assert len(set(numbers(ops.choose(one, one)))) == 10
    after = ops.zip(one, one) | ops.map(draw, rng=7)
    drawn = [tuple(part.tolist()) for a, x, b, y, z in after for part in (x, y, z)]
    assert len(set(drawn)) == 15


def test_shards_share_no_numbers():
    blocks = ops.indices(20) | ops.chunk(4)
    ranks = [blocks | ops.shard(rank, 2) | ops.gather(X) | ops.map(draw, rng=7) for rank in range(2)]
    assert len({*numbers(ranks[0]), *numbers(ranks[1])}) == 10


def test_the_generator_can_not_be_spawned_from_and_can_be_pickled():
    """Its children would come of the system's entropy: others each time, and in each worker."""
    stream = BASE | ops.map(lambda x, rng: rng.spawn(1), rng=7)
    with pytest.raises(TypeError, match="does not implement spawning"):
        stream[0]
    for other in (np.random.default_rng, np.random.MT19937, np.random.SFC64):
        stream = BASE | ops.map(lambda x, rng, other=other: other(rng.bit_generator.seed_seq), rng=7)
        with pytest.raises(TypeError, match="makes no further generators: draw from it alone"):
            stream[0]
    [rng, *_] = BASE | ops.map(lambda x, rng: rng, rng=7)
    for copy in (pickle.loads(pickle.dumps(rng)), deepcopy(rng)):
        assert copy.integers(2**60) == deepcopy(rng).integers(2**60)


def test_a_stream_that_was_used_draws_the_same_in_a_fresh_process():
    stream = BASE | ops.map(draw, rng=7)
    drawn = stream[1][-1].tolist()
    code = "import pickle, sys; print(pickle.load(sys.stdin.buffer)[1][-1].tolist())"
    command = [sys.executable, "-c", code]
    fresh = subprocess.run(command, input=pickle.dumps(stream), capture_output=True, cwd=ROOT)
    assert fresh.stdout.decode().strip() == str(drawn), fresh.stderr


def test_golden_numbers():
    [*_, last] = BASE | ops.map(lambda x, rng: rng.integers(1000, size=5), rng=12345)
    assert last.tolist() == [148, 146, 298, 147, 46]


def test_the_numbers_are_uniform_and_have_nothing_to_do_with_their_neighbours():
    stream = ops.indices(10_000) | ops.chunk(1) | ops.map(lambda block, rng: rng.random(2), rng=3)
    drawn = np.array(list(stream))
    counts = np.histogram(drawn[:, 0], bins=50, range=(0, 1))[0]
    assert ((counts - 200) ** 2 / 200).sum() < 85.4  # 49 degrees, p = 0.001
    assert abs(np.corrcoef(drawn[:-1, 0], drawn[1:, 0])[0, 1]) < 0.04
    assert abs(np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1]) < 0.04


def test_the_failing_batch_is_made_again_with_the_same_numbers():
    seen = []

    def unlucky(x, rng):
        value = rng.random()
        if 13 in x:
            seen.append(value)
            raise ValueError("bad crop")
        return x

    stream = ops.indices(20) | ops.shuffle(1) | ops.chunk(4) | ops.gather(X) | ops.map(unlucky, rng=5)
    with pytest.raises(ValueError, match="bad crop") as caught:
        list(stream)
    position = int(caught.value.__notes__[-1].split("stream[")[1].split("]")[0])
    with pytest.raises(ValueError, match="bad crop"):
        stream[position]
    assert seen[0] == seen[1]
    assert caught.value.__notes__[0] == "in the stage map(unlucky, rng=5)"


@record
class Jitter(Step):
    """A user's random step."""

    tag = "jitter"

    rng: Noise
    sizes = SAME

    def run(self, item, rng):
        return (item[0] + rng.integers(1000, size=len(item[0])),)


def test_a_random_step_of_ones_own_is_as_random_as_map():
    def jitter(x, rng):
        return (x + rng.integers(1000, size=len(x)),)

    own = BASE.with_step(Jitter(Noise(as_seed(7, "seed"))))
    assert plain(list(own)[3]) == plain(list(BASE | ops.map(jitter, rng=7))[3])
    check_laws(lambda stream, rng: (stream | ops.gather(X)).with_step(Jitter(Noise(as_seed(7, "seed")))), members=1)
    twice = own.with_step(Jitter(Noise(as_seed(7, "seed"))))
    assert [step.rng.path for step in twice.steps if step.rng] == [(0,), (1,)]
    state = iter(twice).state_dict()
    assert state["stream"][-2:] == ["jitter(7 (0))", "jitter(7 (1))"]
