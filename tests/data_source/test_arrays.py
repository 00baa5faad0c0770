"""ArrayDataSource and RandomAccessDataSource."""

import pickle
from itertools import islice, product

import numpy as np
import pytest

from batchup import ops
from batchup.data_source import AbstractDataSource, ArrayDataSource, RandomAccessDataSource
from batchup.sampling import StandardSampler, SubsetSampler, WeightedSampler, WeightedSubsetSampler
from batchup.testing import plain
from tests.test_sampling import Reverse

X = np.arange(33).reshape(11, 3)
Y = np.arange(11) * 100
SUBSET = np.array([7, 3, 5, 3])


def some(batches):
    return [plain(batch) for batch in islice(batches, 9)]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"repeats": 2},
        {"repeats": -1},
        {"indices": SUBSET},
        {"indices": SUBSET, "repeats": -1, "include_indices": True},
        {"include_indices": True},
        {"sampler": SubsetSampler(SUBSET)},
        {"sampler": Reverse(11)},
        {"sampler": WeightedSampler(np.arange(11)), "include_indices": True},
        {"sampler": WeightedSubsetSampler([1, 2, 3, 4], SUBSET)},
    ],
)
@pytest.mark.parametrize("shuffle", [None, False, 5, (1, 2), "rng", True])
@pytest.mark.parametrize("size", [1, 4, 40])
def test_law_10_it_is_its_composition(options, shuffle, size):
    ds = ArrayDataSource([X, Y], **options)

    def rng():
        np.random.seed(6)
        return np.random.RandomState(4) if shuffle == "rng" else shuffle

    def composition():
        return ds.sampler.stream(size, rng()) | ops.gather(X, Y, include_indices=options.get("include_indices", False))

    if not shuffle and "Weighted" in repr(ds.sampler):
        with pytest.raises(NotImplementedError):
            ds.batch_iterator(size, shuffle)
        return
    expected = some(composition())
    assert some(ds.batch_iterator(size, rng())) == expected
    assert some(ds.stream(size, rng())) == expected
    indices = some(ds.batch_indices_iterator(size, rng()))
    assert some(map(ds.samples_by_indices_nomapping, map(np.array, indices))) == expected
    assert some(pickle.loads(pickle.dumps(ds)).batch_iterator(size, rng())) == expected


@pytest.mark.parametrize("make", [np.random.RandomState, np.random.default_rng])
def test_the_order_is_that_of_the_plain_numpy_loop(make):
    for n, size, repeats in product((1, 5, 8), (1, 3, 8, 20), (1, 3)):
        rng, beside = make(1), make(1)
        ds = ArrayDataSource([np.arange(n)], repeats=repeats)
        for _ in range(2):
            order = np.concatenate([beside.permutation(n) for _ in range(repeats)])
            expected = [order[i : i + size].tolist() for i in range(0, n * repeats, size)]
            assert [batch.tolist() for (batch,) in ds.batch_iterator(size, shuffle=rng)] == expected


def test_a_subset_is_permuted_as_numpy_does():
    ds = ArrayDataSource([np.arange(20)], indices=SUBSET)
    [(batch,)] = ds.batch_iterator(10, shuffle=np.random.RandomState(5))
    assert batch.tolist() == np.random.RandomState(5).permutation(SUBSET).tolist()


def test_a_set_smaller_than_the_batch_repeats_within_it():
    ds = ArrayDataSource([np.arange(3)], repeats=-1)
    (batch,) = next(ds.batch_iterator(8, shuffle=np.random.RandomState(5)))
    rng = np.random.RandomState(5)
    assert batch.tolist() == [i for _ in range(3) for i in rng.permutation(3)][:8]


def test_samples_by_indices():
    ds = ArrayDataSource([X, Y], indices=SUBSET)
    assert plain(ds.samples_by_indices([0, 3])) == plain((X[[7, 3]], Y[[7, 3]]))
    assert plain(ds.samples_by_indices_nomapping([0, 3])) == plain((X[[0, 3]], Y[[0, 3]]))
    named = ArrayDataSource([Y], indices=SUBSET, include_indices=True)
    assert plain(named.samples_by_indices(np.array([1]))) == ([3], [300])
    assert plain(named.samples_by_indices_nomapping(np.array([1]))) == ([1], [100])


