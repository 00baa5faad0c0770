"""merge: windows of blocks, and the windows of one rank."""

from itertools import pairwise

import numpy as np
import pytest

from batchup import ops

N = 103


@pytest.mark.parametrize(("blocks", "count"), [(10, 3), (7, 7), (7, 8), (1000, 31), (5, 1), (0, 4)])
def test_windows_differ_by_one_block_at_most(blocks, count):
    windows = list(ops.indices(2 * blocks) | ops.chunk(2) | ops.merge(count))
    sizes = {len(window) // 2 for window in windows}
    assert len(windows) == -(-blocks // count)
    assert not sizes or max(sizes) - min(sizes) <= 1
    assert all(a.stop == b.start for a, b in pairwise(windows))


@pytest.mark.parametrize("world", [1, 2, 3, 8])
@pytest.mark.parametrize("chunks", [10, (20, 3, 40, 40)])
@pytest.mark.parametrize("drop_last", [False, True])
def test_ranks_of_windows_take_equal_steps(world, chunks, drop_last):
    ranks = [
        ops.indices(N)
        | ops.mix(7, chunks, 2, shard=(rank, world))
        | ops.gather(np.arange(N))
        | ops.rebatch(8, drop_last)
        for rank in range(world)
    ]
    assert len({len(rank) for rank in ranks}) == 1
    left_out = []
    for epoch in range(3):
        seen = np.concatenate([batch for rank in ranks for (batch,) in rank.epoch(epoch)])
        assert len(seen) == len({*seen.tolist()})
        assert N - len(seen) < world * 8 * (drop_last or 1) if drop_last else N - len(seen) < world
        left_out.append({*range(N)} - {*seen.tolist()})
    assert world == 1 or not left_out[0] or left_out[0] != left_out[1] or left_out[1] != left_out[2]
