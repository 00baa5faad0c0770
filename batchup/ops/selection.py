"""Which samples stay: `where` says it of indices, `filter` of batches."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchup.core.checks import Block, block_array, describe, describe_callable
from batchup.core.computed import Computed, OverMade
from batchup.core.cursors import Place, Places, gone_on, places_of
from batchup.core.given import Blocks
from batchup.core.grid import Grid
from batchup.core.notes import users_frame
from batchup.core.plan import Draws, Itemwise, Kind
from batchup.core.record import Count, record
from batchup.core.stream import Stage, Stream
from batchup.core.work import OPENED, Made, Mark, Work, first_steps
from batchup.ops.batches import chosen, planned_piece, samples_in


def where(mask: ArrayLike) -> Stage:
    """Only the indices of which `mask`, a 1-D boolean array, says True: `mask[i]` is of sample i.

    Right behind `indices` lengths stay known; behind anything else they are not, as nobody looks at the
    indices before they come. It stands before `chunk`, so that batches are full. Raises TypeError for what is no
    such mask, ValueError where the indices reach beyond it.

    >>> from batchup import ops
    >>> kept = ops.indices(6) | where(np.array([True, False, True, True, False, True]))
    >>> list(kept | ops.chunk(3)), kept.num_samples
    ([array([0, 2, 3]), array([5])], 4)
    """
    array = np.asarray(mask)
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
        raise ValueError(
            f"where(mask): the mask leaves none of the samples of {stream!r}, and there is no end"
        )
    if isinstance(plan, Blocks):
        kept = tuple([_of_block(block, mask) for block in plan.given])
        return replace(stream, plan=Blocks(kept))
    return replace(stream, plan=Where(plan, mask))


def _of_block(block: Block, mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    if isinstance(block, range):
        return np.flatnonzero(mask[block.start : block.stop]) + block.start
    indices = block_array(block)
    return indices[mask[indices]]


@record
class Where(Itemwise):
    mask: NDArray[np.bool_]
    kind = Kind.BLOCKS

    @property
    def grid(self) -> Grid | None:
        return None

    @property
    def samples(self) -> Count:
        return math.inf if self.up.samples == math.inf else None

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
            if empty > _EMPTY and none > 100 * len(self.mask):
                raise ValueError(
                    f"where(mask): {empty} blocks in a row without a sample that it leaves, and there is no end"
                )
            yield left


# So many blocks, or batches, without a sample of a stream without end, and there may be none.
# (Of blocks, they must also have each sample a hundred times, on average.)
_EMPTY = 1000


def filter(fn: Callable[..., Any], *, name: str | None = None) -> Stage:
    """Only the batches, or of each those samples, of which `fn(*batch)` says True.

    `fn` is given a batch as in `map`, and returns True or False, or a mask, a 1-D boolean array with one for each
    sample; a batch none of whose samples is left does not come. Put `rebatch` behind it for batches of one size.
    How many batches there are is not known before: a checkpoint is where the stream below is, `skip` and
    `stream[k]` make what comes before, and `repeat`, `zip` and `choose` can't follow, nor `len` be asked. It runs
    in the caller: what a pool is to do stands before it, and `parallel(pool)` too.

    A checkpoint knows a function by its qualified name; `name` tells two lambdas apart. Raises TypeError for what
    can't be called, and for a sharded stream, whose ranks would take different numbers of steps: use `where` before
    `chunk`, or `rebatch(size, shard=(rank, world))` behind it.

    >>> from batchup import ops
    >>> batches = ops.indices(6) | ops.chunk(2) | ops.gather(np.array([3, 1, 0, 0, 4, 0]))
    >>> list(batches | filter(lambda y: y > 0) | ops.rebatch(2))
    [(array([3, 1]),), (array([4]),)]
    """
    if not callable(fn):
        raise TypeError(f"filter(fn): expected a function; got {describe(fn)}")
    if name is not None and not isinstance(name, str):
        raise TypeError(f"filter: name: expected a string; got {describe(name)}")
    return Stage(_filter, fn, name, text=f"filter({name or describe_callable(fn)})")


def _filter(stream: Stream, fn: Callable[..., Any], name: str | None) -> Stream:
    if stream.plan.shards:
        raise TypeError(
            f"filter({name or describe_callable(fn)}): {stream!r} is one rank's part, and ranks would take different "
            "numbers of steps: leave samples out by where(mask) before chunk, or divide the batches behind the "
            "filter, by rebatch(size, shard=(rank, world))"
        )
    work = Work(stream.steps or first_steps(stream.plan.kind))
    made = Computed(stream.plan, work, stream.text)
    return replace(stream, plan=Filter(made, fn, name), steps=(OPENED,))


@record
class Filter(OverMade):
    fn: Callable[..., Any]
    name: str | None = None
    cursor = True

    @property
    def unnamed(self) -> tuple[str, ...]:
        return () if self.name is None else ("fn",)

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Made]:
        return gone_on(self, k, draws, partial(self._from, pass_, draws))

    def _from(self, pass_: int, draws: Draws, place: Place, below: Places) -> Iterator[Made]:
        k, at = place or (0, 0)
        return self._kept(self.up.start(pass_, at, draws), at, k)

    def _kept(self, items: Iterator[Made], at: int, k: int) -> Iterator[Made]:
        none = 0
        for number, item in enumerate(items, at + 1):
            kept = self._of_item(item)
            if kept is None:
                none += 1
                if none == _EMPTY and self.up.length == math.inf:
                    text = (
                        f"{self}: none of {none} batches in a row was left, and there is no end of them"
                    )
                    warnings.warn(text, stacklevel=users_frame())
            else:
                none = 0
                k += 1
                yield kept._replace(planned=Mark(kept.planned, (*places_of(item), (k, number))))
            del item, kept

    def _of_item(self, item: Made) -> Made | None:
        batch = item.batch
        said = self.fn(*batch) if isinstance(batch, tuple) else self.fn(batch)
        if isinstance(said, bool | np.bool_):
            return item if said else None
        mask = np.asarray(said)
        n = samples_in(batch, str(self))
        if mask.shape != (n,) or mask.dtype.kind != "b":
            raise TypeError(
                f"{self}: expected the function to return True or False, or a 1-D boolean array, one for each of "
                f"{n} samples; it returned {describe(said)}"
            )
        if mask.all():
            return item if n else None
        return Made(planned_piece(item.planned, n, mask), chosen(batch, mask)) if mask.any() else None

    def __str__(self) -> str:
        return f"filter({self.name or describe_callable(self.fn)})"
