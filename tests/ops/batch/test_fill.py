"""fill: rows of tokens."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchup import ops, work_pool
from batchup.testing import plain

LISTS = [[1, 2, 3], [], [4], [5, 6, 7, 8, 9], [10, 11]]

WORDS = ops.Ragged.of(LISTS)

length_lists = st.lists(st.integers(0, 20), max_size=60)


@given(length_lists, st.integers(0, 99), st.integers(1, 30), st.sampled_from([1, 2, 3, 8]))
def test_tokens_in_are_tokens_out_in_equal_steps(lengths, seed, window, world):
    array = np.array(lengths, int)
    words = ops.Ragged(np.arange(array.sum()) + 1, np.append(0, array.cumsum()))
    ranks = [
        ops.pack(words.lengths, 20, seed, window, shard=(rank, world)) | ops.gather(words) | ops.fill(20)
        for rank in range(world)
    ]
    assert len({len(rank) for rank in ranks}) == 1
    for epoch in range(2):
        rows = [row for rank in ranks for row in rank.epoch(epoch)]
        tokens = np.concatenate([row["tokens"].ravel() for row in rows]) if rows else np.empty(0)
        assert sorted(tokens[tokens > 0]) == list(range(1, array.sum() + 1))
        assert all((row["tokens"] > 0).sum() == (row["segment_ids"] > 0).sum() for row in rows)


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
    with pytest.raises(ValueError, match="a part of the name 'positions' already"):
        list(ops.indices([2]) | ops.gather(positions=WORDS) | ops.fill(4))
    with pytest.raises(TypeError, match="whose first axis is that of the samples; got 1"):
        list(
            packs
            | ops.gather(ops.Ragged.of([[1] * 3, [1] * 5, [1] * 2]))
            | ops.fill(8, cu_seqlens=True)
            | ops.map(lambda row: {"max_seqlen": 1})
            | ops.rebatch(2)
        )


def rows_of(lengths, tokens=(), dtype=np.int64):
    """A `Ragged` of samples of these lengths, whose tokens have this shape."""
    ends = np.append(0, np.cumsum(lengths, dtype=int))
    shape = (int(ends[-1]), *tokens)
    return ops.Ragged(np.arange(1, np.prod(shape, dtype=int) + 1).reshape(shape).astype(dtype), ends)


def joined(rows):
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


@given(
    length_lists,
    st.integers(1, 5),
    st.booleans(),
    st.sampled_from([(), (2,)]),
    st.sampled_from(["i4", "f4", "?", "U3"]),
)
def test_several_rows_at_once_are_the_rows(lengths, size, drop_last, tokens, dtype):
    words = rows_of(lengths, tokens, dtype)
    value = {"words": words.values.dtype.type(1), "labels": -1}
    stage = ops.gather(words=words, labels=rows_of(lengths)) | ops.fill(20, value=value)
    packed = ops.pack(words.lengths, 20, 3)
    rows = list(packed | stage)
    expected = [joined(rows[at : at + size]) for at in range(0, len(rows), size)]
    if drop_last and len(rows) % size:
        del expected[-1]
    batches = packed | stage | ops.rebatch(size, drop_last)
    assert len(batches) == len(expected)
    for start in range(len(expected) + 1):
        assert [plain(batch) for batch in batches | ops.skip(start)] == [plain(batch) for batch in expected[start:]]
    for batch in batches:
        for part in batch.values():
            assert part.flags.writeable


def noisy(batch, rng):
    return batch["tokens"] + rng.integers(1000)


def test_noise_behind_several_rows_is_that_of_rows_of_a_pool():
    with work_pool.WorkerThreadPool(2) as pool:
        rows = ops.pack(WORDS, 8, 1) | ops.gather(WORDS) | ops.fill(8)
        noise = ops.rebatch(2) | ops.map(noisy, rng=3)
        assert [plain(b) for b in rows | noise] == [plain(b) for b in rows | ops.parallel(pool) | noise]


def test_an_error_of_several_rows_at_once_names_the_row():
    blocks = [np.array([0, 2]), np.array([1]), np.array([3, 0])]
    with pytest.raises(ValueError, match=r"at most 6 tokens in a row; these 2 samples have 8") as caught:
        list(blocks | ops.gather(WORDS) | ops.fill(6) | ops.rebatch(3))
    notes = "\n".join(caught.value.__notes__)
    assert "in the stage fill(6)" in notes
    assert "at item 2 of" in notes
    assert "samples [3, 0]" in notes
    other = ops.Ragged.of([[1] * len(part) for part in [*LISTS[:-1], []]])
    with pytest.raises(ValueError, match="expected parts with the same lengths; those of 'labels' differ"):
        list([np.array([4])] | ops.gather(words=WORDS, labels=other) | ops.fill(6) | ops.rebatch(3))
