"""sample: its draws are those of NumPy, and follow the weights."""

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchup import ops


def test_a_weighted_order_is_a_permutation_and_each_pass_another():
    stream = ops.sample([1, 5, 2, 0, 3], 7, replace=False) | ops.repeat(3)
    orders = [order.tolist() for order in stream]
    assert all(sorted(order) == [0, 1, 2, 3, 4] for order in orders)
    assert all(order[-1] == 3 for order in orders)  # weighs nothing
    assert stream.num_samples == 15
    assert [order.tolist() for order in stream] == orders
    assert stream[2].tolist() == orders[2]
    assert len({tuple(order) for order in ops.sample(np.ones(9), 7, replace=False) | ops.repeat(9)}) == 9


def test_weighted_orders_follow_the_law_of_draws_without_replacement():
    weights = np.array([1.0, 2.0, 3.0])
    n = 12_000
    found = Counter(tuple(order) for order in ops.sample(weights, 5, replace=False) | ops.repeat(n))
    chi_square = 0.0
    for order in permutations(range(3)):
        left, probability = weights.sum(), 1.0
        for i in order:
            probability *= weights[i] / left
            left -= weights[i]
        chi_square += (found[order] - n * probability) ** 2 / (n * probability)
    assert chi_square < 20.5  # 5 degrees of freedom, p = 0.001


def test_weighted_orders_of_a_subset_and_from_a_generator():
    subset = ops.sample([1, 2, 3], 4, indices=[30, 10, 20], replace=False)
    assert sorted(subset[0]) == [10, 20, 30]
    rng = np.random.RandomState(3)
    first, second = (list(ops.sample(np.ones(30), rng, replace=False))[0].tolist() for _ in range(2))
    assert first != second
    assert repr(subset) == "sample(<3 int64>, 4, indices=<3 int64>, replace=False)"


def test_more_than_2_to_the_24_weights():
    weights = np.zeros(2**24 + 5, np.float32)
    weights[[3, 2**24 + 2]] = 1
    drawn = (ops.sample(weights, 1) | ops.chunk(1000))[0]
    assert set(drawn) == {3, 2**24 + 2}
    assert set((ops.sample(weights, 1, replace=False) | ops.chunk(2))[0]) == {3, 2**24 + 2}


@pytest.mark.parametrize("make", [np.random.RandomState, np.random.default_rng])
@pytest.mark.parametrize("weights", [[0.1, 0.2, 0.3, 0.4], [1, 5, 0, 2], np.random.RandomState(3).rand(1000)])
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
    np.testing.assert_array_equal((source | ops.chunk(b))[k][: len(long) - k * b], long[k * b : k * b + b])


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
        with pytest.raises(ValueError, match="random draws have no order; expected rng="):
            ops.sample([1], rng)
    with pytest.raises(ValueError, match="got 2 weights and 1 indices"):
        ops.sample([1, 2], 1, indices=[3])
