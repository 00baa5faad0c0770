"""Several streams: `zip` takes one item of each, `choose` one item of one of them."""

import builtins
import math
import warnings
from collections.abc import Iterable, Iterator
from itertools import chain, count, islice
from typing import Any

import numpy as np
from more_itertools import all_equal

from batchup.core.checks import call_text, listed
from batchup.core.draws import Draw, Draws
from batchup.core.errors import users_frame
from batchup.core.grid import Even, Grid, Total
from batchup.core.item import mapped, once
from batchup.core.joint import Choice, JointStep, Pick
from batchup.core.plan import Aligned, JointPlan, Plan, samples_of
from batchup.core.randomness import Rng, ShuffleLike, as_rng
from batchup.core.record import Count, record, unnamed
from batchup.core.stream import Stream, as_stream, members_of
from batchup.core.work import Split, Work, together
from batchup.ops.batch.parts import has_samples, parts_of


def zip(*streams: Any, flatten: bool = True, trim: bool = True) -> Stream:
    """One item of each stream, as a tuple. It ends with the shortest stream.

    The joined stream does the work of its members.

    Parameters
    ----------
    *streams : Stream or iterable
        The members. An iterable must give its items anew each time.
    flatten : bool
        If True, the tuples of the members are joined into one: `(X, y)` and `(U,)` give `(X, y, U)`.
    trim : bool
        If True, batches are cut to the shortest of them, as for the last batch of an epoch: all arrays and lists, also
        inside of nested tuples and dicts; numbers and strings stay. There is a UserWarning if the regular batches of
        the members have different sizes.

    Returns
    -------
    Stream
        Tuples.

    Raises
    ------
    TypeError
        If an argument is neither a stream nor an iterable.
    ValueError
        Without streams; while iterating, with `trim`, for a batch of one member whose own arrays differ in length.

    Examples
    --------
    >>> from batchup import ops
    >>> labelled = ops.indices(3) | ops.chunk(2) | ops.gather(np.arange(3), np.arange(3) % 2)
    >>> unlabelled = ops.indices(9) | ops.chunk(2) | ops.gather(np.arange(9) * 10)
    >>> list(zip(labelled, unlabelled))
    [(array([0, 1]), array([0, 1]), array([ 0, 10])), (array([2]), array([0]), array([20]))]
    """
    plans, works, text = members_of(streams, "zip")
    step = Join(works, bool(flatten), bool(trim))
    if step.trim:
        _warn_of_sizes(plans, works)
    options = {"flatten": None if step.flatten else "False", "trim": None if step.trim else "False"}
    return Stream(Zip(plans, step.trim), (step,), call_text("zip", text, **options))


def _warn_of_sizes(plans: tuple[Plan, ...], works: tuple[Work, ...]) -> None:
    grids = [work.grid(plan) for plan, work in builtins.zip(plans, works, strict=True)]
    sizes = [grid.size for grid in grids if grid is not None and grid.size is not None]
    if not all_equal(sizes):
        warnings.warn(
            f"zip: the members have batches of {listed(map(str, sizes))} samples, and each is cut to {min(sizes)}: the "
            "other samples are lost. With trim=False they are not cut",
            stacklevel=users_frame(),
        )


@record
class Zip(Aligned, JointPlan):
    """Tuples of one item of each plan."""

    tag = "zip"

    trim: bool = unnamed()  # the step has it too

    @property
    def length(self) -> Count:
        lengths = [plan.length for plan in self.plans]
        return None if None in lengths else min(n for n in lengths if n is not None)

    @property
    def grid(self) -> Grid | None:
        """The grid of the shortest member, if the blocks of all are of one size."""
        even = [plan.grid for plan in self.plans if isinstance(plan.grid, Even)]
        alike = len(even) == len(self.plans) and len({grid.size for grid in even}) == 1
        counts = {grid.samples for grid in even}
        if not alike or not (self.trim or len(counts) == 1):
            return None
        return Even(min(counts), even[0].size, None)

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Any]:
        return once(builtins.zip(*[plan.start(pass_, k, draws) for plan in self.plans], strict=False))


@record
class Join(JointStep):
    """The step of `zip`: the work of all members, for one item of each."""

    tag = "join"

    flatten: bool
    trim: bool

    def run(self, item: tuple[Any, ...]) -> tuple[Any, ...]:
        works = builtins.zip(self.works, item, strict=True)
        return joined(tuple([work.run(part) for work, part in works]), self.flatten, self.trim)

    def _split(self, item: tuple[Any, ...]) -> Split:
        works = builtins.zip(self.works, item, strict=True)
        splits = [work.split(part) for work, part in works]
        return together(splits, lambda batches: joined(tuple(batches), self.flatten, self.trim))

    def __str__(self) -> str:
        return f"zip(of {len(self.works)} streams)"


def joined(batches: tuple[Any, ...], flatten: bool, trim: bool) -> tuple[Any, ...]:
    """The joint batch of one batch of each member."""
    if trim:
        lengths = {len(part) for part in parts_of(batches) if has_samples(part)}
        if len(lengths) > 1:
            _check_lengths(batches)
            n = min(lengths)
            batches = mapped(batches, lambda p: p[:n] if has_samples(p) else p, (tuple, dict))
    if not flatten:
        return batches
    parts: list[Any] = []
    for batch in batches:
        parts.extend(batch) if isinstance(batch, tuple) else parts.append(batch)
    return tuple(parts)


def _check_lengths(batches: tuple[Any, ...]) -> None:
    """Raise ValueError for a member whose arrays differ in length: which of them are per sample is unknown."""
    for member, batch in enumerate(batches):
        own = [len(part) for part in parts_of(batch) if has_samples(part)]
        if not all_equal(own):
            wanted = f"trim: expected arrays of one length in a batch of member {member}, to cut them alike"
            got = f"they have {listed(map(str, own))}"
            raise ValueError(f"{wanted}; {got}. With trim=False nothing is cut")


