"""Seeds, and what is keyed by them."""

from itertools import product

import numpy as np
import pytest

from batchup import ops
from batchup.core.randomness import DIRECT, as_rng, key_of
from batchup.testing import plain


def order(seed):
    return plain((ops.indices(50) | ops.shuffle(seed))[0])


def test_seeds_are_told_apart_by_the_words_of_their_numbers():
    seeds = [5, (5, 0), (0, 5), (5, 0, 0), 5 << 32, (0, 5, 0), 2**32 + 5, (5, 1), (1, 5), 0, (0, 0), 2**64]
    orders = [order(seed) for seed in seeds]
    assert len({tuple(o) for o in orders}) == len(seeds)


def test_one_number_is_one_seed_however_it_is_written():
    for seed in ((5,), [5], np.array([5]), np.int64(5), range(5, 6)):
        assert order(seed) == order(5)
    assert order([5, 7]) == order((5, 7)) == order(np.array([5, 7])) == order(range(5, 9, 2))


def test_no_two_keys_are_one():
    numbers = [0, 1, 5, 2**32 - 1, 2**32, 2**32 + 1, 2**64, 2**96 + 7]
    keys = [n for length in range(4) for n in product(numbers, repeat=length)]
    assert len({tuple(key_of(*key)) for key in keys}) == len(keys)
    # nor is one the other with zeros behind it, as SeedSequence pads
    padded = {tuple(np.trim_zeros(key_of(*key), "b")) for key in keys if key}
    assert len(padded) == len(keys) - 1


@pytest.mark.parametrize(
    ("seed", "error", "text"),
    [
        (-1, ValueError, "got -1"),
        ((1, -1), ValueError, r"got \(1, -1\)"),
        ([], ValueError, "got an empty sequence"),
        (1.5, TypeError, "got 1.5"),
        ("7", TypeError, "got '7'"),
        ([1.0], TypeError, "got <list of 1>"),
    ],
)
def test_what_is_no_seed(seed, error, text):
    with pytest.raises(error, match=f"NumPy's RandomState or Generator.*{text}"):
        as_rng(seed, "shuffle")


def test_a_generator_of_another_library_is_told_whose_it_should_be():
    class Generator:
        __module__ = "torch._C"

    with pytest.raises(TypeError, match=r"NumPy's RandomState or Generator.*got <Generator> of torch._C"):
        as_rng(Generator(), "shuffle")


# --- the noise of random maps


def noise(*batch, rng):
    return rng.integers(10**9)


def noises(stream):
    return list(stream | ops.map(noise, rng=2024))


X = np.arange(100)


def test_each_epoch_of_the_natural_loop_has_noise_of_its_own():
    rng = np.random.RandomState(1)
    epochs = [noises(ops.indices(100) | ops.shuffle(rng) | ops.chunk(10) | ops.gather(X)) for _ in range(5)]
    assert len({n for epoch in epochs for n in epoch}) == 50


def test_the_noise_is_that_of_the_samples_in_their_order_and_of_the_place():
    [first, same, other_place] = noises([[1, 2], [3, 4], [1, 2]] | ops.chunk(2) | ops.gather(X))
    assert first == noises([[1, 2]] | ops.chunk(2) | ops.gather(X))[0]
    assert first != other_place
    assert first != noises([[2, 1]] | ops.chunk(2) | ops.gather(X))[0]
    assert first == noises([range(1, 3)] | ops.chunk(2) | ops.gather(X))[0]  # a range, or an array
    assert same == noises([[0, 0], [3, 4]] | ops.chunk(2) | ops.gather(X))[1]


def test_all_members_of_a_zip_count():
    a, b = ops.indices(10) | ops.chunk(5), ops.indices(10) | ops.shuffle(1) | ops.chunk(5)
    pairs = [noises(ops.zip(*members)) for members in ((a, a), (a, b), (b, a), (b, b))]
    assert len({n for pair in pairs for n in pair}) == 8


def test_ranks_have_noise_of_their_own_and_the_members_of_one_stream_too():
    blocks = ops.indices(40) | ops.chunk(8)
    ranks = [noises(blocks | ops.shard(rank, 2) | ops.gather(X)) for rank in range(2)]
    assert len({n for rank in ranks for n in rank}) == 10
    noisy = blocks | ops.gather(X) | ops.map(noise, rng=2024)
    pairs = list(ops.zip(noisy, noisy))
    assert all(a != b for a, b in pairs)
    twice = blocks | ops.gather(X) | ops.map(lambda x, rng: (x, rng.random()), rng=1)
    twice = twice | ops.map(lambda x, r, rng: (r, rng.random()), rng=1)
    assert all(a != b for a, b in twice)


def test_of_lists_and_iterators_the_place_alone_counts():
    one, other = ([np.arange(n, n + 3) for n in start] for start in ((0, 5), (7, 9)))
    assert noises(one) == noises(other)
    assert len(set(noises(one))) == 2


def test_two_nested_endless_repeats_have_noise_of_their_own():
    stream = ops.indices(3) | ops.repeat(-1) | ops.repeat(-1) | ops.gather(X) | ops.map(noise, rng=1)
    passes = [stream.plan.start(n, 0, DIRECT) for n in (0, 1, 2**64, 2**128, 3 * 2**128)]
    assert len({stream.work.run(next(items)) for items in passes}) == 5
