"""Samples of different lengths, one after another in one flat array: `Ragged`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchup.core.checks import describe, plain_array, whole_number
from batchup.core.work import Copyable
from batchup.strings import Strings
from batchup.values import array_of

Offsets = NDArray[np.signedinteger[Any]]


class Ragged(Copyable):
    """An array of samples of different lengths: sample i is `values[offsets[i]:offsets[i + 1]]`.

    `ragged[i]` and slices are views, and so are the results of `split`, `truncate` and `drop`. `ragged[integer array]`
    is a copy of these samples.

    Parameters
    ----------
    values : (tokens, ...) array
        All tokens of all samples, of any dtype, memory-mapped or not.
    offsets : (n + 1,) array of int
        Where the samples begin and end in `values`, as in the lists of Arrow. They don't decrease.

    Raises
    ------
    TypeError
        If `offsets` are not integers.
    ValueError
        If `offsets` decrease, are not 1-D, or reach beyond `values`.

    Examples
    --------
    >>> words = Ragged(np.arange(6) * 10, [0, 2, 2, 6])
    >>> words, len(words), words[2]
    (<Ragged 3x* int64>, 3, array([20, 30, 40, 50]))
    >>> words[np.array([2, 0])].tolist(), words.lengths
    ([[20, 30, 40, 50], [0, 10]], array([2, 0, 4]))
    """

    __array_ufunc__ = None
    tokens_cut: int = 0  # the number of tokens that a view leaves out
    samples_cut: int = 0  # the number of samples that a view leaves out or cuts

    def __init__(self, values: ArrayLike, offsets: ArrayLike):
        flat, ends = plain_array(values, "Ragged: values"), plain_array(offsets, "Ragged: offsets")
        if flat.ndim == 0:
            raise TypeError(f"Ragged: expected values, a flat array of tokens; got {describe(values)}")
        if ends.ndim != 1 or not len(ends) or ends.dtype.kind not in "iu":
            wanted = "Ragged: expected offsets, a 1-D array of integers, one more than there are samples"
            raise TypeError(f"{wanted}; got {describe(ends)}")
        if (falls := np.flatnonzero(ends[1:] < ends[:-1])).size:
            at = falls[0]
            wanted = "Ragged: expected offsets that don't decrease"
            raise ValueError(f"{wanted}; sample {at} goes from {ends[at]} to {ends[at + 1]}")
        if ends[0] < 0 or ends[-1] > len(flat):
            raise ValueError(
                f"Ragged: expected offsets within the {len(flat)} values; they go from {ends[0]} to {ends[-1]}"
            )
        self._set(np.ascontiguousarray(flat), ends[:-1], ends[1:])

    def _set(self, values: NDArray[Any], starts: Offsets, stops: Offsets, **cut: int) -> None:
        self.values = values
        self._starts, self._stops = starts, stops
        if cut:
            self.tokens_cut, self.samples_cut = cut.get("tokens", 0), cut.get("samples", 0)

    def _view(self, starts: Offsets, stops: Offsets, **cut: int) -> Ragged:
        other = Ragged.__new__(Ragged)
        other._set(self.values, starts, stops, **cut)
        return other

    @staticmethod
    def of(samples: Sequence[ArrayLike]) -> Ragged:
        """The samples of a list of arrays, copied into one.

        Parameters
        ----------
        samples : sequence of (tokens, ...) arrays
            The samples. They agree in all axes but the first.

        Returns
        -------
        Ragged
            The samples, in one flat array.

        Examples
        --------
        >>> Ragged.of([[1, 2, 3], [4]]).values
        array([1, 2, 3, 4])
        """
        arrays = [_tokens_of(sample) for sample in samples]
        if not arrays:
            raise ValueError("Ragged.of: expected one sample at least; got none")
        kinds = {(array.shape[1:], array.dtype) for array in arrays if array.size}
        if len(kinds) > 1 or any(array.ndim == 0 for array in arrays):
            got = ", ".join(sorted({describe(array) for array in arrays})[:4])
            raise ValueError(
                f"Ragged.of: expected arrays of one dtype and of one shape but for the first axis; got {got}"
            )
        full = [array for array in arrays if array.size] or arrays[:1]
        return Ragged(np.concatenate(full), np.cumsum([0, *map(len, arrays)]))

    @staticmethod
    def from_arrow(lists: Any) -> Ragged:
        """The samples of a column of lists: of Arrow, `table["input_ids"]`, or of Hugging Face, `dataset["input_ids"]`.

        There is no copy if the column is in one chunk, and no rows were selected or reordered.

        Parameters
        ----------
        lists : pyarrow array, chunked array, or column of a Hugging Face dataset
            Lists of numbers, bools, dates or strings, also lists in views and of one size.

        Returns
        -------
        Ragged
            The samples, one for each list.

        Raises
        ------
        TypeError
            If the column is not of lists.
        ValueError
            If there are missing values.
        """
        from batchup.ops.read.arrow_columns import ragged_of

        return ragged_of(lists)

    def to_arrow(self) -> Any:
        """The samples as lists of Arrow, without a copy unless this is a view.

        Returns
        -------
        pyarrow.LargeListArray
            The samples, a list each.
        """
        import pyarrow

        own = self if self._is_plain else self.copy()
        offsets = own.offsets.astype(np.int64, copy=False)
        return pyarrow.LargeListArray.from_arrays(pyarrow.array(offsets), pyarrow.array(own.values))

    @staticmethod
    def joined(several: Sequence[Ragged]) -> Ragged:
        """The samples of several `Ragged`, one after another, in memory of their own.

        Parameters
        ----------
        several : sequence of Ragged
            Of one dtype.

        Returns
        -------
        Ragged
            All samples.
        """
        values = np.concatenate([part.flat for part in several])
        lengths = np.concatenate([part.lengths for part in several])
        return Ragged(values, _ends(lengths))

    @property
    def lengths(self) -> Offsets:
        """The number of tokens of each sample, (n,) integers."""
        return self._stops - self._starts

    def _lengths_of(self, which: NDArray[np.intp]) -> Offsets:
        return self._stops.take(which) - self._starts.take(which)

    @property
    def offsets(self) -> Offsets:
        """The ends of the samples, (n + 1,) from 0 on: in `values`, or for a view in the values of `copy()`."""
        if self._is_plain:
            return np.append(self._starts, self._stops[-1:] if len(self) else [0])
        return _ends(self.lengths)

    @cached_property
    def _is_plain(self) -> bool:
        """True if the samples lie one after another, with nothing in between."""
        return bool((self._starts[1:] == self._stops[:-1]).all())

    @property
    def _plain_values(self) -> NDArray[Any]:
        return self.values[self._starts[0] : self._stops[-1]] if len(self) else self.values[:0]

    @property
    def flat(self) -> NDArray[Any]:
        """The tokens of all samples, one after another: a view if nothing lies in between."""
        return self._plain_values if self._is_plain else self.copy().values

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the tokens."""
        return self.values.dtype

    @property
    def shape(self) -> tuple[Any, ...]:
        """`(n, "*", ...)`, since the samples have different lengths."""
        return (len(self), "*", *self.values.shape[1:])

    @property
    def nbytes(self) -> int:
        """The number of bytes of the tokens and offsets."""
        own = self._plain_values.nbytes if self._is_plain else int(self.lengths.sum()) * self._token_size
        return int(own + self._starts.nbytes)

    @cached_property
    def _token_size(self) -> int:
        return int(self.values.itemsize * np.prod(self.values.shape[1:]))

    def copy(self) -> Ragged:
        """The same samples in memory of their own, with nothing in between.

        Returns
        -------
        Ragged
            The copy.
        """
        return self[np.arange(len(self))]

    def tolist(self) -> list[list[Any]]:
        """The samples as lists of Python numbers.

        Returns
        -------
        list of list
            One list for each sample.
        """
        return [sample.tolist() for sample in self]

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (self[i] for i in range(len(self)))

    @overload
    def __getitem__(self, which: int | np.integer[Any]) -> NDArray[Any]: ...
    @overload
    def __getitem__(self, which: slice | NDArray[Any]) -> Ragged: ...
    def __getitem__(self, which: Any) -> Any:
        if type(which) is np.ndarray:
            return self._gathered(which)
        if isinstance(which, slice):
            return self._view(self._starts[which], self._stops[which])
        if isinstance(which, int | np.integer):
            return self.values[self._starts[which] : self._stops[which]]
        return self._gathered(np.asarray(which))

    def _gathered(self, which: NDArray[Any]) -> Ragged:
        if which.dtype.kind == "b":
            if which.shape != (len(self),):
                wanted = f"Ragged[mask]: expected a mask with one value for each of {len(self)} samples"
                raise IndexError(f"{wanted}; got {describe(which)}")
            which = np.flatnonzero(which)
        starts, stops = self._starts.take(which), self._stops.take(which)
        ends = _ends(stops - starts)
        other = Ragged.__new__(Ragged)
        other.values = self._tokens(starts, stops)
        other._starts, other._stops = ends[:-1], ends[1:]
        return other

    def _tokens(self, starts: Offsets, stops: Offsets) -> NDArray[Any]:
        """The tokens from each start to its stop, in memory of their own."""
        runs, buffer = zip(starts.tolist(), stops.tolist(), strict=True), self._buffer
        if buffer is None or not len(starts):
            return np.concatenate([self.values[:0], *[self.values[i:j] for i, j in runs]])
        # Joining bytes takes two thirds of the time of np.concatenate, which makes an array of each part.
        tokens = np.frombuffer(bytearray().join([buffer[i:j] for i, j in runs]), self.dtype)
        return tokens if self.values.ndim == 1 else tokens.reshape(-1, *self.values.shape[1:])

    def _in_rows(
        self, which: NDArray[np.intp], counts: Sequence[int], rooms: Sequence[int], value: Any
    ) -> NDArray[Any]:
        """These samples in rows of one length: `counts` of them in each, then `value` for the room that is left.

        Each is copied once.
        """
        buffer = self._buffer
        assert buffer is not None
        shape = self.values.shape[1:]
        runs = zip(self._starts.take(which).tolist(), self._stops.take(which).tolist(), strict=True)
        room = _tokens_in(np.full((max(rooms), *shape), value, self.dtype))
        pieces: list[memoryview] = []
        for count, left in zip(counts, rooms, strict=True):
            pieces += [buffer[i:j] for i, j in islice(runs, count)]
            pieces.append(room[:left])
        return np.frombuffer(bytearray().join(pieces), self.dtype).reshape(len(counts), -1, *shape)

    @cached_property
    def _buffer(self) -> memoryview | None:
        """The tokens, as the items of a buffer; None for objects, and for tokens without bytes."""
        return None if self.dtype.hasobject or not self._token_size else _tokens_in(self.values)

    # --- views without samples that are too long, which say what they cut

    def split(self, capacity: int) -> Ragged:
        """Cut each sample of more than `capacity` tokens into several.

        Parameters
        ----------
        capacity : int
            The largest number of tokens of a sample.

        Returns
        -------
        Ragged
            A view. Its `samples_cut` is the number of samples that were cut.

        Examples
        --------
        >>> Ragged(np.arange(6), [0, 5, 6]).split(2).tolist()
        [[0, 1], [2, 3], [4], [5]]
        """
        size = whole_number(capacity, "Ragged.split: capacity", least=1)
        lengths = self.lengths
        pieces = np.maximum(1, -(-lengths // size))
        first = np.repeat(np.cumsum(pieces) - pieces, pieces)
        number = np.arange(int(pieces.sum())) - first
        starts = np.repeat(self._starts, pieces) + number * size
        stops = np.minimum(starts + size, np.repeat(self._stops, pieces))
        return self._view(starts, stops, samples=int((lengths > size).sum()))

    def truncate(self, capacity: int) -> Ragged:
        """Keep only the first `capacity` tokens of each sample.

        Parameters
        ----------
        capacity : int
            The largest number of tokens of a sample.

        Returns
        -------
        Ragged
            A view. Its `samples_cut` is the number of samples with more tokens, `tokens_cut` the number of tokens left
            out.
        """
        size = whole_number(capacity, "Ragged.truncate: capacity", least=1)
        over = np.maximum(self.lengths - size, 0)
        cut = {"samples": int((over > 0).sum()), "tokens": int(over.sum())}
        return self._view(self._starts, self._stops - over, **cut)

    def drop(self, capacity: int) -> Ragged:
        """Leave out the samples of more than `capacity` tokens.

        Parameters
        ----------
        capacity : int
            The largest number of tokens of a sample.

        Returns
        -------
        Ragged
            A view. Its `samples_cut` and `tokens_cut` are the numbers of samples and tokens left out.
        """
        size = whole_number(capacity, "Ragged.drop: capacity", least=1)
        keep = self.lengths <= size
        cut = {"samples": int((~keep).sum()), "tokens": int(self.lengths[~keep].sum())}
        return self._view(self._starts[keep], self._stops[keep], **cut)

    def __repr__(self) -> str:
        cut = f", {self.samples_cut} samples and {self.tokens_cut} tokens cut" if self.samples_cut else ""
        return f"<Ragged {'x'.join(map(str, self.shape))} {self.dtype}{cut}>"

    def __getstate__(self) -> dict[str, Any]:
        own = ("values", "_starts", "_stops", "tokens_cut", "samples_cut")
        return {name: getattr(self, name) for name in own}


def _tokens_of(sample: Any) -> NDArray[Any]:
    """A sample of `Ragged.of` as an array of the same values."""
    if hasattr(sample, "__array__"):
        return plain_array(sample, "Ragged.of")
    tokens = array_of(sample, "Ragged.of")
    return tokens.copy() if isinstance(tokens, Strings) else tokens


def _tokens_in(values: NDArray[Any]) -> memoryview:
    """The tokens of an array in C order, of any dtype, as the items of a buffer."""
    memory = values.reshape(-1).view(np.uint8)
    return np.ndarray((len(values),), f"V{len(memory) // max(1, len(values))}", memory).data


def _ends(lengths: Offsets) -> NDArray[np.int64]:
    ends = np.zeros(len(lengths) + 1, np.int64)
    lengths.cumsum(out=ends[1:])
    return ends
