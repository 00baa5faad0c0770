"""A shuffle of data in chunks that reads each chunk once: `mix`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from batchup.core.blocks import PlainBlock, as_block, block_array
from batchup.core.checks import describe, whole_number
from batchup.core.grid import chunk_numbers
from batchup.core.randomness import Rng, ShuffleLike, Stateful, as_rng
from batchup.core.sources import Blocks
from batchup.core.stream import Stage, Stream
from batchup.ops.index.chunk import chunk
from batchup.ops.index.merge import OTHER_DRAWS, merge
from batchup.ops.index.reorder import Reorder
from batchup.ops.index.shard import ShardLike, as_shard
from batchup.ops.index.shuffle import Shuffle


def mix(
    rng: ShuffleLike,
    chunks: int | Sequence[int] | NDArray[np.intp],
    window: int,
    *,
    shard: ShardLike = None,
) -> Stage:
    """A shuffle of what lies in chunks that reads each once a pass: `window` chunks at a time are mixed.

    `chunk(chunks) | reorder(rng) | merge(window) | shuffle(rng)`: chunks in a random order, windows of them,
    which are shuffled in memory. `gather` reads the windows, `rebatch(size)` cuts them into batches. `chunks` is how
    many samples a chunk of the arrays has, `X.chunks[0]`, or the number of each, as of row groups. `indices` of some
    of the samples are put together by the chunks that they lie in. `rng` and `shard` are as for `shuffle` and `merge`.

    Where K classes of one size lie in runs, the label entropy of a batch is below a full shuffle's by about
    (K - 1) / (2 ln 2 window) bits (see `survey`, which says it of your labels before anything is read).
    Raises TypeError for a stream of anything but `indices`, and for a generator with `shard`, ValueError for chunks that its indices reach beyond.

    >>> from batchup import ops
    >>> windows = ops.indices(12) | mix(7, chunks=2, window=3)
    >>> list(windows)
    [array([ 9,  8,  3, 10,  2, 11]), array([5, 4, 7, 0, 1, 6])]
    >>> batches = windows | ops.gather(np.arange(12) * 10) | ops.rebatch(4)
    """
    draws = as_rng(rng, "mix")
    window = whole_number(window, "mix: window", least=1)
    sizes = _sizes(chunks)
    index, world = as_shard(shard, "mix: ")
    shown = sizes if isinstance(sizes, int) else describe(sizes)
    text = f"mix({draws}, {shown}, {window}{f', shard=({index}, {world})' * (world > 1)})"
    if world > 1 and isinstance(draws, Stateful):
        raise TypeError(f"{text} {OTHER_DRAWS}")
    return Stage(_mix, draws, sizes, merge(window, shard=(index, world)), text, text=text)


def _sizes(chunks: int | Sequence[int] | NDArray[np.intp]) -> int | NDArray[np.intp]:
    if isinstance(chunks, int | np.integer):
        return whole_number(chunks, "mix: chunks", least=1)
    if not isinstance(chunks, Sequence | np.ndarray):
        wanted = "mix: chunks: expected how many samples a chunk has, a whole number >= 1, or a list of those of all"
        raise TypeError(f"{wanted}; got {describe(chunks)}")
    return np.array(block_array(as_block(chunks, "mix: chunks")))


def _mix(
    stream: Stream, rng: Rng | None, sizes: int | NDArray[np.intp], merging: Stage, text: str
) -> Stream:
    plan = stream.index_plan(text)
    if not isinstance(plan, Blocks):
        raise TypeError(
            f"{text}: expected indices(n) or indices(array) right before it, whose chunks are known; got {stream!r}. "
            "Put repeat behind it"
        )
    blocks = _by_chunk(stream, plan, sizes, text)
    merged = merging(blocks if rng is None else replace(blocks, plan=Reorder(blocks.plan, rng)))
    return merged if rng is None else replace(merged, plan=Shuffle(merged.plan, rng))


def _by_chunk(stream: Stream, plan: Blocks, sizes: int | NDArray[np.intp], text: str) -> Stream:
    """The indices in blocks, one for those of each chunk."""
    if isinstance(sizes, int):
        match plan.given:
            case (range() as block,) if block.start % sizes == 0:
                return chunk(sizes)(stream)
    indices = np.sort(np.concatenate([np.empty(0, np.intp), *map(block_array, plan.given)]))
    ends = sizes if isinstance(sizes, int) else sizes.cumsum()
    total = math.inf if isinstance(ends, int) else int(ends[-1:].sum())
    if len(indices) and indices[-1] >= total:
        raise ValueError(
            f"{text}: expected chunks for all samples, up to {indices[-1]}; they have {total}"
        )
    if not len(indices):
        return replace(stream, plan=Blocks(()))
    numbers = chunk_numbers(indices, ends)
    starts: list[int] = np.flatnonzero(np.diff(numbers, prepend=-1)).tolist()
    whole = [indices[a:b] for a, b in zip(starts, [*starts[1:], len(indices)], strict=True)]
    return replace(stream, plan=Blocks(tuple(map(_run, whole))))


def _run(indices: NDArray[np.intp]) -> PlainBlock:
    """As a range, where they are one."""
    first, last = int(indices[0]), int(indices[-1])
    dense = last - first + 1 == len(indices) and bool((np.diff(indices) == 1).all())
    return range(first, last + 1) if dense else indices.copy()
