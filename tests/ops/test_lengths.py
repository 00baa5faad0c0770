"""Samples of any length: Ragged, pad, bucket, pack, fill."""

import pickle
from itertools import chain, pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchup import ops, work_pool
from batchup.ops.index.pack import _best_fit
from batchup.testing import plain

LISTS = [[1, 2, 3], [], [4], [5, 6, 7, 8, 9], [10, 11]]
WORDS = ops.Ragged.of(LISTS)

length_lists = st.lists(st.integers(0, 20), max_size=60)


def lognormal(n, mean=512, sigma=0.8, most=4096):
    drawn = np.random.RandomState(0).lognormal(np.log(mean) - sigma**2 / 2, sigma, n)
    return drawn.astype(int).clip(1, most)


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
    with pytest.raises(ValueError, match="expected no missing values; 1 are"):
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


# --- pad


def test_pad():
    [batch] = (
        ops.indices([3, 1])
        | ops.gather(WORDS, np.array(range(5)))
        | ops.pad(multiple=4, value=-1, mask=True)
    )
    padded, lengths, mask, labels = batch
    assert padded.tolist() == [[5, 6, 7, 8, 9, -1, -1, -1], [-1] * 8]
    assert lengths.tolist() == [5, 0]
    assert mask.tolist() == [[True] * 5 + [False] * 3, [False] * 8]
    assert labels.tolist() == [3, 1]
    [named] = ops.indices([0]) | ops.gather(words=WORDS) | ops.pad(to=4)
    assert plain(named) == {"words": [[1, 2, 3, 0]], "words_lengths": [3]}
    [empty] = ops.indices(0) | ops.gather(WORDS) | ops.pad(to=4)
    assert empty[0].shape == (0, 4)


def test_what_cannot_be_padded_is_refused():
    with pytest.raises(
        ValueError, match=r"at most 4 tokens; sample 0 of the batch has 5.*truncate\(4\)"
    ):
        list(ops.indices([3]) | ops.gather(WORDS) | ops.pad(to=4))
    with pytest.raises(
        TypeError, match="expected a Ragged among the parts of the batch; got <1 int64>"
    ):
        list(ops.indices([3]) | ops.gather(np.arange(5)) | ops.pad())
    with pytest.raises(TypeError, match="got both"):
        ops.pad(to=4, multiple=8)
    with pytest.raises(ValueError, match="no part of the name 'words_lengths'"):
        list(ops.indices([3]) | ops.gather(words=WORDS, words_lengths=np.arange(5)) | ops.pad())


# --- bucket


