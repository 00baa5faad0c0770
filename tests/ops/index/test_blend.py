"""blend: every block has the same number of samples of each member, and members go through shuffled passes."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchup import ops, testing
from batchup.core.randomness import Seed
from batchup.ops.index.permutation import SMALL, permuted, round_keys


def flat(stream, count):
    """The first samples of a stream."""
    return np.concatenate(list(stream | ops.chunk(count) | ops.take(1)))


def counts_in(samples, lengths):
    """How many samples of each member there are."""
    return np.histogram(samples, np.cumsum([0, *lengths, 1]))[0][:-1].tolist()


@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(1, 9)), min_size=1, max_size=5), st.integers(45, 80), st.data()
)
def test_every_block_has_the_same_counts_and_members_go_through_whole_passes(members, block, data):
    lengths, weights = map(list, zip(*members, strict=True))
    stream = ops.blend(lengths, data.draw(st.integers(0, 99)), weights=weights, block=block)
    samples = flat(stream, 6 * block)
    shares = [Fraction(block * weight, sum(weights)) for weight in weights]
    counts = counts_in(samples[:block], lengths)
    assert sum(counts) == block
    assert all(math.floor(share) <= n <= math.ceil(share) for share, n in zip(shares, counts, strict=True))
    assert f"weights={counts}, block={block}" in repr(stream)
    for start in range(0, 6 * block, block):
        assert counts_in(samples[start : start + block], lengths) == counts
    starts = np.cumsum([0, *lengths])
    for m, n in enumerate(lengths):
        own = samples[(samples >= starts[m]) & (samples < starts[m + 1])]
        for k in range(0, len(own) - n + 1, n):
            assert sorted(own[k : k + n]) == list(range(starts[m], starts[m + 1]))


def test_rounded_by_largest_remainder():
    def counts(weights, block):
        return repr(ops.blend([9] * len(weights), 7, weights=weights, block=block))

    assert "weights=[4, 3, 3]" in counts([1, 1, 1], 10)  # ties go to the first
    assert "weights=[2, 1, 7]" in counts([0.15, 0.15, 0.7], 10)
    assert "weights=[700, 200, 100]" in counts([0.7, 0.2, 0.1], 1000)
    assert "weights=[3, 3, 2, 2]" in counts([28, 27, 27, 18], 10)  # 2.8, 2.7, 2.7 and 1.8
    assert "weights=[0, 10]" in counts([0, 3], 10)


def test_weights_by_length_and_temperature():
    lengths = [100, 10_000, 1_000_000]
    assert "weights=[99, 9900, 990001]" in repr(ops.blend(lengths, 7, block=1_000_000))
    assert "weights=[9, 90, 901]" in repr(ops.blend(lengths, 7, temperature=2))
    assert "weights=[9, 90, 901]" in repr(ops.blend(lengths, 7, weights=np.sqrt(lengths)))
    assert "weights=[334, 333, 333]" in repr(ops.blend(lengths, 7, temperature=math.inf))
    assert "weights=[0, 500, 500]" in repr(ops.blend([0, 4, 4], 7, temperature=2))


def test_stages_begin_where_they_say():
    lengths = [30, 50]
    stream = ops.blend(lengths, 7, weights=[(0, [0.8, 0.2]), (50, [0, 1]), (70, [0.5, 0.5])], block=10)
    assert "weights=[(0, [8, 2]), (50, [0, 10]), (70, [5, 5])]" in repr(stream)
    samples = flat(stream, 200)
    in_blocks = [counts_in(samples[k : k + 10], lengths) for k in range(0, 200, 10)]
    assert in_blocks == [[8, 2]] * 5 + [[0, 10]] * 2 + [[5, 5]] * 13
    own = samples[samples < 30]
    assert [sorted(own[k : k + 30]) for k in (0, 30)] == [list(range(30))] * 2  # passes go on across the stages
    for offset in (0, 3, 49, 50, 51, 69, 70, 123):
        assert np.concatenate(list(stream | ops.chunk(1) | ops.skip(offset) | ops.take(40))).tolist() == (
            samples[offset : offset + 40].tolist()
        )


@pytest.mark.parametrize("lengths", [[SMALL + 1, 5000], [SMALL, 10, 3 * SMALL]])
def test_any_position_is_reached(lengths):
    stream = ops.blend(lengths, (7, 5), block=300) | ops.chunk(64)
    blocks = [block.tolist() for block in stream | ops.take(2000)]
    for k in (0, 1, 4, 5, 127, 128, 1999):
        assert stream[k].tolist() == blocks[k]
    far = list(stream | ops.skip(10**15) | ops.take(40))
    assert far[39].tolist() == stream[10**15 + 39].tolist()
    samples = np.concatenate(far)[:2400]
    assert len(samples) == 2400
    testing.sharding(lambda rng=None: stream, counts=(1024,))


def test_large_members_have_the_order_of_a_keyed_permutation():
    n = 5000
    samples = flat(ops.blend([n], 7, block=10), 2 * n)
    keys = [round_keys(Seed((7, 0)).of_member(0), number) for number in (0, 1)]
    orders = [permuted(np.arange(n, dtype=np.uint64), n, of_pass) for of_pass in keys]
    # A block has its samples in the order of the pass: those of one member alone are all in order.
    assert samples.tolist() == np.concatenate(orders).tolist()


def test_the_order_within_blocks_is_random():
    """How often each place of a block of 8 has the member of two samples."""
    samples = flat(ops.blend([60, 20], 11, weights=[3, 1], block=8), 8 * 4000).reshape(-1, 8)
    often = (samples >= 60).sum(axis=0)
    assert ((often - 1000) ** 2 / 1000).sum() < 26  # chi-square of 7 degrees of freedom, p < 0.001


@pytest.mark.parametrize("make", [lambda: np.random.RandomState(5), lambda: np.random.default_rng(5)])
def test_a_generator_gives_one_seed_for_a_pass(make):
    rng = make()
    stream = ops.blend([20, 30], rng, block=10) | ops.chunk(10) | ops.take(30) | ops.repeat(2)
    first = [block.tolist() for block in stream]
    beside = make()
    beside.random(2), beside.random(2)
    assert rng.random() == beside.random()
    assert first[:30] != first[30:]
    again = make()
    assert [b.tolist() for b in ops.blend([20, 30], again, block=10) | ops.chunk(10) | ops.take(30)] == first[:30]


def test_passes_and_seeds_differ():
    def samples(seed):
        return [block.tolist() for block in ops.blend([20, 30], seed, block=10) | ops.take(5) | ops.repeat(2)]

    first = samples(5)
    assert first[:5] != first[5:]
    assert samples((5,)) == first
    assert samples((5, 0)) != first != samples(6)


@pytest.mark.parametrize(
    ("args", "options", "error", "match"),
    [
        (([], 7), {}, TypeError, "expected lengths, the number of samples of each member; got <list of 0>"),
        ((5, 7), {}, TypeError, "expected lengths, the number of samples of each member; got 5"),
        ((np.int64(5), 7), {}, TypeError, "expected lengths, the number of samples of each member; got "),
        (([ops.indices(3), ops.indices(3)], 7), {}, TypeError, r"lengths\[0\]: expected a whole number >= 0; got "),
        (([5, -1], 7), {}, ValueError, r"lengths\[1\]: expected a whole number >= 0; got -1"),
        (([5, 5], None), {}, ValueError, "expected rng=, a seed or a generator"),
        (([5, 5], "x"), {}, TypeError, "expected a seed"),
        (([2**62, 1], 7), {}, ValueError, r"expected 2\*\*62 samples in all, at most"),
        (([5, 5], 7), {"block": 0}, ValueError, "block: expected a whole number >= 1"),
        (([5, 5], 7), {"weights": [1]}, ValueError, "expected 2 weights, one for each member"),
        (([5, 5], 7), {"weights": [1, -1]}, ValueError, "weight 1 is -1"),
        (([5, 0], 7), {"weights": [1, 1]}, ValueError, "member 1 has a weight above 0, 1, but no samples. Give it 0"),
        (([5, 5], 7), {"weights": [1, 1], "temperature": 2}, ValueError, "expected weights or a temperature"),
        (([5, 5], 7), {"temperature": 0}, ValueError, "temperature: expected a number > 0; got 0"),
        (([5, 5], 7), {"temperature": "hot"}, TypeError, "temperature: expected a number > 0; got 'hot'"),
        (([0, 0], 7), {}, ValueError, "the sum of 2 weights is 0"),
        (([5, 5], 7), {"weights": [(0, [1, 1]), (1500, [1, 2])]}, ValueError, "1500 doesn't, 1000 and 2000 do"),
        (([5, 5], 7), {"weights": [(1000, [1, 1])]}, ValueError, r"whose first samples are 0 and then .* got \[1000\]"),
        (([5, 5], 7), {"weights": [(0, [1, 1]), (0, [1, 2])]}, ValueError, r"larger numbers; got \[0, 0\]"),
        (([5, 5], 7), {"weights": [(0, [1, 1]), (1000, [1])]}, ValueError, "weights of stage 1: expected 2 weights"),
    ],
)
def test_wrong_arguments(args, options, error, match):
    with pytest.raises(error, match="blend: .*" + match):
        ops.blend(*args, **options)


@pytest.mark.parametrize(("weights", "block"), [([0.9999, 0.0001], 1000), ([1, 2, 1e-7], 100), ([5, 5, 1], 4)])
def test_a_weight_that_rounds_to_nothing_is_refused_with_the_block_that_it_needs(weights, block):
    lengths = [10] * len(weights)
    with pytest.raises(ValueError, match="which rounds to none") as caught:
        ops.blend(lengths, 7, weights=weights, block=block)
    needed = int(str(caught.value).partition("Write block=")[2])
    ops.blend(lengths, 7, weights=weights, block=needed)
