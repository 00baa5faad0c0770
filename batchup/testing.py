"""The laws that every stream obeys, to check a stage of your own by.

>>> from batchup import ops
>>> from batchup.testing import check_laws
>>> check_laws(lambda stream, rng: stream | ops.chunk(2) | ops.take(3), members=1)

Each law goes through all positions of a stream, up to `SOME` items of it.
"""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, product
from typing import Any

import numpy as np

from batchup import ops
from batchup.core.plan import Again, Kind

__all__ = ["MEMBERS", "SOME", "LawError", "check_laws", "plain"]

SOME = 25  # how many items of a stream are looked at

# What a stage is tried on: streams of index blocks of every kind.
MEMBERS: tuple[Callable[[Any], ops.Stream], ...] = (
    lambda rng: ops.indices(10) | ops.chunk(3),
    lambda rng: ops.indices(0) | ops.chunk(2),
    lambda rng: [np.array([4, 2, 0]), np.array([], int), np.array([9])] | ops.skip(0),
    lambda rng: ops.indices(7) | ops.shuffle(5) | ops.repeat(3) | ops.chunk(4),
    lambda rng: ops.indices(7) | ops.shuffle(rng) | ops.repeat(3) | ops.chunk(4),
    lambda rng: ops.indices(5) | ops.shuffle(1) | ops.repeat(-1) | ops.chunk(2) | ops.shuffle(2),
    lambda rng: ops.sample([1, 2, 3], rng) | ops.chunk(3),
)


class LawError(AssertionError):
    """A stream that breaks a law."""


def check_laws(
    build: Callable[..., ops.Stream],
    members: int = 0,
    model: Callable[..., Iterable[Any]] | None = None,
    pools: Sequence[Any] = (),
) -> None:
    """Check a stage, or a stream, by all laws; raises `LawError` that says which is broken, and how.

    `build(*streams, rng=rng)` makes the stream anew each time it is called, of `members` streams of index
    blocks, and of the generator `rng`, a RandomState. It may refuse what can't be right with a TypeError
    or ValueError, but not all there is to try it on. `model(*lists)` gives the items that are expected
    of finite members, whose items it is given; all as `plain` makes them. `pools` are pools of
    `batchup.work_pool`, to check that work and members may be theirs.
    """
    refusals: list[Exception] = []
    tried = 0
    for chosen in product(MEMBERS, repeat=members):
        tried += 1
        case = _Case(build, chosen)
        try:
            case.stream()
        except (TypeError, ValueError) as error:
            refusals.append(error)
            continue
        if model is not None:
            _check_model(case, model)
        for law in (length, again, skipping, mapping, sharding, checkpoints, memory, pickling):
            law(case.stream)
        for pool, buffer in product(pools, (1, 5)):
            parallel(case.stream, pool, buffer)
            checkpoints_across(case.stream, pool, buffer)
            _members_in_pools(case, pool)
    if len(refusals) == tried:
        raise refusals[0]


class _Case:
    """How a stream is made of members that are made anew."""

    def __init__(self, build: Callable[..., ops.Stream], members: Sequence[Callable[[Any], Any]]):
        self.build = build
        self.members = members

    def stream(
        self, rng: Any = None, through: Callable[[Any], Any] = lambda member: member
    ) -> ops.Stream:
        rng = np.random.RandomState(0) if rng is None else rng
        return self.build(*[through(member(rng)) for member in self.members], rng=rng)


Make = Callable[..., ops.Stream]  # make(rng) makes the stream anew, over that generator


def _check_model(case: _Case, model: Callable[..., Iterable[Any]]) -> None:
    members = [member(np.random.RandomState(0)) for member in case.members]
    if any(member.plan.length in (None, math.inf) or not member.pure for member in members):
        return
    expected = [plain(item) for item in model(*[list(map(plain, member)) for member in members])]
    _same(_some(case.stream()), expected[:SOME], "the model", case.stream())


def length(make: Make) -> None:
    """Law 1: `len` is the number of items, where it is known; so is the number of samples."""
    stream = make()
    n, samples = stream.plan.length, stream.num_samples
    items = list(islice(stream, 40 * SOME if isinstance(n, int) else SOME))
    if n == math.inf:
        _same(len(items), SOME, "law 1, of an endless stream", stream)
    elif n is not None and n <= 40 * SOME:
        _same(len(items), len(stream), "law 1, the length", stream)
        sizes = [_size(item) for item in items]
        if samples is not None and None not in sizes:
            _same(
                sum(size for size in sizes if size is not None), samples, "law 1, num_samples", stream
            )
    if not isinstance(n, int):
        _refused(lambda: len(stream), TypeError, "law 1, len() of no known length", stream)


def again(make: Make) -> None:
    """Law 2: a pure stream gives the same each time; over a generator in the same state, too."""
    stream = make()
    once = _some(stream)
    if stream.plan.again is Again.KEYED:
        _same(_some(stream), once, "law 2, again", stream)
    if stream.plan.again < Again.SINGLE_PASS:
        _same(_some(make()), once, "law 2, anew", stream)


