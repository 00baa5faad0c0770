"""Only the indices that a mask selects: `where`."""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchup.core.blocks import Block, block_array
from batchup.core.checks import describe, plain_array
from batchup.core.draws import Draws
from batchup.core.errors import EMPTY_IN_A_ROW
from batchup.core.grid import Grid, Total
from batchup.core.plan import Itemwise, Kind
from batchup.core.record import record
from batchup.core.sources import Blocks
from batchup.core.stream import Stage, Stream


def where(mask: ArrayLike) -> Stage:
    """Keep only the indices that a boolean mask selects.

    Right behind `indices` the length of the stream stays known. Behind other stages it is unknown, since the indices
    are not looked at before they come. Put this stage before `chunk`, so that batches are full.

    Parameters
    ----------
    mask : 1-D array of bool
        `mask[i]` is True if sample i stays.

    Returns
    -------
    Stage
        Gives each block without the other indices.

    Raises
    ------
    TypeError
        If `mask` is not a 1-D boolean array, or the stream before it is not of index blocks.
    ValueError
        If the stream has indices beyond the mask, or if the mask leaves nothing of an endless stream.

    Examples
    --------
    >>> from batchup import ops
    >>> kept = ops.indices(6) | where(np.array([True, False, True, True, False, True]))
    >>> list(kept | ops.chunk(3)), kept.num_samples
    ([array([0, 2, 3]), array([5])], 4)
    """
    array = plain_array(mask, "where(mask)")
    if array.ndim != 1 or array.dtype.kind != "b":
        raise TypeError(f"where(mask): expected a 1-D array of True and False; got {describe(array)}")
    return Stage(_where, array.copy(), text=f"where({describe(array)})")


def _where(stream: Stream, mask: NDArray[np.bool_]) -> Stream:
    plan = stream.index_plan("where")
    bound = None if plan.grid is None else plan.grid.bound
    if bound is not None and bound > len(mask):
        raise ValueError(
            f"where(mask): expected a mask for the indices of {stream!r}, which reaches {bound - 1}; it has {len(mask)}"
        )
    if plan.length == math.inf and not mask.any():
        raise ValueError(f"where(mask): the mask selects none of the samples of {stream!r}, which is endless")
    if isinstance(plan, Blocks):
        kept = tuple([_of_block(block, mask) for block in plan.blocks])
        return replace(stream, plan=Blocks(kept))
    return replace(stream, plan=Where(plan, mask))


def _of_block(block: Block, mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    if isinstance(block, range):
        return np.flatnonzero(mask[block.start : block.stop]) + block.start
    indices = block_array(block)
    return indices[mask[indices]]


@record
class Where(Itemwise):
    """The plan of `where`."""

    tag = "where"

    mask: NDArray[np.bool_]
    kind = Kind.BLOCKS

    @property
    def grid(self) -> Grid | None:
        up = self.up.grid
        return None if up is None or up.samples != math.inf else Total(math.inf, up.bound)

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Block]:
        blocks = self.up.start(pass_, k, draws)
        return self._unless_none(blocks) if self.up.length == math.inf else map(self._of_block, blocks)

    def _of_block(self, block: Block) -> NDArray[np.intp]:
        return _of_block(block, self.mask)

    def _unless_none(self, blocks: Iterator[Block]) -> Iterator[Block]:
        empty = none = 0
        for block in blocks:
            left = self._of_block(block)
            empty, none = (0, 0) if len(left) else (empty + 1, none + len(block))
            # Besides, each sample must have come a hundred times, on average: a block may have one sample only.
            if empty > EMPTY_IN_A_ROW and none > 100 * len(self.mask):
                raise ValueError(
                    f"where(mask): the mask selects no sample of {empty} blocks in a row, and the stream is endless"
                )
            yield left
