"""bucket: batches of samples of similar lengths."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from batchup import ops

length_lists = st.lists(st.integers(0, 20), max_size=60)


def lognormal(n, mean=512, sigma=0.8, most=4096):
    drawn = np.random.RandomState(0).lognormal(np.log(mean) - sigma**2 / 2, sigma, n)
    return drawn.astype(int).clip(1, most)


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
        spans = sorted((min(own), max(own)) for own in ([lengths[i] for i in block] for block in stream))
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
