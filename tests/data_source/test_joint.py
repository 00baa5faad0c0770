"""CompositeDataSource and ChoiceDataSource."""

import pickle
from itertools import islice

import numpy as np
import pytest

from batchup import ops
from batchup.core.randomness import as_rng
from batchup.data_source import (
    AbstractDataSource,
    ArrayDataSource,
    CallableDataSource,
    ChoiceBatch,
    ChoiceDataSource,
    CompositeDataSource,
    IteratorDataSource,
)
from batchup.sampling import AbstractSampler, StandardSampler, WeightedSampler, num_batches
from batchup.testing import plain
from tests.data_source.test_arrays import Squares, some

A, B, C = np.arange(5), np.arange(9) * 10, np.arange(4) * 1000


def members():
    return [
        ArrayDataSource([A, A + 100]),
        ArrayDataSource([B], repeats=-1),
        ArrayDataSource([C], indices=[3, 1, 2], include_indices=True),
    ]


def finite():
    return [members()[0], members()[2], Squares(7)]


SHUFFLES = [None, 5, (1, 2), "rng"]


def of_member(shuffle, n):
    """A generator is shared by the members, a seed is not."""
    return as_rng(shuffle, "").of_member(n).ints[0] if isinstance(shuffle, int | tuple) else shuffle


def generator(shuffle):
    return np.random.RandomState(8) if shuffle == "rng" else shuffle


@pytest.mark.parametrize("shuffle", SHUFFLES)
@pytest.mark.parametrize("flatten", [True, False])
@pytest.mark.parametrize("trim", [True, False])
def test_law_10_a_composite_is_its_composition(shuffle, flatten, trim):
    ds = CompositeDataSource(members(), flatten=flatten, trim=trim)
    rng = generator(shuffle)
    streams = [m.stream(2, of_member(rng, n)) for n, m in enumerate(members())]
    expected = some(ops.zip(*streams, flatten=flatten, trim=trim))
    assert some(ds.batch_iterator(2, generator(shuffle))) == expected
    assert some(ds.stream(2, generator(shuffle))) == expected
    assert some(pickle.loads(pickle.dumps(ds)).batch_iterator(2, generator(shuffle))) == expected
    indices = ds.batch_indices_iterator(2, generator(shuffle))
    assert [plain(ds.samples_by_indices_nomapping(batch)) for batch in indices] == expected


@pytest.mark.parametrize("shuffle", SHUFFLES)
@pytest.mark.parametrize("stratified", [True, False])
def test_law_10_a_choice_is_its_composition(shuffle, stratified):
    ds = ChoiceDataSource(finite(), stratified=stratified)
    rng = generator(shuffle)
    streams = [m.stream(2, of_member(rng, n)) for n, m in enumerate(finite())]
    expected = some(ops.choose(*streams, rng=rng, stratified=stratified))
    assert some(ds.batch_iterator(2, generator(shuffle))) == expected
    indices = list(ds.batch_indices_iterator(2, generator(shuffle)))
    assert all(type(batch) is ChoiceBatch for batch in indices)
    assert [plain(ds.samples_by_indices_nomapping(batch)) for batch in indices][:9] == expected
    assert some(pickle.loads(pickle.dumps(ds)).batch_iterator(2, generator(shuffle))) == expected


def test_members_of_one_length_have_orders_of_their_own():
    same = [ArrayDataSource([np.arange(50)]), ArrayDataSource([np.arange(50)])]
    for shuffle in (7, np.random.RandomState(7)):
        [(a, b)] = CompositeDataSource(same).batch_iterator(50, shuffle=shuffle)
        assert sorted(a) == sorted(b)
        assert a.tolist() != b.tolist()


def test_sources_that_share_a_generator_draw_in_the_order_in_which_they_are_asked():
    rng, beside = np.random.RandomState(3), np.random.RandomState(3)
    ds = CompositeDataSource([ArrayDataSource([A], repeats=-1), ArrayDataSource([B])])
    batches = list(ds.batch_iterator(5, shuffle=rng))
    a0, b0, a1 = (beside.permutation(n) for n in (5, 9, 5))
    assert plain(batches[0]) == (a0.tolist(), B[b0[:5]].tolist())
    assert plain(batches[1]) == (a1[:4].tolist(), B[b0[5:]].tolist())


def test_a_semi_supervised_epoch_ends_with_its_shortest_member():
    ds = CompositeDataSource([ArrayDataSource([A, A], repeats=-1), ArrayDataSource([B])])
    batches = list(ds.batch_iterator(4, shuffle=1))
    assert [len(batch) for batch in batches] == [3, 3, 3]
    assert sorted(np.concatenate([u for _, _, u in batches])) == B.tolist()
    assert len(ds.stream(4)) == 3


