"""indices: the source of blocks."""

import numpy as np
import pytest

from batchup import ops


@pytest.mark.parametrize("n", [0, 1, 7, np.int64(7), np.array(7)])
def test_indices_of_a_number_is_one_whole_pass(n):
    assert list(ops.indices(n)) == [range(n)]


@pytest.mark.parametrize(
    "which", [[5, 3, 3], (5, 3, 3), np.array([5, 3, 3], np.uint8), np.array([5, 3, 3.0]).astype(int)]
)
def test_indices_of_a_subset_come_in_its_order(which):
    [block] = ops.indices(which)
    assert block.dtype == np.intp
    assert block.tolist() == [5, 3, 3]


def test_a_subset_is_not_changed_by_later_writes():
    mine = np.array([1, 2, 3])
    stream = ops.indices(mine)
    mine[0] = 9
    assert next(iter(stream)).tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("which", "error", "text"),
    [
        (-1, ValueError, r"indices\(n\): expected a whole number >= 0; got -1"),
        (2.0, TypeError, r"indices\(n\): expected a whole number >= 0; got 2.0"),
        (True, TypeError, r"got True"),
        (None, TypeError, r"got None"),
        (np.array([1.0, 2.0]), TypeError, r"1-D array of integers >= 0 or a range; got <2 float64>"),
        ([0.5], TypeError, r"got <1 float64>"),
        (np.array([True, False]), TypeError, r"for a mask use np.flatnonzero"),
        (np.zeros((2, 2), int), TypeError, r"got <2x2 int64>"),
        ([1, -2], ValueError, r"got the index -2"),
        (range(-2, 5), ValueError, r"got range\(-2, 5\)"),
        ([[1], [2, 3]], TypeError, r"NumPy can't make an array of this list"),
        (["a"], TypeError, r"got <1 <U1>"),
        (np.array([2**63], np.uint64), ValueError, r"got the index 9223372036854775808"),
    ],
)
def test_what_are_no_indices(which, error, text):
    with pytest.raises(error, match=text):
        ops.indices(which)


def test_ranges_with_steps():
    assert list(ops.indices(range(3, 7)))[0] == range(3, 7)
    assert list(ops.indices(range(6, 0, -2)))[0].tolist() == [6, 4, 2]


def test_a_huge_source_costs_nothing():
    huge = ops.indices(10**12) | ops.chunk(64)
    assert len(huge) == 10**12 // 64
    assert list(huge | ops.take(3))[-1] == range(128, 192)
    assert list(huge | ops.skip(10**9) | ops.take(1)) == [range(64 * 10**9, 64 * 10**9 + 64)]
    assert huge[-1] == range(10**12 - 64, 10**12)
