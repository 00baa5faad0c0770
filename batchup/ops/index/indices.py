"""The source of index blocks: `indices`."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from batchup.core.blocks import as_block
from batchup.core.checks import describe, whole_number
from batchup.core.sources import Blocks
from batchup.core.stream import Stream


def indices(which: int | ArrayLike) -> Stream:
    """The indices of one pass as one block: 0 to n - 1, or the indices that you pass.

    Parameters
    ----------
    which : int or 1-D array of int
        The number of samples n, or the indices in the order in which they come. An index may occur several times.

    Returns
    -------
    Stream
        One index block, of shape (n,). For an int it is a `range`, so a source of 10**12 samples needs no memory.

    Raises
    ------
    TypeError
        For floats, boolean masks and arrays that are not 1-D.
    ValueError
        For negative numbers.

    Examples
    --------
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
