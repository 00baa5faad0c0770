"""mix: data in chunks, shuffled in windows."""

import numpy as np
import pytest
from numpy.random import RandomState

from batchup import ops, work_pool
from batchup.testing import plain

N = 103

X = np.arange(N * 2).reshape(N, 2)


def test_golden_orders():
    blocks = ops.indices(12) | ops.chunk(2)
    assert [b.start // 2 for b in blocks | ops.reorder(12345) | ops.repeat(2)] == GOLDEN_ORDER
    assert [b.tolist() for b in ops.indices(12) | ops.mix(12345, 2, 3)] == GOLDEN_MIX


@pytest.mark.parametrize("world", [1, 2, 3])
def test_exact_ranks_give_the_batches_of_one_and_go_on_with_any_number(world):
    def batches(shard):
        return ops.indices(N) | ops.mix(7, 10, 3) | ops.gather(np.arange(N)) | ops.rebatch(8, shard=shard)

    whole = [batch.tolist() for (batch,) in batches(None)]
    for k in (0, 4, len(whole)):
        it = iter(batches((1, 2)))
        for _ in range(k):
            next(it)
        rest = []
        for rank in range(world):
            again = iter(batches((rank, world)))
            again.load_state_dict(it.state_dict())
            rest.append([batch.tolist() for (batch,) in again])
        assert [[i for part in parts for i in part] for parts in zip(*rest, strict=True)] == whole[k:]


@pytest.mark.parametrize("make_pool", [work_pool.WorkerThreadPool, work_pool.WorkerProcessPool])
@pytest.mark.parametrize("seed", [7, "generator"])
def test_in_pools(make_pool, seed):
    def batches(rng):
        order = rng if seed == "generator" else seed
        return ops.indices(N) | ops.mix(order, 10, 3) | ops.gather(X, np.arange(N))

    expected = list(map(plain, batches(RandomState(0)) | ops.rebatch(8)))
    with make_pool(2) as pool:
        in_pool = batches(RandomState(0)) | ops.parallel(pool, 2) | ops.rebatch(8)
        it = iter(in_pool)
        assert [plain(next(it)) for _ in range(5)] == expected[:5]
        again = iter(batches(RandomState(1)) | ops.parallel(pool, 3) | ops.rebatch(8))
        again.load_state_dict(it.state_dict())
        assert list(map(plain, again)) == expected[5:]
        assert list(map(plain, it)) == expected[5:]
        assert len(in_pool) == len(expected)


def test_of_one_rank_over_a_generator_the_steps_are_known_and_the_samples_are_not():
    windows = ops.indices(N) | ops.mix(RandomState(0), 10, 3) | ops.gather(np.arange(N))
    rank = windows | ops.rebatch(8, shard=(1, 2))
    assert (len(rank), rank.num_samples) == (13, None)
    assert (windows | ops.rebatch(8)).num_samples == N
    even = ops.indices(100) | ops.mix(RandomState(0), 10, 2) | ops.gather(np.arange(100))
    assert (even | ops.rebatch(8, shard=(1, 2))).num_samples == 50


GOLDEN_ORDER = [0, 4, 1, 5, 3, 2, 5, 4, 1, 3, 2, 0]

GOLDEN_MIX = [[1, 3, 8, 9, 0, 2], [7, 5, 10, 4, 11, 6]]


@pytest.mark.parametrize(
    "source",
    [
        lambda: ops.indices(0) | ops.mix(1, 4, 2),
        lambda: ops.indices(np.array([], int)) | ops.mix(1, 4, 2),
        lambda: ops.indices(0) | ops.mix(1, np.array([], int), 2),
        lambda: ops.indices(9) | ops.where(np.zeros(9, bool)) | ops.mix(1, 4, 2),
    ],
)
def test_windows_of_nothing(source):
    assert list(source()) == []
    assert list(source() | ops.gather(np.arange(9)) | ops.rebatch(3)) == []
