"""Each law as a function of how a stream is made; all raise `LawError`."""

from __future__ import annotations

import json
import math
import pickle
import sys
from collections.abc import Callable, Sequence
from itertools import chain, islice
from typing import Any

import numpy as np

from batchup import ops
from batchup.core.computed import has_pool
from batchup.core.draws import Replay
from batchup.core.plan import cursors_in, is_drawn, replay_of
from batchup.testing.items import SOME, arrays, beside, plain, refused, same, size, some

Make = Callable[..., ops.Stream]  # make(rng) makes the stream anew, over that generator


def length(make: Make) -> None:
    """Law 1: `len` is the number of items, if it is known, and `num_samples` that of samples.

    Parameters
    ----------
    make : callable
        `make(rng)` makes the stream anew, over that generator; `make()` over one of its own.

    Raises
    ------
    LawError
        If the law is broken.
    """
    stream = make()
    n, samples = stream.plan.length, stream.num_samples
    items = list(islice(stream, 40 * SOME if isinstance(n, int) else SOME))
    if n == math.inf:
        same(len(items), SOME, "law 1, of an endless stream", stream)
    elif n is not None and n <= 40 * SOME:
        same(len(items), len(stream), "law 1, the length", stream)
        sizes = [size(item) for item in items]
        if samples is not None and None not in sizes:
            same(sum(size for size in sizes if size is not None), samples, "law 1, num_samples", stream)
    if not isinstance(n, int):
        refused(lambda: len(stream), TypeError, "law 1, len() of no known length", stream)


def ended(make: Make) -> None:
    """An iterator that has ended asks nothing of its stream: `next` keeps raising, and draws nothing.

    Parameters
    ----------
    make : callable
        `make(rng)` makes the stream anew, over that generator; `make()` over one of its own.

    Raises
    ------
    LawError
        If the law is broken.
    """
    rng = np.random.RandomState(0)
    stream = make(rng)
    items = iter(stream)
    if len(some(items)) == SOME:
        return
    before = rng.get_state(legacy=False)["state"]
    nothing = [next(items, None) for _ in range(3)]
    same(nothing, [None] * 3, "the end, next() after it", stream)
    after = rng.get_state(legacy=False)["state"]
    drawn = before["pos"] == after["pos"] and np.array_equal(before["key"], after["key"])
    same(drawn, True, "the end, a generator that is left alone after it", stream)


def again(make: Make) -> None:
    """Law 2: a pure stream gives the same items each time; so does a stream over a generator in the same state.

    Parameters
    ----------
    make : callable
        `make(rng)` makes the stream anew, over that generator; `make()` over one of its own.

    Raises
    ------
    LawError
        If the law is broken.
    """
    stream = make()
    once = some(stream)
    if replay_of(stream.plan) is Replay.KEYED:
        same(some(stream), once, "law 2, again", stream)
    if replay_of(stream.plan) < Replay.SINGLE_PASS:
        same(some(make()), once, "law 2, anew", stream)


def refused_when_built(build: Callable[[], ops.Stream]) -> bool:
    """True if building the stream raises, as for `take` behind an inner pool that draws from a generator."""
    try:
        build()
    except (TypeError, ValueError):
        return True
    return False


class _Spy:
    """A map that counts its calls, and may raise at one of its items."""

    def __init__(self, at: int | None = None, error: BaseException | None = None):
        self.calls, self.at, self.error = 0, at, error

    def __call__(self, *batch: Any) -> Any:
        if self.error is not None and self.calls == self.at:
            raise self.error
        self.calls += 1
        return batch