@given(length_lists, st.integers(0, 99), st.integers(1, 9), st.integers(1, 30))
def test_buckets_have_each_sample_once_and_like_lengths(lengths, seed, size, window):
    stream = ops.bucket(np.array(lengths, int), seed, size, window=window)
    for blocks in (list(stream), list(stream.epoch(1))):
        assert sorted(i for block in blocks for i in block) == list(range(len(lengths)))
        assert all(len(block) <= size for block in blocks)
        assert sum(len(block) < size for block in blocks) <= 1
        assert len(blocks) == len(stream) == -(-len(lengths) // size)
    if window >= len(lengths):
        spans = sorted(
            (min(own), max(own)) for own in ([lengths[i] for i in block] for block in stream)
        )
        assert all(a[1] <= b[0] for a, b in pairwise(spans))


@given(length_lists, st.integers(0, 99), st.integers(20, 60), st.integers(1, 30))
def test_buckets_of_tokens_are_no_larger(lengths, seed, tokens, window):
    array = np.array(lengths, int)
    blocks = list(ops.bucket(array, seed, tokens=tokens, window=window))
    assert sorted(i for block in blocks for i in block) == list(range(len(lengths)))
    assert all(array[block].max() * len(block) <= tokens for block in blocks)


def test_padding_in_buckets():
    lengths = lognormal(64_000)
    blocks = list(ops.bucket(lengths, 7))
    padded = sum(int(lengths[block].max()) * len(block) for block in blocks)
    assert 1 - lengths.sum() / padded <= 0.05


# --- pack


def naive(lengths, capacity):
    """Best-fit decreasing as it is told: how much room each row has left."""
    rooms = []
    for length in sorted(lengths, reverse=True):
        fitting = [room for room in rooms if room >= length]
        if fitting:
            rooms.remove(min(fitting))
        rooms.append((min(fitting) if fitting else capacity) - length)
    return sorted(rooms)


@given(length_lists, st.integers(20, 50))
def test_packs_are_those_of_best_fit_decreasing(lengths, capacity):
    array = np.array(lengths, int)
    order, ends = _best_fit(array, capacity)
    rows = np.split(order, ends[:-1]) if len(ends) else []
    assert sorted(order.tolist()) == list(range(len(lengths)))
    assert sorted(capacity - int(array[row].sum()) for row in rows) == naive(lengths, capacity)


@given(length_lists, st.integers(0, 99), st.integers(1, 30), st.sampled_from([1, 2, 3, 8]))
def test_tokens_in_are_tokens_out_in_equal_steps(lengths, seed, window, world):
    array = np.array(lengths, int)
    words = ops.Ragged(np.arange(array.sum()) + 1, np.append(0, array.cumsum()))
    ranks = [
        ops.pack(words.lengths, 20, seed, window, shard=(rank, world))
        | ops.gather(words)
        | ops.fill(20)
        for rank in range(world)
    ]
    assert len({len(rank) for rank in ranks}) == 1
    for epoch in range(2):
        rows = [row for rank in ranks for row in rank.epoch(epoch)]
        tokens = np.concatenate([row["tokens"].ravel() for row in rows]) if rows else np.empty(0)
        assert sorted(tokens[tokens > 0]) == list(range(1, array.sum() + 1))
        assert all((row["tokens"] > 0).sum() == (row["segment_ids"] > 0).sum() for row in rows)


@pytest.mark.parametrize("world", [1, 2, 3, 8])
def test_going_on_at_every_pack(world):
    lengths = lognormal(200, 6, most=20)
    words = ops.Ragged(np.arange(lengths.sum()), np.append(0, lengths.cumsum()))
    rows = ops.pack(lengths, 20, 7, shard=(world - 1, world)) | ops.gather(words) | ops.fill(20)
    whole = list(map(plain, rows))
    for k in range(len(whole)):
        it = iter(rows)
        for _ in range(k):
            next(it)
        again = iter(ops.pack(lengths, 20, 7, shard=(0, world)) | ops.gather(words) | ops.fill(20))
        again.load_state_dict(it.state_dict())  # of any rank, of as many
        own = iter(rows)
        own.load_state_dict(again.state_dict())
        assert list(map(plain, own)) == whole[k:]
        assert plain(rows[k]) == whole[k]
    batches = rows | ops.rebatch(8)
    assert len(batches) == -(-len(whole) // 8)
    last = len(batches) - 1
    assert plain(batches[last]["tokens"]) == [row["tokens"][0] for row in whole[8 * last :]]


def test_how_full_packs_are():
    lengths = lognormal(50_000)
    for window, least in ((50_000, 0.995), (10_000, 0.98)):
        packs = ops.pack(lengths, 4096, 7, window)
        assert lengths.sum() / (len(packs) * 4096) >= least


def test_fill_for_kernels_of_attention():
    words = ops.gather(words=WORDS, labels=ops.Ragged.of([[-i for i in part] for part in LISTS]))
    [row] = ops.indices([3, 1, 4]) | words | ops.fill(10, value=-100, cu_seqlens=True)
    assert row["words"].tolist() == [[5, 6, 7, 8, 9, 10, 11, -100, -100, -100]]
    assert row["labels"].tolist() == [[-5, -6, -7, -8, -9, -10, -11, -100, -100, -100]]
    assert row["segment_ids"].tolist() == [[1] * 5 + [3] * 2 + [0] * 3]
    assert row["positions"].tolist() == [[0, 1, 2, 3, 4, 0, 1, 0, 0, 0]]
    assert row["cu_seqlens"].tolist() == [0, 5, 5, 7]
    assert row["cu_seqlens"].dtype == np.int32
    assert row["max_seqlen"] == 5


def test_what_cannot_be_packed_is_refused():
    for act in (lambda: ops.pack([3, 9, 2], 8, 1), lambda: ops.bucket([3, 9, 2], 1, tokens=8)):
        with pytest.raises(ValueError, match=r"sample 1 has 9.*split\(8\).*truncate\(8\).*drop\(8\)"):
            act()
    assert list(map(plain, ops.pack(WORDS, 8, 1))) == list(map(plain, ops.pack(WORDS.lengths, 8, 1)))
    packs = ops.pack([3, 5, 2], 8, 1)
    for stage in (ops.shard(0, 2), ops.chunk(8), ops.merge(2)):
        with pytest.raises(TypeError, match=r"pack\(\.\.\., shard=\(rank, world\)\)"):
            packs | stage
    with pytest.raises(TypeError, match="expected a seed"):
        ops.pack([3], 8, np.random.RandomState(0))
    with pytest.raises(TypeError, match=r"whole numbers >= 0; got <2 float64>"):
        ops.pack(np.array([1.5, 2]), 8, 1)
    with pytest.raises(ValueError, match="sample 1 has -2"):
        ops.bucket([3, -2], 1)
    with pytest.raises(TypeError, match="got both"):
        ops.bucket([3], 1, size=2, tokens=8)
    with pytest.raises(ValueError, match=r"at most 4 tokens in a row; these 2 samples have 8"):
        list(ops.indices([3, 0]) | ops.gather(WORDS) | ops.fill(4))
    with pytest.raises(TypeError, match="a dict of some, as of gather"):
        list(ops.indices([2]) | ops.gather(WORDS, np.arange(5)) | ops.fill(4))
    with pytest.raises(ValueError, match="no part of the name 'positions'"):
        list(ops.indices([2]) | ops.gather(positions=WORDS) | ops.fill(4))
    with pytest.raises(TypeError, match="with an axis of samples; got 1"):
        list(
            packs
            | ops.gather(ops.Ragged.of([[1] * 3, [1] * 5, [1] * 2]))
            | ops.fill(8, cu_seqlens=True)
            | ops.map(lambda row: {"max_seqlen": 1})
            | ops.rebatch(2)
        )


def test_golden_packs():
    lengths = lognormal(30, 6, most=20)
    assert [block.tolist() for block in ops.pack(lengths, 20, 12345, 16)][:3] == GOLDEN_PACKS
    assert [block.tolist() for block in ops.bucket(lengths, 12345, 4, window=8)][:3] == GOLDEN_BUCKETS


GOLDEN_PACKS = [[6, 2], [28, 13, 23], [18, 8, 17, 19]]
GOLDEN_BUCKETS = [[15, 1, 22, 3], [5, 19, 7, 10], [20, 21, 6, 2]]


def test_values_by_name():
    ids, labels = ops.Ragged.of([[1, 2, 3], [4, 5]]), ops.Ragged.of([[7, 8, 9], [7, 8]])
    value = {"input_ids": 0, "labels": -100}
    rows = ops.indices(2) | ops.gather(input_ids=ids, labels=labels)
    row = (rows | ops.fill(6, value=value))[0]
    assert row["input_ids"].tolist() == [[1, 2, 3, 4, 5, 0]]
    assert row["labels"].tolist() == [[7, 8, 9, 7, 8, -100]]
    padded = (rows | ops.pad(value=value))[0]
    assert padded["input_ids"].tolist() == [[1, 2, 3], [4, 5, 0]]
    assert padded["labels"].tolist() == [[7, 8, 9], [7, 8, -100]]
    later = rows | ops.map(lambda batch: batch) | ops.fill(6, value={"input_ids": 0})
    with pytest.raises(
        ValueError, match="expected a value for each part; got 'input_ids', and none for 'labels'"
    ):
        next(iter(later))


@pytest.mark.parametrize(
    "stage", [lambda value: ops.fill(8, value=value), lambda value: ops.pad(value=value)]
)
def test_a_value_is_checked_when_the_stage_is_built(stage):
    for wrong in (None, [0], {"a": None}):
        with pytest.raises(TypeError, match="value: expected a number, or a dict of numbers"):
            stage(wrong)
    rows = ops.indices(2) | ops.gather(a=ops.Ragged.of([np.array([1, 2], np.uint8)] * 2))
    for wrong in (-1, 300, 0.5, float("nan"), "x", {"b": 0}):
        with pytest.raises(ValueError, match="value: expected"):
            rows | stage(wrong)
    for right in (7, 7.0, np.uint8(7), {"a": 7, "b": 8}):
        assert 7 in next(iter(rows | stage(right)))["a"] or "pad" in str(stage(right))
    floats = ops.indices(2) | ops.gather(a=ops.Ragged.of([[0.5], [1.5, 2.5]]))
    assert np.isnan(next(iter(floats | stage(float("nan"))))["a"]).any()


def test_names_that_a_stage_makes_are_refused_when_they_are_known():
    words = ops.Ragged.of([[1], [2]])
    rows = ops.indices(2) | ops.gather(words=words, words_mask=words, positions=words)
    for stage in (ops.pad(mask=True), ops.fill(4)):
        with pytest.raises(
            ValueError, match=r"expected no part of the name '(words_mask|positions)', which it makes"
        ):
            rows | stage
        with pytest.raises(ValueError, match="expected no part of the name"):
            next(iter(rows | ops.map(lambda batch: batch) | stage))
    assert "words_lengths" in next(iter(rows | ops.pad()))


def test_pad_inside_of_nested_batches():
    words = ops.Ragged.of([[1], [2, 3]])
    source = ops.indices(2) | ops.gather(words, np.arange(2))
    [(padded, lengths, y), other] = next(
        iter(ops.zip(source, [np.arange(2)], flatten=False) | ops.pad())
    )
    assert (padded.tolist(), lengths.tolist(), y.tolist()) == ([[1, 0], [2, 3]], [1, 2], [0, 1])
    assert other.tolist() == [0, 1]
    nested = next(iter(source | ops.map(lambda a, b: {"in": (a, {"deep": a}), "y": b}) | ops.pad()))
    assert [part.tolist() for part in nested["in"][:2]] == [[[1, 0], [2, 3]], [1, 2]]
    assert nested["in"][2]["deep_lengths"].tolist() == [1, 2]
    with pytest.raises(
        TypeError, match="expected a Ragged among the parts of the batch; got <2 int64>"
    ):
        next(iter(ops.indices(2) | ops.gather(np.arange(2)) | ops.pad()))


@pytest.mark.parametrize(
    ("stage", "text"),
    [
        (ops.pad(to=8, value=-1, mask=True), "pad(to=8, value=-1, mask=True)"),
        (ops.pad(multiple=4), "pad(multiple=4)"),
        (ops.pad(), "pad()"),
        (ops.pad(value=0.0), "pad(value=0.0)"),
        (ops.fill(8, value={"a": 1}, cu_seqlens=True), "fill(8, value={'a': 1}, cu_seqlens=True)"),
        (ops.fill(8), "fill(8)"),
    ],
)
def test_reprs_have_all_options(stage, text):
    assert repr(stage) == text


def test_a_mask_of_samples_has_one_value_for_each():
    words = ops.Ragged.of([[1], [2, 3], [4]])
    assert words[np.array([True, False, True])].tolist() == [[1], [4]]
    for wrong in (np.array([True]), np.ones(4, bool), np.ones((3, 1), bool)):
        with pytest.raises(IndexError, match="one value for each of 3 samples; got <"):
            words[wrong]
