"""Batches of samples of similar lengths: `bucket`."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchup.core.checks import describe, whole_number
from batchup.core.randomness import SeedLike, as_seed
from batchup.core.stream import Stream
from batchup.ops.index.groups import Grouped, Lengths, as_lengths, check_longest, grouped, subset_text
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
    """Batches of samples of like lengths, so that `pad` adds little: a source, of index blocks.

    `lengths` are the numbers of tokens of all samples, (n,) whole numbers >= 0, or their `Ragged`; `rng` is a
    seed. A random order of the samples is cut into windows of `window`; in each they are sorted by length, and cut into
    batches of `size`, 64 by default, or into such that are no more than `tokens` once they are padded. That is done
    once for a seed; each pass has the batches in an order of its own. So each sample comes once in a pass, and the
    length is known. With `indices` (1-D) only those samples come. Of a `size`, windows have a whole number of batches:
    only the last may be short.

    Raises TypeError or ValueError for what are no lengths, no seed, and for a sample of more than `tokens`.

    >>> from batchup import ops
    >>> lengths = np.array([3, 9, 1, 8, 2, 7])
    >>> [lengths[block].tolist() for block in bucket(lengths, 5, size=2)]
    [[8, 9], [3, 7], [1, 2]]
    >>> [lengths[block].tolist() for block in bucket(lengths, 5, tokens=9)]
    [[8], [7], [1, 2, 3], [9]]
    """
    given, chosen = as_lengths(lengths, indices, "bucket")
    seed = as_seed(rng, "bucket")
    if size is not None and tokens is not None:
        raise TypeError(
            "bucket: expected size=, samples a batch, or tokens=, padded tokens a batch; got both"
        )
    window = whole_number(window, "bucket: window", least=1)
    if tokens is None:
        size = whole_number(64 if size is None else size, "bucket: size", least=1)
        window = -(-window // size) * size
        how = f"size={size}"
    else:
        tokens = whole_number(tokens, "bucket: tokens", least=1)
        check_longest(given, chosen, tokens, "bucket: tokens")
        how = f"tokens={tokens}"

    def by_length(own: Lengths) -> Grouped:
        order = own.argsort(kind="stable")
        if size is not None:
            return order, np.arange(size, len(own) + size, size).clip(max=len(own))
        assert tokens is not None
        return order, _padded_cuts(own[order], tokens)

    groups = grouped(given, chosen, seed, window, by_length)
    text = f"bucket({describe(given)}, {seed}, {how}, window={window}{subset_text(indices)})"
    return Stream(Reorder(groups, seed), text=text)


def _padded_cuts(lengths: Lengths, tokens: int) -> NDArray[np.int64]:
    """Where to cut lengths that don't decrease, so that no part has more than so many tokens once it is padded."""
    cuts, start, n = [], 0, len(lengths)
    while start < n:
        # Of samples up to one of length l there may be tokens // l: the more, the longer the last is.
        room = np.arange(1, min(n - start, tokens) + 1) * lengths[start : start + tokens]
        start += max(1, int(np.searchsorted(room, tokens, side="right")))
        cuts.append(start)
    return np.array(cuts, np.int64)
