"""Weighted random draws: `sample`."""

import math
from collections.abc import Iterator
from functools import cached_property
from itertools import islice

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchup.core.blocks import as_indices
from batchup.core.checks import call_text, describe, plain_array
from batchup.core.draws import Draws, Replay
from batchup.core.grid import Even, Grid
from batchup.core.plan import EndlessSource, Kind, Plan
from batchup.core.randomness import Rng, ShuffleLike, as_rng
from batchup.core.record import record
from batchup.core.stream import Stream


def sample(weights: ArrayLike, rng: ShuffleLike, indices: ArrayLike | None = None, replace: bool = True) -> Stream:
    """Draw samples at random: index i has probability w[i] / sum(w).

    With replacement the draws are endless. Put `chunk` right behind this source: it says how many draws a block has, n
    without it. From a `RandomState` or `Generator` the draws are those of `rng.choice(n, size, p=weights)`, bit for
    bit. Each draw is a binary search for a uniform number in the cumulative weights (inverse transform sampling;
    Devroye, Non-Uniform Random Variate Generation, 1986, chapter III.2).

    Without replacement a pass is one block: a permutation of all samples, in the order of weighted draws. Samples of
    weight 0 come last. Each sample gets a random time from an exponential distribution of rate w[i], and the samples
    come in the order of these times (Efraimidis and Spirakis, Information Processing Letters 97(5), 2006).

    Parameters
    ----------
    weights : (n,) array of float
        Weights >= 0, not all of them 0. Their sum may be anything.
    rng : int, sequence of int, Generator, RandomState or True
        As for `shuffle`, but not None.
    indices : (n,) array of int, mask with n True, or None
        If given, weight i belongs to sample `indices[i]`.
    replace : bool
        If False, draw without replacement.

    Returns
    -------
    Stream
        Index blocks.

    Raises
    ------
    TypeError
        If `weights` or `indices` are not such arrays, or `rng` is of another type.
    ValueError
        If weights are negative, not finite or all 0, if `indices` has another length, or without `rng`.

    Examples
    --------
    >>> from batchup import ops
    >>> list(sample([0, 1, 0, 3], rng=5) | ops.chunk(6) | ops.take(2))
    [array([3, 3, 1, 3, 3, 3]), array([3, 1, 1, 3, 3, 3])]
    """
    return sampled(weights, rng, indices, replace, "sample")


def sampled(weights: ArrayLike, rng: ShuffleLike, indices: ArrayLike | None, replace: bool, where: str) -> Stream:
    """The stream of `sample`; `where` is its name in errors."""
    cumulative = cumulative_weights(weights, where)
    draws = drawing(rng, where)
    subset = None
    if indices is not None:
        subset = np.array(as_indices(indices, f"{where}: indices"), dtype=np.intp)
        if len(subset) != len(cumulative):
            wrong = f"got {len(cumulative)} weights and {len(subset)} indices"
            raise ValueError(f"{where}: expected one index a weight; {wrong}")
    plan: Plan = Sample(len(cumulative), False, cumulative, draws, subset)
    if not replace:
        plan = SampleOnce(np.array(weights, dtype=np.float64), draws, subset)
    options = {"indices": None if subset is None else describe(subset), "replace": None if replace else "False"}
    return Stream(plan, text=call_text("sample", describe(np.asarray(weights)), draws, **options))


def drawing(rng: ShuffleLike, where: str) -> Rng:
    """The argument `rng` of a source that draws numbers. Raises ValueError for None, TypeError if it can only permute."""
    draws = as_rng(rng, where)
    if draws is None:
        raise ValueError(f"{where}: random draws have no order; expected rng=, a seed or a generator")
    if draws.replay is Replay.UNKEPT:
        wanted = f"{where}: expected a seed or one of NumPy's generators, for random draws"
        raise TypeError(f"{wanted}; got {draws}, which can only permute")
    return draws


def cumulative_weights(weights: ArrayLike, where: str) -> NDArray[np.float64]:
    """The cumulative probabilities of checked weights, computed as NumPy's `choice` computes them."""
    p = checked_weights(weights, where, "weight")
    total = p.sum()
    if abs(total - 1) > math.sqrt(np.finfo(np.float64).eps):  # what `choice` takes for 1
        p = p / total
    cumulative: NDArray[np.float64] = p.cumsum()
    cumulative /= cumulative[-1]
    return cumulative


def checked_weights(weights: ArrayLike, where: str, name: str) -> NDArray[np.float64]:
    """`weights` as a 1-D array of numbers >= 0 with a positive finite sum."""
    wanted = f"{where}: expected {name}s as a 1-D array of numbers >= 0 with a positive finite sum"
    try:
        p = np.asarray(weights if np.iscomplexobj(weights) else plain_array(weights, where), dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{wanted}; got {describe(weights)}") from None
    if p.ndim != 1 or np.iscomplexobj(weights):
        raise TypeError(f"{wanted}; got {describe(np.asarray(weights))}")
    if (wrong := np.flatnonzero(np.isnan(p) | (p < 0))).size:
        raise ValueError(f"{wanted}; {name} {wrong[0]} is {p[wrong[0]]}")
    if not 0 < p.sum() < math.inf:
        raise ValueError(f"{wanted}; the sum of {len(p)} {name}s is {p.sum()}")
    return p


@record
class Sample(EndlessSource):
    """Endless weighted draws in blocks of `size`."""

    tag = "sample"

    cumulative: NDArray[np.float64]
    rng: Rng
    subset: NDArray[np.intp] | None
    starts_anywhere = True

    @cached_property
    def grid(self) -> Grid:
        return Even(math.inf, self.size, _bound(self.subset, len(self.cumulative)))

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[NDArray[np.intp]]:
        uniforms = draws.begin(self, pass_, k).uniforms(k, self.size)
        return map(self._samples, uniforms)

    def _samples(self, uniforms: NDArray[np.float64]) -> NDArray[np.intp]:
        drawn = self.cumulative.searchsorted(uniforms, side="right")
        return drawn if self.subset is None else self.subset.take(drawn)


def _bound(subset: NDArray[np.intp] | None, n: int) -> int:
    return n if subset is None else int(subset.max()) + 1


@record
class SampleOnce(Plan):
    """One block a pass: all samples in a weighted random order."""

    tag = "sample_once"

    weights: NDArray[np.float64]
    rng: Rng
    subset: NDArray[np.intp] | None
    kind = Kind.BLOCKS
    length = 1

    @cached_property
    def grid(self) -> Grid:
        n = len(self.weights)
        return Even(n, n, _bound(self.subset, n))

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[NDArray[np.intp]]:
        uniforms = draws.begin(self, pass_, k).uniforms(k, len(self.weights))
        return map(self._order, islice(uniforms, 1))

    def _order(self, uniforms: NDArray[np.float64]) -> NDArray[np.intp]:
        waits = -np.log1p(-uniforms)
        with np.errstate(divide="ignore", over="ignore"):
            due = waits / self.weights  # infinity if the weight is 0; `waits` orders these
        order = np.lexsort((waits, due))
        return order if self.subset is None else self.subset.take(order)
