"""A shuffle of data in chunks that reads each chunk once: `mix`."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.core.blocks import PlainBlock, as_block, block_array
from batchup.core.checks import byte_count, call_text, describe, whole_number
from batchup.core.grid import chunk_numbers
from batchup.core.randomness import Rng, ShuffleLike, Stateful, as_rng
from batchup.core.sources import Blocks
from batchup.core.stream import Stage, Stream
from batchup.ops.index.chunk import chunk
from batchup.ops.index.merge import OTHER_DRAWS, merge
from batchup.ops.index.reorder import Reorder
from batchup.ops.index.shard import ShardLike, as_shard, shown_shard
from batchup.ops.index.shuffle import Shuffle


def mix(
    rng: ShuffleLike,
    chunks: int | Sequence[int] | NDArray[np.intp] | Any,
    window: int | str,
    *,
    shard: ShardLike = None,
) -> Stage:
    """Shuffle data that is stored in chunks, and read each chunk once a pass.

    It is `chunk(chunks) | reorder(rng) | merge(window) | shuffle(rng)`: the chunks come in a random order, `window` of
    them are joined, and the samples of such a window are shuffled in memory. Put `gather` behind it, which reads a
    window at a time, and `rebatch(size)`, which cuts the windows into batches.

    If K classes of equal size lie in runs, the label entropy of a batch is about (K - 1) / (2 ln 2 window) bits below
    that of a full shuffle. `survey` predicts it for your labels before anything is read.

    Parameters
    ----------
    rng : int, sequence of int, Generator, RandomState, True, None or False
        As for `shuffle`.
    chunks : int, sequence of int, or array with chunks
        The number of samples in a chunk, such as `X.chunks[0]`, or the numbers of all chunks, as for row groups; or the
        array or table itself, which has chunks. If the stream has a part of the samples, they are grouped by the chunk
        that they lie in.
    window : int or str
        The number of chunks that are mixed at a time. With an array as `chunks` it may be memory, such as `"200MB"`: as
        many chunks as fit.
    shard : (rank, world), () or None
        As for `merge`: each rank has its own windows.

    Returns
    -------
    Stage
        Gives windows: index blocks of up to `chunks * window` samples.

    Raises
    ------
    TypeError
        If the stream before it is not `indices`, and for a generator with `shard`.
    ValueError
        If the indices reach beyond the chunks.

    Examples
    --------
    >>> from batchup import ops
    >>> windows = ops.indices(12) | mix(7, chunks=2, window=3)
    >>> list(windows)
    [array([ 9,  8,  3, 10,  2, 11]), array([5, 4, 7, 0, 1, 6])]
    >>> batches = windows | ops.gather(np.arange(12) * 10) | ops.rebatch(4)
    """
    draws = as_rng(rng, "mix")
    own = getattr(chunks, "chunks", chunks)
    # Those of h5py and zarr are the shape of a chunk.
    sizes = _sizes(own[0] if own is not chunks and isinstance(own, tuple) else own)
    if isinstance(window, str):
        window = _fitting(byte_count(window, "mix: window"), chunks, sizes)
    window = whole_number(window, "mix: window", least=1)
    index, world = as_shard(shard, "mix: ")
    text = call_text("mix", draws, describe(sizes), window, shard=shown_shard(index, world))
    if world > 1 and isinstance(draws, Stateful):
        raise TypeError(f"{text} {OTHER_DRAWS}")
    return Stage(_mix, draws, sizes, merge(window, shard=(index, world)), text, text=text)


def _fitting(memory: int, array: Any, sizes: int | NDArray[np.intp]) -> int:
    """The number of chunks of an array that fit into so many bytes."""
    a_sample = getattr(array, "bytes_a_sample", None)
    if a_sample is None:
        shape, dtype = getattr(array, "shape", None), getattr(array, "dtype", None)
        if shape is None or dtype is None:
            raise TypeError(
                "mix: window: expected a number of chunks; memory needs the array or table itself in place of its chunks: "
                'mix(seed, X, window="200MB")'
            )
        a_sample = np.dtype(dtype).itemsize * math.prod(shape[1:])
    return chunks_that_fit(memory, sizes, a_sample)


def chunks_that_fit(memory: int, sizes: int | NDArray[np.intp], bytes_a_sample: float) -> int:
    """The number of chunks that fit into so many bytes, at least one; each counts as the largest."""
    return max(1, int(memory / (int(np.max(sizes, initial=1)) * max(1, bytes_a_sample))))


def _sizes(chunks: Any) -> int | NDArray[np.intp]:
    if isinstance(chunks, int | np.integer):
        return whole_number(chunks, "mix: chunks", least=1)
    if not isinstance(chunks, Sequence | np.ndarray):
        wanted = "mix: chunks: expected the number of samples in a chunk, >= 1, or a list of the numbers of all chunks"
        raise TypeError(f"{wanted}; got {describe(chunks)}")
    return np.array(block_array(as_block(chunks, "mix: chunks")))


def _mix(stream: Stream, rng: Rng | None, sizes: int | NDArray[np.intp], merging: Stage, text: str) -> Stream:
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
    """The indices in blocks, one for each chunk."""
    if isinstance(sizes, int):
        match plan.blocks:
            case (range() as block,) if block.start % sizes == 0:
                return chunk(sizes)(stream)
    if (runs := _runs(plan, sizes)) is not None:
        return replace(stream, plan=Blocks(runs))
    indices = np.sort(np.concatenate([np.empty(0, np.intp), *map(block_array, plan.blocks)]))
    ends = sizes if isinstance(sizes, int) else sizes.cumsum()
    total = math.inf if isinstance(ends, int) else int(ends[-1:].sum())
    if len(indices) and indices[-1] >= total:
        raise ValueError(f"{text}: expected chunks for all samples, up to {indices[-1]}; they have {total}")
    if not len(indices):
        return replace(stream, plan=Blocks(()))
    numbers = chunk_numbers(indices, ends)
    starts: list[int] = np.flatnonzero(np.diff(numbers, prepend=-1)).tolist()
    whole = [indices[a:b] for a, b in zip(starts, [*starts[1:], len(indices)], strict=True)]
    return replace(stream, plan=Blocks(tuple(map(_run, whole))))


def _runs(plan: Blocks, sizes: int | NDArray[np.intp]) -> tuple[range, ...] | None:
    """The parts of a range of indices that lie in one chunk each; None if the indices are no range, or reach beyond."""
    match plan.blocks:
        case (range() as block,) if block and not isinstance(sizes, int):
            ends = sizes.cumsum().tolist()
            if not ends or block.stop > ends[-1]:
                return None
            parts = (range(max(a, block.start), min(b, block.stop)) for a, b in pairwise([0, *ends]))
            return tuple(part for part in parts if part)
    return None


def _run(indices: NDArray[np.intp]) -> PlainBlock:
    """The indices as a range, if they are consecutive."""
    first, last = int(indices[0]), int(indices[-1])
    dense = last - first + 1 == len(indices) and bool((np.diff(indices) == 1).all())
    return range(first, last + 1) if dense else indices.copy()
