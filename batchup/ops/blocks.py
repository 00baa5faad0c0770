"""Cut how: `chunk` cuts blocks anew, `skip` and `take` choose items by position."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, islice, pairwise
from typing import Any

import numpy as np

from batchup.ops.checks import Block, block_array, describe, whole_number
from batchup.ops.plan import Count, DerivedPlan, Traits, record
from batchup.ops.sources import Blocks
from batchup.ops.stream import Stage, Stream

__all__ = ["chunk", "skip", "take"]


def chunk(size: int, drop_last: bool = False) -> Stage:
    """Cut the concatenation of the index blocks anew into blocks of `size` samples.

    Blocks go across the seams of the ones before; the last may be short, and `drop_last` leaves it
    out then. Raises ValueError for a size below 1, TypeError for a stream of anything but blocks.

    >>> list([np.arange(7)] | chunk(3))
    [array([0, 1, 2]), array([3, 4, 5]), array([6])]
    >>> list([np.arange(7)] | chunk(3, drop_last=True))
    [array([0, 1, 2]), array([3, 4, 5])]
    """
    size = whole_number(size, "chunk(size)", least=1)
    if not isinstance(drop_last, bool | np.bool_):
        raise TypeError(f"chunk: drop_last: expected True or False; got {describe(drop_last)}")
    text = f"chunk({size}, drop_last=True)" if drop_last else f"chunk({size})"
    return Stage(_chunk, size, bool(drop_last), text=text)


def _chunk(stream: Stream, size: int, drop_last: bool) -> Stream:
    plan = stream.index_plan("chunk")
    return replace(stream, plan=plan.cut(size) or Chunked(plan, size, drop_last))


# So many blocks without samples of a stream without end: shards of blocks that are too small, say.
_EMPTY = 10_000


@record
class Chunked(DerivedPlan):
    size: int
    drop_last: bool

    @property
    def traits(self) -> Traits:
        up = self.up.traits
        # Slices keep the order of their whole pass alive, so nobody is to keep them; those of a lazy
        # block are new.
        lent = not up.lazy
        return replace(up, jumps=up.jumps and up.sized, lent=lent, lazy=False)

    @property
    def length(self) -> Count:
        samples = self.up.samples
        if not isinstance(samples, int):
            return samples
        return samples // self.size if self.drop_last else -(-samples // self.size)

    @property
    def samples(self) -> Count:
        samples = self.up.samples
        if self.drop_last and isinstance(samples, int):
            return samples - samples % self.size
        return samples

    @property
    def block_size(self) -> int:
        return self.size

    def parts_differ(self) -> bool:
        return self.up.traits.sharded

    def items(self, pass_: int, k: int) -> Iterator[Block]:
        match self.up:
            case Blocks((range() as block,)) if not self.drop_last:
                # An epoch in order: ranges from C alone, which no generator of ours has to hand on.
                starts = range(block.start + k * self.size, block.stop, self.size)
                ends = range(block.start + (k + 1) * self.size, block.stop, self.size)
                return map(range, starts, chain(ends, (block.stop,)))
        chunks = self._chunks(pass_, k)
        return self.to_the_end(chunks, k) if self.drop_last else chunks

    def _chunks(self, pass_: int, k: int) -> Iterator[Block]:
        size = self.size
        at, i = self.up.seek(k * size) if k else (0, 0)
        pieces: list[Block] = []  # of the block that goes across a seam
        missing = size
        empty = 0
        for block in self.up.start(pass_, at):
            n = len(block)
            if n == 0:
                empty += 1
                if empty > _EMPTY and self.up.length == math.inf:
                    raise ValueError(f"chunk: {_EMPTY} blocks of {self.up.length} have no samples")
            if pieces:
                pieces.append(block[i : i + missing])
                i += missing
                if i > n:
                    missing = i - n
                    i = 0
                    continue
                yield _joined(pieces)
                pieces, missing = [], size
            end = i + size
            if isinstance(block, range):  # all the ranges at once: a loop of ours takes twice as long
                ends = range(block.start + end, block.stop + 1, size)
                yield from map(range, range(block.start + i, block.stop, size), ends)
                i += len(ends) * size
                end = i + size
            while end + size <= n:
                yield block[i:end]
                i, end = end, end + size
            if end <= n:  # the last: whoever still holds it when the next order is drawn
                yield _apart(block[i:end])
                i, end = end, end + size
            if i < n:
                pieces, missing = [_apart(block[i:])], end - n
            i = 0
            del block
        if pieces and not self.drop_last:
            yield _joined(pieces)

    def before(self, k: int) -> int:
        offset, samples = k * self.size, self.samples
        return min(offset, samples) if isinstance(samples, int) else offset

    def seek(self, offset: int) -> tuple[int, int]:
        return divmod(offset, self.size)


def _apart(block: Block) -> Block:
    """A copy, as a view would keep the whole block alive while the next is made."""
    return block.copy() if isinstance(block, np.ndarray) else block


def _joined(pieces: list[Block]) -> Block:
    if len(pieces) == 1:
        return pieces[0]
    ranges = [piece for piece in pieces if isinstance(piece, range)]
    if len(ranges) == len(pieces) and all(a.stop == b.start for a, b in pairwise(ranges)):
        return range(ranges[0].start, ranges[-1].stop)
    return np.concatenate([block_array(piece) for piece in pieces])


def skip(count: int) -> Stage:
    """Leave out the first `count` items: start there, doing no work for what lies before.

    >>> from batchup import ops
    >>> list(ops.indices(10) | ops.chunk(4) | skip(1))
    [range(4, 8), range(8, 10)]
    """
    count = whole_number(count, "skip(count)")
    return Stage(_between, count, None, text=f"skip({count})")


def take(count: int) -> Stage:
    """Only the first `count` items.

    >>> from batchup import ops
    >>> list(ops.indices(10**12) | ops.chunk(64) | ops.skip(10**9) | take(1))
    [range(64000000000, 64000000064)]
    """
    count = whole_number(count, "take(count)")
    return Stage(_between, 0, count, text=f"take({count})")


def _between(stream: Stream, start: int, stop: int | None) -> Stream:
    plan = stream.plan
    if isinstance(plan, Between):  # one of both: long chains of skips stay short
        start += plan.first
        stops = [
            end for end in (plan.stop, None if stop is None else plan.first + stop) if end is not None
        ]
        plan, stop = plan.up, min(stops, default=None)
    return replace(stream, plan=Between(plan, start, stop))


@record
class Between(DerivedPlan):
    """Items from position `start` up to `stop`, None for the end."""

    first: int
    stop: int | None

    @property
    def length(self) -> Count:
        length = self.up.length
        if length is None:
            return None
        end = length if self.stop is None else min(length, self.stop)
        return max(0, end - self.first)

    @property
    def samples(self) -> Count:
        length = self.length
        if length is None or not self.up.traits.sized:
            return None
        return math.inf if isinstance(length, float) else self.before(length)

    @property
    def block_size(self) -> int | None:
        # Cut at an end, the short block is still the last.
        return self.up.block_size

    def items(self, pass_: int, k: int) -> Iterator[Any]:
        start = self.first + k
        items = self.up.start(pass_, start)
        return items if self.stop is None else islice(items, max(0, self.stop - start))

    def before(self, k: int) -> int:
        return self.up.before(self.first + k) - self.up.before(self.first)

    def seek(self, offset: int) -> tuple[int, int]:
        k, rest = self.up.seek(self.up.before(self.first) + offset)
        return k - self.first, rest
