"""stratify: the shares of the classes hold."""

from itertools import product

import numpy as np
import pytest

from batchup import ops


@pytest.mark.parametrize("size", [1, 2, 5, 7, 12])
def test_stratified_batches_have_the_counts_that_their_size_allows(size):
    y = np.repeat([0, 1, 2, 4], [50, 3, 11, 7])
    for shares in (None, [0.5, 0.25, 0.125, 0, 0.125], [1, 2, 3, 0, 0]):
        exact = np.array([0.25, 0.25, 0.25, 0, 0.25] if shares is None else np.array(shares) / np.sum(shares))
        stream = ops.stratify(y, 7, shares) | ops.chunk(size)
        total = np.zeros(5)
        for block in stream | ops.take(2048):
            counts = np.bincount(y[block], minlength=5)
            assert len(block) == size
            assert (np.abs(counts - size * exact) < 1).all()
            total += counts
        assert (np.abs(total / 2048 - size * exact) < 0.01).all()


def test_each_class_goes_through_all_of_its_samples_before_any_comes_again():
    y = np.repeat([0, 1, 2], [6, 4, 9])
    drawn = np.concatenate(list(ops.stratify(y, 3) | ops.chunk(5) | ops.take(60)))
    for label, n in enumerate([6, 4, 9]):
        own = drawn[y[drawn] == label]
        passes = [tuple(own[i : i + n]) for i in range(0, len(own) - n + 1, n)]
        assert all(sorted(order) == np.flatnonzero(y == label).tolist() for order in passes)
        assert len(set(passes)) > 1


def test_the_parts_of_a_shard_are_stratified_too():
    y = np.repeat([0, 1, 2, 3], 100)
    for rank in range(2):
        for block in ops.stratify(y, 3) | ops.chunk(32) | ops.shard(rank, 2) | ops.take(20):
            assert (np.abs(np.bincount(y[block], minlength=4) - 4) <= 1).all()


def test_all_classes_come_together_with_all_others():
    y = np.repeat(np.arange(10), 20)
    blocks = ops.stratify(y, 3) | ops.chunk(2) | ops.take(1024)
    assert len({frozenset(y[block]) for block in blocks}) > 40  # of 45
    parts = ops.stratify(np.repeat(np.arange(4), 20), 3) | ops.chunk(4) | ops.shard(1, 4) | ops.take(400)
    counts = np.bincount([int(part[0]) // 20 for part in parts])
    assert ((counts - 100) ** 2 / 100).sum() < 16.3  # 3 degrees of freedom, p = 0.001


@pytest.mark.parametrize("k", [0, 1, 7, 1023, 1024, 5000])
def test_stratified_batches_start_anywhere(k):
    y = np.repeat([0, 1, 2], [6, 4, 9])
    stream = ops.stratify(y, 3, [1, 2, 4]) | ops.chunk(5)
    whole = [block.tolist() for block in stream | ops.take(k + 3)]
    assert stream[k].tolist() == whole[k]
    assert [block.tolist() for block in stream | ops.skip(k) | ops.take(3)] == whole[k : k + 3]


def test_classes_of_one_size_have_orders_of_their_own():
    y = np.tile([0, 1], 40)
    block = (ops.stratify(y, 3) | ops.chunk(80))[0]
    zero, one = (block[y[block] == label] // 2 for label in (0, 1))
    assert zero.tolist() != one.tolist()


@pytest.mark.parametrize(
    ("args", "error", "text"),
    [
        (([0, 1], None), ValueError, "stratify: expected rng="),
        (([0.5, 1], 1), TypeError, "stratify: y: expected labels"),
        (([-1, 1], 1), ValueError, "sample 0 has -1"),
        (([], 1), ValueError, "expected labels; got none"),
        (([0, 1], 1, [1]), ValueError, r"stratify: expected 2 proportions, one a class; got <1 float64>"),
        (([0, 1], 1, [0, 0]), ValueError, r"the sum of 2 proportions is 0.0"),
        (([0, 1], 1, [1, -1]), ValueError, r"proportion 1 is -1.0"),
        (([0, 2], 1, [1, 1, 1]), ValueError, "class 1 has a share, but no samples"),
        (([0, 1], 1, ["a", "b"]), TypeError, "expected proportions as a 1-D array"),
    ],
)
def test_what_can_not_be_stratified(args, error, text):
    with pytest.raises(error, match=text):
        ops.stratify(*args)


def test_small_cases_exhaustively():
    for counts in product(range(1, 4), repeat=2):
        y = np.repeat([0, 1], counts)
        for size in range(1, 5):
            for block in ops.stratify(y, 1) | ops.chunk(size) | ops.take(8):
                found = np.bincount(y[block], minlength=2)
                assert set(found) <= {size // 2, -(-size // 2)}
