"""Read the samples of index blocks from arrays: `gather`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from batchup.core.blocks import Block, block_array
from batchup.core.checks import call_text, describe, shortened, whole_number
from batchup.core.record import data, record, unnamed
from batchup.core.stream import Stage, Stream
from batchup.core.work import SAME, Step
from batchup.ops.read.plain import Read
from batchup.ops.read.reader import Reader


def gather(
    *arrays: Any, include_indices: bool = False, cache: int = 0, reads: int | None = None, **named: Any
) -> Stage:
    """Read the samples of each index block from arrays: as a tuple, or with names as a dict.

    Sample i is `array[i]`. Consecutive indices are read by a slice, if the array takes slices.

    Parameters
    ----------
    *arrays : array-likes of one length
        One or several of: NumPy arrays of any strides and dtype, also memory-mapped; lists of numbers or strings of one
        type, or of arrays of one shape; PyTorch tensors on the CPU; JAX arrays; CSR matrices of SciPy, whose rows
        become dense; tables of pandas, polars, Arrow and Hugging Face, whose samples are a dict of arrays by the names
        of the columns; `table`; `Ragged`; data sets of h5py, zarr and tensorstore; a `ParquetFile` or Arrow dataset;
        and anything else with `__len__` and a `__getitem__` that takes a 1-D integer array.
    include_indices : bool
        If True, the index block comes first, as an intp array; in a dict, under "indices".
    cache : int
        The number of bytes of decoded chunks to keep, those used last. The threads of a pool share them; each worker
        process has its own. Use it for arrays whose chunks have other places than those of `mix`.
    reads : int or None
        The number of reads at once, at most, of one chunk each, by all threads together; each worker process has as
        many. None for 32 from storage that is not local. From any other, one read follows another, and adjacent chunks
        are read together.
    **named : array-likes of one length
        In place of `arrays`: `gather(image=X, label=y)` gives dicts.

    Returns
    -------
    Stage
        Gives batches. A block of b indices makes an array of shape (b, ...) of each argument, of the same dtype,
        writable and in memory of its own; of a `Ragged`, a `Ragged`. Of an object array it makes new references to the
        same objects, but copies of objects that are arrays.

    Raises
    ------
    TypeError
        If an argument is no array, or a list or column has values that an array would change.
    ValueError
        If the arrays have different lengths, the stream reaches beyond them, or a table has missing values; while
        iterating, if an array gives another number of samples than was asked for.

    Notes
    -----
    An array with chunks is read by slices, and each chunk is read once for a block of indices. The chunks of Parquet
    files are their row groups. If chunks are not compressed and a block wants only a few samples of each, these are
    read one by one (the module `ops/read/chunked.py` has the rule). A data set of h5py goes to worker processes as its
    file and name.

    Examples
    --------
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
    reads = as_reads(reads, "gather")
    check_names(named, include_indices, "gather")
    if arrays and named:
        raise TypeError("gather: expected arrays by position, for tuples, or by name; got both")
    reader = Reader(arrays or tuple(named.values()), tuple(named), "gather", cache, reads)
    return reading(gather_step(reader, tuple(named), include_indices))


def as_reads(reads: Any, where: str) -> int | None:
    """The argument `reads`, checked."""
    return None if reads is None else whole_number(reads, f"{where}: reads", least=1)


def check_names(names: Iterable[str], include_indices: bool, where: str) -> None:
    """Raise ValueError if an array has the name of the index block."""
    if include_indices and "indices" in names:
        raise ValueError(
            f"{where}: with include_indices, `indices` is the name of the index block. Give the array another name"
        )


def reading(step: Gather, batch_size: int | None = None) -> Stage:
    """The stage of a `Gather`. `batch_size` is that of the batches which a `rebatch` will make, for warnings."""
    return Stage(_gathered, step, batch_size, text=str(step))


def _gathered(stream: Stream, step: Gather, batch_size: int | None) -> Stream:
    gathered = with_reading(stream, step, step.reader.length, "gather", "arrays")
    step.reader.warn(stream, str(step), batch_size)
    return gathered


def with_reading(stream: Stream, step: Step, length: int, stage: str, source: str) -> Stream:
    """The stream with a step that reads from `length` samples. Raises ValueError if it reaches beyond them."""
    plan = stream.index_plan(stage)
    bound = None if plan.grid is None else plan.grid.bound
    if bound is not None and bound > length:
        raise ValueError(
            f"{step}: expected indices below {length}, the length of the {source}; {stream!r} reaches {bound - 1}"
        )
    return replace(stream, plan=plan).with_step(step, copy=False)


@record
class Gather(Step):
    """The step of `gather`: from an index block to the samples."""

    tag = "gather"

    arrays: tuple[Any, ...] = data()
    reader: Reader = unnamed()
    names: tuple[str, ...] = ()
    include_indices: bool = False
    alone: bool = False  # True for a table by itself: the batch is its dict
    sizes = SAME

    @cached_property
    def run(self) -> Read:
        """The function that reads the samples of an index block."""
        return self.reader.read if self.gives_tuples else self._run

    @property
    def gives_tuples(self) -> bool:
        """True if a batch is the tuple of what was read of each array."""
        return not (self.names or self.include_indices or self.alone)

    def _run(self, block: Block) -> Any:
        batch = self.reader.read(block)
        if self.names:
            batch = dict(zip(self.names, batch, strict=True))
        elif self.alone:
            [batch] = batch
        return with_indices(block, batch) if self.include_indices else batch

    def aligned(self) -> Gather:
        """The same step, whose batches begin at a cache line."""
        return gather_step(self.reader.aligned(), self.names, self.include_indices, self.alone)

    def __reduce__(self) -> tuple[Any, ...]:
        return gather_step, (self.reader, self.names, self.include_indices, self.alone)

    def __str__(self) -> str:
        arrays = [describe(array) for array in self.arrays]
        named = dict(zip(self.names, arrays, strict=False))
        options = {**named, "include_indices": self.include_indices, "cache": self.reader.cache or None}
        options["reads"] = self.reader.reads
        return shortened(call_text("gather", *([] if named else arrays), **options))


def gather_step(
    reader: Reader, names: tuple[str, ...] = (), include_indices: bool = False, alone: bool = False
) -> Gather:
    """The step that reads by a `Reader`."""
    return Gather(reader.arrays, reader, names, bool(include_indices), alone)


def columns_known(stream: Stream) -> dict[str, Any]:
    """The columns that the named parts of a batch are read from, right behind `gather`; elsewhere they are unknown."""
    last = stream.steps[-1] if stream.steps else None
    if isinstance(last, Gather) and last.alone:
        [table] = last.reader.columns
        return dict(getattr(table, "columns", {}))
    if not isinstance(last, Gather) or not last.names:
        return {}
    own = dict(zip(last.names, last.reader.columns, strict=True))
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
