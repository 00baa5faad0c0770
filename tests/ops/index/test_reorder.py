"""reorder: the order of the blocks of a pass."""

import tracemalloc

import pytest
from numpy.random import RandomState

from batchup import ops


def test_a_generator_gives_one_permutation_a_pass():
    rng, beside = RandomState(3), RandomState(3)
    stream = ops.indices(10) | ops.chunk(2) | ops.reorder(rng)
    for _ in range(3):
        assert [block.start // 2 for block in stream] == beside.permutation(5).tolist()


def test_what_has_no_number_of_blocks_is_refused():
    with pytest.raises(TypeError, match="is endless: put repeat behind reorder"):
        ops.indices(3) | ops.repeat(-1) | ops.reorder(5)
    with pytest.raises(TypeError, match="has an unknown number"):
        ops.indices(3) | ops.shuffle(1) | ops.where([True] * 3) | ops.chunk(2) | ops.reorder(5)
    with pytest.raises(TypeError, match="give a seed"):
        ops.indices(9) | ops.chunk(2) | ops.reorder(RandomState(1)) | ops.merge(2, shard=(0, 2))
    with pytest.raises(TypeError, match="Put repeat behind it"):
        ops.indices(9) | ops.repeat(2) | ops.mix(1, 2, 2)
    with pytest.raises(ValueError, match="expected chunks for all samples, up to 8; they have 7"):
        ops.indices(9) | ops.mix(1, [3, 4], 2)


def test_any_position_of_a_huge_set_is_reached_at_once():
    windows = ops.indices(10**12) | ops.mix(7, 64, 1024)
    tracemalloc.start()
    far = windows[10**7]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(far) in (1024 * 64, 1023 * 64)
    assert peak < 10 * 2**20
    assert windows.num_samples == 10**12


def test_a_pass_draws_its_permutation_once():
    """Blocks that are cut from a shuffled pass are kept, and those that are not are made one by one."""
    drawn = []

    class Spy(RandomState):
        def permutation(self, x):
            drawn.append(x)
            return super().permutation(x)

    def counting(seed, *place, advance=0):
        return Spy(5)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("batchup.core.randomness.frozen_generator", counting)
        blocks = ops.indices(100) | ops.shuffle(7) | ops.chunk(10) | ops.reorder(8)
        assert sorted(i for block in blocks for i in block) == list(range(100))
        assert len(drawn) == 1
        lazy = ops.indices(100) | ops.chunk(10) | ops.shuffle(7) | ops.reorder(8)
        next(iter(lazy))
        assert len(drawn) == 2
