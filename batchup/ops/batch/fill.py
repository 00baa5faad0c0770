"""Write the samples of a batch into one row of tokens: `fill`."""

from __future__ import annotations

from itertools import islice, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.core.checks import call_text, describe, listed, whole_number
from batchup.core.record import record
from batchup.core.stream import Stage, Stream
from batchup.core.work import Sizes, Step
from batchup.ops.batch.padding import checked_value, filling, shown_value
from batchup.ops.read.gather import Gather, columns_known
from batchup.parts import parts_of
from batchup.ragged import Ragged


def fill(capacity: int, *, value: Any = 0, cu_seqlens: bool = False) -> Stage:
    """Write the samples of a batch, which `pack` has chosen, into one row of `capacity` tokens.

    Put `rebatch(8)` behind it for batches of eight rows.

    Parameters
    ----------
    capacity : int
        The number of tokens in a row: that of `pack`.
    value : number or dict of str to number
        What places without a token hold; as a dict by the names of the parts, such as `{"input_ids": 0, "labels":
        -100}`.
    cu_seqlens : bool
        If True, add `cu_seqlens` and `max_seqlen`, as attention kernels need them. `rebatch` can't join such batches.

    Returns
    -------
    Stage
        Gives dicts. `tokens`, of shape (1, capacity, ...), has the samples of the batch's `Ragged` one after another;
        for a batch that is a dict of several `Ragged`, each has its own name instead. `segment_ids`, (1, capacity)
        int32, is 1 for the tokens of the first sample, 2 for those of the second, and 0 for places without a token.
        `positions`, (1, capacity) int32, counts the tokens within each sample. `cu_seqlens`, (samples + 1,) int32, says
        where samples begin and end; `max_seqlen` is an int.

    Raises
    ------
    TypeError
        While iterating, for a batch of anything but `Ragged`.
    ValueError
        While iterating, if a batch has more than `capacity` tokens.

    Examples
    --------
    >>> from batchup import ops
    >>> words = ops.Ragged(np.arange(1, 7), [0, 2, 3, 6])
    >>> row = (ops.indices([2, 0]) | ops.gather(words) | fill(6))[0]
    >>> {name: array.tolist() for name, array in row.items()}
    {'tokens': [[4, 5, 6, 1, 2, 0]], 'segment_ids': [[1, 1, 1, 2, 2, 0]], 'positions': [[0, 1, 2, 0, 1, 0]]}
    """
    value = checked_value(value, "fill")
    step = Fill(whole_number(capacity, "fill(capacity)", least=1), value, bool(cu_seqlens))
    return Stage(_filled, step, text=str(step))


def _filled(stream: Stream, step: Fill) -> Stream:
    columns = columns_known(stream)
    step.check_names(tuple(columns))
    for name, column in columns.items():
        if isinstance(column, Ragged):
            filling(step.value, name, column, str(step))
    return stream.with_step(step)


_OWN = ("segment_ids", "positions", "cu_seqlens", "max_seqlen")


@record
class Fill(Step):
    """The step of `fill`."""

    tag = "fill"

    capacity: int
    value: Any
    cu_seqlens: bool
    sizes = Sizes(rows=1)

    def run(self, item: Any) -> dict[str, Any]:
        parts = self._ragged(item)
        lengths = self._lengths({name: part.lengths for name, part in parts.items()})
        rooms = self._rooms(lengths, [len(lengths)])
        total = self.capacity - rooms[0]
        row: dict[str, Any] = {name: self._row(name, part, total) for name, part in parts.items()}
        row |= self._places(lengths, [len(lengths)], rooms)
        if self.cu_seqlens:
            row["cu_seqlens"] = np.append(0, lengths.cumsum()).astype(np.int32)
            row["max_seqlen"] = int(lengths.max(initial=0))
        return row

    def rows(self, columns: dict[str, Ragged], which: NDArray[np.intp], counts: list[int]) -> dict[str, Any]:
        """Several rows at once, of these samples of the columns: `counts` of them in each row."""
        lengths = self._lengths({name: column._lengths_of(which) for name, column in columns.items()})
        rooms = self._rooms(lengths, counts)
        batch: dict[str, Any] = {}
        for name, column in columns.items():
            value = filling(self.value, name, column, str(self))
            batch[name] = column._in_rows(which, counts, rooms, value)
        return batch | self._places(lengths, counts, rooms)

    def _lengths(self, of_parts: dict[str, Any]) -> NDArray[Any]:
        """The lengths of the samples, which must be those of all parts."""
        first, *others = of_parts.values()
        for name, lengths in zip(list(of_parts)[1:], others, strict=True):
            if not np.array_equal(lengths, first):
                raise ValueError(f"{self}: expected parts with the same lengths; those of {name!r} differ")
        return first  # type: ignore[no-any-return]

    def _rooms(self, lengths: NDArray[Any], counts: list[int]) -> list[int]:
        """The number of places without a token in each row."""
        ends = np.append(0, lengths.cumsum()).take(np.cumsum([0, *counts])).tolist()
        for (start, stop), count in zip(pairwise(ends), counts, strict=True):
            if stop - start > self.capacity:
                raise ValueError(
                    f"{self}: expected at most {self.capacity} tokens in a row; these {count} samples have {stop - start}. "
                    "pack(lengths, capacity, seed) chooses samples that fit"
                )
        return [self.capacity - (stop - start) for start, stop in pairwise(ends)]

    def _places(self, lengths: NDArray[Any], counts: list[int], rooms: list[int]) -> dict[str, NDArray[np.int32]]:
        """The number of its sample for each place of the rows, and its position in that."""
        runs: list[int] = []  # the lengths of samples; behind those of a row, the room that is left
        numbers: list[int] = []
        left = iter(lengths.tolist())
        for count, room in zip(counts, rooms, strict=True):
            runs += islice(left, count)
            runs.append(room)
            numbers += range(1, count + 1)
            numbers.append(0)
        each = np.array(runs)
        starts = (each.cumsum() - each).astype(np.int32)
        size = len(counts) * self.capacity
        segments = np.repeat(np.array(numbers, np.int32), each).reshape(-1, self.capacity)
        positions = (np.arange(size, dtype=np.int32) - np.repeat(starts, each)).reshape(-1, self.capacity)
        for row, room in zip(positions, rooms, strict=True):
            row[self.capacity - room :] = 0
        return {"segment_ids": segments, "positions": positions}

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
        """Raises ValueError for a part with the name of one that this stage makes."""
        if taken := [name for name in names if name in _OWN]:
            raise ValueError(
                f"{self}: the batch has a part of the name {taken[0]!r} already, which this stage adds. Give that part another name"
            )

    def _row(self, name: str, part: Ragged, total: int) -> NDArray[Any]:
        value = filling(self.value, name, part, str(self))
        row = np.full((1, self.capacity, *part.values.shape[1:]), value, part.dtype)
        row[0, :total] = part.flat
        return row

    def columns_of(self, gather: Step) -> dict[str, Ragged] | None:
        """What `rows` reads in place of the batches of a `gather`; None if it can't."""
        if not isinstance(gather, Gather) or gather.include_indices or gather.alone or self.cu_seqlens:
            return None
        columns = gather.reader.columns
        names = gather.names or ("tokens",)
        if len(names) != len(columns) or not all(isinstance(c, Ragged) and c._buffer is not None for c in columns):
            return None
        return dict(zip(names, columns, strict=True))

    def __str__(self) -> str:
        return call_text("fill", self.capacity, value=shown_value(self.value), cu_seqlens=self.cu_seqlens)
