"""Only the batches, or samples, that a function selects: `filter`."""

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from batchup.core.checks import describe, describe_callable
from batchup.core.computed import Computed, OverMade
from batchup.core.cursors import Cursor, gone_on
from batchup.core.draws import Draws
from batchup.core.errors import EMPTY_IN_A_ROW, users_frame
from batchup.core.identity import named
from batchup.core.item import Cursors, Item
from batchup.core.record import record
from batchup.core.stream import Stage, Stream
from batchup.core.work import Work, first_steps
from batchup.parts import chosen, planned_piece, samples_in


def filter(fn: Callable[..., Any], *, name: str | None = None) -> Stage:
    """Keep only the batches, or the samples of each batch, that a function selects.

    A batch without a selected sample is left out. Put `rebatch` behind this stage for batches of one size.

    The number of batches is unknown. So `len` raises TypeError, a checkpoint keeps the position of the stream below,
    `skip` and `stream[k]` make the batches before, and `repeat`, `zip` and `choose` can't follow. `fn` runs in the
    caller: put `parallel(pool)`, with all work that a pool is to do, before it.

    Parameters
    ----------
    fn : callable
        `fn(*batch)`, called as in `map`, returns True or False for the batch, or a 1-D boolean array with one value for
        each sample.
    name : str or None
        The name of the function in checkpoints, in place of its qualified name. Give lambdas a name to tell them apart.

    Returns
    -------
    Stage
        Gives the selected batches.

    Raises
    ------
    TypeError
        If `fn` can't be called, and for a sharded stream, whose ranks would take different numbers of steps. Use
        `where` before `chunk` there, or `rebatch(size, shard=(rank, world))` behind the filter.

    Examples
    --------
    >>> from batchup import ops
    >>> batches = ops.indices(6) | ops.chunk(2) | ops.gather(np.array([3, 1, 0, 0, 4, 0]))
    >>> list(batches | filter(lambda y: y > 0) | ops.rebatch(2))
    [(array([3, 1]),), (array([4]),)]
    """
    if not callable(fn):
        raise TypeError(f"filter(fn): expected a function; got {describe(fn)}")
    fn = named(fn, name, "filter")
    return Stage(_filter, fn, text=f"filter({describe_callable(fn)})")


def _filter(stream: Stream, fn: Callable[..., Any]) -> Stream:
    if stream.plan.shards:
        raise TypeError(
            f"filter({describe_callable(fn)}): {stream!r} is one rank's part, and ranks would take different "
            "numbers of steps: leave samples out by where(mask) before chunk, or divide the batches behind the "
            "filter, by rebatch(size, shard=(rank, world))"
        )
    work = Work(stream.steps or first_steps(stream.plan.kind))
    return replace(stream, plan=Filter(Computed(stream.plan, work, stream.text), fn), steps=())


@record
class Filter(OverMade):
    """The plan of `filter`."""

    tag = "filter"

    fn: Callable[..., Any]
    cursor = True

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Item]:
        return gone_on(self, k, draws, partial(self._from, pass_, draws))

    def _from(self, pass_: int, draws: Draws, cursor: Cursor, below: Cursors) -> Iterator[Item]:
        k, at = cursor or (0, 0)
        return self._kept(self.up.start(pass_, at, draws), at, k)

    def _kept(self, items: Iterator[Item], at: int, k: int) -> Iterator[Item]:
        none = 0
        for number, item in enumerate(items, at + 1):
            kept = self._of_item(item)
            if kept is None:
                none += 1
                if none == EMPTY_IN_A_ROW and self.up.length == math.inf:
                    text = f"{self}: it selected none of {none} batches in a row, and the stream is endless"
                    warnings.warn(text, stacklevel=users_frame())
            else:
                none = 0
                k += 1
                yield kept._replace(cursors=(*item.cursors, (k, number)))
            del item, kept

    def _of_item(self, item: Item) -> Item | None:
        batch = item.batch
        selected = self.fn(*batch) if isinstance(batch, tuple) else self.fn(batch)
        if isinstance(selected, bool | np.bool_):
            return item if selected else None
        mask = np.asarray(selected)
        n = samples_in(batch, str(self))
        if mask.shape != (n,) or mask.dtype.kind != "b":
            raise TypeError(
                f"{self}: expected the function to return True or False, or a 1-D boolean array, one for each of "
                f"{n} samples; it returned {describe(selected)}"
            )
        if mask.all():
            return item if n else None
        return Item(planned_piece(item, n, mask), chosen(batch, mask), True) if mask.any() else None

    def __str__(self) -> str:
        return f"filter({describe_callable(self.fn)})"