def test_counts():
    assert ArrayDataSource([X]).num_samples() == 11
    assert ArrayDataSource([X], repeats=3).num_samples() == 33
    assert ArrayDataSource([X], repeats=-1).num_samples() == np.inf
    assert ArrayDataSource([X], indices=SUBSET).num_samples() == 4
    assert ArrayDataSource([X], sampler=WeightedSampler([1] * 11)).num_samples() == np.inf
    assert ArrayDataSource([X]).is_random_access
    assert len(ArrayDataSource([X]).stream(4)) == 3


def test_an_empty_set_has_no_batches():
    ds = ArrayDataSource([X[:0], Y[:0]])
    assert list(ds.batch_iterator(5, shuffle=True)) == []
    assert ds.num_samples() == 0
    assert ds.batch_map_concat(lambda x, y: x, 5) == ()


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: ArrayDataSource(X), TypeError, r"expected a list of arrays, such as \[X, y\], .*; got <11x3 int64>"),
        (lambda: ArrayDataSource({1: X}), TypeError, "expected names that are strings; got 1"),
        (lambda: ArrayDataSource({}), ValueError, "expected one array at least; got an empty dict"),
        (lambda: ArrayDataSource({"indices": X}, include_indices=True), ValueError, "Give the array another name"),
        (lambda: ArrayDataSource([]), ValueError, "got an empty list"),
        (lambda: ArrayDataSource([X, Y[:5]]), ValueError, "array 0 has 11, array 1 has 5"),
        (lambda: ArrayDataSource([X, 5]), TypeError, "array 1: expected an array"),
        (lambda: ArrayDataSource([X], repeats=0), ValueError, "repeats: expected a whole number >= 1, or -1"),
        (lambda: ArrayDataSource([X], repeats=1.0), TypeError, "got 1.0"),
        (lambda: ArrayDataSource([X], indices=[11]), ValueError, "expected indices below its 11 samples; .* gives 11"),
        (lambda: ArrayDataSource([X], indices=[-1]), ValueError, "got the index -1"),
        (lambda: ArrayDataSource([X], indices=[0.0]), TypeError, "got <1 float64>"),
        (lambda: ArrayDataSource([X], indices=X[1:, 0] > 3), ValueError, "expected a mask with a value for each of"),
        (lambda: ArrayDataSource([X], sampler=StandardSampler(12)), ValueError, "gives 11"),
        (lambda: ArrayDataSource([X], sampler=5), TypeError, "expected a sampler; got 5"),
        (lambda: ArrayDataSource([X], sampler=StandardSampler(5), repeats=2), ValueError, "got both"),
        (lambda: ArrayDataSource([X], sampler=StandardSampler(5), indices=[1]), ValueError, "got both"),
        (lambda: ArrayDataSource([X]).batch_iterator(0), ValueError, "batch_size: expected a whole number >= 1; got 0"),
        (lambda: ArrayDataSource([X]).batch_iterator(5, shuffle="yes"), TypeError, "shuffle: expected a seed"),
        (lambda: ArrayDataSource([X]).batch_iterator(5, shufle=True), TypeError, "shufle"),
        (lambda: ArrayDataSource([X]).map(5), TypeError, "expected a function"),
    ],
)
def test_errors_when_it_is_built(make, error, text):
    with pytest.raises(error, match=text):
        make()


class Squares(RandomAccessDataSource):
    """A user's own source, with no more than is asked for."""

    def read(self, indices):
        assert type(indices) is np.ndarray
        return (indices * indices,)


