"""Batches of samples of different lengths as arrays: `pad`, and `fill` for packed rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.core.checks import describe, listed, whole_number
from batchup.core.ragged import Ragged
from batchup.core.record import record
from batchup.core.stream import Stage, Stream
from batchup.core.work import Step
from batchup.ops.batches import parts_of
from batchup.ops.items import columns_known


def pad(
    to: int | None = None, multiple: int | None = None, value: Any = 0, *, mask: bool = False
) -> Stage:
    """Make arrays of the `Ragged` parts of a batch: each becomes the array, its samples' lengths and, on request, a mask.

    The array is (n, longest, ...), filled up with `value`, a number or a dict of numbers by the names of the parts; with `multiple` up to a multiple of that; with `to` up to so
    many tokens in each batch. The lengths are (n,) int64, the mask (n, longest) bool, True for tokens. In a tuple they
    come right behind the array; in a dict as `name_lengths` and `name_mask`. Raises TypeError for a batch without a
    `Ragged`, ValueError for a sample of more than `to` tokens.

    >>> from batchup import ops
    >>> words = ops.Ragged(np.arange(1, 7), [0, 2, 2, 6])
    >>> batches = ops.indices(3) | ops.gather(words, np.array([7, 8, 9]))
    >>> for part in (batches | pad(multiple=3))[0]:
    ...     print(part.tolist())
    [[1, 2, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [3, 4, 5, 6, 0, 0]]
    [2, 0, 4]
    [7, 8, 9]
    """
    if to is not None and multiple is not None:
        raise TypeError("pad: expected to= or multiple=; got both")
    to = None if to is None else whole_number(to, "pad: to", least=1)
    multiple = 1 if multiple is None else whole_number(multiple, "pad: multiple", least=1)
    step = Pad(to, multiple, _checked_value(value, "pad"), bool(mask))
    return Stage(_padded, step, text=str(step))


def _padded(stream: Stream, step: Pad) -> Stream:
    columns = columns_known(stream)
    ragged = {name: column for name, column in columns.items() if isinstance(column, Ragged)}
    step.check_names(tuple(columns), ragged)
    for name, column in ragged.items():
        _filling(step.value, name, column, str(step))
    return stream.with_step(step)


def _checked_value(value: Any, where: str) -> Any:
    """`value` for the places without a token: a number, or a dict of them by the names of the parts."""
    for one in value.values() if isinstance(value, Mapping) else (value,):
        if not isinstance(one, bool | int | float | complex | str | bytes | np.generic):
            wanted = (
                f"{where}: value: expected a number, or a dict of numbers by the names of the parts"
            )
            raise TypeError(f"{wanted}; got {describe(one)}")
    return dict(value) if isinstance(value, Mapping) else value


def _filling(value: Any, name: str, part: Ragged, where: str) -> Any:
    """The value that a part is filled up with, as its dtype has it."""
    if isinstance(value, dict):
        if name not in value:
            wanted = f"{where}: value: expected a value for each part"
            raise ValueError(f"{wanted}; got {listed(map(repr, value))}, and none for {name!r}")
        value = value[name]
    try:
        with np.errstate(invalid="ignore"):
            one = np.array(value).astype(part.dtype)
        fits = part.dtype.kind not in "iubUS" or bool(one == value)
    except (TypeError, ValueError, OverflowError):
        fits = False
    if not fits:
        raise ValueError(
            f"{where}: value: expected one that {part.dtype} has, for {name!r}; got {value!r}"
        )
    return value


@record
class Pad(Step):
    """The step of `pad`."""

    to: int | None
    multiple: int
    value: Any
    mask: bool

    def run(self, item: Any) -> Any:
        if isinstance(item, Ragged):
            return self._parts(item, "tokens")
        padded, found = self._padded(item)
        if not found:
            given = listed(map(describe, parts_of(item)))
            wanted = f"{self}: expected a Ragged among the parts of the batch"
            raise TypeError(f"{wanted}; got {given}. gather(ragged) gives one")
        return padded

    def _padded(self, item: Any) -> tuple[Any, bool]:
        """A tuple or dict with arrays in place of each `Ragged`, also inside nested ones; and whether there was any."""
        if isinstance(item, dict):
            ragged = {name: part for name, part in item.items() if isinstance(part, Ragged)}
            self.check_names(tuple(item), ragged)
            found = bool(ragged)
            parts: dict[str, Any] = {}
            for name, part in item.items():
                if name in ragged:
                    parts |= zip(self._names(name), self._parts(part, name), strict=True)
                else:
                    parts[name], inside = self._padded(part)
                    found |= inside
            return parts, found
        if not isinstance(item, tuple):
            return item, False
        flat: list[Any] = []
        found = False
        for n, part in enumerate(item):
            if isinstance(part, Ragged):
                flat += self._parts(part, str(n))
                found = True
            else:
                inner, inside = self._padded(part)
                flat.append(inner)
                found |= inside
        return tuple(flat), found

    def _names(self, name: str) -> tuple[str, ...]:
        return (name, f"{name}_lengths") + (f"{name}_mask",) * self.mask

    def check_names(self, names: tuple[str, ...], ragged: dict[str, Any]) -> None:
        """ValueError for a part that has the name of one that this stage makes."""
        taken = [new for name in ragged for new in self._names(name)[1:] if new in names]
        if taken:
            raise ValueError(
                f"{self}: expected no part of the name {taken[0]!r}, which it makes; there is one"
            )

    def _parts(self, part: Ragged, name: str) -> tuple[Any, ...]:
        lengths = part.lengths.astype(np.int64)
        longest = int(lengths.max(initial=0))
        width = self.to or -(-longest // self.multiple) * self.multiple
        if longest > width:
            raise ValueError(
                f"{self}: expected samples of at most {width} tokens; sample {lengths.argmax()} of the batch has "
                f"{longest}. Cut them before: gather(ragged.truncate({width}))"
            )
        value = _filling(self.value, name, part, str(self))
        padded = np.full((len(part), width, *part.values.shape[1:]), value, part.dtype)
        for row, sample in zip(padded, part, strict=True):
            row[: len(sample)] = sample
        if not self.mask:
            return padded, lengths
        return padded, lengths, np.arange(width) < lengths[:, None]

    def __str__(self) -> str:
        options = [
            f"to={self.to}" * (self.to is not None),
            f"multiple={self.multiple}" * (self.multiple > 1),
            _value_option(self.value),
            "mask=True" * self.mask,
        ]
        return f"pad({', '.join(filter(None, options))})"


def _value_option(value: Any) -> str:
    return "" if type(value) is int and value == 0 else f"value={value!r}"


def fill(capacity: int, *, value: Any = 0, cu_seqlens: bool = False) -> Stage:
    """Make a row of `capacity` tokens of the samples of a batch, which `pack` has chosen for it: a dict.

    Of the `Ragged` of a batch, its samples one after another, come `tokens`, (1, capacity, ...), filled up with `value`;
    of a batch that is a dict of some, each by its name, for which `value` may be a dict, such as
    `{"input_ids": 0, "labels": -100}`. With them come `segment_ids`, (1, capacity) int32, which are 1
    for the tokens of the first sample, 2 for those of the next, and 0 where there are none, and `positions`,
    (1, capacity) int32, of each token in its sample. `rebatch(8)` behind it makes batches of eight rows.

    With `cu_seqlens` there are `cu_seqlens`, (samples + 1,) int32, where the samples begin and end, and `max_seqlen`,
    an int, as kernels of attention want them: for batches of one row, as no `rebatch` can put these together.

    Raises TypeError for a batch of anything but `Ragged`, ValueError for more tokens than `capacity`.

    >>> from batchup import ops
    >>> words = ops.Ragged(np.arange(1, 7), [0, 2, 3, 6])
    >>> row = (ops.indices([2, 0]) | ops.gather(words) | fill(6))[0]
    >>> {name: array.tolist() for name, array in row.items()}
    {'tokens': [[4, 5, 6, 1, 2, 0]], 'segment_ids': [[1, 1, 1, 2, 2, 0]], 'positions': [[0, 1, 2, 0, 1, 0]]}
    """
    value = _checked_value(value, "fill")
    step = Fill(whole_number(capacity, "fill(capacity)", least=1), value, bool(cu_seqlens))
    return Stage(_filled, step, text=str(step))


def _filled(stream: Stream, step: Fill) -> Stream:
    columns = columns_known(stream)
    step.check_names(tuple(columns))
    for name, column in columns.items():
        if isinstance(column, Ragged):
            _filling(step.value, name, column, str(step))
    return stream.with_step(step)


_OWN = ("segment_ids", "positions", "cu_seqlens", "max_seqlen")


@record
class Fill(Step):
    """The step of `fill`."""

    capacity: int
    value: Any
    cu_seqlens: bool
    rows = 1

    def run(self, item: Any) -> dict[str, Any]:
        parts = self._ragged(item)
        lengths = next(iter(parts.values())).lengths
        for name, part in parts.items():
            if not np.array_equal(part.lengths, lengths):
                raise ValueError(
                    f"{self}: expected parts with the same lengths; those of {name!r} are others"
                )
        total = int(lengths.sum())
        if total > self.capacity:
            raise ValueError(
                f"{self}: expected at most {self.capacity} tokens in a row; these {len(lengths)} samples have {total}. "
                "pack(lengths, capacity, seed) chooses samples that fit"
            )
        row: dict[str, Any] = {name: self._row(name, part, total) for name, part in parts.items()}
        ends = lengths.cumsum()
        row["segment_ids"] = self._ints(np.repeat(np.arange(1, len(lengths) + 1), lengths))
        row["positions"] = self._ints(np.arange(total) - np.repeat(ends - lengths, lengths))
        if self.cu_seqlens:
            row["cu_seqlens"] = np.append(0, ends).astype(np.int32)
            row["max_seqlen"] = int(lengths.max(initial=0))
        return row

    def _ragged(self, item: Any) -> dict[str, Ragged]:
        parts: dict[str, Any] = item
        if not isinstance(item, dict):
            parts = dict(zip(("tokens",), item if isinstance(item, tuple) else (item,), strict=False))
        alone = isinstance(item, dict | Ragged) or (isinstance(item, tuple) and len(item) == 1)
        if not alone or not parts or not all(isinstance(part, Ragged) for part in parts.values()):
            given = listed(map(describe, parts_of(item)))
            raise TypeError(
                f"{self}: expected one Ragged, as of gather(ragged), or a dict of some, as of gather(tokens=ragged, "
                f"labels=other); got {given}"
            )
        self.check_names(tuple(parts))
        return parts

    def check_names(self, names: tuple[str, ...]) -> None:
        """ValueError for a part that has the name of one that this stage makes."""
        if taken := [name for name in names if name in _OWN]:
            raise ValueError(
                f"{self}: expected no part of the name {taken[0]!r}, which it makes; there is one"
            )

    def _row(self, name: str, part: Ragged, total: int) -> NDArray[Any]:
        value = _filling(self.value, name, part, str(self))
        row = np.full((1, self.capacity, *part.values.shape[1:]), value, part.dtype)
        row[0, :total] = part.flat
        return row

    def _ints(self, values: NDArray[Any]) -> NDArray[np.int32]:
        row = np.zeros((1, self.capacity), np.int32)
        row[0, : len(values)] = values
        return row

    def __str__(self) -> str:
        options = [str(self.capacity), _value_option(self.value), "cu_seqlens=True" * self.cu_seqlens]
        return f"fill({', '.join(filter(None, options))})"
