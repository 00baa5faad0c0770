"""Make arrays of samples of different lengths: `pad`."""

from __future__ import annotations

from typing import Any

import numpy as np

from batchup.core.checks import call_text, describe, listed, whole_number
from batchup.core.record import record
from batchup.core.stream import Stage, Stream
from batchup.core.work import SAME, Step
from batchup.ops.batch.padding import checked_value, filling, shown_value
from batchup.ops.read.gather import columns_known
from batchup.parts import parts_of
from batchup.ragged import Ragged


def pad(to: int | None = None, multiple: int | None = None, value: Any = 0, *, mask: bool = False) -> Stage:
    """Make an array of each `Ragged` part of a batch, filled up with a value, and the lengths of its samples.

    Parameters
    ----------
    to : int or None
        If given, the number of tokens of each row in every batch.
    multiple : int or None
        If given, the number of tokens of a row is a multiple of it. Otherwise it is that of the longest sample.
    value : number or dict of str to number
        What places without a token hold; as a dict by the names of the parts.
    mask : bool
        If True, add a mask to each part.

    Returns
    -------
    Stage
        Gives batches with an array of shape (n, longest, ...) for each `Ragged`. Right behind it come the lengths, (n,)
        int64, and, with `mask`, the mask, (n, longest) bool, True for tokens. In a dict these are `name_lengths` and
        `name_mask`.

    Raises
    ------
    TypeError
        If `to` and `multiple` are no ints; while iterating, for a batch without a `Ragged`.
    ValueError
        While iterating, if a sample has more than `to` tokens.

    Examples
    --------
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
    step = Pad(to, multiple, checked_value(value, "pad"), bool(mask))
    return Stage(_padded, step, text=str(step))


def _padded(stream: Stream, step: Pad) -> Stream:
    columns = columns_known(stream)
    ragged = {name: column for name, column in columns.items() if isinstance(column, Ragged)}
    step.check_names(tuple(columns), ragged)
    for name, column in ragged.items():
        filling(step.value, name, column, str(step))
    return stream.with_step(step)


@record
class Pad(Step):
    """The step of `pad`."""

    tag = "pad"

    to: int | None
    multiple: int
    value: Any
    mask: bool
    sizes = SAME

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
        """The batch with an array in place of each `Ragged`, also inside of nested tuples and dicts; and whether there was one."""
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
        """Raises ValueError for a part with the name of one that this stage makes."""
        taken = [new for name in ragged for new in self._names(name)[1:] if new in names]
        if taken:
            raise ValueError(
                f"{self}: the batch has a part of the name {taken[0]!r} already, which this stage adds. Give that part another name"
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
        value = filling(self.value, name, part, str(self))
        padded = np.full((len(part), width, *part.values.shape[1:]), value, part.dtype)
        for row, sample in zip(padded, part, strict=True):
            row[: len(sample)] = sample
        if not self.mask:
            return padded, lengths
        return padded, lengths, np.arange(width) < lengths[:, None]

    def __str__(self) -> str:
        multiple = self.multiple if self.multiple > 1 else None
        return call_text("pad", to=self.to, multiple=multiple, value=shown_value(self.value), mask=self.mask)