class _Spy:
    """A map that counts how often it was called, and may raise at one of its items."""

    def __init__(self, at: int | None = None, error: BaseException | None = None):
        self.calls, self.at, self.error = 0, at, error

    def __call__(self, *batch: Any) -> Any:
        if self.error is not None and self.calls == self.at:
            raise self.error
        self.calls += 1
        return batch


def skipping(make: Make) -> None:
    """Law 3: `skip(k)` is the rest of the items, and `stream[k]` one of them; neither does other work."""
    whole = _some(make())
    for k in (*range(len(whole) + 2), 3 * SOME):
        spy = _Spy()
        rest = _some(make() | ops.skip(k), len(whole) - k)
        _same(rest, whole[k:], f"law 3, skip({k})", make())
        done = len(list(islice(make() | ops.map(spy) | ops.skip(k), max(0, len(whole) - k))))
        _same(spy.calls, done, f"law 3, work for what skip({k}) leaves out", make())
    pure = make().plan.again is Again.KEYED
    for k in range(len(whole)):
        if not pure:
            _refused(lambda k=k: make()[k], TypeError, f"law 3, stream[{k}]", make())  # type: ignore[misc]
            break
        spy = _Spy()
        _same(plain(make()[k]), whole[k], f"law 3, stream[{k}]", make())
        (make() | ops.map(spy))[k]
        _same(spy.calls, 1, f"law 3, work for stream[{k}]", make())


def mapping(make: Make) -> None:
    """Law 5: two maps one after another are one map of both."""

    def last(*batch: Any) -> Any:
        return (*batch, len(batch))

    def keep(*batch: Any) -> Any:
        return batch

    two, one = (
        make() | ops.map(keep) | ops.map(last),
        make() | ops.map(lambda *batch: last(*keep(*batch))),
    )
    _same(_some(two), _some(one), "law 5", make())


def sharding(make: Make) -> None:
    """Law 6: the parts of a block, put together, are the block."""
    if make().steps or make().plan.kind is not Kind.BLOCKS:
        return
    whole = _some(make())
    for count in (1, 2, 3):
        shards = [_some(make() | ops.shard(index, count)) for index in range(count)]
        joined = [[i for part in parts for i in part] for parts in zip(*shards, strict=True)]
        _same(joined, whole, f"law 6, {count} shards", make())


def checkpoints(
    make: Make,
    resume: Callable[[ops.Stream], ops.Stream] = lambda stream: stream,
    positions: Sequence[int] = range(SOME + 1),
) -> None:
    """Law 7: a checkpoint after any item gives exactly the rest, and does the work of the rest alone.

    So it is after an exception and after a Ctrl-C at any item, and where others draw from the generator.
    `resume` makes of a stream the one that goes on from checkpoints.
    """
    stream = make()
    if stream.plan.again > Again.DRAWN:
        _refused(lambda: iter(stream).state_dict(), TypeError, "law 7, without checkpoints", stream)
        return
    pure, serial = stream.pure, not (_has_pool(stream.plan) or _has_pool(resume(stream).plan))
    whole = _some(make())
    for k in positions:
        if k > len(whole):
            continue
        for error in (None, OSError("unreadable"), KeyboardInterrupt()):
            _resumes(make, resume, k, error, whole[k:], None)
    if serial and not pure:
        rng = np.random.RandomState(0)
        whole = _beside(iter(make(rng)), rng, SOME)
        for k in positions:
            if k <= len(whole):
                _resumes(make, resume, k, None, whole[k:], rng)
    if pure:
        small = len(json.dumps(iter(stream).state_dict())) < 1000
        _same(small, True, "law 7, a state of less than 1 KB", stream)


def _resumes(
    make: Make,
    resume: Callable[[ops.Stream], ops.Stream],
    k: int,
    error: BaseException | None,
    rest: list[Any],
    others: Any,
) -> None:
    """A checkpoint after k items, perhaps after an error, perhaps where others draw, gives the rest."""
    law = f"law 7, from item {k} on" + (f" after {error!r}" if error else "")
    rng, beside, stream = np.random.RandomState(0), np.random.RandomState(1), make()
    items = iter(make(rng) | ops.map(_Spy(k, error)))
    _beside(items, rng if others else None, k)
    if error is not None:
        try:
            next(items)
        except StopIteration:
            pass
        except type(error):
            _refused(lambda: next(items), RuntimeError, f"{law}: next()", stream)
    state = json.loads(json.dumps(items.state_dict()))
    _same(state["position"], k, f"{law}: the position", stream)
    if error is not None and stream.pure:
        return  # its state is the position alone, which was resumed from
    spy = _Spy()
    again = iter(resume(make(beside)) | ops.map(spy))
    again.load_state_dict(state)
    if not _has_pool(resume(stream).plan):  # which has drawn ahead meanwhile
        _same(json.loads(json.dumps(again.state_dict())), state, f"{law}: the state again", stream)
    rest = [item if isinstance(item, tuple) else (item,) for item in rest]  # as the spy gives them
    _same(_beside(again, beside if others else None, len(rest)), rest, law, stream)
    _same(spy.calls, len(rest), f"{law}: the work", stream)


