"""Groups of samples, chosen by their lengths: what `bucket` and `pack` have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchup.core.blocks import Block, as_indices, block_array
from batchup.core.checks import describe, plain_array
from batchup.core.draws import Draws
from batchup.core.grid import Grid, Listed
from batchup.core.plan import Kind, Plan
from batchup.core.randomness import Seed, frozen_generator
from batchup.core.record import record
from batchup.ragged import Ragged

Lengths = NDArray[np.int64]
Grouped = tuple[NDArray[np.intp], NDArray[np.int64]]  # an order of samples, and the ends of its groups


def shown_indices(indices: ArrayLike | None) -> str | None:
    """The argument `indices` in the text of a source."""
    return None if indices is None else describe(np.asarray(indices))


def as_lengths(lengths: ArrayLike | Ragged, indices: ArrayLike | None, where: str) -> tuple[Lengths, NDArray[np.intp]]:
    """The lengths, checked, and the samples that shall come."""
    array = lengths.lengths if isinstance(lengths, Ragged) else plain_array(lengths, where)
    wanted = f"{where}: expected lengths, a 1-D array of whole numbers >= 0"
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise TypeError(f"{wanted}; got {describe(lengths)}")
    if array.size and array.min() < 0:
        raise ValueError(f"{wanted}; sample {array.argmin()} has {array.min()}")
    checked = array.astype(np.int64)
    if indices is None:
        return checked, np.arange(len(checked))
    chosen = block_array(as_indices(indices, f"{where}: indices", len(checked)))
    if len(chosen) and chosen.max() >= len(checked):
        raise ValueError(f"{where}: indices: expected some below {len(checked)}; got {chosen.max()}")
    return checked, chosen


def check_longest(lengths: Lengths, chosen: NDArray[np.intp], most: int, where: str) -> None:
    """Raise ValueError if a sample has more than `most` tokens."""
    longer = chosen[lengths[chosen] > most]
    if len(longer):
        raise ValueError(
            f"{where}: expected samples of at most {most} tokens; {len(longer)} have more, sample {longer[0]} has "
            f"{lengths[longer[0]]}. Of a Ragged there are ragged.split({most}), ragged.truncate({most}) and "
            f"ragged.drop({most}): give the lengths of one of these here, and itself to gather"
        )


def grouped(
    lengths: Lengths, chosen: NDArray[np.intp], seed: Seed, window: int, grouped: Callable[[Lengths], Grouped]
) -> Groups:
    """The samples in a random order, cut into windows. In each window `grouped` makes groups by the lengths."""
    order = frozen_generator(seed, 0, 0, 2).permutation(chosen)
    orders, ends = [np.empty(0, np.intp)], [np.zeros(1, np.int64)]
    for start in range(0, len(order), window):
        own = order[start : start + window]
        within, cuts = grouped(lengths[own])
        orders.append(own[within])
        ends.append(cuts + start)
    return Groups(np.concatenate(orders), np.concatenate(ends))


@record
class Groups(Plan):
    """Index blocks that are parts of one array: block k is `order[ends[k]:ends[k + 1]]`."""

    tag = "groups"

    order: NDArray[np.intp]
    ends: NDArray[np.int64]
    kind = Kind.VIEWS
    starts_anywhere = True

    @property
    def length(self) -> int:
        return len(self.ends) - 1

    @cached_property
    def grid(self) -> Grid:
        return Listed(np.diff(self.ends).tolist(), int(self.order.max(initial=-1)) + 1)

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Block]:
        return (self.order[self.ends[n] : self.ends[n + 1]] for n in range(k, self.length))
