"""One item of one of several streams at a time: `choose`."""

import builtins
import math
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import chain, count, islice
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from batchup.core.checks import call_text, describe
from batchup.core.draws import Draw, Draws
from batchup.core.grid import Grid, Total
from batchup.core.hints import WEIGHTS_HINTS, hinted
from batchup.core.joint import Choice, Pick
from batchup.core.plan import Aligned, JointPlan, Kind, samples_of
from batchup.core.randomness import Rng, ShuffleLike, as_rng, frozen_generator, seed_of_pass
from batchup.core.record import Count, record, unnamed
from batchup.core.stream import Stream, as_stream, members_of
from batchup.ops.index.sample import checked_weights, drawing
from batchup.ops.index.shares import whole_shares
from batchup.ops.turns import by_weights, evenly, taken_by_weights


@hinted(**WEIGHTS_HINTS)
def choose(
    *streams: Any, rng: ShuffleLike = None, stratified: bool = False, weights: ArrayLike | None = None
) -> Stream:
    """One item of one of the streams at a time.

    The joined stream does the work of its members. If all streams are of index blocks, so is the joined stream, and
    `merge`, `chunk` and `gather` take it.

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
    weights : (members,) array of float or None
        The share of the items that comes from each stream, >= 0, with any sum. Without `rng` the counts follow the
        weights: after t items, a stream with share w has given w * t of them, to within less than one item. With `rng`
        each turn is drawn at random; a generator gives one seed for all turns of a pass. It ends when a stream has its
        turn and no item left.

    Returns
    -------
    Stream
        The items of the members.

    Raises
    ------
    TypeError
        If `weights` are no array of numbers.
    ValueError
        Without streams; for `stratified` if a length is unknown or infinite; for weights that are negative or not one for
        each stream, and with `stratified`.

    Notes
    -----
    With weights and without `rng`, turn t goes to the member with the least (n + 1) / w among those with n < w (t + 1),
    where n is the number of items that it has given; of several, to the first. It is the quota method of apportionment
    (Balinski and Young, American Mathematical Monthly 82, 1975), in exact arithmetic: a float counts as the simplest
    fraction that it stands for, 0.1 as 1/10. The turns repeat after as many items as the sum of the weights in whole
    numbers, 10 for `[0.7, 0.2, 0.1]`, and a position is reached by counting from the last such point.

    Examples
    --------
    >>> from batchup import ops
    >>> tens, ones = [10, 20, 30, 40], [1, 2]
    >>> list(choose(tens, ones)), list(choose(tens, ones, stratified=True))
    ([10, 1, 20, 2, 30], [10, 1, 20, 30, 2, 40])
    >>> list(choose(tens, ones, weights=[3, 1]))
    [10, 20, 30, 1, 40]
    """
    return chosen(streams, rng, bool(stratified), weights, "choose")


def chosen(
    streams: tuple[Any, ...], rng: ShuffleLike, stratified: bool, weights: ArrayLike | None, where: str
) -> Stream:
    """The stream of `choose`; `where` is its name in errors."""
    plans, works, text = members_of(streams, where)
    draws = as_rng(rng, where)
    for n, plan in enumerate(plans):
        if stratified and not isinstance(plan.length, int):
            raise ValueError(
                f"{where}: stratified: expected streams of known finite length; got "
                f"{as_stream(streams[n], where)!r}, of length {plan.length}"
            )
    shares = None
    if weights is not None:
        shares = checked_shares(weights, len(plans), stratified, where)
        draws = draws and drawing(rng, where)
    shown = None if shares is None else list(shares)
    text = call_text("choose", text, rng=draws, stratified=stratified, weights=shown)
    steps = [stream.steps for stream in streams if isinstance(stream, Stream)]
    blocks = not any(steps) and all(plan.kind.indexed for plan in plans)
    picks = () if blocks else (Pick(works, "choose"),)
    return Stream(Choose(plans, draws, stratified, shares, blocks), picks, text=text)


def checked_shares(weights: Any, members: int, stratified: bool, where: str) -> tuple[int, ...]:
    """The weights as whole numbers in the same proportions, checked; `where` is the beginning of an error."""
    if stratified:
        raise ValueError(
            f"{where}: expected weights, or stratified=True, which gives each stream its length as its weight; got both"
        )
    if len(checked_weights(weights, where, "weight")) != members:
        raise ValueError(f"{where}: expected {members} weights, one for each stream; got {describe(weights)}")
    return whole_shares(weights)


_END = object()


