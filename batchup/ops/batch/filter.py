"""Only the batches, or samples, that a function selects: `filter`."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from batchup.core.checks import describe, describe_callable
from batchup.core.computed import Computed, OverMade
from batchup.core.cursors import Place, Places, gone_on, places_of
from batchup.core.errors import users_frame
from batchup.core.plan import Draws
from batchup.core.record import record
from batchup.core.stream import Stage, Stream
from batchup.core.work import OPENED, Made, Mark, Work, first_steps
from batchup.ops.batch.parts import chosen, planned_piece, samples_in

# After so many batches of a stream without end of which none was left comes a warning.
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
