"""choose."""

import json
from fractions import Fraction
from itertools import islice, product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchup import ops, testing
from batchup.core.randomness import DIRECT
from batchup.data_source import ArrayDataSource, CallableDataSource, ChoiceDataSource
from batchup.ops.index.shares import whole_shares
from batchup.testing import plain


def numbers(n, start=0):
    return [start + i for i in range(n)]


def test_choose_takes_turns_until_one_whose_turn_it_is_has_nothing_left():
    for lengths in product(range(4), repeat=3):
        members = [numbers(n, 10 * m) for m, n in enumerate(lengths)]
        expected = []
        left = [iter(member) for member in members]
        for turn in range(100):
            item = next(left[turn % 3], None)
            if item is None:
                break
            expected.append(item)
        stream = ops.choose(*members)
        assert list(stream) == expected
        assert len(stream) == len(expected)
        for k in range(len(expected) + 3):
            assert list(stream | ops.skip(k)) == expected[k:]


def test_choose_in_random_rounds():
    members = [numbers(6, 10), numbers(6, 20), numbers(6, 30)]
    stream = ops.choose(*members, rng=7)
    items = list(stream)
    assert len(stream) == len(items) == 18
    rounds = [tuple(item // 10 for item in items[i : i + 3]) for i in range(0, 18, 3)]
    assert all(sorted(order) == [1, 2, 3] for order in rounds)
    assert len(set(rounds)) > 1
    assert [item for item in items if item // 10 == 2] == numbers(6, 20)
    assert items == list(stream)
    assert items != list(ops.choose(*members, rng=8))


def test_choose_in_random_rounds_from_a_generator_is_one_permutation_a_round():
    rng = np.random.RandomState(3)
    items = list(ops.choose(numbers(3, 10), numbers(4, 20), rng=rng))
    beside = np.random.RandomState(3)
    left = [iter(numbers(3, 10)), iter(numbers(4, 20))]
    expected = []
    while True:
        for member in beside.permutation(2):
            item = next(left[member], None)
            if item is None:
                break
            expected.append(item)
        else:
            continue
        break
    assert items == expected
    with pytest.raises(TypeError, match="no length that is known beforehand"):
        len(ops.choose(numbers(3), numbers(4), rng=rng))


def test_stratified_takes_every_member_to_its_end_evenly_spread():
    for lengths in product(range(6), repeat=3):
        stream = ops.choose(*[numbers(n, 10 * m) for m, n in enumerate(lengths)], stratified=True)
        items = list(stream)
        assert len(stream) == len(items) == sum(lengths)
        assert sorted(items) == sorted(i for m, n in enumerate(lengths) for i in numbers(n, 10 * m))
        for m, n in enumerate(lengths):
            assert [i for i in items if i // 10 == m] == numbers(n, 10 * m)
            for k in range(len(items)):  # at no point is a member ahead or behind by more than one
                given = sum(i // 10 == m for i in items[:k])
                assert abs(given - n * k / len(items)) < 1.5
        for k in range(len(items) + 2):
            assert list(stream | ops.skip(k)) == items[k:]


def test_stratified_of_huge_streams_starts_anywhere():
    a = ops.indices(10**12) | ops.chunk(64)
    b = ops.indices(10**11 + 7) | ops.chunk(64)
    stream = ops.choose(a, b, stratified=True)
    k = 10**10
    window = list(islice(stream.plan.start(0, k, DIRECT), 50))
    assert [block.start > 10**11 for block in window].count(False) in (4, 5)
    assert list(islice(stream.plan.start(0, k + 20, DIRECT), 30)) == window[20:]


def test_stratified_and_shuffled():
    stream = ops.choose(numbers(9, 10), numbers(3, 20), rng=5, stratified=True)
    items = list(stream)
    assert [i for i in items if i < 20] == numbers(9, 10)
    assert [i for i in items if i >= 20] == numbers(3, 20)
    turns = [i // 10 for i in items]
    assert turns != [i // 10 for i in ops.choose(numbers(9, 10), numbers(3, 20), stratified=True)]
    assert items == list(stream)
    rng = np.random.RandomState(2)
    drawn = list(ops.choose(numbers(9, 10), numbers(3, 20), rng=rng, stratified=True))
    labels = np.random.RandomState(2).permutation(np.repeat([0, 1], [9, 3]))
    assert [i // 10 - 1 for i in drawn] == labels.tolist()


def test_stratified_wants_known_finite_lengths():
    endless = ops.indices(3) | ops.repeat(-1)
    with pytest.raises(ValueError, match=r"stratified: expected streams of known finite length; got indices\(3\)"):
        ops.choose([1], endless, stratified=True)
    with pytest.raises(ValueError, match="of length None"):
        ops.choose(ops.choose([1], [1, 2], rng=3), stratified=True)


def test_a_choice_in_turns_does_not_know_its_samples():
    class Declared:
        """Batches whose number of samples is declared, and their length not known."""

        def __init__(self, n):
            self.n = n

        def __call__(self, batch_size):
            return iter([(np.arange(batch_size),)] * (self.n // batch_size))

    sources = [CallableDataSource(Declared(n), num_samples_fn=n) for n in (2, 9)]
    stream = ChoiceDataSource(sources).stream(1)
    assert (stream.num_samples, sum(len(batch) for (batch,) in stream)) == (None, 4)
    stratified = ChoiceDataSource(sources, stratified=True).stream(1)
    assert (stratified.num_samples, sum(len(batch) for (batch,) in stratified)) == (11, 11)


def by_the_definition(weights, turns):
    """The turns of members with these weights, word for word as the definition has them."""
    shares = [Fraction(weight, sum(weights)) for weight in weights]
    given, members = [0] * len(weights), []
    for t in range(turns):
        due = [m for m, share in enumerate(shares) if given[m] < share * (t + 1)]
        member = min(due, key=lambda m: (given[m] + 1) / shares[m])
        given[member] += 1
        members.append(member)
        assert all(abs(n - share * (t + 1)) < 1 for n, share in zip(given, shares, strict=True))
    return members


def endless(count):
    """Index blocks of the number of the member alone."""
    return [ops.indices([m]) | ops.repeat(-1) for m in range(count)]


def members_in(stream):
    return [int(block[0]) for block in stream]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=5).filter(any), st.integers(0, 90))
def test_weights_keep_every_share_to_within_an_item(weights, k):
    expected = by_the_definition(weights, 90)
    stream = ops.choose(*endless(len(weights)), weights=weights)
    assert members_in(stream | ops.take(90)) == expected
    assert members_in(stream | ops.skip(k) | ops.take(90 - k)) == expected[k:]
    in_parts = [weight / sum(weights) for weight in weights]
    assert members_in(ops.choose(*endless(len(weights)), weights=in_parts) | ops.take(90)) == expected


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 40)), min_size=1, max_size=4))
def test_weights_end_when_the_chosen_member_has_ended(members):
    weights, lengths = zip(*members, strict=True)
    stream = ops.choose(*[[m] * n for m, n in enumerate(lengths)], weights=list(weights))
    expected, given = [], [0] * len(weights)
    for member in by_the_definition(weights, 10 * (sum(lengths) + sum(weights))):
        if given[member] == lengths[member]:
            break
        given[member] += 1
        expected.append(member)
    assert list(stream) == expected
    assert len(stream) == len(expected)


def test_tenths_are_tenths():
    """In binary fractions 3 * 0.1 is not 0.3, and the ties of the definition would go astray."""
    assert whole_shares([0.1, 0.3, 0.6]) == (1, 3, 6)
    assert whole_shares(np.float32([0.1, 0.3, 0.6])) == (1, 3, 6)
    assert whole_shares([1 / 7, 6 / 7]) == (1, 6)
    assert whole_shares([Fraction(1, 3), 1]) == (1, 3)
    assert whole_shares(pd.Series([0.1, 0.3, 0.6], index=[7, 8, 9])) == (1, 3, 6)


@pytest.mark.parametrize("make", [lambda: 7, lambda: np.random.RandomState(3), lambda: np.random.default_rng(3)])
def test_weights_at_random(make):
    stream = ops.choose(*endless(3), weights=[1, 2, 0], rng=make())
    drawn = members_in(stream | ops.take(9000))
    assert set(drawn) == {0, 1}
    assert abs(drawn.count(1) - 6000) < 250  # five standard deviations
    assert drawn == members_in(ops.choose(*endless(3), weights=[0.5, 1, 0], rng=make()) | ops.take(9000))


@pytest.mark.parametrize("rng", [None, 3])
def test_weights_of_any_fractions(rng):
    weights = np.random.default_rng(5).dirichlet(np.ones(6))
    stream = ops.choose(*endless(6), weights=weights, rng=rng)
    drawn = members_in(stream | ops.take(3000))
    often = np.bincount(drawn, minlength=6)
    assert (abs(often - 3000 * weights) < (1 if rng is None else 140)).all()
    assert members_in(stream | ops.skip(2000) | ops.take(1000)) == drawn[2000:]
    assert len(json.dumps(iter(stream).state_dict())) < 1000


def test_weights_at_random_start_anywhere():
    stream = ops.choose(
        *[ops.indices(100) | ops.repeat(-1) | ops.chunk(m) for m in (1, 2, 3)], weights=[5, 3, 2], rng=4
    )
    blocks = [plain(block) for block in stream | ops.take(9000)]
    for k in (0, 1, 15, 16, 17, 4095, 4096, 4097, 8999):
        assert plain(stream[k]) == blocks[k]


def test_a_generator_gives_one_seed_for_the_turns_of_a_pass():
    rng = np.random.RandomState(5)
    assert len(members_in(ops.choose(*endless(2), weights=[1, 1], rng=rng) | ops.take(50))) == 50
    other = np.random.RandomState(5)
    other.random(2)
    assert rng.random() == other.random()


def test_lengths_and_samples_by_weights():
    a, b = ops.indices(12) | ops.chunk(3), ops.indices(6) | ops.chunk(3)
    assert (len(ops.choose(a, b, weights=[2, 1])), ops.choose(a, b, weights=[2, 1]).num_samples) == (6, 18)
    assert ops.choose(a, b, weights=[1, 1]).num_samples is None  # a doesn't come to its end
    with pytest.raises(TypeError, match="no length that is known beforehand"):
        len(ops.choose(a, b, weights=[1, 1], rng=3))
    forever = [stream | ops.repeat(-1) for stream in (a, b)]
    assert ops.choose(*forever, weights=[1, 2]).num_samples == np.inf
    assert ops.choose(*forever, weights=[1, 2], rng=3).num_samples == np.inf
    assert len(ops.choose(*[ops.indices(10**12) | ops.chunk(10)] * 2, weights=[3, 1])) == 133333333333


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"weights": [1, 2], "stratified": True}, ValueError, "expected weights, or stratified=True"),
        ({"weights": [1]}, ValueError, "expected 2 weights, one for each stream; got <list of 1>"),
        ({"weights": [1, -1]}, ValueError, "weight 1 is -1"),
        ({"weights": [0, 0]}, ValueError, "the sum of 2 weights is 0"),
        ({"weights": "ab"}, TypeError, "expected weights as a 1-D array of numbers"),
        ({"weights": [1, 1], "rng": "seed"}, TypeError, "expected a seed"),
    ],
)
def test_wrong_weights(options, error, match):
    with pytest.raises(error, match=match):
        ops.choose([1], [2], **options)
    if "rng" not in options:
        with pytest.raises(error, match="ChoiceDataSource: .*" + match):
            ChoiceDataSource([ArrayDataSource([np.arange(3)])] * 2, **options)


