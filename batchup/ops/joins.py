"""Several streams: `zip` takes one item of each, `choose` one item of one of them."""

from __future__ import annotations

import builtins
import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import count, islice
from typing import Any, NamedTuple

import numpy as np

from batchup.ops.plan import Count, Plan, Traits, record
from batchup.ops.randomness import Rng, Shuffle, as_rng, shuffle_text
from batchup.ops.stream import Stream, Work, as_stream

__all__ = ["choose", "joined", "zip"]


def zip(*streams: Any, flatten: bool = True, trim: bool = True) -> Stream:
    """One item of each stream, as a tuple; ends with the shortest.

    With `flatten` the members' tuples are joined into one, so that `(X, y)` and `(U,)` give
    `(X, y, U)`. With `trim` all arrays of a joint batch, also inside nested tuples, are cut to the
    shortest among them, and lists likewise; numbers and strings stay. A source of its own: work that the members owe is owed by the joint items.
    Raises TypeError for what is neither a stream nor re-iterable, ValueError for no streams.

    >>> from batchup import ops
    >>> labelled = ops.indices(3) | ops.chunk(2) | ops.gather(np.arange(3), np.arange(3) % 2)
    >>> unlabelled = ops.indices(9) | ops.chunk(2) | ops.gather(np.arange(9) * 10)
    >>> list(zip(labelled, unlabelled))
    [(array([0, 1]), array([0, 1]), array([ 0, 10])), (array([2]), array([0]), array([20]))]
    """
    members = _members(streams, "zip")
    step = Join(_works(members), bool(flatten), bool(trim))
    options = [f"{name}=False" for name in ("flatten", "trim") if not getattr(step, name)]
    plan = Zipped(_plans(members))
    return Stream(plan, (step,), *_names("zip", members, options))


def _members(streams: tuple[Any, ...], where: str) -> list[Stream]:
    if not streams:
        raise ValueError(f"{where}: expected one stream at least; got none")
    return [as_stream(stream, f"{where}: stream {n}") for n, stream in enumerate(streams)]


def _names(function: str, members: list[Stream], options: list[str]) -> tuple[str, str]:
    """The text of the joint stream, and its identity."""
    texts = [member.text for member in members] + options
    identities = [member.identity for member in members] + options
    return f"{function}({', '.join(texts)})", f"{function}({', '.join(identities)})"


def _works(members: list[Stream]) -> tuple[Work, ...]:
    return tuple(member.work.of_member(n) for n, member in enumerate(members))


def _plans(members: list[Stream]) -> tuple[Plan, ...]:
    return tuple(member.plan.of_member(n) for n, member in enumerate(members))


def _joint_traits(plans: tuple[Plan, ...], rng: Rng | None = None) -> Traits:
    each = [plan.traits for plan in plans]
    return Traits(
        pure=(rng is None or rng.pure) and all(traits.pure for traits in each),
        jumps=(rng is None or rng.jumps) and all(traits.jumps for traits in each),
        foreign=any(traits.foreign for traits in each),
        sized=False,
        blocks=False,
        once=any(traits.once for traits in each),
        part=sum(traits.part * 4099**n for n, traits in enumerate(each)),
        sharded=any(traits.sharded for traits in each),
    )


@record
class JointPlan(Plan):
    """A plan over several."""

    plans: tuple[Plan, ...]

    def below(self) -> tuple[Plan, ...]:
        return self.plans

    def here(self) -> Plan:
        return replace(self, plans=tuple(plan.here() for plan in self.plans))

    def of_member(self, member: int) -> Plan:
        return replace(self, plans=tuple(plan.of_member(member) for plan in self.plans))


@record
class Zipped(JointPlan):
    """Tuples of one item of each plan."""

    @property
    def traits(self) -> Traits:
        return _joint_traits(self.plans)

    @property
    def length(self) -> Count:
        lengths = [plan.length for plan in self.plans]
        return None if None in lengths else min(n for n in lengths if n is not None)

    @property
    def samples(self) -> Count:
        """The least of the members', as far as they are known."""
        return min((n for plan in self.plans if (n := plan.samples) is not None), default=None)

    def items(self, pass_: int, k: int) -> Iterator[Any]:
        members = [plan.start(pass_, k) for plan in self.plans]
        return self.to_the_end(builtins.zip(*members, strict=False), k)


