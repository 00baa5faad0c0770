"""Read the samples of index blocks from arrays: `gather`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.core.blocks import Block, block_array
from batchup.core.checks import describe, listed, shortened, whole_number
from batchup.core.record import record
from batchup.core.stream import Stage, Stream
from batchup.core.work import Step
from batchup.ops.index.mixing import warn_of_runs
from batchup.ops.read.chunked import ChunkCache, Stored
from batchup.ops.read.reader import Read, aligned_reader, readable, reader


def gather(*arrays: Any, include_indices: bool = False, cache: int = 0, **named: Any) -> Stage:
    """Read the samples of each index block: a tuple with one array an argument, or a dict.

    An array is a NumPy array of any strides and dtype, a memory map among them, or anything with
    `__len__` and `__getitem__` that takes a 1-D integer array, or a list of numbers or of arrays of
    one shape; or a PyTorch tensor on the CPU or a JAX array, whose memory is read as NumPy's is; or a table,
    of pandas, polars, Arrow or Hugging Face, whose samples are a dict of arrays, by the names of the columns.
    What comes are NumPy arrays in any case; see `to_torch` and `to_jax`. Sample i is `array[i]`; a block
    of b indices gives an array of shape (b, ...), its own memory, writable; of an object array, new
    references to the same objects, but copies of those that are arrays. `gather(image=X, label=y)` gives dicts. With `include_indices` the block comes
    first, as an intp array; in a dict, under "indices".

    An array with chunks, of h5py, zarr, tensorstore or anything with `chunks`, and a `ParquetFile` or Arrow dataset, whose
    chunks are row groups, is read by slices, each chunk once for a block of indices; where a block wants a few samples of
    chunks that are not compressed, sample by sample (`ops.read.chunked` says by which rule). With `cache=bytes` so much of
    decoded chunks is kept, those used last, for all threads of a pool together, and for each worker of processes: for
    arrays whose chunks don't lie where those of `mix` do. An h5py data set goes to workers as its file and name. In
    order, whatever takes slices is read by slices. A `Ragged` gives `Ragged` batches.

    Raises TypeError for what is no array, ValueError for arrays of different lengths and, given a
    stream that reaches beyond them, for that.

    >>> from batchup import ops
    >>> X, y = np.arange(12).reshape(4, 3), np.array([0, 1, 0, 1])
    >>> [batch] = ops.indices([3, 0]) | gather(X, y)
    >>> batch
    (array([[ 9, 10, 11],
           [ 0,  1,  2]]), array([1, 0]))
    >>> (ops.indices(4) | ops.chunk(2) | gather(label=y, include_indices=True))[1]
    {'indices': array([2, 3]), 'label': array([0, 1])}
    """
    cache = whole_number(cache, "gather: cache")
    step = Gather(arrays or tuple(named.values()), tuple(named), include_indices, cache=cache)
    if include_indices and "indices" in named:
        raise ValueError("gather: with include_indices, `indices` is the name of the index block")
    if arrays and named:
        raise TypeError("gather: expected arrays by position, for tuples, or by name; got both")
    return gathering(step)


def gathering(step: Gather) -> Stage:
    """The stage of a step that is there already."""
    return Stage(_gathered, step, text=str(step))


def reading(stream: Stream, step: Any, stage: str, source: str) -> Stream:
    """The stream with a step that reads `step.length` samples of a source, checked not to reach beyond it."""
    plan = stream.index_plan(stage)
    bound = None if plan.grid is None else plan.grid.bound
    if bound is not None and bound > step.length:
        raise ValueError(
            f"{step}: expected indices below {step.length}, the length of the {source}; "
            f"{stream!r} reaches {bound - 1}"
        )
    return replace(stream, plan=plan).with_step(step)


def _gathered(stream: Stream, step: Gather) -> Stream:
    gathered = reading(stream, step, "gather", "arrays")
    step.look_at_labels(gathered)
    return gathered


@record
class Gather(Step):
    """The step of `gather`: from an index block to the samples."""

    arrays: tuple[Any, ...]
    names: tuple[str, ...] = ()
    include_indices: bool = False
    where: str = "gather"
    aligned: bool = False  # where the memory of the batches begins
    cache: int = 0  # bytes of decoded chunks
    length: int = field(init=False)
    columns: tuple[Any, ...] = field(init=False)  # what is read
    _read: Read = field(init=False)
    only_reads = True
    unnamed = ("where", "aligned", "cache")
    data = ("arrays",)

    def __post_init__(self) -> None:
        if not self.arrays:
            raise TypeError(f"{self.where}: expected one array at least; got none")
        names = self._names()
        named = zip(self.arrays, names, strict=True)
        columns = [readable(array, f"{self.where}: array {name}") for array, name in named]
        if self.cache:
            cache = ChunkCache(self.cache)
            columns = [c.with_cache(cache) if isinstance(c, Stored) else c for c in columns]
        # Of what is not NumPy's, workers get the memory as arrays.
        object.__setattr__(self, "arrays", tuple(map(_kept, self.arrays, columns)))
        lengths = [len(column) for column in columns]
        if len(set(lengths)) > 1:
            each = listed(f"array {name} has {n}" for name, n in zip(names, lengths, strict=True))
            raise ValueError(f"{self.where}: expected arrays of one length; {each}")
        object.__setattr__(self, "length", lengths[0])
        object.__setattr__(self, "columns", tuple(columns))
        # How to read is chosen here, once, and not for every batch.
        object.__setattr__(self, "_read", aligned_reader(columns) if self.aligned else reader(columns))
        if not (self.names or self.include_indices):
            object.__setattr__(self, "run", self._read)

    def look_at_labels(self, stream: Stream) -> None:
        """Warn, once, where labels lie in runs that windows of the stream are too small to mix."""
        if not self.__dict__.get("_warned") and warn_of_runs(
            stream.plan, self.columns, lambda: str(self)
        ):
            object.__setattr__(self, "_warned", True)

    def chunks(self) -> int | NDArray[np.intp]:
        """How many samples the chunks of the arrays have; TypeError where none has chunks, ValueError where they don't
        lie at the same places, and no cache keeps them.
        """
        named = zip(self._names(), self.columns, strict=True)
        chunked = {name: c for name, c in named if getattr(c, "chunks", None) is not None}
        if not chunked:
            arrays = listed(map(describe, self.arrays))
            raise TypeError(
                f"window: expected an array with chunks, of h5py, zarr or Arrow say; got {arrays}. For others write "
                "ops.indices(n) | ops.mix(seed, chunks, window) | ops.gather(...) | ops.rebatch(batch_size)"
            )
        first, *others = [_where_chunks_end(column) for column in chunked.values()]
        if not (self.cache or all(np.array_equal(first, other) for other in others)):
            each = listed(f"those of array {name} have {c.chunks}" for name, c in chunked.items())
            raise ValueError(
                f"window: expected arrays whose chunks lie at the same places; {each} samples. Read the smaller ones into "
                "memory, as y[:], or give cache=, so many bytes of decoded chunks"
            )
        largest = max(chunked.values(), key=lambda column: getattr(column, "bytes_a_sample", 0))
        return largest.chunks  # type: ignore[no-any-return]

    def _names(self) -> Sequence[str]:
        return self.names or [str(n) for n in range(len(self.arrays))]

    def run(self, item: Block) -> Any:
        """The samples of an index block."""
        batch = self._read(item)
        if self.names:
            batch = dict(zip(self.names, batch, strict=True))
        return with_indices(item, batch) if self.include_indices else batch

    def __reduce__(self) -> tuple[Any, ...]:
        own = (self.names, self.include_indices, self.where, self.aligned, self.cache)
        return Gather, (self.arrays, *own)

    def __str__(self) -> str:
        arrays = [describe(array) for array in self.arrays]
        if self.names:
            arrays = [f"{name}={array}" for name, array in zip(self.names, arrays, strict=True)]
        if self.include_indices:
            arrays.append("include_indices=True")
        if self.cache:
            arrays.append(f"cache={self.cache}")
        return shortened(f"gather({', '.join(arrays)})")


def columns_known(stream: Stream) -> dict[str, Any]:
    """What the named parts of a stream's batches are read from, right behind `gather`; elsewhere nothing is known."""
    last = stream.steps[-1] if stream.steps else None
    if not isinstance(last, Gather) or not last.names:
        return {}
    own = dict(zip(last.names, last.columns, strict=True))
    return {"indices": None, **own} if last.include_indices else own


def with_indices(block: Block, batch: Any) -> Any:
    """The batch with the index block as its first array; in a dict, under "indices"."""
    indices = np.array(block_array(block))
    if isinstance(batch, dict):
        if "indices" in batch:
            raise ValueError(
                'include_indices: the batch has a part of the name "indices" already. Leave include_indices out, or give '
                "that part another name"
            )
        return {"indices": indices, **batch}
    return (indices, *(batch if isinstance(batch, tuple) else (batch,)))


def _where_chunks_end(column: Any) -> NDArray[np.intp]:
    """Where the chunks end."""
    chunks, n = column.chunks, len(column)
    return (
        np.arange(chunks, n + chunks, chunks).clip(max=n)
        if isinstance(chunks, int)
        else chunks.cumsum()
    )


def _kept(array: Any, column: Any) -> Any:
    return array if isinstance(array, list | tuple | range | np.memmap) else column
