"""take: only the first items."""

import sys

import pytest

from batchup import ops


@pytest.mark.parametrize("n", [0, 1, 3, 4, 9, sys.maxsize])
def test_take_is_a_slice(n):
    blocks = ops.indices(7) | ops.chunk(2)
    taken = blocks | ops.take(n)
    assert list(taken) == list(blocks)[:n]
    assert len(taken) == min(n, 4)
    assert taken.num_samples == sum(map(len, list(blocks)[:n]))


def test_takes_and_skips_are_one_plan():
    stream = ops.indices(100) | ops.chunk(1)
    for _ in range(5):
        stream = stream | ops.skip(2) | ops.take(50)
    assert stream.plan.up.tag == "chunk"
    assert [block.start for block in stream] == list(range(10, 52))


def test_what_is_no_count_is_refused():
    with pytest.raises(ValueError, match=r"take\(count\): expected a whole number >= 0; got -1"):
        ops.take(-1)
