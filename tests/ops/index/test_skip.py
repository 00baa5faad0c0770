"""skip, and positions that are too large for an index of C."""

import sys
from itertools import product

import numpy as np
import pytest

from batchup import ops


@pytest.mark.parametrize("n", range(12))
def test_skip_and_take_are_slices(n):
    items = list(range(n))
    for start, count, again in product(range(0, 13, 2), range(0, 13, 3), range(0, 6, 2)):
        stream = items | ops.skip(start) | ops.take(count) | ops.skip(again)
        assert list(stream) == items[start:][:count][again:]
        assert len(stream) == len(items[start:][:count][again:])


def test_more_items_than_an_index_can_count():
    stream = ops.indices(2**62) | ops.repeat(9) | ops.chunk(1)
    assert stream[9 * 2**62 - 1] == range(2**62 - 1, 2**62)
    assert next(iter(stream | ops.skip(2**62 + 5) | ops.skip(2**62)))[0] == 5
    with pytest.raises(OverflowError, match=r"has 41505174165846491136 items, more than len\(\) can say"):
        len(stream)
    drawn = ops.indices(5) | ops.shuffle(np.random.RandomState(1)) | ops.repeat(2**62) | ops.repeat(9)
    assert sorted(next(iter(drawn))) == [0, 1, 2, 3, 4]


class _Two:
    def __iter__(self):
        return iter([np.array([1]), np.array([2])])


@pytest.mark.parametrize(
    "stream",
    [
        _Two() | ops.skip(0),
        _Two() | ops.chunk(1),
        _Two() | ops.repeat(2),
        ops.choose([1, 2], [3, 4, 5], rng=3),
        ops.choose([1, 2], [3, 4, 5], rng=np.random.RandomState(3)),
        ops.choose([1, 2], [3, 4, 5], rng=3) | ops.repeat(2),
    ],
    ids=repr,
)
def test_more_items_than_an_index_can_count_behind_an_unknown_end(stream):
    far = stream | ops.skip(sys.maxsize) | ops.skip(sys.maxsize)
    assert list(far) == list(far | ops.take(3)) == list(far | ops.repeat(2)) == []
    assert list(far | ops.take(3) | ops.skip(1) | ops.map(abs)) == []
    if stream.pure:
        with pytest.raises(IndexError, match="there is no item 18446744073709551616 in"):
            stream[2**64]