def test_nested_sources():
    inner = CompositeDataSource(members()[:2], flatten=False)
    ds = CompositeDataSource([inner, ChoiceDataSource(finite())], flatten=False)
    for shuffle in SHUFFLES:
        expected = some(ds.batch_iterator(2, generator(shuffle)))
        indices = list(islice(ds.batch_indices_iterator(2, generator(shuffle)), 9))
        assert [plain(ds.samples_by_indices_nomapping(batch)) for batch in indices] == expected
        (first, second), choice = indices[0]
        assert isinstance(choice, ChoiceBatch)
        assert len(first) == len(second) == len(choice.sample_indices)


def test_samples_by_indices_go_through_the_subsets():
    ds = CompositeDataSource(members()[::2])
    assert plain(ds.samples_by_indices(([4], [0]))) == ([4], [104], [3], [3000])
    assert plain(ds.samples_by_indices_nomapping(([4], [0]))) == ([4], [104], [0], [0])
    choice = ChoiceDataSource(finite())
    assert plain(choice.samples_by_indices(ChoiceBatch([0], 1))) == ([3], [3000])
    assert plain(choice.samples_by_indices_nomapping(ChoiceBatch([0], 1))) == ([0], [0])
    for method in ("samples_by_indices", "samples_by_indices_nomapping"):
        wanted = f"{method}: expected a tuple of 2 index arrays, one a member; got "
        with pytest.raises(ValueError, match=wanted + "3"):
            getattr(ds, method)([[1], [2], [3]])
        with pytest.raises(TypeError, match=wanted + "5"):
            getattr(ds, method)(5)
        for wrong in ([1], ([0], 1)):
            with pytest.raises(TypeError, match=rf"{method}: expected a ChoiceBatch\(sample_indices, ds_index"):
                getattr(choice, method)(wrong)


def test_slices_and_single_indices():
    ds = CompositeDataSource(members()[::2])
    by_slices = ds.samples_by_indices((slice(1, 3), slice(0, 2)))
    assert plain(by_slices) == plain(ds.samples_by_indices(([1, 2], [0, 1])))
    assert ds.samples_by_indices((4, 0)) == (4, 104, 3, 3000)
    assert ds.samples_by_indices_nomapping((4, 0)) == (4, 104, 0, 0)
    choice = ChoiceDataSource(finite())
    assert choice.samples_by_indices(ChoiceBatch(0, 1)) == (3, 3000)
    assert plain(choice.samples_by_indices(ChoiceBatch(slice(0, 1), 1))) == ([3], [3000])


class OneByOne(AbstractDataSource):
    """A user's own source, with no more than is asked for."""

    def num_samples(self, **kwargs):
        return 5

    def batch_iterator(self, batch_size, shuffle=None, **kwargs):
        for start in range(0, 5, batch_size):
            yield (np.arange(start, min(5, start + batch_size)),)


@pytest.mark.parametrize("joint", [CompositeDataSource, ChoiceDataSource])
def test_what_is_not_random_access_says_so(joint):
    ds = joint([ArrayDataSource([A]), OneByOne()])
    assert not ds.is_random_access
    for source in (ds, ds.map(lambda *batch: batch), OneByOne()):
        for use in (
            lambda s: s.batch_indices_iterator(3),
            lambda s: s.samples_by_indices(([1], [1])),
            lambda s: s.samples_by_indices_nomapping(([1], [1])),
        ):
            with pytest.raises(TypeError, match="is not a random access data source"):
                use(source)


def test_a_users_own_source_works_where_ours_do():
    assert some(CompositeDataSource([OneByOne(), ArrayDataSource([B])]).batch_iterator(3)) == [
        ([0, 1, 2], [0, 10, 20]),
        ([3, 4], [30, 40]),
    ]
    stratified = ChoiceDataSource([OneByOne(), ArrayDataSource([C])], stratified=True)
    assert some(stratified.batch_iterator(2)) == [([0, 1],), ([0, 1000],), ([2, 3],), ([2000, 3000],), ([4],)]
    assert some(OneByOne().stream(2) | ops.skip(2)) == [([4],)]
    assert OneByOne().stream(3).num_samples == 5


def test_a_source_that_gives_another_number_than_it_said_is_found_out():
    for said, text in ((9, "has 9 samples, which are 5 batches; it gave only 3"), (3, "it gave more")):
        source = CallableDataSource(lambda size: OneByOne().batch_iterator(size), said)
        with pytest.raises(ValueError, match=text):
            list(ChoiceDataSource([source, ArrayDataSource([A])], stratified=True).batch_iterator(2))


