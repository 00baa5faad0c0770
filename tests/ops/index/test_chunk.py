"""chunk: what the laws don't check."""

import pickle
import tracemalloc
from itertools import chain, product, repeat

import numpy as np
import pytest

from batchup import ops
from batchup.core.blocks import LazyPart
from batchup.core.randomness import Seed
from batchup.ops.index import chunk, permutation
from batchup.ops.index.permutation import PermutedBlock, round_keys
from batchup.testing import plain


def lists(stream):
    return [list(block) for block in stream]


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("size", range(1, 8))
def test_chunks_of_all_small_blocks(size, drop_last):
    for lengths in product(range(4), repeat=3):
        ends = np.cumsum(lengths)
        blocks = [np.arange(end - n, end) for n, end in zip(lengths, ends, strict=True)]
        n = int(ends[-1])
        cut = [list(range(i, min(i + size, n))) for i in range(0, n, size)]
        expected = [block for block in cut if len(block) == size or not drop_last]
        stream = blocks | ops.chunk(size, drop_last)
        assert lists(stream) == expected
        assert len(stream) == len(expected)
        for k, block in enumerate(expected):
            assert list(stream[k]) == block


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("sizes", [*product((1, 2, 4), repeat=2), (3, 1, 2), (2, 5, 1)])
def test_sizes_one_after_another(sizes, drop_last):
    for lengths in product(range(4), repeat=3):
        ends = np.cumsum(lengths)
        blocks = [np.arange(end - n, end) for n, end in zip(lengths, ends, strict=True)]
        left = list(range(ends[-1]))
        expected = []
        for size in chain(sizes, repeat(sizes[-1])):
            if not left or (drop_last and len(left) < size):
                break
            expected.append(left[:size])
            left = left[size:]
        stream = blocks | ops.chunk(sizes, drop_last)
        assert lists(stream) == expected
        assert len(stream) == len(expected)
        assert stream.num_samples == sum(map(len, expected))
        for k, block in enumerate(expected):
            assert list(stream[k]) == block


def test_a_schedule_begins_anew_in_each_pass_unless_the_passes_are_cut_as_one():
    indices = ops.indices(5)
    assert list(map(len, indices | ops.chunk([1, 3]) | ops.repeat(2))) == [1, 3, 1, 1, 3, 1]
    assert list(map(len, indices | ops.repeat(2) | ops.chunk([1, 3]))) == [1, 3, 3, 3]
    assert list(map(len, ops.sample(np.ones(4), 7) | ops.chunk([1, 3]) | ops.take(3))) == [1, 3, 3]


def test_a_schedule_of_a_huge_order_reads_no_more_than_its_blocks():
    schedule = ops.indices(10**12) | ops.permute(7) | ops.chunk(np.array([2, 3]))
    assert [len(block) for block in schedule | ops.take(3)] == [2, 3, 3]
    assert repr(schedule) == "indices(1000000000000) | permute(7) | chunk([2, 3])"
    assert np.array_equal(schedule[10**11], next(iter(schedule | ops.skip(10**11))))


def test_bad_schedules():
    with pytest.raises(ValueError, match=r"chunk\(sizes\): size 1: expected a whole number >= 1; got 0"):
        ops.chunk([4, 0])
    with pytest.raises(ValueError, match=r"chunk\(sizes\): expected one size at least; got an empty list"):
        ops.chunk([])


def test_consecutive_indices_stay_ranges():
    assert list(ops.indices(10) | ops.chunk(4) | ops.chunk(6)) == [range(6), range(6, 10)]
    assert list(ops.indices(10) | ops.skip(0) | ops.chunk(10)) == [range(10)]
    mixed = [range(3), np.array([7, 8])] | ops.chunk(4)
    assert lists(mixed) == [[0, 1, 2, 7], [8]]


def test_drop_last_of_what_is_endless_or_divides():
    assert len(ops.indices(8) | ops.chunk(4, drop_last=True)) == 2
    assert (ops.indices(8) | ops.repeat(-1) | ops.chunk(3, drop_last=True))[5] is not None


@pytest.mark.parametrize(
    ("size", "error"), [(0, ValueError), (-1, ValueError), (2.0, TypeError), ("3", TypeError), (True, TypeError)]
)
def test_bad_sizes(size, error):
    with pytest.raises(error, match=r"chunk\(size\): expected a whole number >= 1; got"):
        ops.chunk(size)


def test_bad_options():
    with pytest.raises(TypeError, match="chunk: drop_last: expected True or False; got 5"):
        ops.chunk(3, drop_last=5)
    for stage, name in ((ops.skip, "skip"), (ops.take, "take")):
        with pytest.raises(ValueError, match=rf"{name}\(count\): expected a whole number >= 0; got -1"):
            stage(-1)
        with pytest.raises(TypeError, match=rf"{name}\(count\): .*got 1.5"):
            stage(1.5)


def test_only_index_blocks_are_cut():
    with pytest.raises(
        TypeError, match="chunk: expected a stream of index blocks, before any gather, map, zip or choose"
    ):
        ops.indices(3) | ops.map(len) | ops.chunk(2)


def peak(run):
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_huge_pipelines_take_constant_memory():
    def run():
        list(ops.indices(10**12) | ops.chunk(64) | ops.take(3))
        list(ops.indices(10**12) | ops.chunk(64) | ops.skip(10**9) | ops.take(3))

    run()
    assert peak(run) < 20_000


