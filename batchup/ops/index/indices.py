"""The source of index blocks: `indices`."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from batchup.core.blocks import as_block
from batchup.core.checks import describe, whole_number
from batchup.core.sources import Blocks
from batchup.core.stream import Stream


def indices(which: int | ArrayLike) -> Stream:
    """The indices of a pass as one block: 0 to n-1 for an int n, or the given indices.

    `which` is the number of samples, or a 1-D sequence of integers >= 0 in the order in which they come; an index may
    come several times. All samples in order stay a `range`, so a source of 10**12 samples costs nothing. Raises
    TypeError for floats, masks and arrays of other shapes, ValueError for negative numbers.

    >>> list(indices(4)), list(indices([7, 3]))
    ([range(0, 4)], [array([7, 3])])
    """
    if not isinstance(which, Sequence) and getattr(which, "ndim", 0) == 0:
        n = whole_number(which, "indices(n)")
        return Stream(Blocks((range(n),)), text=f"indices({n})")
    block = as_block(which, "indices(array)")
    if isinstance(block, np.ndarray):
        block = block.copy()
    return Stream(Blocks((block,)), text=f"indices({describe(block)})")
