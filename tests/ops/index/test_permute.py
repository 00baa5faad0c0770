"""permute: golden orders, constant memory."""

import tracemalloc

import numpy as np
import pytest

from batchup import ops


def test_golden_orders():
    stream = ops.indices(12) | ops.permute(12345) | ops.repeat(2)
    assert [block.tolist() for block in stream] == GOLDEN
    assert (ops.indices(10**12) | ops.permute((3, 4)) | ops.chunk(3))[10**9].tolist() == GOLDEN_FAR


GOLDEN = [[3, 10, 4, 5, 1, 7, 9, 8, 6, 11, 2, 0], [10, 4, 1, 2, 8, 5, 3, 7, 9, 0, 6, 11]]

GOLDEN_FAR = [282235519651, 73958161531, 313422267822]


def test_blocks_are_cut_across_seams_as_those_of_shuffle_are():
    stream = ops.indices(5) | ops.permute(1) | ops.repeat(2)
    flat = np.concatenate(list(stream)).tolist()
    assert [len(block) for block in stream | ops.chunk(4)] == [4, 4, 2]
    assert np.concatenate(list(stream | ops.chunk(4))).tolist() == flat
    assert sorted(flat[:5]) == sorted(flat[5:]) == [0, 1, 2, 3, 4]
    assert flat[:5] != flat[5:]


def test_of_a_subset_and_of_windows():
    subset = np.array([30, 10, 20])
    [order] = ops.indices(subset) | ops.permute(3)
    assert sorted(order) == [10, 20, 30]
    windows = [sorted(block) for block in ops.indices(8) | ops.chunk(4) | ops.permute(3)]
    assert windows == [[0, 1, 2, 3], [4, 5, 6, 7]]
    again = list(ops.indices(8) | ops.permute(2) | ops.shuffle(3))
    assert sorted(again[0]) == list(range(8))


def test_without_chunk_a_gather_gets_integer_arrays():
    class Asked:
        def __len__(self):
            return 4

        def __getitem__(self, key):
            assert type(key) is np.ndarray
            return key

    [(batch, direct)] = ops.indices(4) | ops.permute(1) | ops.gather(Asked(), np.arange(4))
    assert batch.tolist() == direct.tolist()


def test_it_takes_constant_memory():
    stream = ops.indices(10**12) | ops.permute(7) | ops.chunk(64)
    stream[0]
    tracemalloc.start()
    stream[10**9]
    list(stream | ops.skip(10**10) | ops.take(3))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000


@pytest.mark.parametrize("seed", [None, True, False, 1.5, "7", np.random.RandomState(1), np.random])
def test_it_wants_a_seed(seed):
    with pytest.raises(TypeError, match=r"permute\(seed\): expected"):
        ops.permute(seed)


def test_larger_blocks_are_refused():
    with pytest.raises(ValueError, match=r"expected blocks of 2\*\*62 samples at most"):
        (ops.indices(2**62 + 1) | ops.permute(1) | ops.chunk(3))[0]
