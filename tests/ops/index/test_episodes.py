"""episodes: a few classes with a few samples of each."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchup import ops, testing
from batchup.data_source import ArrayDataSource
from batchup.sampling import EpisodeSampler


@given(st.lists(st.integers(2, 12), min_size=3, max_size=7), st.integers(1, 3), st.integers(1, 2), st.integers(0, 99))
def test_rounds_and_passes_are_those_of_the_definition(sizes, classes, samples, seed):
    y = np.random.RandomState(seed).permutation(np.repeat(np.arange(len(sizes)) * 7 - 9, sizes))
    in_round = len(sizes) // classes
    rounds = 30
    blocks = list(ops.episodes(y, classes, samples, seed) | ops.take(rounds * in_round))
    given_by = {label: {} for label in {*y.tolist()}}
    for r in range(rounds):
        seen = []
        for block in blocks[r * in_round : (r + 1) * in_round]:
            labels = y[block].reshape(classes, samples)
            assert (labels == labels[:, :1]).all()
            assert len({*block.tolist()}) == classes * samples
            seen += labels[:, 0].tolist()
            for label, own in zip(labels[:, 0].tolist(), block.reshape(classes, samples).tolist(), strict=True):
                given_by[label][r] = own
        assert len({*seen}) == len(seen) == in_round * classes  # each class once in a round, some not at all
    for label, n in Counter(y.tolist()).items():
        m = n // samples
        for first in range(0, rounds, m):  # in the rounds of one permutation, no sample comes twice
            own = [i for r in range(first, first + m) for i in given_by[label].get(r, [])]
            assert len({*own}) == len(own)


def test_all_classes_sit_out_now_and_then_and_all_samples_come():
    y = np.repeat(np.arange(5), 7)
    blocks = list(ops.episodes(y, 2, 3, 7) | ops.take(400))
    often = Counter(np.concatenate(blocks).tolist())
    assert {*often} == {*range(35)}
    with_both = Counter(frozenset(y[block].tolist()) for block in blocks)
    assert len(with_both) == 10  # all pairs of classes


def test_any_position_is_reached():
    y = np.random.RandomState(1).randint(0, 23, 500)
    stream = ops.episodes(y, 4, 3, 7)
    blocks = [block.tolist() for block in stream | ops.take(1000)]
    for k in (0, 1, 4, 5, 6, 7, 500, 999):
        assert stream[k].tolist() == blocks[k]
    far = list(stream | ops.skip(10**15) | ops.take(20))
    assert far[19].tolist() == stream[10**15 + 19].tolist()
    testing.sharding(lambda rng=None: stream, counts=(3, 12, 1024))


def test_strings_are_classes():
    words = ["cat", "dog", "cat", "emu", "dog", "emu"]
    expected = [block.tolist() for block in ops.episodes([0, 1, 0, 2, 1, 2], 2, 2, 5) | ops.take(9)]
    for y in (words, np.array(words), np.array(words, object)):
        assert [block.tolist() for block in ops.episodes(y, 2, 2, 5) | ops.take(9)] == expected


def test_no_labels():
    for y in ([], np.array([], object), np.array([], "U1")):
        with pytest.raises(ValueError, match="expected 1 classes at least"):
            ops.episodes(y, 1, 1, 7)


def test_small_classes_are_named_or_left_out():
    y = ["a", "a", "a", "b", "b", "c", "c", "c", "d"]
    with pytest.raises(
        ValueError, match=r"expected 3 samples of each class at least; 'b' has 2, 'd' has 1\. Give fewer"
    ):
        ops.episodes(y, 2, 3, 7)
    kept = ops.episodes(y, 2, 3, 7, smallest="skip")
    assert all({y[i] for i in block} == {"a", "c"} for block in kept | ops.take(20))
    with pytest.raises(ValueError, match="expected 3 classes at least, with 3 samples or more; there are 2 of 4"):
        ops.episodes(y, 3, 3, 7, smallest="skip")


@pytest.mark.parametrize(
    ("args", "options", "error", "match"),
    [
        (([0.0, 1.0], 1, 1, 7), {}, TypeError, r"y: expected labels, .* got <2 float64>. Write y.astype\(int\)"),
        ((["a", None], 1, 1, 7), {}, TypeError, "y: expected labels, .* sample 1 has None"),
        ((["a", float("nan")], 1, 1, 7), {}, TypeError, "expected labels"),
        (([[1], [2]], 1, 1, 7), {}, TypeError, "expected labels, a 1-D array of integers or of strings"),
        (([1, 2], 0, 1, 7), {}, ValueError, "classes: expected a whole number >= 1"),
        (([1, 2], 1, 0, 7), {}, ValueError, "samples: expected a whole number >= 1"),
        (([1, 2], 1, 1, None), {}, ValueError, "expected rng=, a seed or a generator"),
        (([1, 2], 1, 1, 7), {"smallest": "drop"}, ValueError, 'smallest: expected "raise" or "skip"; got \'drop\''),
        (([], 1, 1, 7), {}, ValueError, "expected 1 classes at least"),
    ],
)
def test_wrong_arguments(args, options, error, match):
    args = (np.array(args[0], object) if {str, type(None)} & {*map(type, args[0])} else args[0], *args[1:])
    with pytest.raises(error, match="episodes: .*" + match):
        ops.episodes(*args, **options)


def test_episode_sampler():
    y = np.repeat(["a", "b", "c"], [4, 5, 6])
    sampler = EpisodeSampler(y, classes=2, samples=3)
    ds = ArrayDataSource([np.arange(15), y], sampler=sampler)
    assert (ds.num_samples(), repr(sampler)) == (np.inf, "EpisodeSampler(<15 <U1>, classes=2, samples=3)")
    blocks = ops.episodes(y, 2, 3, 7)
    for (X, labels), block in zip(ds.batch_iterator(6, shuffle=7), blocks | ops.take(9), strict=False):
        assert (X.tolist(), labels.tolist()) == (block.tolist(), y[block].tolist())
    assert [len(batch) for batch, _ in ds.loader(6, shuffle=7, steps=4)] == [6] * 4
    with pytest.raises(ValueError, match="EpisodeSampler: expected batch_size=6, 2 classes of 3 samples; got 8"):
        ds.loader(8, shuffle=7)
    with pytest.raises(NotImplementedError, match="draws at random and has no order"):
        ds.batch_iterator(6)
    with pytest.raises(ValueError, match="expected a label for each of 14 samples; got EpisodeSampler"):
        ArrayDataSource([np.arange(14)], sampler=sampler)


def test_episode_sampler_of_some_samples():
    y = np.repeat([5, 6, 7], 5)
    some = np.array([0, 1, 2, 3, 10, 11, 12, 14])
    ds = ArrayDataSource([np.arange(15)], sampler=EpisodeSampler(y, 2, 2, indices=some))
    drawn = [batch.tolist() for (batch,) in ds.stream(4, shuffle=3) | ops.take(50)]
    assert {i for batch in drawn for i in batch} == {*some.tolist()}
    assert all({y[i] for i in batch} == {5, 7} for batch in drawn)
    with pytest.raises(ValueError, match="expected indices below 15, the number of labels; got 15"):
        EpisodeSampler(y, 2, 2, indices=[15])
    mask = np.isin(np.arange(15), some)
    masked = ArrayDataSource([np.arange(15)], sampler=EpisodeSampler(y, 2, 2, indices=mask))
    assert [batch.tolist() for (batch,) in masked.stream(4, shuffle=3) | ops.take(50)] == drawn
    with pytest.raises(
        TypeError, match=r"EpisodeSampler: y: expected a plain NumPy array; .* whose mask would be lost"
    ):
        EpisodeSampler(np.ma.masked_array(y, y == 5), 2, 2)
