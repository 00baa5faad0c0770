"""Random maps: numbers keyed by the place of the batch, and by the samples that are in it."""

import pickle
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest

from batchup import ops, work_pool
from batchup.core.randomness import DIRECT
from batchup.core.work import Work
from batchup.data_source import (
    ArrayDataSource,
    CallableDataSource,
    CompositeDataSource,
    RandomAccessDataSource,
    batch_map_concat,
    batch_map_mean,
)
from batchup.ops.batch.map import Map
from batchup.testing import plain

ROOT = Path(__file__).resolve().parents[2]
X = np.arange(20)


def draw(*batch, rng):
    assert type(rng) is np.random.Generator
    return (*batch, rng.integers(2**60, size=len(batch[0])))


def numbers(stream):
    return [tuple(item[-1].tolist()) for item in stream]


BASE = ops.indices(20) | ops.chunk(4) | ops.gather(X)


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
    for repeated in (
        BASE | ops.map(draw, rng=7) | ops.repeat(3),
        BASE | ops.repeat(3) | ops.map(draw, rng=7),
    ):
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


def test_the_generator_is_spawned_from_by_nobody_and_can_be_pickled():
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


def test_presets_take_it():
    ds = ArrayDataSource([X]).map(draw, rng=7)
    assert numbers(ds.batch_iterator(4)) == numbers(BASE | ops.map(draw, rng=7))
    pair = CompositeDataSource([ds, ds])
    assert all(a.tolist() != b.tolist() for _, a, _, b in pair.batch_iterator(4))
    one, two = ds.samples_by_indices([1, 2]), ds.samples_by_indices([1, 2])
    assert one[1].tolist() == two[1].tolist()
    assert one[1].tolist() != ds.samples_by_indices([1, 3])[1].tolist()


@pytest.mark.parametrize("rng", [1.5, "7", np.random.RandomState(1), True, [1.0]])
def test_it_wants_a_seed(rng):
    with pytest.raises(TypeError, match=r"map\(fn, rng\): expected a seed"):
        ops.map(draw, rng=rng)


@pytest.mark.parametrize("before", [(), (ops.shuffle(1),), (ops.shuffle(np.random.RandomState(1)),)])
def test_a_function_of_index_blocks_always_gets_an_array(before):
    def kind(block):
        return type(block), block.dtype, block.flags.writeable

    stream = ops.indices(6)
    for stage in (*before, ops.chunk(4)):
        stream = stream | stage
    expected = [(np.ndarray, np.dtype(np.intp), True)] * 2
    assert list(stream | ops.map(kind)) == expected
    assert list(ops.zip(stream) | ops.map(kind)) == expected
    assert list(ops.choose(stream) | ops.map(kind)) == expected
    assert list(stream | ops.map(lambda block, rng: kind(block), rng=1)) == expected


def test_the_note_of_a_random_map_reads_like_the_others():
    def bad(block, rng):
        raise ValueError("bad")

    stream = ops.indices(9) | ops.chunk(3) | ops.skip(1) | ops.map(bad, rng=5)
    with pytest.raises(ValueError, match="bad") as caught:
        list(stream)
    assert caught.value.__notes__ == [
        "in the stage map(bad, rng=5)",
        f"at item 0 of {stream!r}, made of samples [3, 4, 5]; stream[0] makes it again",
    ]


def test_work_can_be_taken_apart_and_put_together():
    stream = ops.zip(
        ops.indices(4) | ops.gather(np.arange(4)) | ops.map(lambda x: x + 1),
        ops.indices(4) | ops.gather(np.arange(4) * 10),
    )
    [join] = stream.steps
    parts = join.parts()
    [item] = stream.plan.start(0, 0, DIRECT)
    each = [work.run(part) for work, part in zip(parts, item, strict=True)]
    assert [plain(part) for part in each] == [[1, 2, 3, 4], ([0, 10, 20, 30],)]
    doubled = join.over(lambda work: Work((*work.steps, Map(lambda x: x * 2))))
    assert [plain(part) for part in doubled.run(item)] == [[2, 4, 6, 8], [0, 20, 40, 60]]
    assert join.over(lambda work: work) is join


class _Parts:
    """A sequence, and a re-iterable, of batches that are lists."""

    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return iter([[np.arange(3) + k, np.arange(3) * k] for k in range(self.n)])


@pytest.mark.parametrize("source", ["map", "random map", "iterable", "list", "callable", "samples"])
def test_a_list_is_a_list_of_the_parts_of_a_batch(source):
    def parts(x):
        return [x, x * 2]

    def noisy(x, rng):
        return [x, x * 2]

    def batches(batch_size):
        return iter(_Parts(4))

    class Own(RandomAccessDataSource):
        def read(self, indices):
            return [indices, indices * 2]

    stream = {
        "map": lambda: BASE | ops.map(parts),
        "random map": lambda: BASE | ops.map(noisy, rng=1),
        "iterable": lambda: _Parts(4) | ops.skip(0),
        "list": lambda: list(_Parts(4)) | ops.skip(0),
        "callable": lambda: CallableDataSource(batches).stream(3),
        "samples": lambda: Own(12).stream(3),
    }[source]()
    assert all(isinstance(batch, tuple) and len(batch) == 2 for batch in stream)
    assert plain(next(iter(stream | ops.map(lambda a, b: a + b)))) == plain(sum(next(iter(stream))))
    [one, two, _three] = next(iter(ops.zip(stream, [7] * 9)))
    assert plain((one, two)) == plain(next(iter(stream)))
    [mean, _] = batch_map_mean(lambda a, b: (a.sum(), b.sum()), stream)
    assert mean > 0
    with work_pool.WorkerThreadPool(1) as pool:
        assert list(map(plain, stream | ops.parallel(pool))) == list(map(plain, stream))


def test_results_of_lists_that_users_give():
    assert batch_map_concat(lambda a, b: a, [[np.arange(2), 1], [np.arange(1), 2]])[0].tolist() == [
        0,
        1,
        0,
    ]
    own = CompositeDataSource([ArrayDataSource([X, X]).map(lambda a, b: [a, b]), ArrayDataSource([X])])
    assert [len(part) for part in next(own.batch_iterator(4))] == [4, 4, 4]


def test_what_collate_makes_stays_one_part():
    images = [np.zeros((n, 2)) for n in (1, 2, 3)]
    stream = ops.indices(3) | ops.chunk(2) | ops.samples(images, collate=list)
    assert [len(batch) for batch in stream] == [2, 1]
    assert list(stream | ops.map(len)) == [2, 1]
    assert [len(batch) for batch in stream | ops.rebatch(3)] == [3]
    assert [len(a) for a, _ in ops.zip(stream, [7, 8], trim=False)] == [2, 1]


def test_results_are_copied_as_the_function_may_write_into_them_again():
    out = np.empty(5)
    [got] = ArrayDataSource([X]).batch_map_concat(lambda x: np.multiply(x, 2, out=out[: len(x)]), 5)
    assert got.tolist() == (2 * X).tolist()
