"""The samplers: presets, so each is compared with the composition that it stands for."""

import inspect
import pickle
from itertools import islice

import numpy as np
import pytest

from batchup import ops, sampling
from batchup.sampling import (
    AbstractSampler,
    StandardSampler,
    StratifiedSampler,
    SubsetSampler,
    WeightedPermutationSampler,
    WeightedSampler,
    WeightedSubsetSampler,
    num_batches,
)

SUBSET = np.array([7, 3, 5, 20, 1])
WEIGHTS = np.array([1.0, 0, 2, 3, 0.5])

# Law 10: sampler, its composition in order and shuffled.
PRESETS = {
    "standard": (StandardSampler(11), lambda order: ops.indices(11) | order),
    "standard, twice": (StandardSampler(11, repeats=2), lambda order: ops.indices(11) | order | ops.repeat(2)),
    "standard, endless": (StandardSampler(3, repeats=-1), lambda order: ops.indices(3) | order | ops.repeat(-1)),
    "subset": (SubsetSampler(SUBSET), lambda order: ops.indices(SUBSET) | order),
    "subset, endless": (SubsetSampler(SUBSET, -1), lambda order: ops.indices(SUBSET) | order | ops.repeat(-1)),
}
WEIGHTED = {
    "weighted": (WeightedSampler(WEIGHTS), lambda rng: ops.sample(WEIGHTS, rng)),
    "weighted subset": (WeightedSubsetSampler(WEIGHTS, SUBSET), lambda rng: ops.sample(WEIGHTS, rng, SUBSET)),
}


def some(batches):
    return [np.asarray(batch).tolist() for batch in islice(batches, 12)]


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("size", [1, 4, 30])
def test_law_10_samplers_are_their_compositions(name, size):
    sampler, composition = PRESETS[name]
    in_order = composition(ops.shuffle(None)) | ops.chunk(size)
    assert some(sampler.in_order_indices_batch_iterator(size)) == some(in_order)
    for seed in (5, (1, 2), np.random.RandomState(3), np.random.default_rng(3)):
        beside = pickle.loads(pickle.dumps(seed))
        shuffled = composition(ops.shuffle(beside)) | ops.chunk(size)
        assert some(sampler.shuffled_indices_batch_iterator(size, seed)) == some(shuffled)
    assert sampler.num_indices_generated() == in_order.num_samples
    assert some(sampler.stream(size, 7)) == some(composition(ops.shuffle(7)) | ops.chunk(size))


@pytest.mark.parametrize("name", WEIGHTED)
def test_law_10_weighted_samplers_are_their_compositions(name):
    sampler, composition = WEIGHTED[name]
    for seed in (5, np.random.RandomState(3), np.random.default_rng(3)):
        beside = pickle.loads(pickle.dumps(seed))
        shuffled = composition(beside) | ops.chunk(6)
        assert some(sampler.shuffled_indices_batch_iterator(6, seed)) == some(shuffled)
    assert sampler.num_indices_generated() == np.inf
    for in_order in (
        lambda: sampler.in_order_indices_batch_iterator(6),
        lambda: sampler.stream(6),
        lambda: sampler.stream(6, False),
    ):
        with pytest.raises(NotImplementedError, match="draws at random and has no order; give shuffle="):
            in_order()


def test_batches_of_indices_are_arrays_also_where_they_are_consecutive():
    for sampler in (StandardSampler(5), SubsetSampler(range(2, 7))):
        for batch in sampler.in_order_indices_batch_iterator(3):
            assert type(batch) is np.ndarray
            assert batch.dtype == np.intp


def test_map_indices():
    at = np.array([4, 0, 0])
    assert StandardSampler(5).map_indices(at).tolist() == [4, 0, 0]
    assert WeightedSampler(WEIGHTS).map_indices(at).tolist() == [4, 0, 0]
    assert SubsetSampler(SUBSET).map_indices(at).tolist() == [1, 7, 7]
    assert WeightedSubsetSampler(WEIGHTS, SUBSET).map_indices(at).tolist() == [1, 7, 7]