def skipping(make: Make) -> None:
    """Law 3: `skip(k)` gives the rest of the items, and `stream[k]` one of them, without other work.

    Parameters
    ----------
    make : callable
        `make(rng)` makes the stream anew, over that generator; `make()` over one of its own.

    Raises
    ------
    LawError
        If the law is broken.
    """
    if refused_when_built(lambda: make() | ops.skip(1)):
        return
    whole = some(make())
    beyond = (3 * SOME, 10**6, sys.maxsize) if len(whole) < SOME else (3 * SOME,)
    for k in (*range(len(whole) + 2), *beyond):
        spy = _Spy()
        rest = some(make() | ops.skip(k), len(whole) - k)
        same(rest, whole[k:], f"law 3, skip({k})", make())
        done = len(list(islice(make() | ops.map(spy) | ops.skip(k), max(0, len(whole) - k))))
        same(spy.calls, done, f"law 3, work for what skip({k}) leaves out", make())
    single = replay_of(make().plan) is Replay.SINGLE_PASS or is_drawn(make().plan)
    for k in range(len(whole)):
        if single:
            refused(lambda k=k: make()[k], TypeError, f"law 3, stream[{k}]", make())  # type: ignore[misc]
            break
        spy = _Spy()
        same(plain(make()[k]), whole[k], f"law 3, stream[{k}]", make())
        (make() | ops.map(spy))[k]
        same(spy.calls, 1, f"law 3, work for stream[{k}]", make())


def mapping(make: Make) -> None:
    """Law 5: two maps one after another are one map of both.

    Parameters
    ----------
    make : callable
        `make(rng)` makes the stream anew, over that generator; `make()` over one of its own.

    Raises
    ------
    LawError
        If the law is broken.
    """

    def last(*batch: Any) -> Any:
        return (*batch, len(batch))

    def keep(*batch: Any) -> Any:
        return batch

    two, one = (make() | ops.map(keep) | ops.map(last), make() | ops.map(lambda *batch: last(*keep(*batch))))
    same(some(two), some(one), "law 5", make())


def epochs(make: Make) -> None:
    """The epochs of a stream are the passes of its repetition, also with further stages behind each.

    For a stream over a generator, and an endless one, they are refused.

    Parameters
    ----------
    make : callable
        `make(rng)` makes the stream anew, over that generator; `make()` over one of its own.

    Raises
    ------
    LawError
        If the law is broken.
    """
    stream = make()
    plan = stream.plan
    if plan.length == math.inf or replay_of(plan) is Replay.SINGLE_PASS or is_drawn(plan):
        refused(lambda: stream.epoch(0), TypeError, "epochs, of what has none", stream)
        return
    if len(some(stream)) == SOME:
        return  # what comes behind would not be seen
    passes = [some(stream.epoch(e)) for e in range(3)]
    if cursors_in(plan):
        refused(lambda: stream | ops.repeat(3), TypeError, "epochs, on the trunk", stream)
    else:
        same(some(stream | ops.repeat(3)), [*chain(*passes)][:SOME], "epochs", stream)
    for after in (ops.skip(1), ops.map(_noise, rng=7), ops.map(_noise, rng=7) | ops.skip(1)):
        behind = some(stream.epoch(2) | after)
        same(behind, some((stream | after).epoch(2)), f"epochs, and {after}", stream)
    if stream.pure:
        loader = stream.loader()
        same([some(loader) for _ in range(3)], passes, "epochs, of a loader", stream)


def _noise(*batch: Any, rng: Any) -> Any:
    return (*batch, int(rng.integers(1000)))


def sharding(make: Make, counts: Sequence[int] = (1, 2, 3)) -> None:
    """Law 6: the parts of a block, put together, are the block.

    Parameters
    ----------
    make : callable
        `make(rng)` makes the stream anew, over that generator; `make()` over one of its own.
    counts : sequence of int
        The numbers of ranks to try.

    Raises
    ------
    LawError
        If the law is broken.
    """
    if not is_of_blocks(make()):
        return
    if make().plan.refusal("cut"):
        refused(lambda: make() | ops.shard(0, 2), TypeError, "law 6, parts of what is whole", make())
        return
    whole = some(make())
    for count in counts:
        shards = [some(make() | ops.shard(index, count)) for index in range(count)]
        same(put_together(shards), whole, f"law 6, {count} shards", make())


def is_of_blocks(stream: ops.Stream) -> bool:
    """True if the items are index blocks."""
    return not stream.steps and stream.plan.kind.indexed


def put_together(shards: list[list[Any]]) -> list[Any]:
    """The blocks that the parts of all shards make."""
    return [[i for part in parts for i in part] for parts in zip(*shards, strict=True)]