def test_numbers_of_samples():
    unknown = CallableDataSource(lambda size: iter([]))
    assert CompositeDataSource(members()).num_samples() == 3
    assert CompositeDataSource([unknown, ArrayDataSource([A])]).num_samples() == 5
    assert CompositeDataSource([unknown]).num_samples() is None
    assert CompositeDataSource(members()[1:2]).num_samples() == np.inf
    assert ChoiceDataSource(finite()).num_samples() == 15
    assert ChoiceDataSource([unknown, ArrayDataSource([A])]).num_samples() == 5
    assert ChoiceDataSource(members()).num_samples() == np.inf
    assert ChoiceDataSource(finite()).map(len).num_samples() == 15


def test_a_choice_loses_no_short_batch_to_the_count_of_samples():
    ds = ChoiceDataSource([ArrayDataSource([A]), ArrayDataSource([A])])  # 5 and 5: 4 batches of 4
    (found,) = ds.batch_map_concat(lambda x: x, batch_size=4)
    assert sorted(found) == sorted([*A, *A])


def test_arguments_of_a_users_function_reach_it():
    def batches(batch_size, upto=3, shuffle=None):
        yield (np.arange(upto), shuffle)

    source = CallableDataSource(batches, lambda upto=3: upto)
    ds = CompositeDataSource([source, ArrayDataSource([B])], trim=False)
    assert next(ds.batch_iterator(2, upto=4))[0].tolist() == [0, 1, 2, 3]
    assert ds.num_samples(upto=2) == 2
    assert next(ds.batch_iterator(2))[1] is None
    rng = np.random.RandomState(1)
    assert next(ds.batch_iterator(2, shuffle=rng))[1] is rng
    with pytest.raises(TypeError, match="batch_iterator: there is no argument upto=; it takes batch_size"):
        CompositeDataSource([ArrayDataSource([B])]).batch_iterator(2, upto=4)


@pytest.mark.parametrize("joint", [CompositeDataSource, ChoiceDataSource])
def test_errors_when_it_is_built(joint):
    with pytest.raises(ValueError, match="expected one data source at least; got an empty list"):
        joint([])
    with pytest.raises(TypeError, match="expected data sources; number 1 is <5 int64>"):
        joint([ArrayDataSource([A]), A])
    with pytest.raises(TypeError, match="expected a list of data sources; got <ArrayDataSource>"):
        joint(ArrayDataSource([A]))
    with pytest.raises(TypeError, match="shuffle: expected a seed"):
        joint([ArrayDataSource([A])]).batch_iterator(3, shuffle="x")


def test_stratified_wants_finite_members():
    with pytest.raises(ValueError, match=r"^ChoiceDataSource: stratified: expected streams of known finite length"):
        ChoiceDataSource(members(), stratified=True).batch_iterator(2)
    once = IteratorDataSource(iter([(A,)]))
    with pytest.raises(ValueError, match=r"^ChoiceDataSource: stratified: expected streams of known finite length"):
        ChoiceDataSource([once], stratified=True).batch_iterator(2)


def test_reprs():
    assert repr(CompositeDataSource(members()[:1])) == "CompositeDataSource([ArrayDataSource([<5 int64>, <5 int64>])])"
    assert repr(CompositeDataSource([OneByOne()]).stream(2)) == "zip(OneByOne)"


@pytest.mark.parametrize("shuffle", [None, 7, "rng"])
def test_law_6_the_shards_of_joint_sources(shuffle):
    def sources():
        pair = [ArrayDataSource([np.arange(48)]), ArrayDataSource([np.arange(96) + 100])]
        yield CompositeDataSource(pair)
        yield CompositeDataSource(pair).map(lambda a, b: (a, b))
        yield ChoiceDataSource(pair)
        yield ChoiceDataSource(pair, stratified=True)
        yield CompositeDataSource([Squares(30), ArrayDataSource([np.arange(30)])])

    for ds in sources():
        whole = [plain(batch) for batch in ds.batch_iterator(12, generator(shuffle))]
        ranks = [list(ds.batch_iterator(12, generator(shuffle), shard=(r, 3))) for r in range(3)]
        indices = [list(ds.batch_indices_iterator(12, generator(shuffle), shard=(r, 3))) for r in range(3)]
        assert {len(rank) for rank in (*ranks, *indices)} == {len(whole)}
        for batch, *parts in zip(whole, *ranks, strict=True):
            together = tuple(np.concatenate(columns).tolist() for columns in zip(*parts, strict=True))
            assert together == batch


