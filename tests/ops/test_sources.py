"""indices, sample, and what a list or a re-iterable makes of itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
        ([[1], [2, 3]], TypeError, r"a list that is no array"),
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


def test_blocks_of_a_list_are_checked_when_the_stage_is_applied():
    with pytest.raises(TypeError, match=r"chunk: item 1: expected an index block.*got <2 float64>"):
        [np.arange(2), np.zeros(2)] | ops.chunk(2)
    with pytest.raises(
        TypeError, match=r"chunk: item 0: .*got 3; a whole array is a block: write \[array\]"
    ):
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


@pytest.mark.parametrize("make", [np.random.RandomState, np.random.default_rng])
@pytest.mark.parametrize(
    "weights", [[0.1, 0.2, 0.3, 0.4], [1, 5, 0, 2], np.random.RandomState(3).rand(1000)]
)
def test_draws_are_those_of_choice_bit_for_bit(make, weights):
    drawn = list(ops.sample(weights, make(12)) | ops.chunk(37) | ops.take(9))
    rng = make(12)
    p = np.array(weights, float)
    p = p if abs(p.sum() - 1) < 1e-9 else p / p.sum()
    for block in drawn:
        np.testing.assert_array_equal(block, rng.choice(len(p), 37, p=p))


def test_draws_from_the_global_generator():
    np.random.seed(3)
    drawn = next(iter(ops.sample([1, 2, 3], True) | ops.chunk(20)))
    np.random.seed(3)
    np.testing.assert_array_equal(drawn, np.random.choice(3, 20, p=np.array([1, 2, 3]) / 6))


def test_a_generator_is_drawn_from_only_as_far_as_batches_are_asked_for():
    rng = np.random.RandomState(5)
    batches = iter(ops.sample([1, 1], rng) | ops.chunk(10))
    next(batches)
    next(batches)
    beside = np.random.RandomState(5)
    beside.random_sample(20)
    assert rng.random_sample() == beside.random_sample()


@given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 2000), st.integers(0, 3))
def test_seeded_draws_are_one_sequence_however_it_is_cut(a, b, start, seed):
    source = ops.sample([1.0, 2.0, 3.0], seed)
    long = np.concatenate(list(source | ops.chunk(a) | ops.take(2100 // a + 1)))
    k = start // b
    np.testing.assert_array_equal(
        (source | ops.chunk(b))[k][: len(long) - k * b], long[k * b : k * b + b]
    )


def test_seeded_draws_of_every_pass_are_others():
    passes = list(ops.sample(np.ones(100), 5) | ops.chunk(50) | ops.take(1) | ops.repeat(3))
    assert len({tuple(draws) for draws in passes}) == 3


def test_golden_draws():
    drawn = (ops.sample([3, 0, 1, 2], 12345) | ops.chunk(20))[0]
    assert drawn.tolist() == [2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 3, 0, 3, 0, 0, 0]


def test_draws_of_a_subset():
    whole = ops.sample([1, 2, 3], 7) | ops.chunk(30)
    subset = ops.sample([1, 2, 3], 7, indices=[10, 20, 30]) | ops.chunk(30)
    np.testing.assert_array_equal(np.array([10, 20, 30])[whole[4]], subset[4])


def test_draws_follow_their_weights():
    weights = np.array([0, 1, 2, 3, 4, 0])
    n = 100_000
    counts = np.bincount((ops.sample(weights, 1) | ops.chunk(n))[0], minlength=6)
    assert counts[0] == counts[5] == 0
    expected = n * weights[1:5] / 10
    chi_square = ((counts[1:5] - expected) ** 2 / expected).sum()
    assert chi_square < 16.27  # 3 degrees of freedom, p = 0.001


def test_without_chunk_a_block_is_n_draws():
    stream = ops.sample([1, 1, 1, 1, 1], 3)
    assert len(stream[0]) == 5
    assert stream.num_samples == np.inf


@pytest.mark.parametrize(
    ("weights", "error", "text"),
    [
        ([1, -1], ValueError, r"weight 1 is -1.0"),
        ([1, np.nan], ValueError, r"weight 1 is nan"),
        ([0, 0], ValueError, r"the sum of 2 weights is 0.0"),
        ([], ValueError, r"the sum of 0 weights is 0.0"),
        ([1, np.inf], ValueError, r"the sum of 2 weights is inf"),
        ([[1, 2]], TypeError, r"got <1x2 int64>"),
        (["a"], TypeError, r"expected weights as a 1-D array"),
        ([1j], TypeError, r"expected weights as a 1-D array"),
        (3.0, TypeError, r"expected weights as a 1-D array"),
    ],
)
def test_bad_weights(weights, error, text):
    with pytest.raises(error, match=text):
        ops.sample(weights, 1)


def test_draws_want_a_generator_and_as_many_indices_as_weights():
    for rng in (None, False):
        with pytest.raises(ValueError, match="weighted draws have no order; expected rng="):
            ops.sample([1], rng)
    with pytest.raises(ValueError, match="got 2 weights and 1 indices"):
        ops.sample([1, 2], 1, indices=[3])
