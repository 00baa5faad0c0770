"""Arrays in chunks, on a disk or elsewhere: read by slices, each chunk once for a block of indices.

Reading one sample of a compressed chunk costs the whole chunk. So the samples of a block are sorted and read in runs.
Two neighbours are in the same run

* of compressed chunks, if they lie in the same chunk, or in two adjacent ones and less than 128 KB apart;
* of other chunks, if they lie less than 128 KB apart. Skipping more than that is cheaper: a call costs 15 us besides the
  copy, which runs at some 10 GB/s (h5py 3.16, a file in the page cache; `benchmarks/storage.py` measures both).

A run has at most 16 MB of chunks. So a window of whole chunks is read chunk by chunk. A full shuffle, where a block has
a sample here and there, is read sample by sample; never by a list of indices, which takes h5py some 30 ms a batch.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from batchup.core.blocks import block_array
from batchup.core.checks import describe, is_a, plain_array
from batchup.core.errors import note
from batchup.core.grid import chunk_numbers
from batchup.ops.read.arrays import SPARSE
from batchup.ops.read.at_once import ONE, AtOnce
from batchup.ops.read.forms import Gathered, bytes_of, owned

GAP = 128 * 1024  # bytes: smaller gaps are read, larger ones skipped
RUN = 16 * 2**20  # bytes of chunks that one call reads, at most
Samples = Any  # an array, or a column of a table in another form: see `forms`


class ChunkCache:
    """Decoded chunks. If they have more bytes than its capacity, it drops the least recently used. Thread-safe."""

    def __init__(self, capacity: int):
        self._capacity = capacity
        self._lock = threading.Lock()
        self._kept: OrderedDict[Any, _Entry] = OrderedDict()
        self._bytes = 0

    def get(self, key: Any, read: Callable[[], Samples]) -> Samples:
        """The samples under a key. If they are missing, one thread calls `read`, and others wait for it."""
        with self._lock:
            entry = self._kept.setdefault(key, _Entry())
            self._kept.move_to_end(key)
        with entry.lock:
            if entry.samples is None:
                try:
                    entry.samples = read()
                except BaseException:
                    with self._lock:
                        if self._kept.get(key) is entry:
                            del self._kept[key]
                    raise
                self._count(key, entry)
            return entry.samples

    def _count(self, key: Any, entry: _Entry) -> None:
        with self._lock:
            if self._kept.get(key) is not entry:
                return  # dropped meanwhile
            entry.size = bytes_of(entry.samples)
            self._bytes += entry.size
            while self._bytes > self._capacity and self._kept:
                _, oldest = self._kept.popitem(last=False)
                self._bytes -= oldest.size


class _Entry:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.samples: Samples = None
        self.size = 0


class Stored:
    """An array with chunks as an array-like: `samples(block)` reads the samples of a block of indices.

    The array has `shape`, `dtype`, `chunks` and slices: `chunks[0]` is the number of samples in each chunk, or a tuple
    of the numbers in all chunks.
    """

    whole = True  # reading any part of a chunk costs the whole chunk
    at_once = ONE  # the reads that may run at once
    requests_a_chunk = 1  # the parts into which a chunk of samples is divided along the other axes
    is_fresh = False  # True if a slice has memory of its own

    def __init__(self, array: Any):
        self.array = array
        self.shape: tuple[int, ...] = tuple(array.shape)
        self.dtype: Any = array.dtype
        self.cache: ChunkCache | None = None
        self._ends = _chunk_ends(self._chunks(), self.shape[0])

    def _chunks(self) -> Any:
        return self.array.chunks[0]

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def column(self) -> Any:
        """What `gather` reads: this object, or an array in memory with the same samples."""
        return self

    @property
    def chunks(self) -> int | NDArray[np.intp] | None:
        """The number of samples in each chunk; the last of equal chunks may have fewer. None without chunks."""
        return self._ends if isinstance(self._ends, int) else np.diff(self._ends, prepend=0)

    @property
    def number_of_chunks(self) -> int:
        return -(-len(self) // self._ends) if isinstance(self._ends, int) else len(self._ends)

    @property
    def reads(self) -> int:
        """The number of reads that may run at once, unless the user gives another one."""
        return 1

    def prepared(self, cache: ChunkCache | None, at_once: AtOnce) -> Self:
        """The same array, read with a cache, and some reads at once."""
        other = type(self).__new__(type(self))  # `copy` would make it anew, as another process does
        other.__dict__.update(self.__dict__, cache=cache, at_once=at_once)
        return other

    @property
    def bytes_a_sample(self) -> int:
        return max(1, int(np.dtype(self.dtype).itemsize * np.prod(self.shape[1:])))

    def read(self, start: int, stop: int) -> Samples:
        """The samples of a slice. Raises ValueError if there are fewer."""
        return self._checked(plain_array(self.array[start:stop], describe(self)), stop - start)

    def _checked(self, samples: NDArray[Any], n: int) -> NDArray[Any]:
        """The samples. Raises ValueError if there are not n, as after the array was resized."""
        if len(samples) != n:
            wanted = f"expected {n} samples of {describe(self)}"
            raise ValueError(f"{wanted}; got {len(samples)}. If it was resized, build the stream again")
        return samples

    def run(self, block: range) -> Samples:
        """The samples of consecutive indices, in memory of their own."""
        if self.cache is not None or self.at_once.most > 1 or not len(block) or block.stop > len(self):
            return self.samples(block_array(block))
        data = self.read(block.start, block.stop)
        return data if self.is_fresh else owned(data)

    def samples(self, block: NDArray[np.intp]) -> Samples:
        """The samples of a block of indices, in memory of their own."""
        return self.begun(block)()

    def begun(self, block: NDArray[np.intp]) -> Callable[[], Samples]:
        """Begin to read the samples of a block of indices. Returns the function that returns them."""
        if not len(block):
            return lambda: owned(self.read(0, min(1, len(self))), slice(0))
        order = block.argsort(kind="stable")
        wanted = block[order]
        if wanted[-1] >= len(self):
            raise IndexError(f"expected indices below {len(self)}; got {wanted[-1]}")
        reads = list(self._reads(wanted))
        results = self.at_once.results([read for _, _, _, read in reads])

        def ended() -> Samples:
            out: Gathered | None = None
            for (a, b, begin, _), data in zip(reads, results, strict=True):
                out = out or Gathered(data, len(block))
                out.put(order[a:b], data, wanted[a:b] - begin)
                del data  # so that it is not kept while the next is read
            assert out is not None
            return out.batch()

        return ended

    def _reads(self, wanted: NDArray[np.intp]) -> Iterator[tuple[int, int, int, Callable[[], Samples]]]:
        """The reads, each as (a, b, first, read): `read()` gives samples a to b of the wanted ones, from sample `first` on."""
        chunk_of = self.chunk_of(wanted)
        steps = np.diff(chunk_of)
        other_chunk = steps > 0
        if self.cache is not None:
            for a, b in pairwise([0, *(np.flatnonzero(other_chunk) + 1).tolist(), len(wanted)]):
                begin, end = self._bounds(int(chunk_of[a]))
                read = partial(self.cache.get, (id(self.array), begin), partial(self._noted, begin, end))
                yield a, b, begin, read
            return
        apart = np.diff(wanted) * self.bytes_a_sample > GAP
        if self.whole:
            apart = (apart & other_chunk) | (steps > 1)  # never a chunk without wanted samples
        size = (self._ends if isinstance(self._ends, int) else 1) * self.bytes_a_sample
        of_run = chunk_of // max(1, RUN // size)
        apart |= of_run[1:] != of_run[:-1]
        if self.at_once.most > 1:
            apart |= other_chunk
        for a, b in pairwise([0, *(np.flatnonzero(apart) + 1).tolist(), len(wanted)]):
            begin = int(wanted[a])
            yield a, b, begin, partial(self._noted, begin, int(wanted[b - 1]) + 1)

    def _noted(self, start: int, stop: int) -> Samples:
        """The samples of a slice. An exception gets a note that names the chunk."""
        try:
            return self.read(start, stop)
        except Exception as error:
            chunk = self.chunk_of(np.array([start], np.intp))[0]
            note(
                error,
                lambda: f"while samples {start} to {stop - 1} of {describe(self)} were read, from chunk {chunk} on",
            )
            raise

    def chunk_of(self, indices: NDArray[np.intp]) -> NDArray[np.intp]:
        """The number of the chunk that each sample lies in."""
        return chunk_numbers(indices, self._ends)

    def _bounds(self, chunk: int) -> tuple[int, int]:
        if isinstance(self._ends, int):
            return chunk * self._ends, min((chunk + 1) * self._ends, len(self))
        return (int(self._ends[chunk - 1]) if chunk else 0), int(self._ends[chunk])

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.array,)


def ends_of(chunks: int | NDArray[np.intp], n: int) -> NDArray[np.intp]:
    """Where each chunk of n samples ends. `chunks` is the size of all chunks, or that of each."""
    return np.arange(chunks, n + chunks, chunks).clip(max=n) if isinstance(chunks, int) else chunks.cumsum()


def prepared(columns: Sequence[Any], cache: ChunkCache | None, at_once: AtOnce | None = None) -> list[Any]:
    """The arrays; those with chunks keep decoded ones in the cache, if there is one, and are read by some reads at once.

    `at_once` is for all of them together. By default those of storage that is not local share so many as it allows.
    """
    chunked = [c for c in columns if isinstance(c, Stored)]
    own = at_once or AtOnce(max([c.reads for c in chunked], default=1))
    if cache is None and own.most == 1:
        return list(columns)
    return [c.prepared(cache, own if at_once or c.reads > 1 else ONE) if isinstance(c, Stored) else c for c in columns]


def _chunk_ends(chunks: Any, n: int) -> int | NDArray[np.intp]:
    """The size of all chunks, or the end of each."""
    if isinstance(chunks, int | np.integer):
        return max(1, int(chunks))
    sizes = np.array(chunks, np.intp)
    if int(sizes.sum()) != n:
        raise ValueError(f"expected chunks of {n} samples in all; they have {sizes.sum()}")
    return sizes.cumsum()


def by_slices(column: Any, pick: Callable[[Any], Any], where: str) -> Callable[[range], Any]:
    """A function that reads the samples of a range from an array-like: by slices if it takes them, else by `pick`."""
    takes: bool | None = None
    # Other classes may keep what they give, so it is copied.
    fresh = getattr(type(column), "batchup_gives_fresh_arrays", False)

    def run(block: range) -> Any:
        nonlocal takes
        if takes is None:
            takes = _takes_slices(column)
        if not takes or not len(block):
            return pick(block)
        samples = as_many(column[block.start : block.stop], len(block), column, where)
        return samples if fresh else np.array(samples, subok=True)

    return run


def as_many(samples: Any, n: int, source: Any, where: str) -> Any:
    """The samples that a source gave. Raises ValueError if there are not n, TypeError for a sparse matrix."""
    if is_a(samples, *SPARSE):
        wanted = f"{where}: expected {describe(source)} to give dense arrays; it gave a sparse one"
        raise TypeError(f"{wanted}. Give the CSR matrix itself, or return rows.toarray()")
    if not hasattr(samples, "__len__") or len(samples) != n:
        given = f"{describe(source)} gave {describe(samples)}"
        raise ValueError(f"{where}: expected one sample for each of {n} indices; {given}")
    return samples


def _takes_slices(column: Any) -> bool:
    """True if slices of it are arrays."""
    try:
        none = column[0:0]
        return type(none) is np.ndarray and len(none) == 0
    except Exception:
        return False
