"""Which samples go into which part of a split."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise
from numbers import Rational
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchup.core.checks import classes_in, describe, listed
from batchup.core.randomness import Seed, ShuffleLike, as_rng, frozen_generator
from batchup.ops.index.shares import as_fraction

if TYPE_CHECKING:
    from fractions import Fraction

__all__ = ["parts_of_split"]

Indices = NDArray[np.intp]


def parts_of_split(
    indices: Indices,
    length: int,
    fractions: Sequence[Any],
    rng: ShuffleLike,
    stratify: ArrayLike | None,
    groups: ArrayLike | None,
) -> list[Indices]:
    """The samples of each part, of those among `indices`. `stratify` and `groups` have a value for each of `length` samples."""
    shares = _shares(fractions)
    if not len(indices):
        raise ValueError("split: expected samples to divide; there are none")
    drawn = as_rng(rng, "split: rng")
    order = np.arange(len(indices))
    if drawn is not None:
        generator = frozen_generator(drawn) if isinstance(drawn, Seed) else drawn.source()
        order = np.asarray(generator.permutation(len(indices)))
    labels = np.zeros(len(indices), np.intp)
    if stratify is not None:
        labels = _of_samples(stratify, length, "stratify")[indices]
    if groups is None:
        part = _stratified(labels, order, shares)
    else:
        part = _grouped(_of_samples(groups, length, "groups")[indices], labels, order, shares)
    sizes = np.bincount(part, minlength=len(shares)).tolist()
    for n, size in enumerate(sizes[: len(fractions)]):
        if not size:
            what = "samples" if groups is None else "groups"
            wanted = f"split: expected enough {what} for a part of {fractions[n]}"
            raise ValueError(
                f"{wanted}; of {len(indices)} samples it has none. The parts have {listed(map(str, sizes))}"
            )
    in_order = part[order]
    return [indices[order[in_order == n]] if drawn is not None else indices[part == n] for n in range(len(fractions))]


def _shares(fractions: Sequence[Any]) -> list[Fraction]:
    """The fractions as exact numbers, with what is left over as one more."""
    wanted = "split: expected fractions above 0 whose sum is at most 1, such as split(0.8, 0.2)"
    if not fractions:
        raise ValueError(f"{wanted}; got none")
    for fraction in fractions:
        if isinstance(fraction, bool) or not isinstance(fraction, int | float | Rational | np.integer | np.floating):
            raise TypeError(f"{wanted}; got {describe(fraction)}")
        if not 0 < float(fraction) <= 1:
            raise ValueError(f"{wanted}; got {fraction}")
    shares = list(map(as_fraction, fractions))
    rest = as_fraction(1) - sum(shares)
    if rest * 10**9 < -1:
        raise ValueError(f"{wanted}; got {listed(map(str, fractions))}, whose sum is {float(sum(shares)):g}")
    if abs(rest) * 10**9 <= 1:  # as 1/3, 1/3 and 0.333333333
        return [share / sum(shares) for share in shares]
    return [*shares, rest]


def _of_samples(values: ArrayLike, length: int, name: str) -> Indices:
    """The number of the class, or group, of each sample."""
    numbers, _ = classes_in(values, f"split: {name}")
    if len(numbers) != length:
        wanted = f"split: {name}: expected a value for each of {length} samples, also of those outside of a subset"
        raise ValueError(f"{wanted}; got {len(numbers)}")
    return numbers


def _stratified(labels: Indices, order: Indices, shares: list[Fraction]) -> Indices:
    """The part of each sample: of each class, and in all, within one sample of the shares."""
    sizes = np.bincount(labels)
    exact = [[share * int(n) for share in shares] for n in sizes]
    counts = np.array([[int(count) for count in row] for row in exact])  # rounded down
    rounded = np.array([[count.denominator > 1 for count in row] for row in exact])
    up = np.zeros_like(rounded)
    for c, row in enumerate(exact):  # of each class the largest remainders are rounded up
        largest = sorted(range(len(row)), key=lambda n: int(row[n]) - row[n])
        up[c, largest[: int(sizes[c]) - int(counts[c].sum())]] = True
    _balance(up, rounded, [share * len(labels) for share in shares], counts)
    counts += up
    part = np.empty(len(labels), np.intp)
    by_class = order[labels[order].argsort(kind="stable")]
    part[by_class] = np.repeat(np.tile(np.arange(len(shares)), len(sizes)), counts.ravel())
    return part


def _balance(up: NDArray[np.bool_], rounded: NDArray[np.bool_], exact: list[Fraction], counts: Indices) -> None:
    """Change which counts are rounded up, so that the sum of each part is within one sample of its share, too.

    Such a rounding always exists (Bacharach, Matrix rounding problems, Management Science 12, 1966). Each step moves one
    sample from a part with too many to a part with too few, over other parts if necessary.
    """
    while True:
        sums = (counts + up).sum(axis=0).tolist()
        path = _path(up, rounded, [n - share for n, share in zip(sums, exact, strict=True)])
        if not path:
            return
        for a, b in pairwise(path):
            c = int(np.flatnonzero(_can_give(a, up, rounded)[:, b])[0])
            up[c, a], up[c, b] = False, True


def _path(up: NDArray[np.bool_], rounded: NDArray[np.bool_], over: list[Fraction]) -> list[int]:
    """Parts, each of which can give a sample to the next, from one with too many to one with too few; [] if there is none."""
    for start in sorted(range(len(over)), key=over.__getitem__, reverse=True):
        paths = {start: [start]}
        ahead = [start]
        for a in ahead:
            for b in np.flatnonzero(_can_give(a, up, rounded).any(axis=0)).tolist():
                if b not in paths:
                    paths[b] = [*paths[a], b]
                    ahead.append(b)
        end = min(paths, key=over.__getitem__)
        if over[start] - over[end] > 1:
            return paths[end]
    return []


def _can_give(part: int, up: NDArray[np.bool_], rounded: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which classes can give one sample of a part to which other part, (classes, parts)."""
    return up[:, part, None] & ~up & rounded


