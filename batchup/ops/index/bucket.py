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
    """Batches of samples of similar lengths, so that `pad` adds little: a source of index blocks.

    `lengths` are the numbers of tokens of all samples, (n,) whole numbers >= 0, or their `Ragged`. `rng` is a seed. A
    random order of the samples is cut into windows of `window` samples. The samples of a window are sorted by length
    and cut into batches of `size` samples, 64 by default, or into batches of at most `tokens` tokens after padding.
    That happens once for a seed; each pass has the same batches in another order. So each sample comes once in a pass,
    and the length is known. With `indices` (1-D) only these samples come. With `size`, `window` is rounded up to a
    multiple of it, so only the last batch may be short.

    Raises TypeError or ValueError for invalid lengths and seeds, and for a sample of more than `tokens` tokens.

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
