"""Batches of samples of similar lengths: `bucket`."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchup.core.checks import call_text, describe, whole_number
from batchup.core.randomness import SeedLike, as_seed
from batchup.core.stream import Stream
from batchup.ops.index.groups import Grouped, Lengths, as_lengths, check_longest, grouped, shown_indices
from batchup.ops.index.reorder import Reorder
from batchup.ragged import Ragged


def bucket(
    lengths: ArrayLike | Ragged,
    rng: SeedLike,
    size: int | None = None,
    tokens: int | None = None,
    window: int = 6400,
    indices: ArrayLike | None = None,
) -> Stream:
    """Batches of samples of similar lengths, so that `pad` adds little.

    A random order of the samples is cut into windows of `window` samples. The samples of a window are sorted by length,
    and cut into batches. That happens once for a seed; each pass has the same batches in another order. So each sample
    comes once in a pass, and the number of batches is known.

    Parameters
    ----------
    lengths : (n,) array of int, or Ragged
        The number of tokens of each sample, >= 0, or the samples themselves.
    rng : int or sequence of int
        A seed.
    size : int or None
        The number of samples in a batch. Without `size` and `tokens` it is 64.
    tokens : int or None
        In place of `size`: the largest number of tokens in a batch after padding.
    window : int
        The number of samples that are sorted at a time. With `size` it is rounded up to a multiple of `size`, so that
        only the last batch may be short.
    indices : 1-D array of int, mask, or None
        If given, only these samples come.

    Returns
    -------
    Stream
        Index blocks, a batch each.

    Raises
    ------
    TypeError
        If lengths or the seed are of another type, or if both `size` and `tokens` are given.
    ValueError
        If lengths are negative, or if a sample has more than `tokens` tokens.

    Examples
    --------
    >>> from batchup import ops
    >>> lengths = np.array([3, 9, 1, 8, 2, 7])
    >>> [lengths[block].tolist() for block in bucket(lengths, 5, size=2)]
    [[8, 9], [3, 7], [1, 2]]
    >>> [lengths[block].tolist() for block in bucket(lengths, 5, tokens=9)]
    [[8], [7], [1, 2, 3], [9]]
    """
    checked, chosen = as_lengths(lengths, indices, "bucket")
    seed = as_seed(rng, "bucket")
    if size is not None and tokens is not None:
        raise TypeError("bucket: expected size=, samples a batch, or tokens=, padded tokens a batch; got both")
    window = whole_number(window, "bucket: window", least=1)
    if tokens is None:
        size = whole_number(64 if size is None else size, "bucket: size", least=1)
        window = -(-window // size) * size
    else:
        tokens = whole_number(tokens, "bucket: tokens", least=1)
        check_longest(checked, chosen, tokens, "bucket: tokens")

    def by_length(own: Lengths) -> Grouped:
        order = own.argsort(kind="stable")
        if size is not None:
            return order, np.arange(size, len(own) + size, size).clip(max=len(own))
        assert tokens is not None
        return order, _padded_cuts(own[order], tokens)

    groups = grouped(checked, chosen, seed, window, by_length)
    options = {"size": size, "tokens": tokens, "window": window, "indices": shown_indices(indices)}
    text = call_text("bucket", describe(checked), seed, **options)
    return Stream(Reorder(groups, seed), text=text)


def _padded_cuts(lengths: Lengths, tokens: int) -> NDArray[np.int64]:
    """Where to cut non-decreasing lengths, so that no part has more than `tokens` tokens after padding."""
    cuts, start, n = [], 0, len(lengths)
    while start < n:
        # The sum of n padded samples is n times the length of the last one.
        room = np.arange(1, min(n - start, tokens) + 1) * lengths[start : start + tokens]
        start += max(1, int(np.searchsorted(room, tokens, side="right")))
        cuts.append(start)
    return np.array(cuts, np.int64)
