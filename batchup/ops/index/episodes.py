"""Batches of a few classes with a few samples of each: `episodes`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property
from itertools import count
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchup.core.blocks import PlainBlock, labelled
from batchup.core.checks import call_text, classes_in, describe, listed, whole_number
from batchup.core.draws import Draws
from batchup.core.grid import Even, Grid
from batchup.core.hints import EPISODES_HINTS, hinted
from batchup.core.plan import Kind, Plan
from batchup.core.randomness import Rng, Seed, ShuffleLike, seed_of_pass
from batchup.core.record import record
from batchup.core.stream import Stream
from batchup.ops.index.permutation import orders, round_keys, words
from batchup.ops.index.sample import drawing

Smallest = Literal["raise", "skip"]


@hinted(**EPISODES_HINTS)
def episodes(y: ArrayLike, classes: int, samples: int, rng: ShuffleLike, smallest: Smallest = "raise") -> Stream:
    """Endless batches of `classes` classes with `samples` samples of each.

    These are the P-K batches of metric learning, and the N-way K-shot episodes of few-shot learning, with `samples` the
    number of support and query samples together. The samples of a class come one after another, so
    `batch.reshape(classes, samples, ...)` has a row for each class.

    In each round, the classes come in a new random order, each of them once. If `classes` doesn't divide their number, the
    last few are left out of that round. Each class goes through its samples in shuffled passes, with `samples` of them in
    a round. What is left of a pass, fewer than `samples`, is left out.

    Parameters
    ----------
    y : (n,) array of int or str
        The label of each sample.
    classes : int
        The number of classes in a batch.
    samples : int
        The number of samples of each class.
    rng : int, sequence of int, Generator, RandomState or True
        As for `shuffle`, but not None. From a generator one seed is drawn for a pass.
    smallest : {"raise", "skip"}
        What to do with a class of fewer than `samples` samples: raise an error, or leave it out.

    Returns
    -------
    Stream
        Index blocks of `classes * samples` samples.

    Raises
    ------
    TypeError
        If `y` has no labels, or an argument is of another type.
    ValueError
        If a class has fewer than `samples` samples, if there are fewer than `classes` classes, or without `rng`.

    Examples
    --------
    >>> from batchup import ops
    >>> y = np.array(["cat", "dog", "cat", "emu", "dog", "cat", "emu", "emu"])
    >>> [y[block].tolist() for block in episodes(y, classes=2, samples=2, rng=7) | ops.take(2)]
    [['cat', 'cat', 'emu', 'emu'], ['dog', 'dog', 'emu', 'emu']]
    """
    return episodic(y, classes, samples, rng, smallest, None, "episodes")


def episodic(
    y: ArrayLike,
    classes: int,
    samples: int,
    rng: ShuffleLike,
    smallest: Smallest,
    indices: PlainBlock | None,
    where: str,
) -> Stream:
    """The stream of `episodes`, of the samples among `indices`; `where` is its name in errors."""
    labels, names = classes_in(y, f"{where}: y")
    of_block = whole_number(classes, f"{where}: classes", least=1)
    of_class = whole_number(samples, f"{where}: samples", least=1)
    if smallest not in ("raise", "skip"):
        raise ValueError(f'{where}: smallest: expected "raise" or "skip"; got {smallest!r}')
    draws = drawing(rng, where)
    chosen = labelled(indices, len(labels), where)
    by_class = chosen[labels[chosen].argsort(kind="stable")]
    sizes = np.bincount(labels[chosen], minlength=len(names))
    small = np.flatnonzero((sizes < of_class) & (sizes > 0))
    if len(small) and smallest == "raise":
        each = listed(f"{names[c]!r} has {sizes[c]}" for c in small.tolist())
        raise ValueError(
            f"{where}: expected {of_class} samples of each class at least; {each}. Give fewer samples, or leave such classes "
            'out by smallest="skip"'
        )
    kept = sizes >= of_class
    if kept.sum() < of_block:
        raise ValueError(
            f"{where}: expected {of_block} classes at least, with {of_class} samples or more; there are {kept.sum()} of "
            f"{np.count_nonzero(sizes)}"
        )
    skip = None if smallest == "raise" else "'skip'"
    text = call_text("episodes", describe(y), of_block, of_class, draws, smallest=skip)
    members = by_class[np.repeat(kept, sizes)]
    return Stream(Episodes(members, sizes[kept], of_block, of_class, draws), text=text)


@record
class Episodes(Plan):
    """The plan of `episodes`: `members` are the samples class by class, `sizes` the number of samples of each class."""

    tag = "episodes"
    length = math.inf
    kind = Kind.BLOCKS

    members: NDArray[np.intp]
    sizes: NDArray[np.intp]
    classes: int
    samples: int
    rng: Rng

    @cached_property
    def grid(self) -> Grid:
        return Even(math.inf, self.classes * self.samples, int(self.members.max()) + 1)

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[NDArray[np.intp]]:
        seed = seed_of_pass(self, pass_, draws)
        return (block for _ in range(1) for block in self._blocks(seed(), k))

    def _blocks(self, seed: Seed, k: int) -> Iterator[NDArray[np.intp]]:
        in_round = len(self.sizes) // self.classes
        first, at = divmod(k, in_round)
        parts = _Parts(self, seed)
        ahead = 1  # blocks that are made at once: more and more, up to those of a round
        for number in count(first):
            order = parts.order(number)
            while at < in_round:
                end = min(at + ahead, in_round)
                some = order[at * self.classes : end * self.classes]
                yield from parts.of(some, number).reshape(end - at, -1)
                at, ahead = end, 2 * ahead
            at = 0


# Numbers that are computed at once for the orders of the classes.
_AHEAD = 4096


class _Parts:
    """The parts that classes give in each round: in round r, part r % m of permutation r // m of the m parts of a class."""

    def __init__(self, plan: Episodes, seed: Seed):
        self._plan = plan
        self._of_classes, self._of_samples = round_keys(seed, 0), round_keys(seed, 1)
        self._number = plan.sizes // plan.samples
        self._starts = plan.sizes.cumsum() - plan.sizes
        # The permutation of each class that was asked for last.
        self._passes = np.full(len(plan.sizes), -1)
        self._permuted = plan.members.copy()
        self._places = np.arange(plan.samples)
        self._first, self._orders = 0, np.empty((0, 0), np.intp)

    def order(self, number: int) -> NDArray[np.intp]:
        """The order of the classes in a round."""
        if not self._first <= number < self._first + len(self._orders):
            classes = len(self._plan.sizes)
            rounds = np.arange(number, number + max(1, _AHEAD // classes), dtype=np.uint64)
            self._first, self._orders = number, orders(rounds, classes, self._of_classes)
        order: NDArray[np.intp] = self._orders[number - self._first]
        return order

    def of(self, classes: NDArray[np.intp], number: int) -> NDArray[np.intp]:
        """The samples of some classes in a round, class by class."""
        passes, parts = np.divmod(number, self._number[classes])
        new = passes != self._passes[classes]
        if new.any():
            self._permute(classes[new], passes[new])
        first = self._starts[classes] + parts * self._plan.samples
        samples: NDArray[np.intp] = self._permuted.take(first[:, None] + self._places)
        return samples

    def _permute(self, classes: NDArray[np.intp], passes: NDArray[np.intp]) -> None:
        """Permute the samples of some classes, for these passes."""
        self._passes[classes] = passes
        sizes = self._plan.sizes[classes]
        ends = sizes.cumsum()
        places = np.arange(ends[-1]) + np.repeat(self._starts[classes] - (ends - sizes), sizes)
        of_class = np.repeat(np.arange(len(classes)), sizes)
        keys = words(places.astype(np.uint64), passes.astype(np.uint64)[of_class], self._of_samples)
        self._permuted[places] = self._plan.members[places[np.lexsort((keys, of_class))]]
