"""shuffle: the orders of seeds and generators."""

import numpy as np
import pytest
from numpy.random import PCG64, RandomState, SeedSequence

from batchup import ops


def flat(stream):
    return np.concatenate([np.asarray(block) for block in stream]).tolist()


@pytest.mark.parametrize("n", range(9))
@pytest.mark.parametrize("size", range(1, 12))
@pytest.mark.parametrize("make", [np.random.RandomState, np.random.default_rng])
def test_a_generator_gives_the_order_of_the_plain_numpy_loop(n, size, make):
    ours = make(12345)
    stream = ops.indices(n) | ops.shuffle(ours) | ops.chunk(size)
    rng = make(12345)
    for _ in range(3):  # epochs
        order = rng.permutation(n)
        plain = [order[i : i + size].tolist() for i in range(0, n, size)]
        assert [block.tolist() for block in stream] == plain


@pytest.mark.parametrize("make", [np.random.RandomState, np.random.default_rng])
def test_a_subset_is_permuted_as_numpy_permutes_it(make):
    subset = np.array([5, 3, 9, 9, 1])
    assert flat(ops.indices(subset) | ops.shuffle(make(1))) == make(1).permutation(subset).tolist()


def test_the_global_generator():
    np.random.seed(5)
    order = flat(ops.indices(20) | ops.shuffle(True))
    np.random.seed(5)
    assert order == np.random.permutation(20).tolist()


def test_passes_are_drawn_when_they_are_needed_and_not_before():
    rng = RandomState(1)
    batches = iter(ops.indices(6) | ops.shuffle(rng) | ops.repeat(-1) | ops.chunk(3))
    states = []
    for _ in range(5):
        next(batches)
        states.append(rng.get_state()[1:3])
    beside = RandomState(1)
    for passes, (words, place) in zip([1, 0, 1, 0, 1], states, strict=True):
        for _ in range(passes):
            beside.permutation(6)
        assert (words == beside.get_state()[1]).all()
        assert place == beside.get_state()[2]


def test_nothing_is_drawn_before_the_first_batch():
    rng = RandomState(1)
    iter(ops.indices(6) | ops.shuffle(rng) | ops.chunk(3))
    assert rng.permutation(6).tolist() == RandomState(1).permutation(6).tolist()


def test_the_order_of_a_seed_is_a_function_of_seed_and_pass():
    stream = ops.indices(10) | ops.shuffle((12, 3)) | ops.repeat(-1)
    for p in (0, 1, 2, 1000, 10**9):
        # of each number its words, and before them how many they are
        key = SeedSequence((1, 12, 1, 3), spawn_key=(1, p, 1, 0))
        keyed = RandomState(PCG64(key)).permutation(10)
        np.testing.assert_array_equal(stream[p], keyed)


# An upgrade must not change the orders of a user's run.
GOLDEN = {
    0: [[8, 0, 6, 2, 4, 7, 3, 9, 10, 1, 5, 11], [3, 4, 5, 10, 7, 1, 11, 0, 2, 8, 9, 6]],
    1: [[11, 9, 4, 7, 10, 0, 5, 3, 8, 1, 6, 2], [2, 3, 11, 4, 10, 1, 7, 0, 8, 9, 6, 5]],
    12345: [[1, 4, 11, 2, 7, 5, 9, 10, 0, 6, 3, 8], [8, 5, 3, 0, 11, 6, 1, 10, 9, 7, 2, 4]],
    2**100: [[0, 2, 3, 1, 10, 5, 7, 4, 6, 8, 11, 9], [7, 9, 4, 0, 11, 6, 3, 10, 5, 8, 1, 2]],
    (12345, 1): [[6, 0, 4, 9, 10, 5, 7, 11, 2, 8, 1, 3], [1, 3, 4, 2, 6, 11, 9, 7, 10, 0, 8, 5]],
    (0, 0, 7): [[2, 3, 5, 1, 6, 0, 11, 7, 4, 10, 9, 8], [5, 11, 7, 6, 9, 8, 4, 3, 0, 2, 1, 10]],
}


@pytest.mark.parametrize("seed", [0, 1, 12345, 2**100, (12345, 1), (0, 0, 7)])
def test_golden_orders(seed):
    stream = ops.indices(12) | ops.shuffle(seed) | ops.repeat(2)
    assert [block.tolist() for block in stream] == GOLDEN[seed]


def test_seeds_and_passes_are_not_added_up():
    stream = {seed: list(ops.indices(30) | ops.shuffle(seed) | ops.repeat(3)) for seed in range(3)}
    orders = {tuple(order) for orders in stream.values() for order in orders}
    assert len(orders) == 9


def test_windows():
    stream = ops.indices(10) | ops.chunk(4) | ops.shuffle(3)
    blocks = [sorted(block.tolist()) for block in stream]
    assert blocks == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


@pytest.mark.parametrize("rng", [None, False, np.False_])
def test_in_order(rng):
    assert list(ops.indices(3) | ops.shuffle(rng)) == [range(3)]


@pytest.mark.parametrize(
    ("rng", "error", "text"),
    [
        (1.5, TypeError, "expected a seed .*got 1.5"),
        ("7", TypeError, "got '7'"),
        ([1, 2.0], TypeError, "got <list of 2>"),
        ([True], TypeError, "got <list of 1>"),
        (-1, ValueError, "got -1"),
        ((3, -1), ValueError, r"got \(3, -1\)"),
        ((), ValueError, "got an empty sequence"),
        (np.zeros((2, 2), int), TypeError, "got <2x2 int64>"),
        (np.linalg, TypeError, "got <module>"),
    ],
)
def test_what_is_none_of_the_kinds(rng, error, text):
    with pytest.raises(error, match=f"(?s)shuffle: {text}" if text.startswith("exp") else text):
        ops.shuffle(rng)


def test_kinds_of_seed():
    one = flat(ops.indices(9) | ops.shuffle(7))
    assert flat(ops.indices(9) | ops.shuffle(np.int64(7))) == one
    pair = flat(ops.indices(9) | ops.shuffle((7, 1)))
    assert flat(ops.indices(9) | ops.shuffle([7, 1])) == pair
    assert flat(ops.indices(9) | ops.shuffle(np.array([7, 1]))) == pair


def test_only_index_blocks_are_shuffled():
    with pytest.raises(TypeError, match="shuffle: expected a stream of index blocks, before any gather"):
        ops.indices(3) | ops.gather(np.arange(3)) | ops.shuffle(1)
    with pytest.raises(TypeError, match="shuffle: expected a stream of index blocks"):
        ops.zip(ops.indices(3)) | ops.shuffle(1)


def test_the_module_np_random_is_numpys_global_generator():
    np.random.seed(3)
    drawn = list(ops.indices(9) | ops.shuffle(np.random))
    np.random.seed(3)
    assert [block.tolist() for block in drawn] == [np.random.permutation(9).tolist()]
