"""ds.split: disjoint parts, by fractions, classes and groups."""

from contextlib import suppress
from fractions import Fraction
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from batchup import ops
from batchup.data_source import (
    ArrayDataSource,
    BlendDataSource,
    CallableDataSource,
    CompositeDataSource,
    ConcatDataSource,
    RandomAccessDataSource,
    SampleDataSource,
)
from batchup.data_source.split import parts_of_split
from batchup.sampling import StratifiedSampler
from batchup.testing import plain


def indices_of(ds):
    return [int(i) for (i, *_) in ds.batch_iterator(4) for i in i]


def source(n, **options):
    return ArrayDataSource([np.arange(n) * 10], include_indices=True, **options)


def split(n, fractions, **options):
    return [indices_of(part) for part in source(n).split(*fractions, **options)]


fractions = st.lists(st.integers(1, 9), min_size=1, max_size=5).flatmap(
    lambda parts: st.integers(sum(parts), sum(parts) + 9).map(lambda whole: [Fraction(n, whole) for n in parts])
)


@given(st.lists(st.integers(1, 12), min_size=1, max_size=12), fractions, st.integers(0, 99), st.booleans())
def test_every_class_and_the_whole_to_within_one_sample(sizes, fractions, seed, as_floats):
    y = np.random.RandomState(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    given = list(map(float, fractions)) if as_floats else fractions
    assume(min(fractions) * len(y) >= 1)
    parts = parts_of_split(np.arange(len(y)), len(y), given, seed, y, None)
    assert len({i for part in parts for i in part.tolist()}) == sum(map(len, parts))
    for part, fraction in zip(parts, fractions, strict=True):
        assert abs(len(part) - fraction * len(y)) < 1
        for label, size in enumerate(sizes):
            assert abs((y[part] == label).sum() - fraction * size) < 1
    if sum(fractions) == 1:
        assert sum(map(len, parts)) == len(y)


@given(st.lists(st.integers(1, 12), min_size=2, max_size=7), fractions.filter(lambda f: len(f) < 4), st.integers(0, 99))
def test_groups_stay_together_as_near_to_the_fractions_as_they_say(sizes, fractions, seed):
    groups = np.random.RandomState(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    n, parts = len(groups), None
    with suppress(ValueError):
        parts = parts_of_split(np.arange(n), n, fractions, seed, None, groups)
    assume(parts is not None)  # there are groups for each part
    owned = [{*groups[part].tolist()} for part in parts]
    assert sum(map(len, parts)) == sum(sizes[g] for of_part in owned for g in of_part)  # whole
    assert len(set().union(*owned)) == sum(map(len, owned))  # in one part
    shares = [*fractions, 1 - sum(fractions)] if sum(fractions) < 1 else fractions
    for of_part, part, fraction in zip(owned, parts, fractions, strict=True):
        over = len(part) - fraction * n
        assert over <= min(sizes[g] for g in of_part)
    if len(shares) == 2 and len(parts) == 2:
        had = max(abs(len(part) - fraction * n) for part, fraction in zip(parts, fractions, strict=True))
        choices = product([0, 1], repeat=len(sizes))
        best = min(
            abs(sum(size for size, c in zip(sizes, choice, strict=True) if c == 0) - fractions[0] * n)
            for choice in choices
        )
        assert had <= best + max(sizes) / 2


def test_groups_and_classes_at_once():
    """40 patients with one diagnosis each: both parts have both diagnoses in proportion, and whole patients."""
    groups = np.repeat(np.arange(40), 25)
    y = (groups < 10).astype(int)
    train, val = split(1000, [0.8, 0.2], stratify=y, groups=groups)
    assert not {*groups[train]} & {*groups[val]}
    assert [np.bincount(y[part]).tolist() for part in (train, val)] == [[600, 200], [150, 50]]


def test_the_same_seed_gives_the_same_parts_in_any_run():
    assert split(10, [0.8, 0.2]) == split(10, [0.8, 0.2], rng=0) == [[8, 4, 7, 0, 1, 2, 5, 9], [6, 3]]
    assert split(10, [0.8, 0.2], rng=1) != split(10, [0.8, 0.2])
    assert split(10, [0.5, 0.5], rng=None) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    drawn = split(10, [0.5, 0.5], rng=np.random.RandomState(3))
    assert drawn == [part.tolist() for part in np.split(np.random.RandomState(3).permutation(10), 2)]
    assert split(10, [0.1] * 10, rng=None) == [[i] for i in range(10)]
    assert split(9, [1 / 3, 1 / 3, 1 / 3], rng=None) == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


def test_labels_may_be_strings():
    words = np.array(["cat", "dog"])[np.arange(20) % 4 // 3]
    assert split(20, [0.5, 0.5], stratify=words) == split(20, [0.5, 0.5], stratify=np.arange(20) % 4 // 3)
    subset = source(20, indices=np.arange(10)).split(0.5, 0.5, groups=np.arange(20) // 5)
    assert sorted(map(sorted, map(indices_of, subset))) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    assert split(20, [0.5, 0.5], groups=[f"patient {i // 5}" for i in range(20)])


def test_a_part_is_a_source_of_its_own():
    X = np.arange(20) * 10
    ds = ArrayDataSource({"x": X}, repeats=2)
    train, val = ds.split(0.7, 0.3, rng=3)
    assert (train.num_samples(), val.num_samples()) == (28, 12)
    assert sorted({int(i) for batch in val.batch_iterator(4) for i in batch["x"]}) == sorted(X[val.sample_indices])
    again = train.split(0.5, 0.5, rng=4)
    assert sorted([*again[0].sample_indices, *again[1].sample_indices]) == sorted(train.sample_indices)
    assert len(list(train.loader(4, shuffle=7))) == 7
    y = np.arange(20) % 2
    halves = [part.sample_indices for part in train.split(0.5, 0.5, stratify=y)]
    assert all(abs((y[h] == c).sum() - (y[train.sample_indices] == c).sum() / 2) < 1 for h in halves for c in (0, 1))


class Squares(RandomAccessDataSource):
    def read(self, indices):
        return (indices**2,)


def test_sources_of_all_kinds():
    records = [{"x": i} for i in range(10)]
    for ds in (
        Squares(10, include_indices=True),
        SampleDataSource(records, include_indices=True).map(lambda batch: (batch["indices"], batch["x"])),
        ConcatDataSource([Squares(4), Squares(6)], include_indices=True).map_samples(lambda i, x: (i, x)),
    ):
        parts = [indices_of(part) for part in ds.split(0.6, 0.4)]
        assert (list(map(len, parts)), sorted(parts[0] + parts[1])) == ([6, 4], list(range(10)))
        assert type(ds.split(1.0)[0]) is type(ds)
    masked = ArrayDataSource([np.arange(10)], indices=np.arange(10) % 2 == 0)
    assert sorted(np.concatenate([part.sample_indices for part in masked.split(0.6, 0.4)])) == [0, 2, 4, 6, 8]


@pytest.mark.parametrize(
    ("make", "args", "options", "error", "match"),
    [
        (lambda: source(0), (0.5,), {}, ValueError, "expected samples to divide; there are none"),
        (lambda: source(10), (), {}, ValueError, "expected fractions above 0 .* got none"),
        (lambda: source(10), (0.8, 0.3), {}, ValueError, "got 0.8, 0.3, whose sum is 1.1"),
        (lambda: source(10), (0.8, 0), {}, ValueError, "expected fractions above 0 .* got 0"),
        (lambda: source(10), (8, 2), {}, ValueError, "expected fractions above 0 .* got 8"),
        (lambda: source(10), ([0.8, 0.2],), {}, TypeError, "such as split.0.8, 0.2.; got <list of 2>"),
        (lambda: source(10), (0.99, 0.01), {}, ValueError, "expected enough samples for a part of 0.01; of 10 samples"),
        (
            lambda: source(10),
            (0.5, 0.5),
            {"groups": ["a"] * 10},
            ValueError,
            "expected enough groups for a part of 0.5",
        ),
        (
            lambda: source(10),
            (0.5,),
            {"stratify": [1, 2]},
            ValueError,
            "stratify: expected a value for each of 10 samples",
        ),
        (
            lambda: source(10),
            (0.5,),
            {"groups": np.zeros(10)},
            TypeError,
            "groups: expected labels, .* got <10 float64>",
        ),
        (lambda: source(10), (0.5,), {"rng": "x"}, TypeError, "rng: expected a seed"),
        (
            lambda: ArrayDataSource([np.arange(4)], sampler=StratifiedSampler([0, 0, 1, 1])),
            (0.5,),
            {},
            TypeError,
            "expected all samples, or indices= of some; StratifiedSampler",
        ),
        (
            lambda: BlendDataSource([Squares(4)]),
            (0.5,),
            {},
            TypeError,
            "expected all samples, or indices= of some; blend",
        ),
        (
            lambda: CompositeDataSource([Squares(4)]),
            (0.5,),
            {},
            TypeError,
            "expected a data source whose samples are read by one index each",
        ),
    ],
)
def test_wrong_arguments(make, args, options, error, match):
    with pytest.raises(error, match="split: (.*)" + match):
        make().split(*args, **options)


def test_sample_indices():
    assert source(4).sample_indices.tolist() == [0, 1, 2, 3]
    assert source(4, indices=[2, 0]).map(lambda i, x: x).sample_indices.tolist() == [2, 0]
    part = source(10).split(0.3)[0]
    part.sample_indices[:] = 0  # a copy
    assert sorted(indices_of(part)) == sorted(part.sample_indices) != [0, 0, 0]
    with pytest.raises(TypeError, match=r"sample_indices: expected .* one index each, .* got CallableDataSource"):
        _ = CallableDataSource(lambda batch_size: iter([])).sample_indices


def test_masks_are_indices():
    mask = np.arange(6) % 2 == 0
    for written in (mask, mask.tolist(), pd.Series(mask, index=range(9, 3, -1))):
        assert indices_of(source(6, indices=written)) == [0, 2, 4]
    with pytest.raises(
        ValueError, match="ArrayDataSource: indices: expected a mask with a value for each of 6 samples; got 5"
    ):
        source(6, indices=mask[:5])
    labels = np.array(["a", "b", "a", "b", "c", "c"])
    blocks = ops.stratify(labels[mask], 7) | ops.chunk(3) | ops.take(4)
    ds = ArrayDataSource([np.arange(6)], sampler=StratifiedSampler(labels, indices=mask))
    drawn = [plain(batch)[0] for batch in ds.stream(3, shuffle=7) | ops.take(4)]
    assert drawn == [np.flatnonzero(mask)[block].tolist() for block in blocks]
