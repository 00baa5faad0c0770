"""shard: the parts of ranks."""

from itertools import chain, product

import numpy as np
import pytest

from batchup import ops
from batchup.data_source import ArrayDataSource, ChoiceDataSource
from batchup.ops.index.shard import part_of


def test_law_6_the_parts_of_a_block_together_are_the_block():
    """Exhaustively for all numbers of samples and of ranks up to 100."""
    for n, count in product(range(101), range(1, 101)):
        parts = [range(n)[part_of(n, index, count)] for index in range(count)]
        assert list(chain.from_iterable(parts)) == list(range(n))
        assert len(parts[0]) - len(parts[-1]) <= 1


@pytest.mark.parametrize("count", [1, 2, 3, 7, 12])
def test_law_6_the_parts_of_a_stream_together_are_the_stream(count):
    """Exhaustively for all numbers of samples and batch sizes up to 20."""
    for n, size in product(range(21), range(1, 21)):
        blocks = ops.indices(n) | ops.chunk(size)
        shards = [blocks | ops.shard(rank, count) for rank in range(count)]
        parts = [list(shard) for shard in shards]
        assert {len(part) for part in parts} == {len(blocks)}
        for whole, *pieces in zip(blocks, *parts, strict=True):
            assert [index for piece in pieces for index in piece] == list(whole)
            sizes = [len(piece) for piece in pieces]
            assert max(sizes) - min(sizes) <= 1
        for shard, part in zip(shards, parts, strict=True):
            assert shard.num_samples == sum(map(len, part))


def test_a_step_is_of_the_same_samples_whatever_the_number_of_ranks():
    blocks = ops.indices(100) | ops.shuffle(7) | ops.chunk(24)
    for count in (1, 3, 8, 24, 30):
        steps = zip(*[blocks | ops.shard(rank, count) for rank in range(count)], strict=True)
        assert [np.concatenate(step).tolist() for step in steps] == [b.tolist() for b in blocks]


def test_consecutive_indices_stay_ranges():
    assert list(ops.indices(10) | ops.chunk(6) | ops.shard(1, 2)) == [range(3, 6), range(8, 10)]


def test_numbers_of_samples():
    endless = ops.indices(10) | ops.repeat(-1) | ops.chunk(6) | ops.shard(1, 2)
    assert endless.num_samples == np.inf
    assert (ops.indices(10) | ops.chunk(6) | ops.take(1) | ops.shard(0, 2)).num_samples == 3
    assert (ops.indices(10) | ops.shard(0, 2)).num_samples == 5
    irregular = [range(3), range(8), range(1)] | ops.shard(0, 2)
    assert irregular.num_samples == 2 + 4 + 1
    assert [list(block) for block in irregular | ops.chunk(4)] == [[0, 1, 0, 1], [2, 3, 0]]
    assert list((irregular | ops.chunk(4))[1]) == [2, 3, 0]


ENVIRONMENTS = [
    ("RANK", "WORLD_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("SLURM_PROCID", "SLURM_NTASKS"),
]


@pytest.fixture
def bare(monkeypatch):
    for name in chain(*ENVIRONMENTS):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize(("rank", "world"), ENVIRONMENTS)
def test_rank_and_world_size_from_the_environment(bare, rank, world):
    bare.setenv(rank, "2")
    bare.setenv(world, "3")
    stage = ops.shard()
    assert repr(stage) == f"shard(2, 3 from {rank})"
    assert list(ops.indices(7) | stage) == [range(5, 7)]


def test_the_first_environment_wins(bare):
    for n, (rank, world) in enumerate(ENVIRONMENTS):
        bare.setenv(rank, str(n))
        bare.setenv(world, "5")
    assert repr(ops.shard()) == "shard(0, 5 from RANK)"


def test_no_environment_or_a_broken_one(bare):
    with pytest.raises(ValueError, match=r"RANK, WORLD_SIZE; OMPI.*None is set"):
        ops.shard()
    bare.setenv("RANK", "1")
    with pytest.raises(ValueError, match="None is set"):
        ops.shard()
    bare.setenv("WORLD_SIZE", "two")
    with pytest.raises(ValueError, match=r"expected whole numbers in RANK and WORLD_SIZE; got \['1', 'two'\]"):
        ops.shard()
    bare.setenv("WORLD_SIZE", "")  # set wrongly, so no other variables are asked
    bare.setenv("SLURM_PROCID", "0")
    bare.setenv("SLURM_NTASKS", "1")
    with pytest.raises(ValueError, match=r"in RANK and WORLD_SIZE; got \['1', ''\]"):
        ops.shard()


@pytest.mark.parametrize(
    ("args", "error", "text"),
    [
        ((2, 2), ValueError, "expected an index below the count, 2; got 2"),
        ((-1, 2), ValueError, "shard: index: expected a whole number >= 0; got -1"),
        ((0, 0), ValueError, "shard: count: expected a whole number >= 1; got 0"),
        ((0.0, 1), TypeError, "shard: index"),
        ((0,), TypeError, "shard: count: .*got None"),
        ((None, 2), TypeError, "shard: index: .*got None"),
    ],
)
def test_what_is_no_part(args, error, text):
    with pytest.raises(error, match=text):
        ops.shard(*args)


def test_only_index_blocks_have_parts():
    with pytest.raises(TypeError, match="shard: expected a stream of index blocks, before any gather"):
        ops.indices(3) | ops.gather(np.arange(3)) | ops.shard(0, 2)


def test_ranks_that_would_take_different_numbers_of_steps_are_refused_all_alike():
    def part(rank, world):
        return ops.indices(100) | ops.chunk(5) | ops.shard(rank, world)

    for rank in range(2):
        with pytest.raises(TypeError, match=r"different numbers of steps: put chunk\(6\) before shard"):
            part(rank, 2) | ops.chunk(6)
        assert len(ops.indices(100) | ops.chunk(6) | ops.shard(rank, 2)) == 17  # the remedy
        assert len(part(rank, 5) | ops.chunk(6)) == 4  # all have 20
        assert len(ops.indices(100) | ops.shard(rank, 3) | ops.chunk(40)) == 1
    for rank in range(3):  # of which the last has no samples
        assert len(list(ops.indices(2) | ops.shard(rank, 3) | ops.repeat(-1) | ops.take(2))) == 2


def test_members_of_a_choice_are_the_same_for_all_ranks():
    def stream(rank):
        sources = [ArrayDataSource([np.arange(4)]), ArrayDataSource([np.arange(6)])]
        return ChoiceDataSource(sources).stream(2, shard=(rank, 3), drop_last=True)

    assert [len(stream(rank)) for rank in range(3)] == [4, 4, 4]
