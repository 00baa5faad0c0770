"""Ragged: samples of different lengths."""

import pickle
from itertools import chain

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchup import ops, work_pool
from batchup.testing import plain

LISTS = [[1, 2, 3], [], [4], [5, 6, 7, 8, 9], [10, 11]]

WORDS = ops.Ragged.of(LISTS)


# --- Ragged


@given(st.lists(st.lists(st.integers(-5, 99), max_size=6), min_size=1, max_size=9), st.data())
def test_a_ragged_is_a_list_of_lists(lists, data):
    ragged = ops.Ragged.of([np.array(sample, np.int32) for sample in lists])
    assert ragged.tolist() == lists
    assert len(ragged) == len(lists)
    assert ragged.lengths.tolist() == list(map(len, lists))
    assert ragged.flat.tolist() == list(chain.from_iterable(lists))
    which = np.array(data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=9)), int)
    some = ragged[which]
    assert some.tolist() == [lists[i] for i in which]
    assert some.dtype == np.int32
    assert some.values.flags.writeable
    assert not np.shares_memory(some.values, ragged.values)
    start, stop = sorted(data.draw(st.tuples(st.integers(0, 9), st.integers(0, 9))))
    assert ragged[start:stop].tolist() == lists[start:stop]
    assert ragged[start:stop].copy().tolist() == lists[start:stop]
    assert ops.Ragged.joined([ragged, some]).tolist() == lists + [lists[i] for i in which]
    again = pickle.loads(pickle.dumps(some))
    assert again.tolist() == some.tolist()
    again = ops.Ragged.from_arrow(some.to_arrow())
    assert again.tolist() == some.tolist()
    assert ops.Ragged(some.values, some.offsets).tolist() == some.tolist()


@given(st.lists(st.lists(st.integers(0, 99), max_size=9), min_size=1, max_size=9), st.integers(1, 5))
def test_the_three_ways_out_say_what_they_cut(lists, capacity):
    ragged = ops.Ragged.of(lists)
    split, cut, dropped = ragged.split(capacity), ragged.truncate(capacity), ragged.drop(capacity)
    long = [sample for sample in lists if len(sample) > capacity]
    parts = [s[i : i + capacity] for s in lists for i in range(0, max(1, len(s)), capacity)]
    assert split.tolist() == parts
    assert (split.samples_cut, split.tokens_cut) == (len(long), 0)
    assert cut.tolist() == [sample[:capacity] for sample in lists]
    assert (cut.samples_cut, cut.tokens_cut) == (len(long), sum(len(s) - capacity for s in long))
    assert dropped.tolist() == [sample for sample in lists if len(sample) <= capacity]
    assert (dropped.samples_cut, dropped.tokens_cut) == (len(long), sum(map(len, long)))
    for view in (split, cut, dropped):
        assert np.shares_memory(view.values, ragged.values) or not ragged.values.size
        order = np.arange(len(view))[::-1]
        assert view[order].tolist() == view.tolist()[::-1]
        assert view.copy().tolist() == view.tolist()


def test_arrow_without_a_copy(tmp_path):
    for kind in (pa.list_, pa.large_list):
        column = pa.array(LISTS, kind(pa.int64()))
        ragged = ops.Ragged.from_arrow(column)
        assert ragged.tolist() == LISTS
        assert ragged.values.ctypes.data == column.values.buffers()[1].address
        assert ops.Ragged.from_arrow(column.slice(1, 3)).tolist() == LISTS[1:4]
        table = pa.table({"words": pa.chunked_array([column.slice(0, 2), column.slice(2)])})
        assert ops.Ragged.from_arrow(table["words"]).tolist() == LISTS
    back = WORDS.to_arrow()
    assert back.to_pylist() == LISTS
    assert back.values.buffers()[1].address == WORDS.values.ctypes.data
    with pytest.raises(ValueError, match="expected no missing values; there are 1"):
        ops.Ragged.from_arrow(pa.array([[1], None]))
    with pytest.raises(TypeError, match="expected lists of Arrow"):
        ops.Ragged.from_arrow(pa.array([1, 2]))
    np.save(tmp_path / "tokens.npy", WORDS.values)
    mapped = ops.Ragged(np.load(tmp_path / "tokens.npy", mmap_mode="r"), WORDS.offsets)
    batches = ops.indices(5) | ops.chunk(2) | ops.gather(mapped)
    assert [batch.tolist() for (batch,) in batches] == [LISTS[:2], LISTS[2:4], LISTS[4:]]


def test_tokens_may_be_vectors_and_strings():
    frames = ops.Ragged(np.arange(12).reshape(6, 2), [0, 2, 2, 6])
    assert frames[np.array([2, 0])].tolist() == [[[4, 5], [6, 7], [8, 9], [10, 11]], [[0, 1], [2, 3]]]
    assert repr(frames) == "<Ragged 3x*x2 int64>"
    words = ops.Ragged(np.array(["a", "b", "c"], object), [0, 1, 3])
    assert words[np.array([1, 0])].tolist() == [["b", "c"], ["a"]]


@pytest.mark.parametrize(
    ("values", "offsets", "error", "text"),
    [
        (3, [0], TypeError, "a flat array of tokens"),
        ([1, 2], [], TypeError, "one more than there are samples"),
        ([1, 2], [0.0, 2.0], TypeError, "1-D array of integers"),
        ([1, 2], [0, 2, 1], ValueError, "sample 1 goes from 2 to 1"),
        ([1, 2], [0, 3], ValueError, "within the 2 values; they go from 0 to 3"),
    ],
)
def test_what_is_no_ragged_is_refused(values, offsets, error, text):
    with pytest.raises(error, match=text):
        ops.Ragged(values, offsets)


def test_ragged_batches_in_pools_and_cut_anew():
    stream = ops.indices(5) | ops.shuffle(3) | ops.chunk(3) | ops.gather(WORDS, np.arange(5))
    expected = list(map(plain, stream | ops.rebatch(2)))
    with work_pool.WorkerProcessPool(2) as pool:
        assert list(map(plain, stream | ops.parallel(pool) | ops.rebatch(2))) == expected
    seen = [sample for words, _ in expected for sample in words]
    assert sorted(seen) == sorted(LISTS)


def test_a_mask_of_samples_has_one_value_for_each():
    words = ops.Ragged.of([[1], [2, 3], [4]])
    assert words[np.array([True, False, True])].tolist() == [[1], [4]]
    for wrong in (np.array([True]), np.ones(4, bool), np.ones((3, 1), bool)):
        with pytest.raises(IndexError, match="one value for each of 3 samples; got <"):
            words[wrong]


def test_offsets_of_32_bits_reach_beyond_2_gigabytes(tmp_path):
    values = np.memmap(tmp_path / "tokens", np.int32, "w+", shape=(600_000_000,))  # a file that is mostly a hole
    values[-3:] = 7, 8, 9
    words = ops.Ragged(values, np.array([0, 599_999_997, 600_000_000], np.int32))
    assert words[np.array([1, 1])].tolist() == [[7, 8, 9]] * 2


def test_tokens_without_bytes():
    words = ops.Ragged(np.empty((5, 0)), [0, 2, 5])
    assert words[np.array([1, 0])].values.shape == (5, 0)
