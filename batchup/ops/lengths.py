"""Batches of samples of different lengths as arrays: `pad`, and `fill` for packed rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.core.checks import describe, whole_number
from batchup.core.ragged import Ragged
from batchup.core.record import record
from batchup.core.stream import Stage, Stream
from batchup.core.work import Step
from batchup.ops.batches import parts_of


def pad(
    to: int | None = None, multiple: int | None = None, value: Any = 0, *, mask: bool = False
) -> Stage:
    """Make arrays of the `Ragged` parts of a batch: each becomes the array, its samples' lengths and, on request, a mask.

    The array is (n, longest, ...), filled up with `value`; with `multiple` up to a multiple of that; with `to` up to so
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
    step = Pad(to, multiple, value, bool(mask))
    return Stage(Stream.with_step, step, text=str(step))


@record
class Pad(Step):
    """The step of `pad`."""

    to: int | None
    multiple: int
    value: Any
    mask: bool

    def run(self, item: Any) -> Any:
        if isinstance(item, dict):
            parts: dict[str, Any] = {}
            for name, part in item.items():
                names = (name, f"{name}_lengths", f"{name}_mask")
                given = self._parts(part)
                if len(given) > 1 and (
                    taken := [other for other in names[1 : len(given)] if other in item]
                ):
                    raise ValueError(
                        f"{self}: expected no part of the name {taken[0]!r}, which it makes; there is one"
                    )
                parts |= zip(names, given, strict=False)
            self._check(item, len(parts) > len(item))
            return parts
        flat = [
            one for part in (item if isinstance(item, tuple) else (item,)) for one in self._parts(part)
        ]
        self._check(item, len(flat) > (len(item) if isinstance(item, tuple) else 1))
        return tuple(flat)

    def _check(self, item: Any, found: bool) -> None:
        if not found:
            given = ", ".join(map(describe, parts_of(item)))
            wanted = f"{self}: expected a Ragged among the parts of the batch"
            raise TypeError(f"{wanted}; got {given}. gather(ragged) gives one")

    def _parts(self, part: Any) -> tuple[Any, ...]:
        if not isinstance(part, Ragged):
            return (part,)
        lengths = part.lengths.astype(np.int64)
        longest = int(lengths.max(initial=0))
        width = self.to or -(-longest // self.multiple) * self.multiple
        if longest > width:
            raise ValueError(
                f"{self}: expected samples of at most {width} tokens; sample {lengths.argmax()} of the batch has "
                f"{longest}. Cut them before: gather(ragged.truncate({width}))"
            )
        padded = np.full((len(part), width, *part.values.shape[1:]), self.value, part.dtype)
        for row, sample in zip(padded, part, strict=True):
            row[: len(sample)] = sample
        if not self.mask:
            return padded, lengths
        return padded, lengths, np.arange(width) < lengths[:, None]

    def __str__(self) -> str:
        options = "" if self.to is None else f"to={self.to}"
        options += f"multiple={self.multiple}" if self.multiple > 1 else ""
        return f"pad({options})"


def fill(capacity: int, *, value: Any = 0, cu_seqlens: bool = False) -> Stage:
    """Make a row of `capacity` tokens of the samples of a batch, which `pack` has chosen for it: a dict.

    Of the `Ragged` of a batch, its samples one after another, come `tokens`, (1, capacity, ...), filled up with `value`;
    of a batch that is a dict of some, each by its name. With them come `segment_ids`, (1, capacity) int32, which are 1
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
    step = Fill(whole_number(capacity, "fill(capacity)", least=1), value, bool(cu_seqlens))
    return Stage(Stream.with_step, step, text=str(step))


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
        row: dict[str, Any] = {name: self._row(part, total) for name, part in parts.items()}
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
            given = ", ".join(map(describe, parts_of(item)))
            raise TypeError(
                f"{self}: expected one Ragged, as of gather(ragged), or a dict of some, as of gather(tokens=ragged, "
                f"labels=other); got {given}"
            )
        if taken := [name for name in parts if name in _OWN]:
            raise ValueError(
                f"{self}: expected no part of the name {taken[0]!r}, which it makes; there is one"
            )
        return parts

    def _row(self, part: Ragged, total: int) -> NDArray[Any]:
        row = np.full((1, self.capacity, *part.values.shape[1:]), self.value, part.dtype)
        row[0, :total] = part.flat
        return row

    def _ints(self, values: NDArray[Any]) -> NDArray[np.int32]:
        row = np.zeros((1, self.capacity), np.int32)
        row[0, : len(values)] = values
        return row

    def __str__(self) -> str:
        return f"fill({self.capacity}{', cu_seqlens=True' * self.cu_seqlens})"
