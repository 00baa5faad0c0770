"""Lists and other re-iterables in place of a stream."""

import numpy as np
import pytest

from batchup import ops


def test_blocks_of_a_list_are_checked_when_the_stage_is_applied():
    with pytest.raises(TypeError, match=r"chunk: item 1: expected an index block.*got <2 float64>"):
        [np.arange(2), np.zeros(2)] | ops.chunk(2)
    with pytest.raises(TypeError, match=r"chunk: item 0: .*got 3; a whole array is a block: write \[array\]"):
        [3, 4] | ops.chunk(2)
    with pytest.raises(ValueError, match="got the index -1"):
        [[0, -1]] | ops.chunk(2)


def test_blocks_of_a_re_iterable_are_checked_as_they_come():
    class Again:
        def __iter__(self):
            return iter([np.arange(3), np.zeros(2)])

    stream = Again() | ops.chunk(2)
    items = iter(stream)
    assert next(items).tolist() == [0, 1]
    with pytest.raises(TypeError, match="chunk: item 1: expected an index block"):
        next(items)


def test_an_endless_repetition_of_an_empty_re_iterable_is_an_error_and_no_hang():
    class Nothing:
        def __iter__(self):
            return iter([])

    with pytest.raises(ValueError, match="1 passes in a row gave nothing"):
        next(iter(Nothing() | ops.repeat(-1) | ops.map(str)))
