"""The keyed permutation: a bijection, and as random as by chance."""

import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchup.core.randomness import Seed
from batchup.ops.index.permutation import PermutedBlock, enciphered, orders, permuted, place_of, round_keys


def whole(n, seed, number=0):
    return permuted(np.arange(n, dtype=np.uint64), n, round_keys(Seed((seed,)), number)).astype(int)


@pytest.mark.parametrize("first", range(0, 3001, 500))
def test_it_is_a_bijection_for_every_small_n(first):
    for n in range(first, min(first + 500, 3001)):
        assert np.array_equal(np.sort(whole(n, seed=n)), np.arange(n)), n
        if n > 1:
            places = np.arange(n, dtype=np.uint64)
            assert np.array_equal(np.sort(enciphered(places, n, round_keys(Seed((n,)), 0))), places), n


@given(st.integers(1, 10**5), st.integers(0, 2**70))
def test_it_is_a_bijection(n, seed):
    assert np.bincount(whole(n, seed), minlength=n).max() == 1


@given(st.integers(2**40, 2**62), st.integers(0, 99), st.data())
def test_places_far_apart_of_a_huge_set_stay_within_it_and_apart(n, seed, data):
    places = data.draw(st.lists(st.integers(0, n - 1), min_size=2, max_size=50, unique=True))
    numbers = permuted(np.array(places, np.uint64), n, round_keys(Seed((seed,)), 0))
    assert numbers.max() < n
    assert len(set(numbers.tolist())) == len(places)


@pytest.mark.parametrize("n", [2, 3, 5, 7, 16, 24, 65, 100])
def test_every_sample_comes_to_every_place_equally_often(n):
    trials = 300 * n
    counts = np.zeros((n, n))
    for seed in range(trials):
        counts[np.arange(n), whole(n, seed)] += 1
    expected = trials / n
    chi_square = ((counts - expected) ** 2 / expected).sum()
    freedom = (n - 1) ** 2
    assert chi_square < freedom + 4 * np.sqrt(2 * freedom) + 8  # some four deviations


def test_all_orders_of_a_few_come_equally_often():
    n, trials = 4, 24 * 300
    orders, counts = np.unique([whole(n, seed) for seed in range(trials)], axis=0, return_counts=True)
    assert len(orders) == 24
    assert ((counts - 300) ** 2 / 300).sum() < 49.7  # 23 degrees of freedom, p = 0.001


def test_all_orders_by_random_words_come_equally_often():
    keys = round_keys(Seed((7,)))
    found, counts = np.unique(orders(np.arange(120 * 300, dtype=np.uint64), 5, keys), axis=0, return_counts=True)
    assert len(found) == 120
    assert ((counts - 300) ** 2 / 300).sum() < 172.7  # 119 degrees of freedom, p = 0.001


def test_orders_by_random_words_of_neighbouring_numbers_have_nothing_to_do_with_each_other():
    n = 1000
    several = orders(np.arange(50, dtype=np.uint64), n, round_keys(Seed((7,))))
    for one, other in pairwise(several):
        assert abs(np.corrcoef(one, other)[0, 1]) < 4 / np.sqrt(n)
        assert abs(np.corrcoef(one.argsort(), other.argsort())[0, 1]) < 4 / np.sqrt(n)


@pytest.mark.parametrize("n", [10, 97, 1000, 1100, 4096, 50_000])
def test_fixed_points_and_neighbours_are_as_many_as_by_chance(n):
    trials = max(20, 40_000 // n)
    fixed = neighbours = 0
    for seed in range(trials):
        order = whole(n, seed)
        fixed += (order == np.arange(n)).sum()
        neighbours += (np.abs(np.diff(order)) == 1).sum()
    # Poisson, with means of 1 and of 2 (n - 1) / n an order
    for count, mean in ((fixed, trials), (neighbours, trials * 2 * (n - 1) / n)):
        assert abs(count - mean) < 4 * np.sqrt(mean) + 4


@pytest.mark.parametrize("n", [1000, 30_000])
def test_pairs_of_passes_and_of_seeds_have_nothing_to_do_with_each_other(n):
    for one, other in (((1, 0), (1, 1)), ((1, 0), (2, 0)), ((0, 1), (1, 0)), ((1, 2**64), (1, 0))):
        same = (whole(n, *one) == whole(n, *other)).sum()
        assert same < 12  # Poisson of mean 1


@given(
    st.integers(1, 5000),
    st.integers(1, 300),
    st.lists(st.tuples(st.integers(-10, 5000), st.integers(-10, 400)), max_size=30),
    st.integers(1, 64),
)
@example(n=259, start=1, asked=[(-2, 0), (-2, -1)], size=64)  # an empty slice was not
def test_slices_are_those_of_the_whole_in_whatever_order_they_are_asked_for(n, start, asked, size):
    keys = round_keys(Seed((n,)), 0)
    order = permuted(np.arange(n, dtype=np.uint64), n, keys).astype(int) + start
    block = PermutedBlock(range(start, start + n), keys, ahead=256)
    for begin, length in asked:
        for part in (slice(begin, begin + length), slice(begin, None), slice(None, begin), slice(begin, None, 3)):
            assert block[part].tolist() == order[part].tolist()
    for begin in range(0, n, size):  # one after another, as batches are
        assert block[begin : begin + size].tolist() == order[begin : begin + size].tolist()


def test_what_is_computed_at_once_is_bounded():
    block = PermutedBlock(range(10**12), round_keys(Seed((1,)), 0))
    batches = [block[start : start + 64] for start in range(0, 10**6, 64)]
    assert max(batch.base.size for batch in batches) == 8192
    assert pickle.loads(pickle.dumps(block))[999:1001].tolist() == block[999:1001].tolist()


@given(st.integers(1, 5000), st.integers(0, 2**70), st.data())
def test_place_of_is_the_permutation_the_other_way_round(n, seed, data):
    keys = round_keys(Seed((seed,)), 3)
    place = data.draw(st.integers(0, n - 1))
    [number] = permuted(np.array([place], np.uint64), n, keys)
    assert place_of(int(number), n, keys) == place