@pytest.mark.parametrize("rng", [7, np.random.RandomState(7)])
@pytest.mark.parametrize("size", [64, 1000])
def test_an_epoch_takes_one_index_array_a_pass(rng, size):
    n = 200_000
    X = np.zeros(n, np.int8)
    stream = ops.indices(n) | ops.shuffle(rng) | ops.repeat(3) | ops.chunk(size) | ops.gather(X)

    def run():
        for _ in stream:
            pass

    run()
    assert peak(run) < 8 * n * 1.1 + 50_000


def test_a_stride_of_the_source_does_not_keep_it_in_memory():
    [first, *_] = ops.indices(10**6) | ops.shuffle(1) | ops.chunk(3) | ops.take(1) | ops.gather(np.arange(10**6))
    assert first[0].base is None or first[0].base.nbytes < 200


def test_only_the_first_chunk_says_how_many_are_drawn_at_a_time():
    for source in (ops.stratify(np.arange(30) % 3, 5), ops.sample(np.ones(30), 5)):
        sixes = [plain(block) for block in source | ops.chunk(6) | ops.take(4)]
        threes = [plain(block) for block in source | ops.chunk(6) | ops.chunk(3) | ops.take(8)]
        assert threes == [part for block in sixes for part in (block[:3], block[3:])]


def test_blocks_without_samples_now_and_then_are_no_end():
    stream = ops.indices(10) | ops.chunk(4) | ops.repeat(-1) | ops.shard(3, 4) | ops.chunk(8)
    assert len(stream[100_000]) == 8  # one block of three has no sample for this rank
    assert len(list(stream | ops.take(6000))) == 6000


def test_blocks_without_samples_for_ever_are_refused_when_it_is_built():
    small = ops.indices(2) | ops.repeat(-1) | ops.shard(3, 4)
    with pytest.raises(ValueError, match=r"chunk: the first 10000 blocks of .* have no samples"):
        small | ops.chunk(8)


def test_many_blocks_without_samples_before_the_first_are_no_end():
    blocks = [*[np.array([], int)] * 1500, np.arange(3)] | ops.repeat(-1)
    assert [block.tolist() for block in blocks | ops.chunk(2) | ops.take(2)] == [[0, 1], [2, 0]]


def test_a_schedule_goes_on_over_blocks_whose_places_are_unknown():
    """It went on as if all blocks had the last size."""
    stream = ops.indices(9) | ops.where(np.arange(9) != 4) | ops.shuffle(3) | ops.where(np.arange(9) != 5)
    batches = stream | ops.chunk([1, 2, 3])
    expected = [block.tolist() for block in batches]
    assert [list(map(len, expected)), sorted(np.concatenate(list(batches)))] == [[1, 2, 3, 1], [0, 1, 2, 3, 6, 7, 8]]
    for k in range(5):
        assert [block.tolist() for block in batches | ops.skip(k)] == expected[k:]


@pytest.mark.parametrize("size", [3, 4, 7, 50])
def test_large_blocks_of_a_permutation_are_computed_by_parts(size, monkeypatch):
    streams = [
        ops.indices(23) | ops.permute(7) | ops.chunk(size),
        ops.indices(23) | ops.chunk(11) | ops.permute(7) | ops.chunk(size) | ops.repeat(2),
        ops.indices(23) | ops.permute(7) | ops.chunk(size, drop_last=True),
        ops.indices(23) | ops.permute(7) | ops.chunk([2, size]) | ops.chunk(5),
    ]
    stages = [ops.take(9), ops.shard(1, 3), ops.shuffle(3), ops.gather(np.arange(23), np.arange(23)), ops.skip(1)]
    made = [stream | stage for stream in streams for stage in stages]
    monkeypatch.setattr(chunk, "_LARGE", 99)
    expected = [[plain(item) for item in stream] for stream in made]
    monkeypatch.setattr(chunk, "_LARGE", 3)
    for stream, items in zip(made, expected, strict=True):
        assert [plain(item) for item in stream] == items
        for k in range(len(items)):
            assert [plain(item) for item in stream | ops.skip(k)] == items[k:]
    block = next(iter(pickle.loads(pickle.dumps(streams[0] | ops.take(1)))))
    np.testing.assert_array_equal(block, expected[0][0])


def test_a_slice_of_a_part_is_that_of_the_array():
    block = PermutedBlock(range(10, 30), round_keys(Seed((1,)), 0))
    part, array = LazyPart(block, 4, 13), block[4:13]
    for start, stop, step in product([None, 0, 2, 8, 20, -3], [None, 0, 3, 9, 20, -1], [None, 1, 2, -1, -2]):
        np.testing.assert_array_equal(part[start:stop:step], array[start:stop:step])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(part))[:], array)


def test_a_rank_computes_its_own_part_alone(monkeypatch):
    computed = []
    own = permutation.permuted
    monkeypatch.setattr(
        permutation, "permuted", lambda places, n, keys: computed.append(len(places)) or own(places, n, keys)
    )
    batches = ops.indices(10**9) | ops.permute(7) | ops.chunk(64 * 1024) | ops.shard(512, 1024)
    assert [len(block) for block in batches | ops.take(5)] == [64] * 5
    assert computed == [64] * 5
