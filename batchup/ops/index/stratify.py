"""Batches with given shares of each class: `stratify`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property
from itertools import count

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchup.core.checks import as_labels, describe
from batchup.core.grid import Even, Grid
from batchup.core.plan import Draws, EndlessSource, JointPlan, Plan
from batchup.core.randomness import Seed, ShuffleLike, as_rng
from batchup.core.record import record
from batchup.core.sources import Blocks
from batchup.core.stream import Stream
from batchup.ops.index.permutation import permuted, round_keys
from batchup.ops.index.repeat import Repeat
from batchup.ops.index.sample import checked_weights
from batchup.ops.index.shuffle import Shuffle

# A cycle of blocks: so many orders of the classes, and places to start in each.
_ORDERS, _STARTS = 32, 32


def stratify(y: ArrayLike, rng: ShuffleLike, proportions: ArrayLike | None = None) -> Stream:
    """Endless batches in which each class has its share, as nearly as their size allows.

    `y` has the labels, (n,) integers >= 0. `proportions`, (max(y) + 1,) numbers >= 0 of any sum, are the
    shares of the classes; None is the same for each that has samples. `rng` is as for `shuffle`, but
    not None. `chunk(size)` comes next: each block then has `size * share` samples of each class, rounded
    down or up; which class has one more changes from batch to batch, so that the shares hold in the
    long run, to a hundredth of a sample a batch. Each class goes through all of its samples, in a random
    order, before any comes again. Within a block the classes are spread evenly, so that the parts of
    `shard` are as nearly stratified as their own size allows.
    Raises TypeError or ValueError for labels or proportions that are none, for a share of a class
    without samples, and for no `rng`.

    >>> from batchup import ops
    >>> y = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1])
    >>> [np.bincount(y[block]).tolist() for block in stratify(y, 7) | ops.chunk(5) | ops.take(4)]
    [[3, 2], [2, 3], [3, 2], [2, 3]]
    """
    labels = as_labels(y, "stratify: y")
    drawn = as_rng(rng, "stratify")
    if drawn is None:
        raise ValueError("stratify: expected rng=, a seed or a generator")
    counts = np.bincount(labels)
    shares = _shares(proportions, counts)
    of_class = np.split(labels.argsort(kind="stable"), counts.cumsum()[:-1])
    members = np.flatnonzero(shares).tolist()
    orders = [Shuffle(Blocks((of_class[member],)), drawn.of_member(member)) for member in members]
    plans = tuple([Repeat(order, math.inf) for order in orders])
    text = f"stratify({describe(labels)}, {drawn}"
    text += ")" if proportions is None else f", {describe(np.asarray(proportions))})"
    return Stream(Stratify(len(labels), False, plans, shares[shares > 0]), text=text)


def _shares(proportions: ArrayLike | None, counts: NDArray[np.intp]) -> NDArray[np.float64]:
    if not len(counts):
        raise ValueError("stratify: expected labels; got none")
    given = counts > 0 if proportions is None else proportions
    shares = checked_weights(given, "stratify", "proportion")
    if len(shares) != len(counts):
        wanted = f"stratify: expected {len(counts)} proportions, one a class"
        raise ValueError(f"{wanted}; got {describe(shares)}")
    if (empty := np.flatnonzero((shares > 0) & (counts == 0))).size:
        raise ValueError(f"stratify: proportions: class {empty[0]} has a share, but no samples")
    return np.asarray(shares / shares.sum())


@record
class Stratify(JointPlan, EndlessSource):
    """Blocks of `size` with the given shares of the samples of each plan."""

    shares: NDArray[np.float64]

    @cached_property
    def grid(self) -> Grid:
        bounds = [plan.grid.bound or 0 for plan in self.plans if plan.grid is not None]
        return Even(math.inf, self.size, max(bounds))

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[NDArray[np.intp]]:
        counts = self._counts
        cycles, rest = divmod(k, len(counts))
        used = cycles * counts.sum(axis=0) + counts[:rest].sum(axis=0)
        taps = [_Tap(plan, pass_, n, draws) for plan, n in zip(self.plans, used.tolist(), strict=True)]
        return (self._block(taps, number) for number in count(k))

    def _block(self, taps: list[_Tap], number: int) -> NDArray[np.intp]:
        drawn = self._counts[number % len(self._counts)]
        parts = [tap.take(n) for tap, n in zip(taps, drawn.tolist(), strict=True) if n]
        mixed: NDArray[np.intp] = np.concatenate(parts)[_evenly_mixed(drawn, number)]
        return mixed

    @cached_property
    def _counts(self) -> NDArray[np.int64]:
        """How many samples of each class a block has, (blocks of a cycle, classes).

        The whole of its share, and of what the fractions add up to, each class at most one: systematic
        sampling (Madow, Annals of Mathematical Statistics 20, 1949), of the classes in another order
        every so many blocks, so that all classes come together with all others.
        """
        exact = self.shares * self.size
        whole = np.floor(exact + 1e-9)
        starts = np.arange(_STARTS)[:, None] / _STARTS
        rows = []
        for order in range(_ORDERS):
            classes = np.random.RandomState(order).permutation(len(exact))
            ends = np.cumsum((exact - whole)[classes])
            ends[-1] = self.size - whole.sum()
            steps = np.floor(starts + np.concatenate([[0.0], ends]) + 1e-9)
            more = np.empty((_STARTS, len(exact)))
            more[:, classes] = np.diff(steps)
            rows.append(whole + more)
        counts: NDArray[np.int64] = np.concatenate(rows).astype(np.int64)
        return counts[np.random.RandomState(0).permutation(len(counts))]


def _evenly_mixed(drawn: NDArray[np.int64], k: int) -> NDArray[np.intp]:
    """The order of a block's samples, which are there class by class: each class evenly spread, and
    which comes first another one each time."""
    first = permuted(np.arange(len(drawn), dtype=np.uint64), len(drawn), round_keys(Seed((0,)), k))
    places = np.concatenate([(np.arange(n) + 0.5) / n for n in drawn.tolist() if n])
    return np.lexsort((np.repeat(first, drawn), places))


class _Tap:
    """The samples of a plan from number `offset` on, as many at a time as are wanted."""

    def __init__(self, plan: Plan, pass_: int, offset: int, draws: Draws):
        assert plan.grid is not None
        k, self._at = plan.grid.seek(pass_, offset)
        self._blocks = plan.start(pass_, k, draws)
        self._block = np.empty(0, np.intp)

    def take(self, n: int) -> NDArray[np.intp]:
        parts = []
        while n:
            if self._at >= len(self._block):
                self._at -= len(self._block)
                self._block = next(self._blocks)
            part = self._block[self._at : self._at + n]
            self._at += len(part)
            n -= len(part)
            parts.append(part)
        return np.concatenate(parts)