def _beside(items: Iterator[Any], rng: Any, n: int) -> list[Any]:
    """The next items, while somebody else draws from the generator, if there is one."""
    seen = []
    for item in islice(items, n):
        seen.append(plain(item))
        if rng is not None:
            rng.random_sample()
    return seen


def memory(make: Make) -> None:
    """Law 8: batches are writable and share no memory: writing into one changes nothing else."""
    whole = _some(make())
    stream = make()
    seen = []
    kept: list[np.ndarray[Any, Any]] = []
    for item in islice(stream, SOME):
        seen.append(plain(item))
        for array in _arrays(item):
            _same(array.flags.writeable, True, "law 8, a writable batch", stream)
            shared = any(np.shares_memory(array, other) for other in kept[-6:])
            _same(shared, False, "law 8, memory of its own", stream)
            kept.append(array)
            array[...] = -1
    _same(seen, whole, "law 8, after writing into batches", stream)
    if stream.pure:
        _same(_some(stream), whole, "law 8, after writing into batches, again", stream)


def pickling(make: Make) -> None:
    """Law 9: what is made of picklable parts, and no pool, is picklable."""
    stream = make()
    if stream.plan.again > Again.DRAWN or _has_pool(stream.plan):
        return
    copy = pickle.loads(pickle.dumps(stream))
    _same(_some(copy), _some(make()), "law 9, a pickled copy", stream)
    _same(repr(copy), repr(stream), "law 9, the repr of a pickled copy", stream)


def parallel(make: Make, pool: Any, buffer: int = 3, positions: Sequence[int] = (0, 1, 5)) -> None:
    """Law 4: a pool gives the same items, whatever its buffer, also before stages by position."""

    def in_pool(rng: Any = None) -> ops.Stream:
        return make(rng) | ops.parallel(pool, buffer)

    whole = _some(make())
    _same(_some(in_pool()), whole, f"law 4, buffer {buffer}", make())
    for k in positions:
        rest = _some(in_pool() | ops.skip(k), len(whole) - k)
        _same(rest, whole[k:], f"law 4, buffer {buffer}, and skip({k})", make())
        for after in (ops.take(k), ops.take(k) | ops.repeat(2)) if k else ():
            _same(_some(in_pool() | after), _some(make() | after), f"law 4, and {after}", make())


def checkpoints_across(
    make: Make, pool: Any, buffer: int = 3, positions: Sequence[int] = (0, 1, 5)
) -> None:
    """Law 7 with a pool on one side: a checkpoint doesn't know who did the work."""
    checkpoints(make, lambda stream: stream | ops.parallel(pool, buffer), positions)
    checkpoints(lambda rng=None: make(rng) | ops.parallel(pool, buffer), positions=positions)


def _members_in_pools(case: _Case, pool: Any) -> None:
    """Law 4 at any place in the tree: members that are made by a pool, or a refusal."""
    whole = _some(case.stream())
    try:
        stream = case.stream(through=lambda member: member | ops.parallel(pool, 3))
    except TypeError:
        return
    _same(_some(stream), whole, "law 4, with members in a pool", stream)


# --- items


def plain(item: Any) -> Any:
    """An item as lists and numbers, in tuples and dicts as they are: to be compared by `==`."""
    if isinstance(item, tuple):
        return tuple(map(plain, item))
    if isinstance(item, dict):
        return {key: plain(part) for key, part in item.items()}
    if isinstance(item, np.ndarray | np.generic):
        return item.tolist()
    return list(item) if isinstance(item, range | list) else item


def _some(stream: Iterable[Any], n: int = SOME) -> list[Any]:
    return [plain(item) for item in islice(stream, max(0, n))]


def _arrays(item: Any) -> Iterator[np.ndarray[Any, Any]]:
    if isinstance(item, tuple | list | dict):
        for part in item.values() if isinstance(item, dict) else item:
            yield from _arrays(part)
    elif isinstance(item, np.ndarray):
        yield item


def _size(item: Any) -> int | None:
    """How many samples are in an item: the length of the first array; None where there is none."""
    while isinstance(item, tuple | dict) and len(item):
        item = next(iter(item.values() if isinstance(item, dict) else item))
    return len(item) if isinstance(item, np.ndarray | range) else None


def _has_pool(plan: Any) -> bool:
    return plan.ahead or any(map(_has_pool, plan.children()))


def _same(got: Any, expected: Any, law: str, stream: Any) -> None:
    if got != expected:
        raise LawError(f"{law}, of {stream!r}: expected\n  {expected!s:.2000}\ngot\n  {got!s:.2000}")


def _refused(act: Callable[[], Any], kind: type[Exception], law: str, stream: Any) -> None:
    try:
        got = act()
    except kind:
        return
    raise LawError(f"{law}, of {stream!r}: expected {kind.__name__}; got {got!r}")