def test_index_blocks_stay_index_blocks():
    X = np.arange(40) * 10
    a, b = ops.indices(20) | ops.chunk(4), ops.indices(np.arange(20, 40)) | ops.shuffle(5) | ops.chunk(4)
    turns = ops.choose(a, b)
    assert (turns | ops.gather(X))[0][0].tolist() == [0, 10, 20, 30]
    assert [len(block) for block in turns | ops.merge(2)] == [8] * 5
    assert sorted(np.concatenate(list(turns | ops.chunk(7)))) == list(range(40))
    with pytest.raises(ValueError, match=r"expected indices below 30, .* reaches 39"):
        turns | ops.gather(X[:30])
    with pytest.raises(TypeError, match="expected a stream of index blocks"):
        ops.choose(a, b | ops.gather(X)) | ops.chunk(2)
    joint = ops.choose(a | ops.gather(X), b | ops.gather(X))
    assert [plain(batch) for batch in joint] == [plain(batch) for batch in turns | ops.gather(X)]
    ranks = zip(*[turns | ops.shard(rank, 3) for rank in range(3)], strict=True)
    assert [np.concatenate(parts).tolist() for parts in ranks] == [list(block) for block in turns]


def test_the_ranks_of_a_large_run():
    members = [ops.indices(10**4) | ops.shuffle(m) | ops.repeat(-1) | ops.chunk(1500 + m) for m in range(3)]
    for rng in (None, 7):
        stream = ops.choose(*members, weights=[0.7, 0.2, 0.1], rng=rng)
        testing.sharding(lambda rng=None, stream=stream: stream, counts=(1024,))


def test_weights_of_a_choice_data_source():
    members = [ArrayDataSource([np.full(6, m)], repeats=-1) for m in range(2)]
    ds = ChoiceDataSource(members, weights=[2, 1])
    assert [batch[0] for (batch,) in ds.stream(3) | ops.take(6)] == [0, 0, 1, 0, 0, 1]
    assert ds.num_samples() == np.inf
    assert ChoiceDataSource([members[0], ArrayDataSource([np.arange(3)])], weights=[2, 1]).num_samples() is None
    assert [batch.ds_index for batch in islice(ds.batch_indices_iterator(3), 6)] == [0, 0, 1, 0, 0, 1]
    tenths = ChoiceDataSource(members, weights=np.float32([0.9, 0.1])).stream(3)
    assert repr(tenths).endswith("weights=[9, 1])")
    shuffled = [batch[0] for (batch,) in ds.stream(3, shuffle=7) | ops.take(3000)]
    assert abs(shuffled.count(1) - 1000) < 130