@pytest.mark.parametrize("options", [{}, {"indices": SUBSET}, {"repeats": 2, "include_indices": True}])
@pytest.mark.parametrize("shuffle", [None, 3])
def test_a_users_own_random_access_source_works_as_ours_do(options, shuffle):
    mine = Squares(11, **options)
    ours = ArrayDataSource([np.arange(11) ** 2], **options)
    assert some(mine.batch_iterator(4, shuffle)) == some(ours.batch_iterator(4, shuffle))
    assert some(mine.batch_indices_iterator(4, shuffle)) == some(ours.batch_indices_iterator(4, shuffle))
    assert plain(mine.samples_by_indices([1, 0])) == plain(ours.samples_by_indices([1, 0]))
    assert mine.num_samples() == ours.num_samples()
    assert some(mine.map(lambda *b: b[::-1]).batch_iterator(5)) == some(ours.map(lambda *b: b[::-1]).batch_iterator(5))
    assert plain(mine.batch_map_concat(lambda *b: b[-1], 4)) == plain(ours.batch_map_concat(lambda *b: b[-1], 4))


def test_reprs():
    assert repr(ArrayDataSource([X, Y])) == "ArrayDataSource([<11x3 int64>, <11 int64>])"
    assert repr(ArrayDataSource([X], indices=SUBSET, include_indices=True)) == (
        "ArrayDataSource([<11x3 int64>], sampler=SubsetSampler(<4 int64>, repeats=1), include_indices=True)"
    )
    assert repr(ArrayDataSource([X]).stream(4, 7)) == "indices(11) | shuffle(7) | chunk(4) | gather(<11x3 int64>)"
    assert "map(Squares.read)" in repr(Squares(3).stream(2))


@pytest.mark.parametrize("subset", [None, [7, 3, 5]])
@pytest.mark.parametrize("include", [False, True])
def test_samples_by_a_slice_and_by_a_single_index(subset, include):
    x, y = np.arange(20).reshape(10, 2), np.arange(10) + 100
    ds = ArrayDataSource([x, y], indices=subset, include_indices=include)
    places = np.arange(10) if subset is None else np.array(subset)

    def check(found, indices):
        wanted = (*([indices] if include else []), x[indices], y[indices])
        assert len(found) == len(wanted)
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(a, b)
            assert np.shape(a) == np.shape(b)

    def same(*batch):
        return batch

    for source in (ds, ds.map(same), ds.map(lambda *batch, rng: batch, rng=3)):
        for part in (slice(None), slice(1, 3), slice(None, None, -1), slice(-2, 99), slice(2, 2)):
            check(source.samples_by_indices(part), places[part])
            check(source.samples_by_indices_nomapping(part), np.arange(10)[part])
        for index in (0, 2, -1, np.int64(1)):
            check(source.samples_by_indices(index), places[index])
            check(source.samples_by_indices_nomapping(index), np.arange(10)[index])
        with pytest.raises(
            IndexError, match=f"samples_by_indices: expected an index below {len(places)}, the number of"
        ):
            source.samples_by_indices(len(places))
        with pytest.raises(IndexError, match="expected an index below 10, the number of samples; got -11"):
            source.samples_by_indices_nomapping(-11)
        with pytest.raises(TypeError, match="expected an index block"):
            source.samples_by_indices(True)


def test_the_noise_of_a_slice_is_that_of_its_indices():
    ds = ArrayDataSource([np.zeros(10)], indices=[7, 3, 5]).map(lambda x, rng: rng.random(), rng=3)
    assert ds.samples_by_indices(slice(1, 3)) == ds.samples_by_indices([1, 2])
    assert ds.samples_by_indices_nomapping(slice(1, 3)) == ds.samples_by_indices_nomapping([1, 2])


def test_slices_of_a_source_of_ones_own():
    class Files(RandomAccessDataSource):
        def read(self, indices):
            return (np.asarray(indices) ** 2,)

    ds = Files(10, indices=[2, 4, 6], include_indices=True)
    assert plain(ds.samples_by_indices(slice(0, 2))) == ([2, 4], [4, 16])
    assert ds.samples_by_indices(2) == (6, 36)
    assert plain(ds.map(lambda i, x: (x, i)).samples_by_indices_nomapping(slice(0, 2))) == ([0, 1], [0, 1])


