"""Batches with given shares of each class: `stratify`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property
from itertools import count

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchup.core.blocks import labelled
from batchup.core.checks import as_labels, call_text, describe
from batchup.core.draws import Draws
from batchup.core.grid import Even, Grid
from batchup.core.plan import EndlessSource, JointPlan, Plan
from batchup.core.randomness import Seed, ShuffleLike, as_rng
from batchup.core.record import record
from batchup.core.sources import Blocks
from batchup.core.stream import Stream
from batchup.ops.index.permutation import permuted, round_keys
from batchup.ops.index.repeat import Repeat
from batchup.ops.index.sample import checked_weights
from batchup.ops.index.shuffle import Shuffle

# A cycle of blocks has this many orders of the classes, and this many places to start in each order.
_ORDERS, _STARTS = 32, 32


def stratify(y: ArrayLike, rng: ShuffleLike, proportions: ArrayLike | None = None) -> Stream:
    """Endless batches in which each class has its share, as exactly as the batch size allows.

    Put `chunk(size)` right behind this source. Each block then has `size * share` samples of each class, rounded down
    or up. Which class gets one more sample changes from batch to batch, so on average the shares are exact. All samples
    of a class come, in a random order, before any of them comes again. Within a block the classes are spread evenly, so
    the parts of `shard` are stratified too.

    Parameters
    ----------
    y : (n,) array of int or str
        The label of each sample, >= 0, or a string. Strings are numbered in their order.
    rng : int, sequence of int, Generator, RandomState or True
        As for `shuffle`, but not None.
    proportions : (classes,) array of float or None
        The shares of classes 0 to max(y), >= 0, with any sum. None gives equal shares to all classes that have samples.

    Returns
    -------
    Stream
        Index blocks.

    Raises
    ------
    TypeError
        If `y` or `proportions` are not such arrays, or `rng` is of another type.
    ValueError
        If labels or proportions are negative, if a class without samples has a share above 0, or without `rng`.

    Examples
    --------
    >>> from batchup import ops
    >>> y = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1])
    >>> [np.bincount(y[block]).tolist() for block in stratify(y, 7) | ops.chunk(5) | ops.take(4)]
    [[3, 2], [2, 3], [3, 2], [2, 3]]
    """
    return stratified(y, rng, proportions, "stratify")


def stratified(
    y: ArrayLike, rng: ShuffleLike, proportions: ArrayLike | None, where: str, indices: NDArray[np.intp] | None = None
) -> Stream:
    """The stream of `stratify`, of the samples among `indices`; `where` is its name in errors."""
    labels = as_labels(y, f"{where}: y")
    chosen = labelled(indices, len(labels), where)
    drawn = as_rng(rng, where)
    if drawn is None:
        raise ValueError(f"{where}: expected rng=, a seed or a generator")
    labels = labels[chosen]
    counts = np.bincount(labels)
    shares = _shares(proportions, counts, where)
    of_class = np.split(chosen[labels.argsort(kind="stable")], counts.cumsum()[:-1])
    members = np.flatnonzero(shares).tolist()
    orders = [Shuffle(Blocks((of_class[member],)), drawn.of_member(member)) for member in members]
    plans = tuple([Repeat(order, math.inf) for order in orders])
    shown = None if proportions is None else describe(np.asarray(proportions))
    text = call_text("stratify", describe(labels), drawn, proportions=shown)
    return Stream(Stratify(len(labels), False, plans, shares[shares > 0]), text=text)


def _shares(proportions: ArrayLike | None, counts: NDArray[np.intp], where: str) -> NDArray[np.float64]:
    if not len(counts):
        raise ValueError(f"{where}: expected labels; got none")
    weights = counts > 0 if proportions is None else proportions
    shares = checked_weights(weights, where, "proportion")
    if len(shares) != len(counts):
        wanted = f"{where}: expected {len(counts)} proportions, one a class"
        raise ValueError(f"{wanted}; got {describe(shares)}")
    if (empty := np.flatnonzero((shares > 0) & (counts == 0))).size:
        raise ValueError(f"{where}: proportions: class {empty[0]} has a share, but no samples")
    return np.asarray(shares / shares.sum())


@record
class Stratify(JointPlan, EndlessSource):
    """Blocks of `size` samples, with the given share of the samples of each plan."""

    tag = "stratify"

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
        """The number of samples of each class in a block, (blocks of a cycle, classes).

        Each class gets the whole part of its share. What the fractions add up to goes to some classes, at most one
        sample each, by systematic sampling (Madow, Annals of Mathematical Statistics 20, 1949). Every few blocks the
        classes are in another order, so that all classes come together with all others.
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
    """The order of the samples of a block, given class by class.

    Each class is spread evenly, and another class comes first in each block.
    """
    first = permuted(np.arange(len(drawn), dtype=np.uint64), len(drawn), round_keys(Seed((0,)), k))
    places = np.concatenate([(np.arange(n) + 0.5) / n for n in drawn.tolist() if n])
    return np.lexsort((np.repeat(first, drawn), places))


class _Tap:
    """The samples of a plan from number `offset` on, in pieces of any size."""

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
