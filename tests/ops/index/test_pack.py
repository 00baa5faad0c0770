"""pack: rows of whole samples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchup import ops
from batchup.ops.index.pack import _best_fit
from batchup.testing import plain

length_lists = st.lists(st.integers(0, 20), max_size=60)


def lognormal(n, mean=512, sigma=0.8, most=4096):
    drawn = np.random.RandomState(0).lognormal(np.log(mean) - sigma**2 / 2, sigma, n)
    return drawn.astype(int).clip(1, most)


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


def test_golden_packs():
    lengths = lognormal(30, 6, most=20)
    assert [block.tolist() for block in ops.pack(lengths, 20, 12345, 16)][:3] == GOLDEN_PACKS
    assert [block.tolist() for block in ops.bucket(lengths, 12345, 4, window=8)][:3] == GOLDEN_BUCKETS


GOLDEN_PACKS = [[6, 2], [28, 13, 23], [18, 8, 17, 19]]

GOLDEN_BUCKETS = [[15, 1, 22, 3], [5, 19, 7, 10], [20, 21, 6, 2]]
