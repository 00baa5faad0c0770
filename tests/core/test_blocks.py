"""Index blocks: what is one, and how several become one."""

import numpy as np
import pytest

from batchup.core.blocks import as_block, block_array, joined


@pytest.mark.parametrize("value", [range(3, 7), range(0), [3, 1], np.array([3, 1], np.uint8), (), np.array([])])
def test_a_block_has_the_indices_in_their_order(value):
    block = as_block(value, "here")
    assert list(block) == list(value)
    assert isinstance(block, range) or block.dtype == np.intp


def test_a_range_with_steps_becomes_an_array():
    assert as_block(range(8, 0, -3), "here").tolist() == [8, 5, 2]


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (3, TypeError, r"here: expected an index block.*; got 3; a whole array is a block: write \[array\]"),
        ("12", TypeError, "got '12'"),
        ([1.5], TypeError, "got <1 float64>"),
        ([[1], [1, 2]], TypeError, "NumPy can't make an array of this list"),
        (np.zeros((2, 2), int), TypeError, "got <2x2 int64>"),
        (np.array([True]), TypeError, r"for a mask use np.flatnonzero\(mask\)"),
        ([1, -2], ValueError, "got the index -2"),
        (range(-1, 3), ValueError, r"got range\(-1, 3\)"),
        (np.array([2**63], np.uint64), ValueError, "got the index 9223372036854775808"),
    ],
)
def test_what_is_no_block_is_refused(value, error, text):
    with pytest.raises(error, match=text):
        as_block(value, "here")


def test_ranges_that_follow_one_another_stay_a_range():
    assert joined([range(2, 4), range(4, 9)]) == range(2, 9)
    assert joined([range(2, 4), range(5, 6)]).tolist() == [2, 3, 5]
    assert joined([range(2, 4), np.array([9])]).tolist() == [2, 3, 9]


def test_an_array_is_written_out_of_a_range_alone():
    array = np.array([4, 2])
    assert block_array(array) is array
    assert block_array(range(2, 5)).tolist() == [2, 3, 4]
