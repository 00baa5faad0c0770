"""The laws of streams in pools and of the parts of ranks, each as a function of how a stream is made."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from batchup import ops
from batchup.core.draws import Replay
from batchup.core.plan import cursors_in, replay_of
from batchup.testing.items import SOME, same, some
from batchup.testing.laws import Make, checkpoints, is_of_blocks, put_together, refused_when_built


def parallel(make: Make, pool: Any, buffer: int = 3, positions: Sequence[int] = (0, 1, 5)) -> None:
    """Law 4: a pool gives the same items, whatever its buffer, also before stages that count positions.

    Parameters
    ----------
    make : callable
        `make(rng)` makes the stream anew, over that generator; `make()` over one of its own.
    pool : pool of `batchup.work_pool`
        The pool.
    buffer : int
        The number of items ahead.
    positions : sequence of int
        The positions to try.

    Raises
    ------
    LawError
        If the law is broken.
    """

    def in_pool(rng: Any = None) -> ops.Stream:
        return make(rng) | ops.parallel(pool, buffer)

    whole = some(make())
    same(some(in_pool()), whole, f"law 4, buffer {buffer}", make())
    if len(whole) < SOME:  # a pool asks for as many items as a serial iteration, and no more
        serial, pooled = np.random.RandomState(0), np.random.RandomState(0)
        one, other = make(serial), in_pool(pooled)
        for number in range(2):
            same(some(other), some(one), f"law 4, buffer {buffer}, iteration {number}", one)
        same(pooled.random_sample(), serial.random_sample(), f"law 4, buffer {buffer}, draws", one)
    if refused_when_built(lambda: make() | ops.skip(1)):
        positions = ()
    for k in positions:
        rest = some(in_pool() | ops.skip(k), len(whole) - k)
        same(rest, whole[k:], f"law 4, buffer {buffer}, and skip({k})", make())
        again = () if cursors_in(make().plan) else (ops.take(k) | ops.repeat(2),)
        for after in (ops.take(k), *again) if k else ():
            same(some(in_pool() | after), some(make() | after), f"law 4, and {after}", make())


def checkpoints_across(
    make: Make, pool: Any, buffer: int = 3, positions: Sequence[int] = (0, 1, 5), other: Any = None
) -> None:
    """Law 7 with pools: a checkpoint doesn't depend on who did the work, nor on how many items ahead.

    A checkpoint of a serial stream goes on in the pool and the other way round.

    Parameters
    ----------
    make : callable
        `make(rng)` makes the stream anew, over that generator; `make()` over one of its own.
    pool : pool of `batchup.work_pool`
        The pool.
    buffer : int
        The number of items ahead.
    positions : sequence of int
        The positions to try.
    other : pool or None
        Another pool, which goes on with another buffer; by default the same.

    Raises
    ------
    LawError
        If the law is broken.
    """

    def in_pool(rng: Any = None) -> ops.Stream:
        return make(rng) | ops.parallel(pool, buffer)

    def in_other(rng: Any = None) -> ops.Stream:
        return make(rng) | ops.parallel(other or pool, buffer % 7 + 1)

    for one, going_on in ((make, in_pool), (in_pool, make), (in_pool, in_other)):
        checkpoints(one, going_on, positions)


def ranks(make_rank: Callable[..., ops.Stream], count: int) -> None:
    """Law 6 for whole pipelines: all ranks are refused or none, and all have the same number of items.

    If another rank accepts the checkpoint of a rank, it gives the rest there.

    Parameters
    ----------
    make_rank : callable
        `make_rank(rank, rng)` makes the stream of one rank.
    count : int
        The number of ranks.

    Raises
    ------
    LawError
        If the law is broken.
    """
    streams: list[ops.Stream] = []
    refusals: list[Exception] = []
    for rank in range(count):
        try:
            streams.append(make_rank(rank, np.random.RandomState(0)))
        except (TypeError, ValueError) as error:
            refusals.append(error)
    if refusals:
        same(len(streams), 0, f"law 6, ranks that are built where others are not: {refusals[0]}", streams)
        return
    same(len({stream.plan.length for stream in streams}), 1, "law 6, one length for all ranks", streams[0])
    items = [some(make_rank(rank, np.random.RandomState(0)), 2 * SOME) for rank in range(count)]
    same({*map(len, items)}, {len(items[0])}, "law 6, as many items for all ranks", streams[0])
    if replay_of(streams[0].plan) > Replay.DRAWN:
        return
    for k in (0, 1, 5):
        first = iter(make_rank(0, np.random.RandomState(0)))
        if len(some(first, k)) < k:
            continue
        state = json.loads(json.dumps(first.state_dict()))
        for rank in range(1, count):
            other = iter(make_rank(rank, np.random.RandomState(1)))
            try:
                other.load_state_dict(state)
            except ValueError:
                continue
            rest = some(other, len(items[rank]) - k)
            same(rest, items[rank][k:], f"law 7, from item {k} of rank 0 on, at rank {rank}", streams[rank])


def checkpoints_across_ranks(make: Make, positions: Sequence[int] = (0, 1, 5)) -> None:
    """Law 7 with another number of ranks: a checkpoint of one part is a checkpoint of all parts, of any number.

    Parameters
    ----------
    make : callable
        `make(rng)` makes the stream anew, over that generator; `make()` over one of its own.
    positions : sequence of int
        The positions to try.

    Raises
    ------
    LawError
        If the law is broken.
    """
    if not is_of_blocks(make()) or replay_of(make().plan) > Replay.DRAWN or make().plan.refusal("cut"):
        return
    whole = some(make())
    for k in positions:
        if k > len(whole):
            continue
        items = iter(make(np.random.RandomState(0)) | ops.shard(1, 2))
        some(items, k)
        state = json.loads(json.dumps(items.state_dict()))
        shards = []
        for index in range(3):
            again = iter(make(np.random.RandomState(1)) | ops.shard(index, 3))
            again.load_state_dict(state)
            shards.append(some(again, len(whole) - k))
        law = f"law 7, from item {k} on, from one of 2 ranks to 3"
        same(put_together(shards), whole[k:], law, make())