def _grouped(groups: Indices, labels: Indices, order: Indices, shares: list[Fraction]) -> Indices:
    """The part of each sample: groups are kept together, and the classes in proportion as well as they allow."""
    first_seen = dict.fromkeys(groups[order].tolist())
    names = np.fromiter(first_seen, np.intp)
    counts = np.zeros((groups.max(initial=-1) + 1, labels.max(initial=0) + 1))
    np.add.at(counts, (groups, labels), 1)
    sizes = counts[names]
    target = np.array([float(share) for share in shares])[:, None] * sizes.sum(axis=0)
    had = np.zeros_like(target)
    part_of = np.full(len(counts), -1)
    for k in np.argsort(-sizes.sum(axis=1), kind="stable").tolist():  # the largest first, each where most is missing
        part_of[names[k]] = part = int(((target - had) @ sizes[k]).argmax())
        had[part] += sizes[k]
    _exchange(part_of, counts, had - target)
    return part_of[groups]


# So many of the smallest groups of each part are tried against one another.
_TRIED = 500


def _exchange(part_of: Indices, counts: NDArray[np.float64], over: NDArray[np.float64]) -> None:
    """Move groups to another part, or swap two, as long as the squares of what parts have `over` become smaller.

    Then no part has more over, by the size of its smallest group, than any other.
    """
    while True:
        best, change = -1e-9, None
        for a, b in combinations(range(len(over)), 2):
            # The groups of both parts; -1 is none, so that a swap with it is a move.
            ours, theirs = _smallest(part_of == a, counts), _smallest(part_of == b, counts)
            v, w = _counts_of(ours, counts), _counts_of(theirs, counts)
            apart = over[a] - over[b]
            squares = (v * v).sum(axis=1)[:, None] + (w * w).sum(axis=1) - 2 * v @ w.T
            gain = 2 * squares - 2 * ((v @ apart)[:, None] - w @ apart)
            i, j = np.unravel_index(gain.argmin(), gain.shape)
            if gain[i, j] < best:
                best, change = gain[i, j], (a, b, int(ours[i]), int(theirs[j]))
        if change is None:
            return
        for source, target, group in (change[:3], (change[1], change[0], change[3])):
            if group >= 0:
                part_of[group] = target
                over[source] -= counts[group]
                over[target] += counts[group]


def _smallest(mask: NDArray[np.bool_], counts: NDArray[np.float64]) -> Indices:
    """The smallest of some groups, after -1 for none."""
    some = np.flatnonzero(mask)
    sizes = counts[some].sum(axis=1)
    return np.append(-1, some[sizes.argsort(kind="stable")[:_TRIED]])


def _counts_of(groups: Indices, counts: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(groups[:, None] >= 0, counts[groups], 0.0)