@record
class Join:
    """The step of `zip`: the work of all members, for one item of each."""

    works: tuple[Work, ...]
    flatten: bool
    trim: bool

    def run(self, item: tuple[Any, ...]) -> tuple[Any, ...]:
        works = builtins.zip(self.works, item, strict=True)
        return joined(tuple([work.run(part) for work, part in works]), self.flatten, self.trim)

    def of_member(self, member: int) -> Join:
        return replace(self, works=tuple(work.of_member(member) for work in self.works))

    def __str__(self) -> str:
        return f"zip(of {len(self.works)} streams)"


def joined(batches: tuple[Any, ...], flatten: bool, trim: bool) -> tuple[Any, ...]:
    """The joint batch of one batch of each member."""
    if trim:
        lengths = set(_lengths(batches))
        if len(lengths) > 1:
            batches = _trimmed(batches, min(lengths))
    if not flatten:
        return batches
    parts: list[Any] = []
    for batch in batches:
        parts.extend(batch) if isinstance(batch, tuple) else parts.append(batch)
    return tuple(parts)


def _lengths(batch: Any) -> Iterator[int]:
    for part in batch.values() if isinstance(batch, dict) else batch:
        if isinstance(part, tuple | dict):
            yield from _lengths(part)
        elif getattr(part, "shape", True) and not isinstance(part, str | bytes):  # not a scalar
            try:
                yield len(part)
            except TypeError:
                continue


def _trimmed(batch: Any, n: int) -> Any:
    if isinstance(batch, dict):
        return {key: _trimmed(part, n) for key, part in batch.items()}
    if isinstance(batch, tuple):
        parts = [_trimmed(part, n) for part in batch]
        return type(batch)(*parts) if hasattr(batch, "_fields") else tuple(parts)
    scalar = isinstance(batch, str | bytes) or not getattr(batch, "shape", True)
    if scalar or not (hasattr(batch, "__len__") and hasattr(batch, "__getitem__")):
        return batch
    return batch[:n]


def choose(*streams: Any, rng: Shuffle = None, stratified: bool = False) -> Stream:
    """One item of one of the streams at a time.

    In order (`rng` None) they take turns until one whose turn it is has nothing left. With `rng`, a
    seed or a generator as for `shuffle`, each round has a random order. `stratified` takes every
    stream, all of known length, to its end: in order, the items of each are spread evenly in
    proportion to the lengths; with `rng` they are shuffled, one `rng.permutation` of the turns.
    A source of its own: work that the members owe is owed by the items.
    Raises ValueError for no streams and for `stratified` where a length is not known or endless.

    >>> from batchup import ops
    >>> tens, ones = [10, 20, 30, 40], [1, 2]
    >>> list(choose(tens, ones)), list(choose(tens, ones, stratified=True))
    ([10, 1, 20, 2, 30], [10, 1, 20, 30, 2, 40])
    """
    members = _members(streams, "choose")
    draws = as_rng(rng, "choose")
    plans = _plans(members)
    if stratified:
        for member in members:
            if not isinstance(member.plan.length, int):
                raise ValueError(
                    "choose: stratified: expected streams of known finite length; got "
                    f"{member!r}, of length {member.plan.length}"
                )
    options = [] if draws is None else [f"rng={shuffle_text(rng)}"]
    options += ["stratified=True"] if stratified else []
    step = Pick(_works(members))
    plan = Chosen(plans, draws, bool(stratified))
    return Stream(plan, (step,), *_names("choose", members, options))


@record
class Pick:
    """The step of `choose`: the work of the member that the item is from."""

    works: tuple[Work, ...]

    def run(self, item: Choice) -> Any:
        return self.works[item.member].run(item.item)

    def of_member(self, member: int) -> Pick:
        return replace(self, works=tuple(work.of_member(member) for work in self.works))

    def __str__(self) -> str:
        return f"choose(of {len(self.works)} streams)"


class Choice(NamedTuple):
    """An item of the plan of `choose`."""

    member: int
    item: Any


_END = object()


