"""Samples of different lengths, one after another in one flat array: `Ragged`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchup.core.checks import describe, whole_number
from batchup.core.work import Copyable

Offsets = NDArray[np.signedinteger[Any]]


class Ragged(Copyable):
    """An array of samples of different lengths: sample i is `values[offsets[i]:offsets[i + 1]]`.

    `values` is a flat array of all their tokens, (tokens, ...) of any dtype, memory-mapped or not; `offsets` are
    (n + 1,) integers that don't decrease: the layout of Arrow's lists. `ragged[i]` is a view, as are slices and
    what `split`, `truncate` and `drop` give; `ragged[integer array]` is a copy of those samples, in memory of its own.
    Raises TypeError or ValueError for what are no such arrays.

    >>> words = Ragged(np.arange(6) * 10, [0, 2, 2, 6])
    >>> words, len(words), words[2]
    (<Ragged 3x* int64>, 3, array([20, 30, 40, 50]))
    >>> words[np.array([2, 0])].tolist(), words.lengths
    ([[20, 30, 40, 50], [0, 10]], array([2, 0, 4]))
    """

    __array_ufunc__ = None

    def __init__(self, values: ArrayLike, offsets: ArrayLike):
        flat, ends = np.asarray(values), np.asarray(offsets)
        if flat.ndim == 0:
            raise TypeError(f"Ragged: expected values, a flat array of tokens; got {describe(values)}")
        if ends.ndim != 1 or not len(ends) or ends.dtype.kind not in "iu":
            wanted = (
                "Ragged: expected offsets, a 1-D array of integers, one more than there are samples"
            )
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
        self.tokens_cut: int = cut.get("tokens", 0)  # of a view, how many tokens it leaves out
        self.samples_cut: int = cut.get("samples", 0)  # and how many samples it leaves out, or cuts

    def _view(self, starts: Offsets, stops: Offsets, **cut: int) -> Ragged:
        other = Ragged.__new__(Ragged)
        other._set(self.values, starts, stops, **cut)
        return other

    @staticmethod
    def of(samples: Sequence[ArrayLike]) -> Ragged:
        """The samples of a list of arrays, (tokens, ...) each, put one after another once.

        >>> Ragged.of([[1, 2, 3], [4]]).values
        array([1, 2, 3, 4])
        """
        arrays = [np.asarray(sample) for sample in samples]
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
        """The samples of a list column of Arrow, `table["input_ids"]`, or of Hugging Face, `dataset["input_ids"]`.

        Without a copy, where it is in one chunk and no rows were chosen or put into another order. Raises TypeError for a
        column of anything else, ValueError for missing values.
        """
        array = lists
        if hasattr(lists, "source") and hasattr(lists, "column_name"):  # of Hugging Face
            name = lists.column_name
            array = lists.source.with_format("arrow", columns=[name])[:][name]
        if hasattr(array, "combine_chunks") and hasattr(array, "num_chunks"):
            array = array.chunk(0) if array.num_chunks == 1 else array.combine_chunks()
            array = array.chunk(0) if hasattr(array, "num_chunks") else array  # of old Arrow
        if not hasattr(array, "offsets") or not hasattr(array, "flatten"):
            raise TypeError(f"Ragged.from_arrow: expected lists of Arrow; got {describe(lists)}")
        missing = array.null_count + array.values.null_count
        if missing:
            raise ValueError(f"Ragged.from_arrow: expected no missing values; {missing} are")
        return Ragged(array.values.to_numpy(), array.offsets.to_numpy())

    def to_arrow(self) -> Any:
        """The same as lists of Arrow, a `LargeListArray`; without a copy of what is no view."""
        import pyarrow

        own = self if self._is_plain else self.copy()
        offsets = own.offsets.astype(np.int64, copy=False)
        return pyarrow.LargeListArray.from_arrays(pyarrow.array(offsets), pyarrow.array(own.values))

    @staticmethod
    def joined(several: Sequence[Ragged]) -> Ragged:
        """The samples of several, one after another, in memory of their own."""
        values = np.concatenate([part.flat for part in several])
        lengths = np.concatenate([part.lengths for part in several])
        return Ragged(values, _ends(lengths))

    @property
    def lengths(self) -> Offsets:
        """How many tokens each sample has, (n,) integers."""
        return self._stops - self._starts

    @property
    def offsets(self) -> Offsets:
        """Where samples begin and end, (n + 1,), in what `copy()` has for values; of no view, in `values`."""
        if self._is_plain:
            return np.append(self._starts, self._stops[-1:] if len(self) else [0])
        return _ends(self.lengths)

    @cached_property
    def _is_plain(self) -> bool:
        """Whether the samples lie one after another, with nothing between."""
        return bool((self._starts[1:] == self._stops[:-1]).all())

    @property
    def _plain_values(self) -> NDArray[Any]:
        return self.values[self._starts[0] : self._stops[-1]] if len(self) else self.values[:0]

    @property
    def flat(self) -> NDArray[Any]:
        """The tokens of all samples, one after another: a view, where nothing lies between them."""
        return self._plain_values if self._is_plain else self.copy().values

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.values.dtype

    @property
    def shape(self) -> tuple[Any, ...]:
        """`(n, "*", ...)`, as the samples have no one length."""
        return (len(self), "*", *self.values.shape[1:])

    @property
    def nbytes(self) -> int:
        """Those of the tokens and offsets."""
        own = (
            self._plain_values.nbytes if self._is_plain else int(self.lengths.sum()) * self._token_size
        )
        return int(own + self._starts.nbytes)

    @cached_property
    def _token_size(self) -> int:
        return int(self.values.itemsize * np.prod(self.values.shape[1:]))

    def copy(self) -> Ragged:
        """The same samples in memory of their own, with nothing between them."""
        return self[np.arange(len(self))]

    def tolist(self) -> list[list[Any]]:
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
        other._set(self._tokens(starts, stops), ends[:-1], ends[1:])
        return other

    def _tokens(self, starts: Offsets, stops: Offsets) -> NDArray[Any]:
        """The tokens from each start to its stop, in memory of their own."""
        if self.dtype.hasobject or not len(starts):
            runs = zip(starts.tolist(), stops.tolist(), strict=True)
            return np.concatenate([self.values[:0], *[self.values[i:j] for i, j in runs]])
        # Joined as bytes: two thirds of what np.concatenate takes, which makes an array of each part.
        size = self._token_size
        slices = map(slice, (starts * size).tolist(), (stops * size).tolist())
        memory = bytearray().join(map(self._bytes.__getitem__, slices))
        tokens = np.frombuffer(memory, self.dtype)
        return tokens if self.values.ndim == 1 else tokens.reshape(-1, *self.values.shape[1:])

    @cached_property
    def _bytes(self) -> memoryview:
        return self.values.reshape(-1).view(np.uint8).data

    # --- samples that are too long: each of these is a view, and says what it cut

    def split(self, capacity: int) -> Ragged:
        """A view with each sample of more than `capacity` tokens cut into several.

        `samples_cut` of it is how many were.

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
        """A view with the first `capacity` tokens of each sample.

        `samples_cut` and `tokens_cut` of it are how many had more, and how many tokens are left out.
        """
        size = whole_number(capacity, "Ragged.truncate: capacity", least=1)
        over = np.maximum(self.lengths - size, 0)
        cut = {"samples": int((over > 0).sum()), "tokens": int(over.sum())}
        return self._view(self._starts, self._stops - over, **cut)

    def drop(self, capacity: int) -> Ragged:
        """A view without the samples of more than `capacity` tokens.

        `samples_cut` and `tokens_cut` of it are how many samples, and tokens in them, are left out.
        """
        size = whole_number(capacity, "Ragged.drop: capacity", least=1)
        keep = self.lengths <= size
        cut = {"samples": int((~keep).sum()), "tokens": int(self.lengths[~keep].sum())}
        return self._view(self._starts[keep], self._stops[keep], **cut)

    def __repr__(self) -> str:
        cut = (
            f", {self.samples_cut} samples and {self.tokens_cut} tokens cut" if self.samples_cut else ""
        )
        return f"<Ragged {'x'.join(map(str, self.shape))} {self.dtype}{cut}>"

    def __getstate__(self) -> dict[str, Any]:
        own = ("values", "_starts", "_stops", "tokens_cut", "samples_cut")
        return {name: getattr(self, name) for name in own}


def _ends(lengths: Offsets) -> NDArray[np.int64]:
    ends = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=ends[1:])
    return ends
