"""Several passes, or endless ones: `repeat`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import count, takewhile
from typing import Any

from batchup.core.checks import whole_number
from batchup.core.computed import bare
from batchup.core.cursors import why_not_behind
from batchup.core.grid import Grid, Repeated, passes
from batchup.core.plan import Again, Draws, Kind, SameItems, walk
from batchup.core.record import Count, record
from batchup.core.stream import Stage, Stream
from batchup.ops.index.shard import of_outer_ranks

# So many passes without an item, of what is chosen at random, and there will be none.
_EMPTY = 1000


def repeat(times: int) -> Stage:
    """Go through the stream `times` times, one pass after another; -1 is for ever.

    A shuffle before it gives each pass an order of its own, and a re-iterable of yours with a method `set_epoch` is
    told the number of each. Raises ValueError for 0 and for an
    endless repetition of nothing, TypeError for what can be gone through only once.

    >>> from batchup import ops
    >>> list(ops.indices(3) | repeat(2) | ops.chunk(4))
    [array([0, 1, 2, 0]), range(1, 3)]
    """
    times = whole_number(times, "repeat(times)", least=1, also=-1)
    return Stage(_repeat, times, text=f"repeat({times})")


def _repeat(stream: Stream, times: int) -> Stream:
    plan = stream.plan
    if plan.again is Again.SINGLE_PASS:
        raise TypeError(f"repeat({times}): {stream!r} is an iterator, gone through only once")
    if why := why_not_behind(plan):
        raise TypeError(f"repeat({times}): {stream!r} {why}")
    first = (
        of_outer_ranks(plan)[0] if plan.divided else plan
    )  # what is refused of one rank is refused of all
    if times == -1 and 0 in (first.length, first.samples):
        raise ValueError(f"repeat(-1): {stream!r} has no samples, so it would never give one")
    passes = math.inf if times == -1 else times
    return stream.with_plan(lambda plan: Repeat(plan.with_epochs_told(), passes))


@record
class Repeat(SameItems):
    times: int | float  # infinity for ever

    @property
    def length(self) -> Count:
        return self.up.length and self.up.length * self.times

    @property
    def grid(self) -> Grid | None:
        of, length = self.up.grid, self.up.length
        if of is None or not isinstance(length, int):
            return of if length == math.inf else None
        return Repeated(of, length, self.times) if length and of.samples else of

    @property
    def samples(self) -> Count:
        return self.up.samples and self.up.samples * self.times

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Any]:
        # A pass of this plan is `times` passes of the one before it.
        first = pass_ * passes(self.times)
        length = self.up.length
        if isinstance(length, int) and length:
            n, k = divmod(k, length)
        elif length is None and k:
            n, k = self._found(first, k, draws)
        else:
            n = 0
        if n >= self.times:
            return iter(())
        return self._passes(first, n, k, self.up.start(first + n, k, draws), draws)

    def _found(self, first: int, k: int, draws: Draws) -> tuple[int, int]:
        """In which of the passes position `k` is, and where in it, by the plan alone: no work is done."""
        up = bare(self.up) if self.again is Again.KEYED else self.up
        empty = 0
        for n in takewhile(self.times.__gt__, count()):
            given = sum(1 for _ in walk(up.start(first + n, 0, draws), 0, k))
            empty = 0 if given else empty + 1
            if given == k or empty > _EMPTY:
                return n, k
            k -= given
        return n + 1, 0

    def _passes(self, first: int, n: int, k: int, items: Iterator[Any], draws: Draws) -> Iterator[Any]:
        """Pass after pass, from position `k` of number `n` on, which was started."""
        blocks = self.kind is Kind.BLOCKS
        unsure = self.times == math.inf and not isinstance(self.up.samples, int)
        most = _EMPTY if self.again <= Again.DRAWN else 0
        empty = 0
        while True:
            if unsure:
                nothing = True
                for item in items:
                    nothing = nothing and blocks and len(item) == 0
                    yield item
                empty = empty + 1 if nothing and not k else 0
                if empty > most:
                    raise ValueError(f"repeat(-1): {empty} passes in a row gave nothing")
            else:
                yield from items
            n, k = n + 1, 0
            if n >= self.times:
                return
            items = self.up.start(first + n, 0, draws)