def test_errors_speak_the_users_words():
    ds = ArrayDataSource([X])
    with pytest.raises(TypeError, match=r"batch_iterator: there is no argument shufle=; did you mean shuffle="):
        ds.batch_iterator(5, shufle=True)
    with pytest.raises(TypeError, match=r"stream: there is no argument n_workers=; write loader\(..., workers=\)"):
        ds.stream(5, n_workers=2)
    with pytest.raises(TypeError, match=r"^drop_last: expected True or False; got 'yes'"):
        ds.stream(5, drop_last="yes")
    with pytest.raises(TypeError, match="batch_map_concat: there is no argument shufle="):
        ds.batch_map_concat(lambda x: x, 5, shufle=1)
    with pytest.raises(TypeError, match="batch_iterator: there is no argument shufle="):
        ds.map(len).batch_iterator(5, shufle=True)
    with pytest.raises(ValueError, match=r"^batch_size: expected a whole number >= 1; got 0"):
        ds.batch_iterator(0)
    with pytest.raises(TypeError, match="ArrayDataSource: array 1: expected an array"):
        ArrayDataSource([X, 5])
    with pytest.raises(ValueError, match="ArrayDataSource: expected arrays of one length"):
        ArrayDataSource([X, X[:3]])
    for wrong in ({"repeats": 0}, {"repeats": 0, "indices": [1]}):
        with pytest.raises(ValueError, match=r"^ArrayDataSource: repeats: expected a whole number >= 1"):
            ArrayDataSource([X], **wrong)
    with pytest.raises(ValueError, match=r"^ArrayDataSource: repeats=-1: there are no samples"):
        ArrayDataSource([X[:0]], repeats=-1)
    with pytest.raises(TypeError, match=r"^ArrayDataSource: indices: expected an index block"):
        ArrayDataSource([X], indices=[0.5])
    with pytest.raises(TypeError, match="there is no argument n_batch=; did you mean n_batches="):
        ds.batch_map_concat(lambda x: x, 5, n_batch=1)
    with pytest.raises(TypeError, match=r"batch_map_mean: .* sum_axi=; did you mean sum_axis="):
        ds.batch_map_mean(lambda x: x, 5, sum_axi=0)
    with pytest.raises(TypeError, match=r"expected arrays; got data sources.*CompositeDataSource\(\["):
        ArrayDataSource([ds, X])
    with pytest.raises(TypeError, match=r"can't be iterated: iterate its loader\(batch_size\)"):
        list(ds)
    with pytest.raises(TypeError, match=r"num_samples\(\), its number of batches len\(stream\(batch_size\)\)"):
        len(ds)
    assert ds  # is one, all the same
    for wrong in (lambda: ds | ops.map(len), lambda: ops.map(len)(ds)):
        with pytest.raises(TypeError, match=r"ds\.map\(function\)"):
            wrong()
        with pytest.raises(TypeError, match=r"ds\.stream\(batch_size\)"):
            wrong()


def test_a_users_own_source_may_take_arguments_of_its_own():
    class Counting(AbstractDataSource):
        is_random_access = True

        def num_samples(self, **kwargs):
            return 4

        def batch_iterator(self, batch_size, shuffle=None, start=0):
            return iter([(np.arange(start, start + batch_size),)])

    [numbers] = Counting().batch_map_concat(lambda n: n, 4, start=7)
    assert numbers.tolist() == [7, 8, 9, 10]


def test_index_batches_have_no_windows():
    with pytest.raises(TypeError, match="batch_indices_iterator: there is no argument window="):
        ArrayDataSource([np.arange(9)]).batch_indices_iterator(2, shuffle=1, window=3)


def test_a_source_that_defines_the_wrong_method_is_told_which():
    class Old(RandomAccessDataSource):
        def samples_by_indices_nomapping(self, indices):
            return (indices,)

    class New(Old):
        def read(self, indices):
            return (indices,)

    for source in (Old, New):
        with pytest.raises(TypeError, match=r"define read\(indices\) in place of samples_by_indices_nomapping"):
            source(3)

    class Nothing(RandomAccessDataSource):
        pass

    with pytest.raises(TypeError, match=r"Nothing: define read\(indices\)"):
        Nothing(3)

    class Mended(RandomAccessDataSource):
        read = Old.samples_by_indices_nomapping

    assert [batch.tolist() for (batch,) in Mended(3).batch_iterator(2)] == [[0, 1], [2]]
