"""Several passes, or endless ones: `repeat`."""

import math
from collections.abc import Iterator
from itertools import count, takewhile
from typing import Any

from more_itertools import ilen

from batchup.core.checks import whole_number
from batchup.core.cursors import why_not_behind
from batchup.core.draws import Draws, Replay
from batchup.core.errors import EMPTY_IN_A_ROW
from batchup.core.grid import Grid, Repeated, Total, passes
from batchup.core.item import walk
from batchup.core.plan import SameItems, is_uneven, replay_of, samples_of, without_work
from batchup.core.record import Count, record
from batchup.core.sources import with_epochs_told
from batchup.core.stream import Stage, Stream
from batchup.ops.index.shard import of_outer_ranks


def repeat(times: int) -> Stage:
    """Go through the stream several times, one pass after another.

    A `shuffle` before it gives each pass its own order. If an iterable of yours has a method `set_epoch`, it is called
    with the number of each pass, from 0 on.

    Parameters
    ----------
    times : int
        The number of passes; -1 for an endless number.

    Returns
    -------
    Stage
        Gives the items of all passes.

    Raises
    ------
    ValueError
        If `times` is 0 or below -1, or if an empty stream would be repeated without end.
    TypeError
        If the stream is over an iterator, which can be gone through only once.

    Examples
    --------
    >>> from batchup import ops
    >>> list(ops.indices(3) | repeat(2) | ops.chunk(4))
    [array([0, 1, 2, 0]), range(1, 3)]
    """
    times = whole_number(times, "repeat(times)", least=1, also=-1)
    return Stage(_repeat, times, text=f"repeat({times})")


def _repeat(stream: Stream, times: int) -> Stream:
    plan = stream.plan
    if replay_of(plan) is Replay.SINGLE_PASS:
        raise TypeError(
            f"repeat({times}): {stream!r} is an iterator, which can be gone through only once. Make it a list"
        )
    if why := why_not_behind(plan):
        raise TypeError(f"repeat({times}): {stream!r} {why}")
    # What is refused on one rank is refused on all.
    first = of_outer_ranks(plan)[0] if is_uneven(plan) else plan
    if times == -1 and 0 in (first.length, samples_of(first)):
        raise ValueError(f"repeat(-1): {stream!r} has no samples, so it would never give one")
    passes = math.inf if times == -1 else times
    return stream.with_plan(lambda plan: Repeat(with_epochs_told(plan), passes))


@record
class Repeat(SameItems):
    """The plan of `repeat`."""

    tag = "repeat"

    times: int | float  # infinity for an endless repetition

    @property
    def length(self) -> Count:
        return self.up.length and self.up.length * self.times

    @property
    def grid(self) -> Grid | None:
        of, length = self.up.grid, self.up.length
        if length == math.inf or length == 0 or of is None or not of.samples:
            return of
        if not (of.located and isinstance(length, int)):
            return Total(of.samples * self.times, of.bound)
        return Repeated(of, length, self.times)

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
        """The pass that position `k` lies in, and the position in that pass: counted by the plan alone, without work."""
        up = without_work(self.up) if replay_of(self) is Replay.KEYED else self.up
        empty = 0
        for n in takewhile(self.times.__gt__, count()):
            found = ilen(walk(up.start(first + n, 0, draws), 0, k))
            empty = 0 if found else empty + 1
            if found == k or empty > EMPTY_IN_A_ROW:
                return n, k
            k -= found
        return n + 1, 0

    def _passes(self, first: int, n: int, k: int, items: Iterator[Any], draws: Draws) -> Iterator[Any]:
        """Pass after pass, from position `k` of pass `n` on, whose `items` are started."""
        blocks = self.kind.indexed
        unsure = self.times == math.inf and not isinstance(samples_of(self.up), int)
        most = EMPTY_IN_A_ROW if replay_of(self) <= Replay.DRAWN else 0
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