def choose(*streams: Any, rng: ShuffleLike = None, stratified: bool = False) -> Stream:
    """One item of one of the streams at a time.

    The joined stream does the work of its members.

    Parameters
    ----------
    *streams : Stream or iterable
        The members. An iterable must give its items anew each time.
    rng : int, sequence of int, Generator, RandomState, True or None
        Without it the streams take turns, until the stream whose turn it is has ended. With a seed or a generator, as
        for `shuffle`, each round has a random order.
    stratified : bool
        If True, all streams come to their ends. The items of each are spread evenly, in proportion to the lengths; with
        `rng` the turns are shuffled instead, by one `rng.permutation`.

    Returns
    -------
    Stream
        The items of the members.

    Raises
    ------
    ValueError
        Without streams, and for `stratified` if a length is unknown or infinite.

    Examples
    --------
    >>> from batchup import ops
    >>> tens, ones = [10, 20, 30, 40], [1, 2]
    >>> list(choose(tens, ones)), list(choose(tens, ones, stratified=True))
    ([10, 1, 20, 2, 30], [10, 1, 20, 30, 2, 40])
    """
    return chosen(streams, rng, bool(stratified), "choose")


def chosen(streams: tuple[Any, ...], rng: ShuffleLike, stratified: bool, where: str) -> Stream:
    """The stream of `choose`; `where` is its name in errors."""
    plans, works, text = members_of(streams, where)
    draws = as_rng(rng, where)
    for n, plan in enumerate(plans):
        if stratified and not isinstance(plan.length, int):
            raise ValueError(
                f"{where}: stratified: expected streams of known finite length; got "
                f"{as_stream(streams[n], where)!r}, of length {plan.length}"
            )
    text = call_text("choose", text, rng=draws, stratified=stratified)
    return Stream(Choose(plans, draws, stratified), (Pick(works, "choose"),), text)


_END = object()


@record
class Choose(Aligned, JointPlan):
    """Items of one plan at a time, each with the number of the plan that it comes from."""

    tag = "choose"

    rng: Rng | None
    stratified: bool

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
        # In the last round, only the members before the first that has ended have a turn.
        return rounds * len(known) + known.index(rounds) if self.rng is None else None

    @property
    def grid(self) -> Grid | None:
        """All samples of the members, if all members come to their ends, or none ever does."""
        counts = [samples_of(plan) for plan in self.plans]
        lengths = {plan.length for plan in self.plans}
        ends = self.stratified or (len(lengths) == 1 and None not in lengths)
        return Total.of(sum(n for n in counts if n is not None)) if ends and None not in counts else None

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Choice]:
        first = 0 if self.stratified else k // len(self.plans)
        drawn = None if self.rng is None else draws.begin(self, pass_, first)
        taken, turns = (self._in_proportion if self.stratified else self._in_rounds)(k, drawn)
        for member in islice(turns, k - sum(taken)):
            taken[member] += 1
        starts = builtins.zip(self.plans, taken, strict=True)
        return self._chosen([plan.start(pass_, n, draws) for plan, n in starts], turns)

    def _chosen(self, members: list[Iterator[Any]], turns: Iterator[int]) -> Iterator[Choice]:
        for turn in turns:
            item = next(members[turn], _END)
            if item is _END:
                return
            yield Choice(turn, item)
            del item  # it may keep the order of a whole pass alive

    # Both return how many items each member gave before a position up to k, and the turns from there on.

    def _in_rounds(self, k: int, drawn: Draw | None) -> tuple[list[int], Iterator[int]]:
        members = range(len(self.plans))
        first = k // len(members)

        def order(number: int) -> Iterable[int]:
            return members if drawn is None else drawn.permutation(number, members).tolist()

        return [first] * len(members), chain.from_iterable(builtins.map(order, count(first)))

    def _in_proportion(self, k: int, drawn: Draw | None) -> tuple[list[int], Iterator[int]]:
        lengths = [n for plan in self.plans if isinstance(n := plan.length, int)]
        if drawn is None:
            return _evenly(lengths, k)
        labels = np.repeat(np.arange(len(lengths)), lengths)
        # Drawn when the first turn is asked for.
        orders = (drawn.permutation(0, labels).tolist() for _ in range(1))
        return [0] * len(lengths), chain.from_iterable(orders)


def _evenly(lengths: list[int], start: int) -> tuple[list[int], Iterator[int]]:
    """The evenly spread turns of members of these lengths, from a little before position `start` on.

    Turn j of n is due at j / n of the way, and ties go to the first member; all in whole numbers.
    (`more_itertools.interleave_evenly` breaks ties differently, and can't start in the middle.)
    """
    scale = math.lcm(*[n for n in lengths if n])
    paces = [scale // n if n else 0 for n in lengths]
    total = sum(lengths)
    start = min(start, total)
    # Turns that were due before this time are over: `start` of them, or a few less.
    by = scale * (start - len(lengths)) // total if start > len(lengths) else 0
    taken = [-(-by // pace) if pace else 0 for pace in paces]
    return taken, _by_due_time(paces, list(taken), scale)


def _by_due_time(paces: list[int], taken: list[int], end: int) -> Iterator[int]:
    pairs = enumerate(builtins.zip(taken, paces, strict=True))
    due = {member: n * pace for member, (n, pace) in pairs if pace and n * pace < end}
    while due:
        member = min(due, key=due.__getitem__)
        yield member
        due[member] += paces[member]
        if due[member] >= end:
            del due[member]