def test_weighted_draws_are_those_of_choice():
    p = WEIGHTS / WEIGHTS.sum()
    rng = np.random.RandomState(9)
    drawn = WeightedSubsetSampler(WEIGHTS, SUBSET).shuffled_indices_batch_iterator(8, rng)
    beside = np.random.RandomState(9)
    for _ in range(5):
        assert next(drawn).tolist() == SUBSET[beside.choice(5, 8, p=p)].tolist()


def test_class_balancing_weights():
    y = np.array([0, 0, 0, 3, 3, 1])
    weights = WeightedSampler.class_balancing_sample_weights(y)
    assert weights.dtype == np.float64
    np.testing.assert_allclose(np.bincount(y, weights), [1 / 3, 1 / 3, 0, 1 / 3])
    for n_classes in (y.max() + 1, 4, 9, np.int32(5)):
        np.testing.assert_array_equal(WeightedSampler.class_balancing_sample_weights(y, n_classes), weights)
    with pytest.raises(ValueError, match="expected labels below n_classes = 3; sample 3 has label 3"):
        WeightedSampler.class_balancing_sample_weights(y, 3)
    with pytest.raises(ValueError, match="expected labels >= 0; sample 1 has -1"):
        WeightedSampler.class_balancing_sample_weights([0, -1])
    with pytest.raises(
        TypeError, match="expected labels, a 1-D array of integers >= 0, or of strings; got <2 float64>"
    ):
        WeightedSampler.class_balancing_sample_weights([0.0, 1.0])
    with pytest.raises(ValueError, match="expected labels; got none"):
        WeightedSampler.class_balancing_sample_weights([])


def test_class_balancing_samplers():
    y = np.repeat([0, 1, 2], [1000, 100, 10])
    drawn = next(WeightedSampler.class_balancing_sampler(y).shuffled_indices_batch_iterator(30000, 1))
    counts = np.bincount(y[drawn])
    assert ((counts - 10000) ** 2 / 10000).sum() < 13.8  # chi-square, 2 degrees, p = 0.001
    subset = np.arange(900, 1105)
    sampler = WeightedSubsetSampler.class_balancing_sampler(y, subset, n_classes=y.max() + 1)
    drawn = next(sampler.shuffled_indices_batch_iterator(30000, 2))
    assert set(drawn) <= set(subset)
    counts = np.bincount(y[drawn])
    assert ((counts - 10000) ** 2 / 10000).sum() < 13.8
    with pytest.raises(ValueError, match="expected indices below 1110, the number of labels; got 1110"):
        WeightedSubsetSampler.class_balancing_sampler(y, [1110])


