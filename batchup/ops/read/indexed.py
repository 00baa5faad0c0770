"""Array-likes over other arrays, indexed by ints, slices, integer arrays and masks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.core.checks import describe
from batchup.core.item import mapped
from batchup.ops.read.chunked import Samples, Stored


class Indexed(Stored):
    """An array-like over others. A derived class defines how `samples` and `run` read; `chunks` are sizes, or None."""

    def __init__(self, array: Any, shape: tuple[Any, ...], dtype: Any, chunks: NDArray[np.intp] | None):
        self.array, self.shape, self.dtype = array, shape, dtype
        self.cache = None
        self._sizes = chunks
        self._ends = max(1, shape[0]) if chunks is None else chunks.cumsum()

    _columns: list[Any]  # the arrays

    @property
    def reads(self) -> int:
        return max([column.reads for column in self._columns if isinstance(column, Stored)], default=1)

    def begun(self, block: NDArray[np.intp]) -> Callable[[], Samples]:
        return partial(self.samples, block)

    @property
    def chunks(self) -> NDArray[np.intp] | None:
        return self._sizes

    def __getitem__(self, which: Any) -> Samples:
        n = len(self)
        if isinstance(which, slice):
            some = range(n)[which]
            return self.run(some) if some.step == 1 else self.samples(np.array(some, np.intp))
        if isinstance(which, int | np.integer):
            if not -n <= which < n:
                raise IndexError(f"expected an index below {n}, the number of samples; got {which}")
            one = self.samples(np.array([which % n]))
            return mapped(one, lambda part: part[0], (tuple, dict))
        places = np.asarray(which)
        if places.dtype.kind == "b" and places.shape == (n,):
            places = np.flatnonzero(places)
        if places.ndim != 1 or (len(places) and places.dtype.kind not in "iu"):
            wanted = f"expected an int, a slice, a 1-D array of integers, or a mask of {n}"
            raise IndexError(f"{wanted}; got {describe(places)}")
        places = places.astype(np.intp)
        return self.samples(np.where(places < 0, places + n, places))

    def check(self, block: NDArray[np.intp]) -> None:
        """Raise IndexError for an index outside."""
        if len(block) and not 0 <= block.min() <= block.max() < len(self):
            outside = block.min() if block.min() < 0 else block.max()
            raise IndexError(f"expected indices below {len(self)}; got {outside}")

    def __repr__(self) -> str:
        return describe(self)
