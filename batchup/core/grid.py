"""Where the samples of a plan lie in its blocks: arithmetic on positions, which reads nothing."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from batchup.core.record import Count, record


class Grid(ABC):
    """Where the samples lie in the blocks of a pass.

    `samples` is their number, `math.inf` without end. All indices are below `bound`, None if that is unknown. All
    blocks have `size` samples, but the last may be shorter; None if the blocks are not of one size.
    """

    samples: int | float
    bound: int | None
    size: int | None
    # False if only the number of samples is known.
    located = True

    @property
    def varies(self) -> bool:
        """True if block k may have another size in another pass; all passes have as many samples."""
        return False

    @abstractmethod
    def before(self, pass_: int, k: int) -> int:
        """The number of samples in the first blocks of a pass.

        Parameters
        ----------
        pass_ : int
            The number of the pass.
        k : int
            The number of blocks.

        Returns
        -------
        int
            The number of samples.
        """

    def block_size(self, pass_: int, k: int) -> int:
        """The number of samples in one block of a pass.

        Parameters
        ----------
        pass_ : int
            The number of the pass.
        k : int
            The position of the block.

        Returns
        -------
        int
            The number of samples.
        """
        return self.before(pass_, k + 1) - self.before(pass_, k)

    @abstractmethod
    def seek(self, pass_: int, offset: int) -> tuple[int, int]:
        """The block that a sample of a pass lies in.

        Parameters
        ----------
        pass_ : int
            The number of the pass.
        offset : int
            The number of samples before it.

        Returns
        -------
        (int, int)
            The position of the block, and the place of the sample in that block.
        """


@record
class Total(Grid):
    """Blocks of unknown sizes, with a known number of samples in all.

    Parameters
    ----------
    samples : int or math.inf
        The number of samples of a pass.
    bound : int or None
        All indices are below it; None if that is unknown.
    """

    samples: int | float
    bound: int | None = None
    size = None
    located = False

    @staticmethod
    def of(samples: Count, bound: int | None = None) -> Total | None:
        """The grid of a number that may be unknown.

        Parameters
        ----------
        samples : int, math.inf or None
            The number of samples of a pass.
        bound : int or None
            All indices are below it; None if that is unknown.

        Returns
        -------
        Total or None
            The grid; None if the number is unknown.
        """
        return None if samples is None else Total(samples, bound)

    def before(self, pass_: int, k: int) -> int:
        raise NotImplementedError

    seek = before  # type: ignore[assignment]


@record
class Even(Grid):
    """Blocks of one size; the last may be shorter.

    Parameters
    ----------
    samples : int or math.inf
        The number of samples of a pass.
    size : int
        The number of samples in a block.
    bound : int or None
        All indices are below it; None if that is unknown.
    """

    samples: int | float
    size: int
    bound: int | None

    def before(self, pass_: int, k: int) -> int:
        return int(min(k * self.size, self.samples))

    def seek(self, pass_: int, offset: int) -> tuple[int, int]:
        return divmod(offset, self.size)


@record
class Listed(Grid):
    """Blocks of given sizes.

    Parameters
    ----------
    sizes : sequence of int
        The number of samples in each block.
    bound : int or None
        All indices are below it; None if that is unknown.
    """

    sizes: Sequence[int]
    bound: int | None
    size = None

    @cached_property
    def _ends(self) -> list[int]:
        return list(accumulate(self.sizes, initial=0))

    @property
    def samples(self) -> int:  # type: ignore[override]
        """The number of samples of a pass."""
        return self._ends[-1]

    def before(self, pass_: int, k: int) -> int:
        return self._ends[min(k, len(self.sizes))]

    def seek(self, pass_: int, offset: int) -> tuple[int, int]:
        k = bisect_right(self._ends, offset) - 1
        return k, offset - self._ends[k]


@record
class GridOver(Grid):
    """A grid made of another one, `of`. Unless it says otherwise, it has all of its samples."""

    of: Grid
    size = None

    @property
    def samples(self) -> int | float:  # type: ignore[override]
        return self.of.samples

    @property
    def bound(self) -> int | None:  # type: ignore[override]
        return self.of.bound

    @property
    def varies(self) -> bool:
        return self.of.varies


@record
class _SomeOf(GridOver):
    """`length` blocks, chosen from the blocks of another grid or made of them."""

    length: Count

    @property
    def samples(self) -> int | float:  # type: ignore[override]
        return self.before(0, self.length) if isinstance(self.length, int) else math.inf


def passes(times: int | float) -> int:
    """The number of passes in one pass of a plan repeated `times` times; for an endless one a number out of reach."""
    return times if isinstance(times, int) else 2**64


@record
class Repeated(_SomeOf):
    """The blocks of `times` passes of `length` blocks each; `math.inf` passes have no end."""

    length: int  # of one pass
    times: int | float

    @property
    def samples(self) -> int | float:  # type: ignore[override]
        return self.of.samples * self.times if self.of.samples else 0

    def before(self, pass_: int, k: int) -> int:
        n, k = divmod(k, self.length)
        first = pass_ * passes(self.times)
        return n * int(self.of.samples) + self.of.before(first + n, k)

    def seek(self, pass_: int, offset: int) -> tuple[int, int]:
        n, offset = divmod(offset, int(self.of.samples))
        k, rest = self.of.seek(pass_ * passes(self.times) + n, offset)
        return n * self.length + k, rest


@record
class Sliced(_SomeOf):
    """The blocks from position `first` on, `length` of them."""

    first: int

    @property
    def size(self) -> int | None:  # type: ignore[override]
        return self.of.size  # the short block, if it is there, is still the last

    def before(self, pass_: int, k: int) -> int:
        return self.of.before(pass_, self.first + k) - self.of.before(pass_, self.first)

    def seek(self, pass_: int, offset: int) -> tuple[int, int]:
        k, rest = self.of.seek(pass_, self.of.before(pass_, self.first) + offset)
        return k - self.first, rest


@record
class OfPass(_SomeOf):
    """The blocks of pass `number`, in each pass."""

    number: int

    @property
    def size(self) -> int | None:  # type: ignore[override]
        return self.of.size

    def before(self, pass_: int, k: int) -> int:
        return self.of.before(self.number, k)

    def seek(self, pass_: int, offset: int) -> tuple[int, int]:
        return self.of.seek(self.number, offset)


@record
class Sharded(_SomeOf):
    """A part of each of `length` blocks: of a block of n samples, `part(n)` of them."""

    part: Callable[[int], int]

    def before(self, pass_: int, k: int) -> int:
        if self.of.size is None:
            return sum(self.block_size(pass_, block) for block in range(k))
        blocks, rest = divmod(self.of.before(pass_, k), self.of.size)
        return blocks * self.part(self.of.size) + self.part(rest)

    def seek(self, pass_: int, offset: int) -> tuple[int, int]:
        if size := self.part(self.of.size or 0):
            return divmod(offset, size)
        k, end = 0, math.inf if self.length is None else self.length
        while k < end and offset >= (n := self.block_size(pass_, k)):
            k, offset = k + 1, offset - n
        return k, offset

    def block_size(self, pass_: int, k: int) -> int:
        # Not by `before`: for parts of parts that would count all blocks before, at each level.
        return self.part(self.of.block_size(pass_, k))


def chunk_numbers(indices: NDArray[np.intp], ends: int | NDArray[np.intp]) -> NDArray[np.intp]:
    """The number of the chunk that each sample lies in. `ends` is the size of all chunks, or where each ends."""
    return indices // ends if isinstance(ends, int) else ends.searchsorted(indices, side="right")
