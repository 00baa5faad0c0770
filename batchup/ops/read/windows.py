"""Sliding windows over signals, as an array of samples: `windows`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from batchup.core.blocks import block_array
from batchup.core.checks import describe, is_a, whole_number
from batchup.core.hints import WINDOWS_HINTS, hinted
from batchup.ops.read.at_once import ONE, AtOnce
from batchup.ops.read.chunked import GAP, ChunkCache, Stored, ends_of, prepared
from batchup.ops.read.indexed import Indexed
from batchup.ops.read.reader import kept, readable, run_from
from batchup.ops.read.tables import TABLES
from batchup.ragged import Ragged


@hinted(**WINDOWS_HINTS)
def windows(signals: Any, size: int, stride: int = 1) -> Windows:
    """Sliding windows over a signal, or over each of several, as one array of samples for `gather`.

    The windows of a signal begin at its samples 0, `stride`, 2 * `stride` and so on; those of the next signal come after
    them. A signal shorter than `size` has none. Nothing is copied before it is read. Signals in a file are read by
    slices, and windows of a batch that overlap, or lie in one chunk, by one slice.

    Parameters
    ----------
    signals : (time, ...) array, or list of them
        Arrays of numbers that `gather` reads: NumPy arrays, memory maps, data sets of h5py and zarr; or a `Ragged`. The
        signals of a list have one dtype, and one shape but for the first axis.
    size : int
        The number of samples of a signal in a window.
    stride : int
        The number of samples from the beginning of a window to that of the next.

    Returns
    -------
    (windows, size, ...) array-like
        `owner`, (windows,) array of int, has the number of the signal of each window, and `start` the place in that
        signal where it begins.

    Raises
    ------
    TypeError
        If the signals are no arrays of numbers.
    ValueError
        If no signal is as long as a window, or the signals have different dtypes or shapes.

    Examples
    --------
    >>> from batchup import ops
    >>> heart = windows([np.arange(6), np.arange(3), np.arange(5) * 10], size=4, stride=2)
    >>> heart, heart.owner, heart.start
    (<3x4 int64>, array([0, 0, 2]), array([0, 2, 0]))
    >>> list(ops.indices([2, 1]) | ops.gather(heart))
    [(array([[ 0, 10, 20, 30],
           [ 2,  3,  4,  5]]),)]
    """
    return Windows(
        signals, whole_number(size, "windows: size", least=1), whole_number(stride, "windows: stride", least=1)
    )


class Windows(Indexed):
    """The array-like of `windows`."""

    def __init__(self, signals: Any, size: int, stride: int, cache: ChunkCache | None = None, at_once: AtOnce = ONE):
        several = list(signals) if _are_several(signals) else [signals]
        if not several:
            raise ValueError("windows: expected one signal at least; got none")
        names = [f"windows: signal {n}" if _are_several(signals) else "windows" for n in range(len(several))]
        columns = list(map(_signal, several, names))
        kinds = [(column.shape[1:], column.dtype) for column in columns]
        for n, kind in enumerate(kinds):
            if kind != kinds[0]:
                raise ValueError(
                    "windows: expected signals of one dtype, and of one shape but for the first axis; signal 0 is "
                    f"{describe(columns[0])}, signal {n} {describe(columns[n])}"
                )
        lengths = np.array(list(map(len, columns)))
        counts = np.maximum(0, (lengths - size) // stride + 1)
        if not counts.any():
            raise ValueError(
                f"windows: expected a signal of {size} samples, a window, at least; the longest has {max(lengths)}"
            )
        self.size, self.stride = size, stride
        self._ends_of_signals = counts.cumsum()
        chunks = [
            _chunks_of_windows(column, count, stride) for column, count in zip(columns, counts.tolist(), strict=True)
        ]
        sizes = [own for own in chunks if own is not None]
        super().__init__(
            tuple(map(kept, several, columns)),
            (int(counts.sum()), size, *columns[0].shape[1:]),
            columns[0].dtype,
            np.concatenate(sizes) if len(sizes) == len(columns) else None,
        )
        self.cache, self.at_once = cache, at_once
        self._columns = columns = prepared(columns, cache, at_once)
        self._runs: list[Callable[[range], NDArray[Any]]] = list(map(run_from, columns, names))
        self._view = _view(columns[0], size, stride) if len(columns) == 1 and type(columns[0]) is np.ndarray else None

    def prepared(self, cache: ChunkCache | None, at_once: AtOnce) -> Windows:
        return Windows(list(self.array), self.size, self.stride, cache, at_once)

    def __reduce__(self) -> tuple[Any, ...]:
        return Windows, (list(self.array), self.size, self.stride)

    @cached_property
    def owner(self) -> NDArray[np.intp]:
        """The number of the signal of each window, (windows,)."""
        return self._places(np.arange(len(self)))[0]

    @cached_property
    def start(self) -> NDArray[np.intp]:
        """Where each window begins in its signal, (windows,)."""
        return self._places(np.arange(len(self)))[1]

    def _places(self, block: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        owners = self._ends_of_signals.searchsorted(block, side="right")
        before = np.concatenate([[0], self._ends_of_signals])[owners]
        return owners, (block - before) * self.stride

    @property
    def column(self) -> Any:
        """Of one signal in memory, all windows as a view."""
        return self if self._view is None else self._view

    def run(self, block: range) -> NDArray[Any]:
        return self.samples(block_array(block))

    def samples(self, block: NDArray[np.intp]) -> NDArray[Any]:
        self.check(block)
        if self._view is not None:
            return self._view[block]
        out = np.empty((len(block), *self.shape[1:]), self.dtype)
        owners, starts = self._places(block)
        order = np.lexsort((starts, owners))
        ends = np.flatnonzero(np.diff(owners[order])) + 1
        for a, b in pairwise([0, *ends.tolist(), len(block)] if len(block) else ()):
            places = order[a:b]
            self._read(int(owners[places[0]]), starts[places], places, out)
        return out

    def _read(self, signal: int, starts: NDArray[np.intp], places: NDArray[np.intp], out: NDArray[Any]) -> None:
        """Write the windows of a signal that begin at `starts`, in order, to these places."""
        column = self._columns[signal]
        if isinstance(column, np.ndarray):
            for place, start in zip(places.tolist(), starts.tolist(), strict=True):
                out[place] = column[start : start + self.size]
            return
        for a, b in pairwise([0, *self._apart(column, starts).tolist(), len(starts)]):
            begin = int(starts[a])
            data = self._runs[signal](range(begin, int(starts[b - 1]) + self.size))
            for place, start in zip(places[a:b].tolist(), (starts[a:b] - begin).tolist(), strict=True):
                out[place] = data[start : start + self.size]

    def _apart(self, column: Any, starts: NDArray[np.intp]) -> NDArray[np.intp]:
        """The windows, by their numbers in order, with which a new slice begins."""
        ends = starts[:-1] + self.size
        gaps = starts[1:] - ends
        apart = gaps > 0
        if isinstance(column, Stored) and column.whole:
            apart &= column.chunk_of(starts[1:]) > column.chunk_of(ends - 1)
        elif isinstance(column, Stored):
            apart &= gaps * column.bytes_a_sample > GAP
        return np.flatnonzero(apart) + 1


def _are_several(signals: Any) -> bool:
    """True for a list of signals, False for one signal."""
    if isinstance(signals, Ragged):
        return True
    return isinstance(signals, list | tuple) and not (
        signals and isinstance(signals[0], complex | float | int | np.generic)
    )


def _signal(signal: Any, where: str) -> Any:
    """A signal in the form in which it is read."""
    if is_a(signal, *TABLES):
        wanted = f"{where}: expected an array of numbers"
        raise TypeError(
            f"{wanted}; got a table, {describe(signal)}. Write table.to_numpy(), of the columns that you want"
        )
    column = readable(signal, where)
    dtype, shape = getattr(column, "dtype", None), getattr(column, "shape", None)
    plain = type(column) is np.ndarray or not isinstance(column, np.ndarray | Ragged)
    if not plain or not isinstance(dtype, np.dtype) or not isinstance(shape, tuple) or dtype.hasobject:
        wanted = f"{where}: expected an array of numbers, of NumPy, h5py or zarr say"
        raise TypeError(f"{wanted}; got {describe(signal)}")
    return column


def _view(signal: NDArray[Any], size: int, stride: int) -> NDArray[Any]:
    """All windows of a signal in memory, as a view."""
    view: NDArray[Any] = np.moveaxis(sliding_window_view(signal, size, axis=0), -1, 1)[::stride]
    return view


def _chunks_of_windows(signal: Any, count: int, stride: int) -> NDArray[np.intp] | None:
    """The number of windows that begin in each chunk of a signal in which any does; None without chunks."""
    if not isinstance(signal, Stored) or signal.chunks is None:
        return None
    ends = ends_of(signal.chunks, len(signal))
    begun = -(-ends // stride)  # how many windows begin before the end of each chunk, if the signal goes on
    sizes = np.diff(begun.clip(max=count), prepend=0)
    return sizes[sizes > 0]
