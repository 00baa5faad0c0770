"""repeat: several passes, and endless ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import RandomState

from batchup import ops


def flat(stream):
    return np.concatenate([np.asarray(block) for block in stream]).tolist()


def test_a_tail_and_the_next_head_share_a_batch():
    rng = RandomState(3)
    stream = ops.indices(5) | ops.shuffle(rng) | ops.repeat(3) | ops.chunk(4)
    beside = RandomState(3)
    assert flat(stream) == [i for _ in range(3) for i in beside.permutation(5)]
    assert [len(block) for block in stream] == [4, 4, 4, 3]


def test_a_set_smaller_than_the_batch_repeats_within_it():
    stream = ops.indices(3) | ops.shuffle(1) | ops.repeat(-1) | ops.chunk(8)
    first = stream[0]
    assert sorted(first[:3]) == sorted(first[3:6]) == [0, 1, 2]
    assert len(first) == 8


def test_the_order_of_an_endless_repetition_differs_from_pass_to_pass_of_what_is_around_it():
    inner = ops.indices(20) | ops.shuffle(3) | ops.repeat(-1) | ops.take(2)
    assert len({tuple(block) for block in inner | ops.repeat(3)}) == 6


@pytest.mark.parametrize(
    ("times", "error"), [(0, ValueError), (-2, ValueError), (1.0, TypeError), (True, TypeError), (None, TypeError)]
)
def test_bad_times(times, error):
    with pytest.raises(error, match=r"repeat\(times\): expected a whole number >= 1, or -1; got"):
        ops.repeat(times)


def test_an_endless_repetition_of_nothing_is_refused():
    for nothing in (ops.indices(0), ops.indices(3) | ops.take(0), ops.indices([])):
        with pytest.raises(ValueError, match="has no samples, so it would never give one"):
            nothing | ops.repeat(-1)
    assert list(ops.indices(0) | ops.repeat(3) | ops.chunk(2)) == []


@given(st.integers(1, 6), st.integers(1, 4), st.integers(1, 4), st.integers(0, 99))
def test_repeats_of_repeats_are_one_of_the_product(n, a, b, seed):
    stream = ops.indices(n) | ops.shuffle(seed)
    assert flat(stream | ops.repeat(a) | ops.repeat(b)) == flat(stream | ops.repeat(a * b))


def test_repeat_after_the_work():
    stream = ops.indices(3) | ops.shuffle(1) | ops.chunk(2) | ops.gather(np.arange(3)) | ops.repeat(2)
    before = ops.indices(3) | ops.shuffle(1) | ops.chunk(2) | ops.repeat(2) | ops.gather(np.arange(3))
    assert [b[0].tolist() for b in stream] == [b[0].tolist() for b in before]
