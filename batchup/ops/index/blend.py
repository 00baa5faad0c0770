"""Mixtures of several data sets, sample by sample: `blend`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchup.core.checks import call_text, describe, shortened, whole_number
from batchup.core.draws import Draws
from batchup.core.grid import Even, Grid
from batchup.core.hints import WEIGHTS_HINTS, hinted
from batchup.core.plan import EndlessSource
from batchup.core.randomness import Rng, Seed, ShuffleLike, seed_of_pass
from batchup.core.record import record
from batchup.core.stream import Stream
from batchup.ops.index.permutation import LARGEST, SMALL, orders, permuted, round_keys
from batchup.ops.index.sample import checked_weights, drawing
from batchup.ops.index.shares import fractions_of

# Weights of the members, or for each stage its first sample and its weights.
Weights = ArrayLike | Sequence[tuple[int, ArrayLike]]


@hinted(**WEIGHTS_HINTS)
def blend(
    lengths: Sequence[int],
    rng: ShuffleLike,
    weights: Weights | None = None,
    temperature: float | None = None,
    block: int = 1000,
) -> Stream:
    """Mix several data sets sample by sample, in given proportions, without end.

    The indices count through all members: those of member m begin at `sum(lengths[:m])`, as in `ops.concat`. Put
    `chunk(size)` right behind this source.

    Each block of `block` samples has the same number of samples of each member, in a random order. The numbers are `block *
    weight / sum(weights)`, rounded by largest remainder. The repr shows them as the weights. Each member goes through
    shuffled passes of its own, one after another.

    Parameters
    ----------
    lengths : sequence of int
        The number of samples of each member.
    rng : int, sequence of int, Generator, RandomState or True
        As for `shuffle`, but not None. From a generator one seed is drawn for a pass.
    weights : (members,) array of float, or list of (int, array)
        The share of each member, >= 0, with any sum. Or for each stage the number of its first sample, a multiple of
        `block`, and its weights: `[(0, [.8, .2]), (100_000, [.5, .5])]`. By default the `lengths`.
    temperature : float or None
        In place of `weights`, they are `lengths ** (1 / temperature)`. Above 1, small members come more often.
    block : int
        The number of samples after which the counts are exact.

    Returns
    -------
    Stream
        Index blocks.

    Raises
    ------
    TypeError
        If an argument is of another type.
    ValueError
        If a member with a weight above 0 would have no sample in a block, or has none at all; if a stage begins within a
        block; with both `weights` and `temperature`; or without `rng`.

    Examples
    --------
    >>> from batchup import ops
    >>> batches = blend([600, 300], 7, weights=[3, 1], block=8) | ops.chunk(4)
    >>> batches
    blend([600, 300], 7, weights=[6, 2], block=8) | chunk(4)
    >>> [(batch < 600).tolist() for batch in batches | ops.take(2)]
    [[False, True, True, True], [True, False, True, True]]
    """
    return blended(lengths, rng, weights, temperature, block, "blend")


def blended(
    lengths: Sequence[int], rng: ShuffleLike, weights: Any, temperature: float | None, block: int, where: str
) -> Stream:
    """The stream of `blend`; `where` is its name in errors."""
    counts = lengths.tolist() if isinstance(lengths, np.ndarray) else lengths
    if not isinstance(counts, list | tuple) or not counts:
        raise TypeError(f"{where}: expected lengths, the number of samples of each member; got {describe(lengths)}")
    numbers = tuple([whole_number(n, f"{where}: lengths[{m}]") for m, n in enumerate(counts)])
    if sum(numbers) > LARGEST:
        raise ValueError(f"{where}: expected 2**62 samples in all, at most; got {sum(numbers)}")
    size = whole_number(block, f"{where}: block", least=1)
    draws = drawing(rng, where)
    stages = _stages(numbers, weights, temperature, size, where)
    text = call_text("blend", list(numbers), draws, weights=shown_counts(stages), block=size)
    return Stream(Blend(size, False, numbers, draws, stages, size), text=shortened(text))


Stages = tuple[tuple[int, tuple[int, ...]], ...]


def shown_counts(stages: Stages) -> str:
    """The numbers of samples in a block, as the weights that give them."""
    return str(list(stages[0][1]) if len(stages) == 1 else [(start, list(counts)) for start, counts in stages])


def _stages(lengths: tuple[int, ...], weights: Any, temperature: float | None, block: int, where: str) -> Stages:
    """For each stage its first sample, and the number of samples of each member in a block."""
    if temperature is not None:
        if weights is not None:
            raise ValueError(
                f"{where}: expected weights or a temperature, which makes weights of the lengths; got both"
            )
        weights = _of_temperature(lengths, temperature, where)
    elif weights is None:
        weights = lengths
    if not _is_staged(weights):
        weights = [(0, weights)]
    stages = []
    for n, (start, own) in enumerate(weights):
        name = f"{where}: weights" if len(weights) == 1 else f"{where}: weights of stage {n}"
        first = whole_number(start, f"{name}: the first sample")
        if first % block:
            near = f"{first - first % block} and {first - first % block + block} do"
            raise ValueError(
                f"{name}: expected a stage that begins with a block of {block} samples; {first} doesn't, {near}"
            )
        stages.append((first, _counts(own, lengths, block, name)))
    starts = [start for start, _ in stages]
    if starts[0] or any(a >= b for a, b in pairwise(starts)):
        wanted = f"{where}: weights: expected stages whose first samples are 0 and then larger and larger numbers"
        raise ValueError(f"{wanted}; got {starts}")
    return tuple(stages)


def _is_staged(weights: Any) -> bool:
    def is_stage(pair: Any) -> bool:
        return isinstance(pair, tuple | list) and len(pair) == 2 and np.ndim(pair[0]) == 0 and np.ndim(pair[1]) == 1

    return isinstance(weights, list | tuple) and len(weights) > 0 and all(map(is_stage, weights))


def _of_temperature(lengths: tuple[int, ...], temperature: Any, where: str) -> list[float]:
    if isinstance(temperature, bool) or not isinstance(temperature, int | float | np.number):
        raise TypeError(f"{where}: temperature: expected a number > 0; got {describe(temperature)}")
    if not temperature > 0:
        raise ValueError(f"{where}: temperature: expected a number > 0; got {temperature}")
    return [float(n) ** (1 / temperature) if n else 0.0 for n in lengths]


def _counts(weights: Any, lengths: tuple[int, ...], block: int, where: str) -> tuple[int, ...]:
    """The number of samples of each member in a block, rounded by largest remainder; ties go to the first."""
    if len(checked_weights(weights, where, "weight")) != len(lengths):
        raise ValueError(f"{where}: expected {len(lengths)} weights, one for each member; got {describe(weights)}")
    exact = fractions_of(weights)
    shares = [weight * block / sum(exact) for weight in exact]
    counts = [math.floor(share) for share in shares]
    largest = sorted(range(len(shares)), key=lambda m: counts[m] - shares[m])  # the sort is stable
    for m in largest[: block - sum(counts)]:
        counts[m] += 1
    for m, (share, count) in enumerate(zip(shares, counts, strict=True)):
        if share and not lengths[m]:
            raise ValueError(
                f"{where}: member {m} has a weight above 0, {float(exact[m]):g}, but no samples. Give it 0"
            )
        if share and not count:
            needed = math.ceil(1 / min(filter(None, shares)) * block)
            raise ValueError(
                f"{where}: member {m} would have {float(share):.3g} of the {block} samples of a block, which rounds to none. "
                f"Write block={needed}"
            )
    return tuple(counts)


@record
class Blend(EndlessSource):
    """The plan of `blend`."""

    tag = "blend"
    starts_anywhere = True

    lengths: tuple[int, ...]
    rng: Rng
    stages: Stages
    block: int

    @cached_property
    def grid(self) -> Grid:
        return Even(math.inf, self.size, sum(self.lengths))

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[NDArray[np.intp]]:
        return self._blocks(seed_of_pass(self, pass_, draws), k * self.size)

    def _blocks(self, seed: Callable[[], Seed], offset: int) -> Iterator[NDArray[np.intp]]:
        """The index blocks from a sample on. Several blocks of the mixture are computed at once, each time twice as many."""
        mixture = _Mixture(self, seed())
        number, at = divmod(offset, self.block)
        samples = np.empty(0, np.intp)
        ahead = 1
        while True:
            while len(samples) < at + self.size:
                following = mixture.blocks(number, ahead)
                number += len(following) // self.block
                ahead = min(2 * ahead, max(1, _AHEAD * (4 + len(self.lengths)) // self.block))
                samples, at = np.concatenate([samples[at:], following]), 0 if len(samples) else at
            yield samples[at : at + self.size]
            at += self.size


# The number of samples that are computed at once, for each member and four times more.
_AHEAD = 1024


class _Mixture:
    """The samples of a `Blend` under a seed."""

    def __init__(self, plan: Blend, seed: Seed):
        self._block = plan.block
        self._keys = round_keys(seed, len(plan.lengths))
        self._members = [_Member(n, sum(plan.lengths[:m]), seed.of_member(m)) for m, n in enumerate(plan.lengths)]
        self._stages = [(start // plan.block, counts) for start, counts in plan.stages]

    def blocks(self, number: int, most: int) -> NDArray[np.intp]:
        """The samples of up to `most` blocks from a number on, those that belong to the same stage."""
        used = [0] * len(self._members)
        ends = [start for start, _ in self._stages[1:]]
        for (start, counts), end in zip(self._stages, [*ends, math.inf], strict=True):
            for m, n in enumerate(counts):
                used[m] += n * int(min(end, number) - start)
            if number < end:
                break
        count = int(min(most, end - number))
        owners = np.repeat(np.arange(len(counts)), counts).astype(np.min_scalar_type(len(counts)))
        order = orders(np.arange(number, number + count, dtype=np.uint64), self._block, self._keys)
        # Where the samples of each member come; NumPy sorts small integers in linear time.
        places = owners[order].ravel().argsort(kind="stable")
        drawn = [m.samples(a, n * count) for m, a, n in zip(self._members, used, counts, strict=True) if n]
        samples = np.empty(len(places), np.intp)
        samples[places] = np.concatenate(drawn)
        return samples


class _Member:
    """The shuffled passes of one member, one after another."""

    def __init__(self, length: int, start: int, seed: Seed):
        self._length, self._start, self._seed = length, start, seed
        self._pass = -1
        self._keys = round_keys(seed)

    def samples(self, first: int, count: int) -> NDArray[np.intp]:
        """The samples from number `first` on."""
        n = self._length
        begin, at = divmod(first, n)
        end = -(-(first + count) // n)
        if n <= SMALL:
            numbers = np.arange(begin, end, dtype=np.uint64)
            return orders(numbers, n, self._keys).ravel()[at : at + count] + self._start
        parts = []
        for number in range(begin, end):
            last = min(n, at + count)
            if number != self._pass:
                self._pass, self._keys = number, round_keys(self._seed, number)
            parts.append(permuted(np.arange(at, last, dtype=np.uint64), n, self._keys).astype(np.intp))
            at, count = 0, count - (last - at)
        return np.concatenate(parts) + self._start