def checkpoints(make: Make, resume: Make | None = None, positions: Sequence[int] = range(SOME + 1)) -> None:
    """Law 7: a checkpoint after any item gives exactly the rest, with the work of the rest alone.

    The same holds after an exception and after Ctrl-C at any item, and if others draw from the generator.

    Parameters
    ----------
    make : callable
        `make(rng)` makes the stream anew, over that generator; `make()` over one of its own.
    resume : callable or None
        Makes the stream that goes on from checkpoints, if it is built in another way: in a pool, say.
    positions : sequence of int
        The positions to try.

    Raises
    ------
    LawError
        If the law is broken.
    """
    resume = resume or make
    stream = make()
    if replay_of(stream.plan) > Replay.DRAWN:
        refused(lambda: iter(stream).state_dict(), TypeError, "law 7, without checkpoints", stream)
        return
    pure, serial = stream.pure, not (has_pool(stream.plan) or has_pool(resume().plan))
    whole = some(make())
    for k in positions:
        if k > len(whole):
            continue
        for error in (None, OSError("unreadable"), KeyboardInterrupt()):
            _resumes(make, resume, k, error, whole[k:], None)
    if serial and not pure:
        rng = np.random.RandomState(0)
        whole = beside(iter(make(rng)), rng, SOME)
        for k in positions:
            if k <= len(whole):
                _resumes(make, resume, k, None, whole[k:], rng)
    if pure:
        small = len(json.dumps(iter(stream).state_dict())) < 1000
        same(small, True, "law 7, a state of less than 1 KB", stream)


def _resumes(make: Make, resume: Make, k: int, error: BaseException | None, rest: list[Any], others: Any) -> None:
    """A checkpoint after k items gives the rest: also after an error, and if others draw."""
    law = f"law 7, from item {k} on" + (f" after {error!r}" if error else "")
    rng, another = np.random.RandomState(0), np.random.RandomState(1)
    stream = make(rng)
    items = iter(stream | ops.map(_Spy(k, error)))
    beside(items, rng if others else None, k)
    if error is not None:
        try:
            next(items)
        except StopIteration:
            pass
        except type(error):
            refused(lambda: next(items), RuntimeError, f"{law}: next()", stream)
    state = json.loads(json.dumps(items.state_dict()))
    same(state["position"], k, f"{law}: the position", stream)
    if error is not None and stream.pure:
        return  # its state is the position alone, which was checked above
    spy = _Spy()
    fresh = resume(another)
    again = iter(fresh | ops.map(spy))
    again.load_state_dict(state)
    if not has_pool(fresh.plan):  # a pool has drawn ahead meanwhile
        same(json.loads(json.dumps(again.state_dict())), state, f"{law}: the state again", stream)
    rest = [item if isinstance(item, tuple) else (item,) for item in rest]  # as the spy gives them
    same(beside(again, another if others else None, len(rest)), rest, law, stream)
    same(spy.calls, len(rest), f"{law}: the work", stream)


def memory(make: Make) -> None:
    """Law 8: batches are writable and share no memory, so writing into one changes nothing else.

    Parameters
    ----------
    make : callable
        `make(rng)` makes the stream anew, over that generator; `make()` over one of its own.

    Raises
    ------
    LawError
        If the law is broken.
    """
    whole = some(make())
    stream = make()
    seen = []
    kept: list[np.ndarray[Any, Any]] = []
    for item in islice(stream, SOME):
        seen.append(plain(item))
        for array in arrays(item):
            same(array.flags.writeable, True, "law 8, a writable batch", stream)
            shared = any(np.shares_memory(array, other) for other in kept[-6:])
            same(shared, False, "law 8, memory of its own", stream)
            kept.append(array)
            array[...] = -1
    same(seen, whole, "law 8, after writing into batches", stream)
    if stream.pure:
        same(some(stream), whole, "law 8, after writing into batches, again", stream)


def pickling(make: Make) -> None:
    """Law 9: a stream of picklable parts, without a pool, is picklable.

    Parameters
    ----------
    make : callable
        `make(rng)` makes the stream anew, over that generator; `make()` over one of its own.

    Raises
    ------
    LawError
        If the law is broken.
    """
    stream = make()
    if replay_of(stream.plan) > Replay.DRAWN or has_pool(stream.plan):
        return
    copy = pickle.loads(pickle.dumps(stream))
    same(some(copy), some(make()), "law 9, a pickled copy", stream)
    same(repr(copy), repr(stream), "law 9, the repr of a pickled copy", stream)