def test_class_balancing_with_a_missing_class_does_not_warn(recwarn):
    WeightedSampler.class_balancing_sampler(np.array([0, 2, 2]), n_classes=5)
    assert len(recwarn) == 0


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: StandardSampler(-1), ValueError, "StandardSampler: length: expected a whole number >= 0; got -1"),
        (lambda: StandardSampler(5.0), TypeError, "got 5.0"),
        (lambda: StandardSampler(5, repeats=0), ValueError, "StandardSampler: repeats: .* >= 1, or -1; got 0"),
        (lambda: StandardSampler(0, repeats=-1), ValueError, r"^StandardSampler: repeats=-1: there are no samples"),
        (lambda: SubsetSampler([0.5]), TypeError, "SubsetSampler: indices: expected an index block"),
        (lambda: WeightedSampler([1, -1]), ValueError, "WeightedSampler: .* weight 1 is -1.0"),
        (lambda: WeightedSampler([0, 0]), ValueError, "the sum of 2 weights is 0.0"),
        (
            lambda: WeightedSubsetSampler([1, 2], [3]),
            ValueError,
            "^WeightedSubsetSampler: .* got 2 weights and 1 indices",
        ),
        (
            lambda: WeightedPermutationSampler([1, 2], [3]),
            ValueError,
            "^WeightedPermutationSampler: .* got 2 weights and 1 indices",
        ),
        (
            lambda: WeightedPermutationSampler(["a"]),
            TypeError,
            "^WeightedPermutationSampler: expected weights as a 1-D array",
        ),
        (
            lambda: StratifiedSampler([0, 1], [1, 2, 3]),
            ValueError,
            "^StratifiedSampler: expected 2 proportions, one a class; got <3 ",
        ),
        (
            lambda: StratifiedSampler([0, 2], [1, 2, 3]),
            ValueError,
            "^StratifiedSampler: proportions: class 1 has a share, but no samples",
        ),
        (lambda: StandardSampler(5).stream(0), ValueError, "batch_size: expected a whole number >= 1; got 0"),
        (lambda: StandardSampler(5).stream(2, "x"), TypeError, "shuffle: expected a seed"),
    ],
)
def test_errors_when_it_is_built(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_num_batches_exhaustively():
    for n in range(20):
        for size in range(1, 9):
            assert num_batches(n, size) == len(range(0, n, size))
    assert num_batches(np.inf, 3) == np.inf
    assert num_batches(None, 3) is None
    with pytest.raises(ValueError, match="batch_size: expected a whole number >= 1; got 0"):
        num_batches(3, 0)


def test_samplers_are_picklable_and_say_what_they_are():
    for sampler, _ in [*PRESETS.values(), *WEIGHTED.values()]:
        copy = pickle.loads(pickle.dumps(sampler))
        assert repr(copy) == repr(sampler)
        assert some(copy.stream(3, 5)) == some(sampler.stream(3, 5))
    assert repr(SubsetSampler(SUBSET, 2)) == "SubsetSampler(<5 int64>, repeats=2)"


class Reverse(AbstractSampler):
    """A user's own sampler, with no more than is asked for."""

    def __init__(self, n):
        self.n = n

    def num_indices_generated(self):
        return self.n

    def in_order_indices_batch_iterator(self, batch_size):
        for stop in range(self.n, 0, -batch_size):
            yield np.arange(stop - 1, max(stop - batch_size, 0) - 1, -1)

    def shuffled_indices_batch_iterator(self, batch_size, shuffle_rng):
        order = shuffle_rng.permutation(self.n)
        for start in range(0, self.n, batch_size):
            yield order[start : start + batch_size]


def test_a_users_own_sampler_has_a_stream():
    stream = Reverse(5).stream(2)
    assert some(stream) == some(stream) == [[4, 3], [2, 1], [0]]
    assert stream.num_samples == 5
    assert some(stream | ops.gather(np.arange(5) * 10) | ops.map(lambda x: x)) == [[40, 30], [20, 10], [0]]
    assert some(stream | ops.skip(1)) == [[2, 1], [0]]
    seeded = Reverse(5).stream(2, 9)
    assert some(seeded) == some(seeded)
    rng = np.random.RandomState(2)
    assert np.concatenate(some(Reverse(5).stream(2, rng))).tolist() == np.random.RandomState(2).permutation(5).tolist()
    np.random.seed(4)
    drawn = np.concatenate(some(Reverse(5).stream(2, True))).tolist()
    np.random.seed(4)
    assert drawn == np.random.permutation(5).tolist()


def test_what_is_exported():
    for name in sampling.__all__:
        assert inspect.getdoc(getattr(sampling, name)), name


@pytest.mark.parametrize(
    ("sampler", "names"),
    [
        (lambda a: sampling.WeightedSampler(a), ["weights"]),
        (lambda a: sampling.WeightedSubsetSampler(a, a.astype(int)), ["sub_weights", "indices"]),
        (lambda a: sampling.WeightedPermutationSampler(a, a.astype(int)), ["weights", "indices"]),
        (lambda a: sampling.SubsetSampler(a.astype(int)), ["indices"]),
        (lambda a: sampling.StratifiedSampler(a.astype(int), a + 1), ["y", "proportions"]),
    ],
)
def test_the_arrays_of_a_sampler_are_read_only_copies(sampler, names):
    given = np.arange(5.0)
    made = sampler(given)
    for name in names:
        before = getattr(made, name).tolist()
        with pytest.raises(ValueError, match="read-only"):
            getattr(made, name)[:] = 1
        given[:] = 0
        assert getattr(made, name).tolist() == before
        given[:] = np.arange(5)


def test_a_subset_is_a_copy_also_of_an_index_array():
    subset = np.array([3, 1])
    sampler = sampling.SubsetSampler(subset)
    subset[:] = 0
    assert sampler.map_indices(np.array([0, 1])).tolist() == [3, 1]
    assert [block.tolist() for block in sampler.in_order_indices_batch_iterator(2)] == [[3, 1]]
