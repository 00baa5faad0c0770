"""zip and choose."""

from itertools import islice, product

import numpy as np
import pytest

from batchup import ops
from batchup.core.joint import Choice
from batchup.core.randomness import DIRECT
from batchup.data_source import ArrayDataSource, CallableDataSource, ChoiceDataSource, CompositeDataSource
from batchup.testing import plain


def numbers(n, start=0):
    return [start + i for i in range(n)]


def rows(n, size, columns=1):
    arrays = [np.arange(n) + 100 * c for c in range(columns)]
    return ops.indices(n) | ops.chunk(size) | ops.gather(*arrays)


def test_zip_ends_with_the_shortest():
    for a, b, c in product(range(4), repeat=3):
        stream = ops.zip(numbers(a), numbers(b), numbers(c))
        assert len(stream) == min(a, b, c)
        assert list(stream) == [(i, i, i) for i in range(min(a, b, c))]


def test_zip_flattens_the_members_tuples_and_trims_to_the_shortest():
    [*_, last] = ops.zip(rows(5, 3, columns=2), rows(9, 3))
    assert plain(last) == ([3, 4], [103, 104], [3, 4])
    [*_, last] = ops.zip(rows(5, 3, columns=2), rows(9, 3), trim=False)
    assert plain(last) == ([3, 4], [103, 104], [3, 4, 5])
    [*_, last] = ops.zip(rows(5, 3, columns=2), rows(9, 3), flatten=False)
    assert plain(last) == (([3, 4], [103, 104]), ([3, 4],))


def test_zip_trims_inside_nested_tuples_dicts_and_leaves_numbers_alone():
    inner = ops.zip(rows(9, 3), rows(9, 3, columns=2), flatten=False)
    named = ops.indices(9) | ops.chunk(3) | ops.gather(x=np.arange(9))
    labels = [7, 8]
    short = [([1, 2],), ([3],)]
    *_, last = ops.zip(inner, named, labels, short, flatten=False)
    assert plain(last[0]) == (([3],), ([3], [103]))
    assert plain(last[1]) == {"x": [3]}
    assert last[2] == 8
    assert last[3] == ([3],)


def test_zip_refuses_to_cut_a_batch_whose_arrays_differ_in_length():
    def mixup(x, rng):
        return x, rng.beta(1, 1, size=1)

    member = rows(8, 4) | ops.map(mixup, rng=1)
    with pytest.raises(ValueError, match=r"arrays of one length in a batch of member 1, .* have 4, 1. With trim=False"):
        next(iter(ops.zip(rows(8, 4), member)))
    assert [len(part) for part in next(iter(ops.zip(rows(8, 4), member, trim=False)))] == [4, 4, 1]
    sources = [ArrayDataSource([np.arange(8)]), ArrayDataSource([np.arange(8)]).map(mixup, rng=1)]
    with pytest.raises(ValueError, match="member 1"):
        next(CompositeDataSource(sources).batch_iterator(4))
    assert len(next(CompositeDataSource(sources, trim=False).batch_iterator(4))) == 3


@pytest.mark.parametrize("sizes", [(10, 5, 1), (16, 112)])
def test_zip_warns_of_batches_of_different_sizes(sizes):
    members = [rows(200, size) for size in sizes]
    told = rf"batches of {', '.join(map(str, sizes))} samples, .* cut to {min(sizes)}.* trim=False"
    with pytest.warns(UserWarning, match=told) as caught:
        ops.zip(*members)
    assert caught[0].filename == __file__
    assert [len(part) for part in next(iter(ops.zip(*members, trim=False)))] == list(sizes)
    ops.zip(rows(3, 4), rows(200, 4))  # short batches at an end are what trim is for
    packed = ops.indices(6) | ops.chunk(2) | ops.gather(ops.Ragged.of([[1]] * 6)) | ops.fill(4)
    ops.zip(packed, rows(6, 1))  # rows of one, whatever the blocks below them are


def test_flatten_joins_one_level_only():
    inner = ops.zip(rows(2, 2), rows(2, 2), flatten=False)
    [batch] = ops.zip(inner, rows(2, 2))
    assert plain(batch) == (([0, 1],), ([0, 1],), [0, 1])


def test_members_that_share_a_generator_draw_in_the_order_in_which_they_are_asked():
    rng = np.random.RandomState(4)
    a = ops.indices(4) | ops.shuffle(rng) | ops.repeat(-1) | ops.chunk(4)
    b = ops.indices(6) | ops.shuffle(rng) | ops.repeat(-1) | ops.chunk(3)
    drawn = [plain(item) for item in islice(ops.zip(a, b, trim=False), 4)]
    beside = np.random.RandomState(4)
    a0, b0, a1, a2, b1, a3 = (beside.permutation(n).tolist() for n in (4, 6, 4, 4, 6, 4))
    assert drawn == [(a0, b0[:3]), (a1, b0[3:]), (a2, b1[:3]), (a3, b1[3:])]


@pytest.mark.parametrize("join", [ops.zip, ops.choose])
def test_no_members_or_no_streams(join):
    with pytest.raises(ValueError, match="expected one stream at least; got none"):
        join()
    with pytest.raises(TypeError, match=rf"{join.__name__}: stream 1: expected a stream, a list"):
        join([1], 5)
    with pytest.raises(TypeError, match="gone through only once"):
        join(iter([1]))


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
    assert [choice.member for choice in window].count(1) in (4, 5)
    assert all(isinstance(choice, Choice) for choice in window)
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


def test_numbers_of_samples():
    a, b = ops.indices(10) | ops.chunk(3), ops.indices(7) | ops.chunk(3)
    assert ops.zip(a, b).num_samples == 7
    assert ops.zip(a, b, trim=False).num_samples is None  # one has 9, the other 7
    assert ops.zip(a, b | ops.repeat(-1)).num_samples is None  # the second has another seam
    assert ops.choose(a, b).num_samples is None  # who is at his end before the others are?
    assert ops.choose(a, a).num_samples == 20
    assert ops.choose(a, b, stratified=True).num_samples == 17
    assert ops.choose(a, b, rng=3).num_samples is None
    assert ops.zip(a, [1, 2]).num_samples is None
    assert ops.choose(a, [1, 2]).num_samples is None
    assert ops.zip([1]).num_samples is None
    assert ops.choose(a | ops.repeat(-1), b | ops.repeat(-1)).num_samples == np.inf


def test_work_is_owed_by_the_joint_items_nested_to_any_depth():
    """What a stage needs that runs the work elsewhere: one plan, and one work for all of its items."""
    calls = []

    def spy(x):
        calls.append(x.tolist())
        return (x,)

    leaf = rows(4, 2) | ops.map(spy)
    stream = ops.choose(ops.zip(leaf, ops.zip(leaf, leaf)), leaf) | ops.map(lambda *batch: batch)
    planned = list(stream.plan.start(0, 0, DIRECT))
    assert calls == []
    assert [plain(stream.work.run(item)) for item in planned] == [plain(item) for item in stream]


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
