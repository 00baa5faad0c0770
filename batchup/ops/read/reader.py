"""How each kind of array is read: the function is chosen once, when the stage is built."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
from more_itertools import all_equal
from numpy.typing import NDArray

from batchup.core.blocks import Block, block_array
from batchup.core.checks import byte_count, describe, is_a, listed
from batchup.core.errors import users_frame
from batchup.core.stream import Stream
from batchup.memory.limits import available_memory
from batchup.ops.index.mix import chunks_that_fit
from batchup.ops.index.mixing import are_labels, warn_of_runs
from batchup.ops.read.arrays import as_column
from batchup.ops.read.at_once import AtOnce
from batchup.ops.read.chosen import Chosen
from batchup.ops.read.chunked import ChunkCache, Stored, as_many, by_slices, ends_of, prepared
from batchup.ops.read.hdf5 import in_hdf5
from batchup.ops.read.plain import Read, is_plain, pick_aligned, pick_plain, read_two, run_plain
from batchup.ops.read.table import table_of
from batchup.ops.read.table_rows import TableRows
from batchup.ops.read.tables import TABLES, Columns
from batchup.ops.read.zarr import in_chunks
from batchup.ragged import Ragged
from batchup.strings import Strings


class Reader:
    """Reads the samples of index blocks from several arrays of one length, as a tuple of arrays.

    How to read each array is chosen here, once, and not for every batch. `names` are those of the arrays in errors, by
    default their numbers. `cache` is the number of bytes of decoded chunks to keep, `reads` that of chunks to read at
    once. Raises TypeError for an argument that is no array, ValueError for arrays of different lengths.
    """

    def __init__(
        self,
        arrays: tuple[Any, ...],
        names: tuple[str, ...] = (),
        where: str = "gather",
        cache: int = 0,
        reads: int | None = None,
        is_aligned: bool = False,
    ):
        if not arrays:
            raise TypeError(f"{where}: expected one array at least; got none")
        self._options = names, where, cache, reads, is_aligned
        self.cache, self.reads = cache, reads
        self._names = names or [str(n) for n in range(len(arrays))]
        named = zip(arrays, self._names, strict=True)
        columns = [readable(array, f"{where}: array {name}") for array, name in named]
        columns = prepared(columns, ChunkCache(cache) if cache else None, AtOnce(reads) if reads else None)
        lengths = [len(column) for column in columns]
        if not all_equal(lengths):
            each = listed(f"array {name} has {n}" for name, n in zip(self._names, lengths, strict=True))
            raise ValueError(f"{where}: expected arrays of one length; {each}")
        # Workers get the memory of tensors and tables as arrays.
        self.arrays = tuple(map(kept, arrays, columns))
        self.columns = tuple(columns)
        self.length = lengths[0]
        wheres = [f"{where}: array {name}" for name in self._names]
        self.read: Read = _aligned_reader(columns, wheres) if is_aligned else _reader(columns, wheres)
        self._warned = False

    def aligned(self) -> Reader:
        """A reader of the same arrays whose batches begin at a cache line, as XLA wants it."""
        return Reader(self.arrays, *self._options[:-1], is_aligned=True)

    def __reduce__(self) -> tuple[Any, ...]:
        return Reader, (self.arrays, *self._options)

    def warn(self, stream: Stream, text: str, batch_size: int | None) -> None:
        """Warn, once, if windows are too small to mix labels that lie in runs, or too large for the memory."""
        if not self._warned:
            labels = (y for column in self.columns for y in _labels_of(column))
            self._warned = warn_of_runs(stream.plan, labels, text, batch_size) or self._warn_of_memory(stream, text)

    def _warn_of_memory(self, stream: Stream, text: str) -> bool:
        grid, length = stream.plan.grid, stream.plan.length
        if grid is None or not isinstance(length, int) or not length or not isinstance(grid.samples, int):
            return False
        samples = min(grid.size or -(-grid.samples // length), grid.samples)
        held = samples * self.bytes_a_sample
        if held < _LITTLE or held <= (free := available_memory()) / 2:
            return False
        warnings.warn(
            f"{text}: {samples} samples are read at a time, which hold {held / 1e9:.1f} GB, more than half of the "
            f'{free / 1e9:.1f} GB of memory that are free. Give a smaller window, such as window="{free // 4 // 10**6}MB"',
            stacklevel=users_frame(),
        )
        return True

    @property
    def bytes_a_sample(self) -> float:
        """About the number of bytes of a sample, in all arrays."""
        return sum(map(bytes_a_sample, self.columns))

    def window(self, window: int | str) -> int:
        """The number of chunks in a window; of a text such as "200MB", the number of chunks that fit."""
        if not isinstance(window, str):
            return window
        return chunks_that_fit(byte_count(window, "window"), self.chunks(), self.bytes_a_sample)

    def chunks(self) -> int | NDArray[np.intp]:
        """The number of samples in each chunk of the arrays.

        Raises TypeError if no array has chunks, ValueError if their chunks don't lie at the same places, and no cache
        keeps them.
        """
        named = zip(self._names, self.columns, strict=True)
        chunked = {name: c for name, c in named if isinstance(c, Stored) and c.chunks is not None}
        if not chunked:
            arrays = listed(map(describe, self.arrays))
            raise TypeError(
                f"window: expected an array with chunks, of h5py, zarr or Arrow say; got {arrays}. For others write "
                "ops.indices(n) | ops.mix(seed, chunks, window) | ops.gather(...) | ops.rebatch(batch_size)"
            )
        first, *others = [ends_of(c.chunks, len(c)) for c in chunked.values() if c.chunks is not None]
        if not (self.cache or all(np.array_equal(first, other) for other in others)):
            each = listed(f"those of array {name} have {c.chunks}" for name, c in chunked.items())
            raise ValueError(
                f"window: expected arrays whose chunks lie at the same places; {each} samples. Read the smaller ones into "
                "memory, as y[:], or give cache=, so many bytes of decoded chunks"
            )
        largest = max(chunked.values(), key=lambda column: column.bytes_a_sample)
        assert largest.chunks is not None
        return largest.chunks


# Bytes: items that hold less are no reason to ask how much memory is free.
_LITTLE = 64 * 2**20


def bytes_a_sample(column: Any) -> float:
    """About the number of bytes of a sample of an array."""
    if isinstance(column, Stored):
        return column.bytes_a_sample
    return float(getattr(column, "nbytes", 0) / max(1, len(column)))


def _labels_of(column: Any) -> Iterator[Any]:
    """The labels in an array or table, or what is known of them."""
    if isinstance(column, TableRows):
        yield from column.labels()
    for array in column.columns.values() if isinstance(column, Columns) else [column]:
        if are_labels(array):
            yield array


def kept(array: Any, column: Any) -> Any:
    """An array in the form in which it goes to another process, where it is made readable again."""
    as_it_is = isinstance(array, np.memmap | Stored) or (
        isinstance(array, list | tuple | range) and not isinstance(column, Strings)
    )
    return array if as_it_is else column


def readable(array: Any, where: str) -> Any:
    """The array in the form in which it is read."""
    if isinstance(array, Stored):
        return array.column
    if is_a(array, *TABLES):
        return table_of(array, Chosen(codes=False), where)
    for kind in (in_hdf5, in_chunks):
        stored = kind(array, where)
        if stored is not None:
            return stored
    return as_column(array, where)


def _reader(columns: list[Any], wheres: list[str]) -> Read:
    """A function that reads all arrays."""
    if len(columns) == 2 and all(map(is_plain, columns)):
        return read_two(*columns)
    picks = list(map(pick_from, columns, wheres))
    runs = list(map(run_from, columns, wheres))

    if len(columns) == 1:
        [pick], [run] = picks, runs
        return _spread(lambda block: (run(block) if type(block) is range else pick(block),), columns)

    if any(isinstance(column, Stored) and column.at_once.most > 1 for column in columns):
        begins = [c.begun if isinstance(c, Stored) else _later(pick) for c, pick in zip(columns, picks, strict=True)]

        def read_at_once(block: Block) -> tuple[Any, ...]:
            places = block_array(block)
            return tuple([end() for end in [begin(places) for begin in begins]])

        return _spread(read_at_once, columns)

    def read(block: Block) -> tuple[Any, ...]:
        if type(block) is range:
            return tuple([run(block) for run in runs])
        places = block if type(block) is np.ndarray else block_array(block)
        return tuple([pick(places) for pick in picks])

    return _spread(read, columns)


def _later(pick: Read) -> Callable[[Any], Callable[[], Any]]:
    return lambda block: partial(pick, block)


def _spread(read: Read, columns: list[Any]) -> Read:
    """The same function, which gives features and target of a table as arrays of their own."""
    spread = [getattr(column, "spread", False) for column in columns]
    if not any(spread):
        return read
    return lambda block: tuple(
        chain.from_iterable(
            part if is_several else (part,) for part, is_several in zip(read(block), spread, strict=True)
        )
    )


def _aligned_reader(columns: list[Any], wheres: list[str]) -> Read:
    """A function that reads all arrays into memory that begins at a cache line, as XLA wants it."""
    picks = list(map(_pick_aligned, columns, wheres))
    return _spread(lambda block: tuple([pick(block) for pick in picks]), columns)


def _pick_aligned(column: Any, where: str) -> Read:
    if type(column) is np.ndarray and is_plain(column) and column.flags.c_contiguous:
        return pick_aligned(column)
    pick, run = pick_from(column, where), run_from(column, where)
    return lambda block: (run if type(block) is range else pick)(block)


def pick_from(column: Any, where: str = "") -> Read:
    """How to read the samples of an index array."""
    if is_plain(column):
        return pick_plain(column)
    if isinstance(column, Columns):
        return column.reader(pick_from)
    if isinstance(column, Stored):
        return lambda block: column.samples(block_array(block))
    if isinstance(column, Ragged | Strings):
        return lambda block: column[block_array(block)]
    return lambda block: _pick_counted(column, block_array(block), where)


def run_from(column: Any, where: str = "") -> Read:
    """How to read the samples of a range of step 1."""
    if is_plain(column):
        return run_plain(column)
    if isinstance(column, Columns):
        return column.reader(run_from)
    if isinstance(column, Stored):
        return column.run
    if isinstance(column, Ragged):
        return lambda run: column[run.start : run.stop].copy()
    if isinstance(column, np.ndarray | Strings):
        return pick_from(column, where)
    return by_slices(column, pick_from(column, where), where)


def _pick_counted(column: Any, block: NDArray[np.intp], where: str) -> Any:
    """The samples that a user's array-like gives for an index array. Raises ValueError for another number of samples."""
    samples = as_many(column[block], len(block), column, where)
    if isinstance(samples, np.ndarray) and samples.dtype == object:
        for place, sample in np.ndenumerate(samples):
            if isinstance(sample, np.ndarray):
                samples[place] = sample.copy()  # so that the batch owns it
    return samples