@record
class Choose(Aligned, JointPlan):
    """Items of one plan at a time: index blocks as they are, others with the number of the plan that they come from."""

    tag = "choose"

    rng: Rng | None
    stratified: bool
    weights: tuple[int, ...] | None = None
    blocks: bool = unnamed(default=False)

    @property
    def kind(self) -> Kind:
        return Kind.BLOCKS if self.blocks else Kind.BORROWED

    @cached_property
    def length(self) -> Count:
        taken = self._taken
        return None if taken is None else sum(taken)

    @cached_property
    def _taken(self) -> list[int | float] | None:
        """The number of items of each member in a pass; None if it is unknown."""
        lengths = [plan.length for plan in self.plans]
        known = [n for n in lengths if n is not None]
        if len(known) < len(lengths):
            return None
        if self.stratified:
            return known
        if self.weights is not None:
            chosen = [n for n, weight in builtins.zip(known, self.weights, strict=True) if weight]
            if min(chosen) == math.inf:
                return [math.inf if weight else 0 for weight in self.weights]
            return None if self.rng else taken_by_weights(self.weights, known)
        rounds = min(known)
        if rounds == math.inf:
            return known
        if known.count(rounds) == len(known):
            return known
        # In the last round, only the members before the first that has ended have a turn.
        last = known.index(rounds)
        return None if self.rng else [rounds + (m < last) for m in range(len(known))]

    @property
    def grid(self) -> Grid | None:
        """All samples of the members, if all members come to their ends, or none ever does."""
        grids = [plan.grid for plan in self.plans]
        counts = [samples_of(plan) for plan in self.plans]
        ends = self._taken == [plan.length for plan in self.plans] or self.length == math.inf
        if not ends or None in counts:
            return None
        bounds = [grid.bound for grid in grids if grid is not None]
        bound = None if None in bounds else max(b for b in bounds if b is not None)
        return Total.of(sum(n for n in counts if n is not None), bound)

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Any]:
        taken, turns = self._turns(pass_, k, draws)
        for member in islice(turns, k - sum(taken)):
            taken[member] += 1
        starts = builtins.zip(self.plans, taken, strict=True)
        return self._chosen([plan.start(pass_, n, draws) for plan, n in starts], turns)

    def _chosen(self, members: list[Iterator[Any]], turns: Iterator[int]) -> Iterator[Any]:
        blocks = self.blocks
        for turn in turns:
            item = next(members[turn], _END)
            if item is _END:
                return
            yield item if blocks else Choice(turn, item)
            del item  # it may keep the order of a whole pass alive

    # These return how many items each member gave before a position up to k, and the turns from there on.

    def _turns(self, pass_: int, k: int, draws: Draws) -> tuple[list[int], Iterator[int]]:
        if self.weights is not None:
            if self.rng is None:
                return by_weights(self.weights, k)
            return self._drawn_by_weights(self.weights, pass_, k, draws)
        first = 0 if self.stratified else k // len(self.plans)
        drawn = None if self.rng is None else draws.begin(self, pass_, first)
        return self._in_proportion(k, drawn) if self.stratified else self._in_rounds(first, drawn)

    def _in_rounds(self, first: int, drawn: Draw | None) -> tuple[list[int], Iterator[int]]:
        members = range(len(self.plans))

        def order(number: int) -> Iterable[int]:
            return members if drawn is None else drawn.permutation(number, members).tolist()

        return [first] * len(members), chain.from_iterable(builtins.map(order, count(first)))

    def _in_proportion(self, k: int, drawn: Draw | None) -> tuple[list[int], Iterator[int]]:
        lengths = [n for plan in self.plans if isinstance(n := plan.length, int)]
        if drawn is None:
            return evenly(lengths, k)
        labels = np.repeat(np.arange(len(lengths)), lengths)
        # Drawn when the first turn is asked for.
        orders = (drawn.permutation(0, labels).tolist() for _ in range(1))
        return [0] * len(lengths), chain.from_iterable(orders)

    def _drawn_by_weights(
        self, weights: tuple[int, ...], pass_: int, k: int, draws: Draws
    ) -> tuple[list[int], Iterator[int]]:
        seed = seed_of_pass(self, pass_, draws)
        ends = np.cumsum([weight / sum(weights) for weight in weights])  # the weights may be beyond int64
        ends /= ends[-1]

        def drawn(start: int, sizes: Iterable[int]) -> Iterator[Any]:
            generator = frozen_generator(seed(), advance=start)
            return (ends.searchsorted(generator.random(size), side="right") for size in sizes)

        taken = np.zeros(len(weights), np.intp)
        if k:
            for members in drawn(0, [*[_TURNS] * (k // _TURNS), k % _TURNS]):
                taken += np.bincount(members, minlength=len(weights))
        # More and more are drawn at a time, from the first turn that is asked for.
        turns = (members.tolist() for _ in range(1) for members in drawn(k, _growing()))
        return taken.tolist(), chain.from_iterable(turns)


# Random turns that are drawn at a time, at most.
_TURNS = 4096


def _growing() -> Iterator[int]:
    size = 16
    while True:
        yield size
        size = min(2 * size, _TURNS)
