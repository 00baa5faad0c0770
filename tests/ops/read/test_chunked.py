"""Arrays in chunks: which slices are read, and the cache."""

from collections import Counter
from typing import ClassVar

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from batchup import ops, work_pool
from batchup.testing import plain
from tests.ops.read.stored import BLOCKS, N, X, read


class Chunked:
    """Stands for a store: counts the chunks that are decoded, as each part of a slice decodes them."""

    def __init__(self, array, chunks):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.chunks = (chunks, *array.shape[1:])
        sizes = chunks if isinstance(chunks, tuple) else ()
        self.ends = np.cumsum(sizes) if sizes else np.arange(chunks, len(array) + chunks, chunks)
        self.decoded = Counter()

    def __getitem__(self, part):
        assert isinstance(part, slice), f"not by slices, but by {part!r}"
        start, stop, _ = part.indices(len(self.array))
        first, last = self.ends.searchsorted([start, stop - 1], side="right")
        self.decoded.update(range(first, last + 1) if stop > start else [])
        return self.array[part]


@given(
    st.one_of(st.integers(1, 120), st.lists(st.integers(0, 30), min_size=1).map(tuple)),
    st.lists(st.integers(0, N - 1), max_size=40),
    st.sampled_from([0, 400, 10**6]),
)
def test_whatever_has_chunks_is_read_by_slices_each_once(chunks, block, cache):
    if isinstance(chunks, tuple):
        chunks = (*chunks, N - sum(chunks)) if sum(chunks) <= N else (N,)
    store = Chunked(X, chunks)
    assert plain(read(store, block, cache=cache)) == X[np.array(block, int)].tolist()
    assert set(store.decoded.values()) <= {1}


def test_chunks_that_are_not_of_the_array_are_refused():
    with pytest.raises(ValueError, match="expected chunks of 103 samples in all; they have 30"):
        ops.gather(Chunked(X, (10, 20)))


@pytest.mark.parametrize("chunks", [10, (20, 3, 40, 40)])
@pytest.mark.parametrize("window", [1, 3, 100])
def test_each_chunk_is_decoded_once_a_pass(chunks, window):
    store = Chunked(X, chunks)
    batches = ops.indices(N) | ops.mix(7, chunks, window) | ops.gather(store, np.arange(N)) | ops.rebatch(8)
    seen = np.concatenate([y for _, y in batches])
    assert sorted(seen.tolist()) == list(range(N))
    assert set(store.decoded.values()) == {1}
    assert len(store.decoded) == len(store.ends)


def test_a_cache_keeps_chunks_that_lie_elsewhere():
    X_stored, y_stored = Chunked(X, 10), Chunked(np.arange(N), 40)
    windows = ops.indices(N) | ops.mix(7, 10, 2)
    list(windows | ops.gather(X_stored, y_stored))
    assert set(X_stored.decoded.values()) == {1}
    assert max(y_stored.decoded.values()) > 1
    X_stored.decoded.clear(), y_stored.decoded.clear()
    list(windows | ops.gather(X_stored, y_stored, cache=10**6))
    assert {*X_stored.decoded.values(), *y_stored.decoded.values()} == {1}


def test_a_cache_is_shared_by_the_threads_of_a_pool():
    store = Chunked(X, 10)
    with work_pool.WorkerThreadPool(4) as pool:
        stream = ops.indices(N) | ops.shuffle(1) | ops.chunk(5) | ops.gather(store, cache=10**6)
        assert list(map(plain, stream | ops.parallel(pool))) == [
            (X[block].tolist(),) for block in ops.indices(N) | ops.shuffle(1) | ops.chunk(5)
        ]
    assert set(store.decoded.values()) == {1}


def test_what_cannot_be_read_is_asked_for_again():
    class Failing(Chunked):
        fails = True

        def __getitem__(self, part):
            if self.fails:
                raise OSError("unreadable")
            return super().__getitem__(part)

    store = Failing(X, 10)
    stream = ops.indices(N) | ops.chunk(5) | ops.gather(store, cache=10**6)
    with pytest.raises(OSError, match="unreadable"):
        stream[0]
    store.fails = False
    assert plain(stream[0]) == (X[:5].tolist(),)


zarr.zeros(1)[:]  # starts the thread that zarr keeps for ever


def test_zarr(tmp_path):
    class Counting(zarr.storage.LocalStore):
        asked: ClassVar = Counter()

        async def get(self, key, *args, **kwargs):
            self.asked[key] += "/c/" in f"/{key}"
            return await super().get(key, *args, **kwargs)

    store = Counting(tmp_path)
    made = zarr.create_array(store, shape=X.shape, chunks=(10, 3, 2), dtype=X.dtype)
    made[:] = X
    store.asked.clear()
    for block in BLOCKS:
        assert plain(read(made, block)) == X[np.array(block, int)].tolist()
    store.asked.clear()
    batches = ops.indices(N) | ops.mix(7, 10, 3) | ops.gather(made) | ops.rebatch(8)
    assert sum(len(batch) for (batch,) in batches) == N
    read_of = {key: n for key, n in store.asked.items() if n}
    assert len(read_of) == 11
    assert set(read_of.values()) == {1}


def test_a_window_is_read_again_where_it_was_cut():
    store = Chunked(X, 10)
    batches = ops.indices(N) | ops.mix(7, 10, 2) | ops.gather(store, np.arange(N)) | ops.rebatch(8)
    whole = [plain(batch) for batch in batches]
    store.decoded.clear()
    for k in range(len(whole) + 1):
        it = iter(batches)
        for _ in range(k):
            next(it)
        again = iter(batches)
        again.load_state_dict(it.state_dict())
        del it
        before = set(store.decoded)
        store.decoded.clear()
        assert list(map(plain, again)) == whole[k:]
        assert len(before & set(store.decoded)) <= 4  # of two windows
        store.decoded.clear()