@record
class Chosen(JointPlan):
    """Items of one plan at a time, each with the number of the plan that it is from."""

    rng: Rng | None
    stratified: bool

    @property
    def traits(self) -> Traits:
        return _joint_traits(self.plans, self.rng)

    @property
    def length(self) -> Count:
        lengths = [plan.length for plan in self.plans]
        known = [n for n in lengths if n is not None]
        if len(known) < len(lengths):
            return None
        if self.stratified:
            return sum(known)
        rounds = min(known)
        if rounds == math.inf or known.count(rounds) == len(known):
            return rounds * len(known)
        # In the last round, only those before the first that is exhausted have a turn.
        return rounds * len(known) + known.index(rounds) if self.rng is None else None

    @property
    def samples(self) -> Count:
        """The sum of the members'."""
        counts = [plan.samples for plan in self.plans]
        return None if None in counts else sum(count for count in counts if count is not None)

    def items(self, pass_: int, k: int) -> Iterator[Any]:
        return self.to_the_end(self._choices(pass_, k), k)

    def _choices(self, pass_: int, k: int) -> Iterator[Choice]:
        if k and self.rng is not None and not self.rng.began(pass_):
            yield from islice(self._choices(pass_, 0), k, None)
            return
        given, turns = self._in_proportion(pass_, k) if self.stratified else self._in_rounds(pass_, k)
        # If one had nothing left at a turn before position k, that was the end. So each is asked for its
        # last item before k; of a checkpoint, though, we know that k was reached, and must not draw.
        ended_before = 1 if self.traits.pure else 0
        members = []
        for plan, n in builtins.zip(self.plans, given, strict=True):
            look = min(n, ended_before)
            member = plan.start(pass_, n - look)
            if look and next(member, _END) is _END:
                return
            members.append(member)
        for turn in turns:
            item = next(members[turn], _END)
            if item is _END:
                return
            yield Choice(int(turn), item)
            del item  # which may keep the order of a whole pass alive

    # Both give how many items each member gave before position k, and whose turn it is from there.

    def _in_rounds(self, pass_: int, k: int) -> tuple[list[int], Iterator[int]]:
        members = range(len(self.plans))
        first, into = divmod(k, len(members))

        def order(number: int) -> list[int]:
            rng = self.rng
            return (
                list(members)
                if rng is None
                else rng.permutation(pass_, (pass_, number), members).tolist()
            )

        def turns() -> Iterator[int]:
            yield from order(first)[into:]
            for number in count(first + 1):
                yield from order(number)

        given = [first for _ in members]
        for member in order(first)[:into] if into else ():
            given[member] += 1
        return given, turns()

    def _in_proportion(self, pass_: int, k: int) -> tuple[list[int], Iterator[int]]:
        lengths = [n for plan in self.plans if isinstance(n := plan.length, int)]
        if self.rng is None:
            return _evenly(lengths, k)
        turns = self.rng.permutation(pass_, (pass_, 0), np.repeat(np.arange(len(lengths)), lengths))
        return np.bincount(turns[:k], minlength=len(lengths)).tolist(), iter(turns[k:])


def _evenly(lengths: list[int], start: int) -> tuple[list[int], Iterator[int]]:
    """Whose turn it is from position `start` on, where member i has lengths[i] turns, evenly spread.

    Turn j of member i is due at (2j + 1) / (2 lengths[i]) of the way, and ties go to the first; all
    in whole numbers. (more_itertools.interleave_evenly spreads alike, but starts only at 0.)
    """
    scale = math.lcm(*[n for n in lengths if n])
    paces = [scale // n if n else 0 for n in lengths]
    total = sum(lengths)
    start = min(start, total)
    # Whoever was due by this time has had his turns, `start` of them or a few less ...
    by = 2 * scale * (start - len(lengths)) // total if start > len(lengths) else 0
    given = [(by // pace + 1) // 2 if pace else 0 for pace in paces]
    turns = _by_due_time(paces, given, scale)
    # ... and these are those few.
    for member in islice(turns, start - sum(given)):
        given[member] += 1
    return given, turns


def _by_due_time(paces: list[int], given: list[int], scale: int) -> Iterator[int]:
    end = 2 * scale
    first = {m: (2 * n + 1) * p for m, (n, p) in enumerate(builtins.zip(given, paces, strict=True))}
    due = {member: when for member, when in first.items() if paces[member] and when < end}
    while due:
        member = min(due, key=due.__getitem__)
        yield member
        due[member] += 2 * paces[member]
        if due[member] > end:
            del due[member]