def test_what_comes_one_after_another_has_no_shards():
    for ds in (OneByOne(), CompositeDataSource([ArrayDataSource([A]), OneByOne()]), IteratorDataSource(iter([]))):
        with pytest.raises(TypeError, match=r"one after another, and they can't be divided|unexpected keyword"):
            list(ds.stream(3, shard=(0, 2)))
    for shard in (3, (0,), (0, 2, 3), "01"):
        with pytest.raises(TypeError, match=r"shard: expected \(index, count\), or \(\)"):
            ArrayDataSource([A]).batch_iterator(3, shard=shard)


class OddFirst(AbstractSampler):
    """A user's own, that only says how many it gives."""

    def num_indices_generated(self):
        return 10

    def in_order_indices_batch_iterator(self, batch_size):
        order = [1, 3, 5, 7, 9, 0, 2, 4, 6, 8]
        return (np.array(order[k : k + batch_size]) for k in range(0, 10, batch_size))

    def shuffled_indices_batch_iterator(self, batch_size, shuffle_rng):
        return self.in_order_indices_batch_iterator(batch_size)


def test_shards_of_stratified_choices_with_a_users_sampler():
    ds = ChoiceDataSource(
        [ArrayDataSource([np.arange(10)], sampler=OddFirst()), ArrayDataSource([np.arange(4) * 100])], stratified=True
    )
    whole = [batch.tolist() for (batch,) in ds.batch_iterator(4)]
    shards = [[batch.tolist() for (batch,) in ds.batch_iterator(4, shard=(rank, 2))] for rank in range(2)]
    assert [a + b for a, b in zip(*shards, strict=True)] == whole
    assert len(ds.stream(4)) == len(whole) == 4


def test_a_batch_size_for_each_member():
    labelled = ArrayDataSource([A, A + 100], repeats=-1)
    unlabelled = ArrayDataSource([B])
    ds = CompositeDataSource([labelled, unlabelled])
    streams = [labelled.stream(2, of_member(5, 0)), unlabelled.stream(4, of_member(5, 1))]
    expected = some(ops.zip(*streams, trim=False))
    assert [[len(part) for part in batch] for batch in expected] == [[2, 2, 4], [2, 2, 4], [2, 2, 1]]
    assert some(ds.batch_iterator([2, 4], 5)) == expected
    assert some(ds.stream(np.array([2, 4]), 5)) == expected
    assert some(ds.loader((2, 4), 5)) == some(ops.zip(*streams, trim=False).epoch(0))
    assert some(ds.map(lambda x, y, u: (x, u)).batch_iterator([2, 4], 5)) == [(x, u) for x, _, u in expected]
    indices = ds.batch_indices_iterator([2, 4], 5)
    assert [plain(ds.samples_by_indices_nomapping(batch)) for batch in indices] == expected
    assert len(ds.loader([2, 4])) == 3
    sums = ds.batch_map_concat(lambda x, y, u: [u], [2, 4])
    assert np.array_equal(sums[0], B)


def test_a_member_may_have_members():
    pair = CompositeDataSource([ArrayDataSource([A]), ArrayDataSource([B])])
    ds = CompositeDataSource([pair, ArrayDataSource([C])])
    assert [len(part) for part in ds.stream([[1, 3], 2])[0]] == [1, 3, 2]
    assert [len(part) for part in ds.stream([3, 2])[0]] == [3, 3, 2]


def test_a_list_of_batch_sizes_that_is_refused():
    ds = CompositeDataSource([ArrayDataSource([A]), ArrayDataSource([B])])
    with pytest.raises(
        ValueError, match=r"batch_size: expected a number, or a list of 2, one for each member; got <list"
    ):
        ds.loader([1, 2, 3])
    cut = CompositeDataSource(ds.datasets, trim=True)
    with pytest.raises(ValueError, match=r"trim=True\), which cuts all members alike; got \[1, 2\]. Leave trim out"):
        cut.loader([1, 2])
    many = [
        ArrayDataSource([A]),
        ArrayDataSource([A]).map(lambda x: x),
        ChoiceDataSource([ds, ds]),
        CallableDataSource(lambda batch_size: iter([])),
        IteratorDataSource(iter([])),
        Squares(7),
    ]
    for source in many:
        with pytest.raises(TypeError, match=r"batch_size: expected one whole number.*ops.chunk\(sizes\)"):
            source.stream([1, 2])
    for sampler in (StandardSampler(5), WeightedSampler(np.ones(5))):
        with pytest.raises(TypeError, match=r"batch_size: expected one whole number.*ops.chunk\(sizes\)"):
            sampler.stream([1, 2], shuffle=5)
    with pytest.raises(TypeError, match=r"batch_size: expected one whole number"):
        num_batches(5, [1, 2])
