"""Where samples lie in blocks: each grid against the blocks themselves."""

from itertools import accumulate

import numpy as np
import pytest

from batchup import ops
from batchup.core.grid import Even, Listed, Total, chunk_numbers

X = np.arange(20)


@pytest.mark.parametrize(
    "stream",
    [
        ops.indices(20) | ops.chunk(3),
        [np.arange(4), np.arange(0), np.arange(9)] | ops.shuffle(1),
        ops.indices(7) | ops.chunk(3) | ops.repeat(3),
        (ops.indices(20) | ops.chunk(3) | ops.reorder(5)).epoch(3),
        ops.indices(20) | ops.chunk(3) | ops.skip(2) | ops.take(3),
        ops.indices(20) | ops.chunk(6) | ops.shard(1, 4),
        ops.indices(20) | ops.chunk(6) | ops.shard(1, 3) | ops.shard(0, 4),
        ops.indices(20) | ops.chunk(3) | ops.reorder(5),
        [np.arange(4), np.arange(0), np.arange(9)] | ops.reorder(5),
        ops.indices(20) | ops.chunk(3) | ops.merge(2),
        ops.indices(20) | ops.chunk(3) | ops.merge(2, shard=(1, 2)),
    ],
    ids=repr,
)
def test_a_grid_is_that_of_the_blocks(stream):
    blocks, grid = list(stream), stream.plan.grid
    ends = list(accumulate(map(len, blocks), initial=0))
    assert grid.samples == ends[-1]
    assert [grid.before(0, k) for k in range(len(blocks) + 1)] == ends
    assert [grid.block_size(0, k) for k in range(len(blocks))] == list(map(len, blocks))
    assert grid.bound is None or all(max(block) < grid.bound for block in blocks if len(block))
    for offset in range(ends[-1]):
        k, place = grid.seek(0, offset)
        assert ends[k] + place == offset
        assert place < len(blocks[k])


def test_of_a_total_only_the_number_is_known():
    assert Total.of(None) is None
    total = Total.of(7, bound=5)
    assert (total.samples, total.bound, total.located) == (7, 5, False)
    with pytest.raises(NotImplementedError):
        total.before(0, 1)
    assert Even(7, 3, None).located
    assert Listed((1, 2), None).located


def test_numbers_of_chunks():
    assert chunk_numbers(np.array([0, 4, 5, 9]), 5).tolist() == [0, 0, 1, 1]
    assert chunk_numbers(np.array([0, 2, 3, 9]), np.array([3, 10])).tolist() == [0, 0, 1, 1]
