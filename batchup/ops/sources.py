"""Where items come from: `indices` and `sample`, and anything that can be iterated again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchup.ops.checks import Block, as_block, describe, whole_number
from batchup.ops.plan import Count, DerivedPlan, Plan, Traits, record
from batchup.ops.randomness import Rng, Shuffle, as_rng, shuffle_text
from batchup.ops.stream import Stream

__all__ = ["cumulative_weights", "indices", "sample", "stream_of_call", "stream_of_items"]


def indices(which: int | ArrayLike) -> Stream:
    """One index block, a whole pass: 0 to n-1 for an int n, else the given subset.

    `which` is the number of samples, or a 1-D sequence of integers >= 0, in the order in which they
    are to come, repeated where wanted. A run of consecutive indices stays a `range`, so a source of
    10**12 samples costs nothing. Raises TypeError for floats, masks and arrays of other shapes,
    ValueError for negative numbers.

    >>> list(indices(4)), list(indices([7, 3]))
    ([range(0, 4)], [array([7, 3])])
    """
    if not isinstance(which, Sequence) and getattr(which, "ndim", 0) == 0:
        n = whole_number(which, "indices(n)")
        return Stream(Blocks((range(n),)), text=f"indices({n})")
    block = as_block(which, "indices(array)")
    if isinstance(block, np.ndarray):
        block = block.copy()
    return Stream(Blocks((block,)), text=f"indices({describe(block)})")


def sample(weights: ArrayLike, rng: Shuffle, indices: ArrayLike | None = None) -> Stream:
    """Endless weighted draws, with replacement: index i comes with probability w[i] / sum(w).

    `weights` is a 1-D float array, >= 0, not all 0, of any sum; `rng` is as for `shuffle`, but not
    None. With `indices` (1-D, as long as `weights`) weight i is that of the sample `indices[i]`.
    `chunk` right after it draws just the samples of each batch; on its own, a block is n draws. From
    a RandomState or Generator the draws are those of its `choice(n, size, p=weights)`, bit for bit.
    Raises TypeError or ValueError for weights that are no such array, and for no `rng`.

    A draw is a binary search for a uniform number in the cumulative weights (inverse transform
    sampling; Devroye, Non-Uniform Random Variate Generation, 1986, chapter III.2).

    >>> from batchup import ops
    >>> list(sample([0, 1, 0, 3], rng=5) | ops.chunk(6) | ops.take(2))
    [array([3, 3, 1, 1, 1, 3]), array([1, 3, 3, 1, 3, 3])]
    """
    cumulative = cumulative_weights(weights, "sample")
    draws = as_rng(rng, "sample")
    if draws is None:
        raise ValueError("sample: weighted draws have no order; expected rng=, a seed or a generator")
    text = f"sample({describe(np.asarray(weights))}, {shuffle_text(rng)}"
    subset = None
    if indices is not None:
        block = as_block(indices, "sample: indices")
        subset = np.array(block, dtype=np.intp)
        if len(subset) != len(cumulative):
            raise ValueError(
                f"sample: expected one index a weight; got {len(cumulative)} weights and "
                f"{len(subset)} indices"
            )
        text += f", {describe(subset)}"
    return Stream(Draws(cumulative, draws, subset, len(cumulative)), text=text + ")")


def cumulative_weights(weights: ArrayLike, where: str) -> NDArray[np.float64]:
    """The cumulative probabilities of checked weights, computed as NumPy's `choice` computes them."""
    wanted = f"{where}: expected weights as a 1-D array of numbers >= 0 with a positive finite sum"
    try:
        p = np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{wanted}; got {describe(weights)}") from None
    if p.ndim != 1 or np.iscomplexobj(weights):
        raise TypeError(f"{wanted}; got {describe(np.asarray(weights))}")
    if np.isnan(p).any():
        raise ValueError(f"{wanted}; weight {int(np.isnan(p).argmax())} is NaN")
    if (p < 0).any():
        raise ValueError(f"{wanted}; weight {int((p < 0).argmax())} is {p[p < 0][0]}")
    total = p.sum()
    if not 0 < total < math.inf:
        raise ValueError(f"{wanted}; the sum of {len(p)} weights is {total}")
    if abs(total - 1) > math.sqrt(np.finfo(np.float64).eps):  # what `choice` takes for 1
        p = p / total
    cumulative: NDArray[np.float64] = p.cumsum()
    cumulative /= cumulative[-1]
    return cumulative


@record
class Blocks(Plan):
    """Index blocks that are there: of `indices`, or from a user's list."""

    given: tuple[Block, ...]

    @property
    def traits(self) -> Traits:
        return Traits(lent=True)

    @property
    def length(self) -> int:
        return len(self.given)

    @property
    def samples(self) -> int:
        return sum(map(len, self.given))

    @property
    def bound(self) -> int:
        tops = (b[-1] if isinstance(b, range) else int(b.max()) for b in self.given if len(b))
        return max(tops, default=-1) + 1

    def items(self, pass_: int, k: int) -> Iterator[Block]:
        return iter(self.given[k:])

    def before(self, k: int) -> int:
        return sum(map(len, self.given[:k]))

    def seek(self, offset: int) -> tuple[int, int]:
        for k, block in enumerate(self.given):
            if offset < len(block):
                return k, offset
            offset -= len(block)
        return len(self.given), offset


@record
class Draws(Plan):
    """Endless weighted draws in blocks of `size`."""

    cumulative: NDArray[np.float64]
    rng: Rng
    subset: NDArray[np.intp] | None
    size: int

    @property
    def traits(self) -> Traits:
        return Traits(pure=self.rng.pure, jumps=self.rng.pure)

    @property
    def length(self) -> float:
        return math.inf

    @property
    def samples(self) -> float:
        return math.inf

    @property
    def bound(self) -> int:
        return len(self.cumulative) if self.subset is None else int(self.subset.max()) + 1

    def items(self, pass_: int, k: int) -> Iterator[NDArray[np.intp]]:
        uniforms = self.rng.uniforms((pass_,), k * self.size)
        find, subset = self.cumulative.searchsorted, self.subset
        while True:
            drawn = find(uniforms(self.size), side="right")
            yield drawn if subset is None else subset.take(drawn)

    def before(self, k: int) -> int:
        return k * self.size

    def seek(self, offset: int) -> tuple[int, int]:
        return divmod(offset, self.size)

    def cut(self, size: int) -> Draws:
        return replace(self, size=size)


def stream_of_items(source: Any, where: str) -> Stream:
    """The items of a list, an array or another re-iterable; TypeError for what is none."""
    if isinstance(source, Iterator):
        raise TypeError(
            f"{where}: expected a stream, a list, an array or another re-iterable; got the iterator "
            f"{describe(source)}, which can be gone through only once. Make it a list"
        )
    sequence = hasattr(source, "__len__") and hasattr(source, "__getitem__")
    if isinstance(source, str | bytes) or not (sequence or isinstance(source, Iterable)):
        raise TypeError(
            f"{where}: expected a stream, a list, an array or another re-iterable; "
            f"got {describe(source)}"
        )
    if sequence and not hasattr(source, "keys"):
        text = describe(source)
        if isinstance(source, list | tuple) and len(source) <= 4:
            text = f"[{', '.join(map(describe, source))}]"
        return Stream(Sequenced(source), text=text)
    return Stream(Iterated(source.__iter__, lent=True), text=describe(source))


def stream_of_call(
    make: Callable[[], Iterator[Any]], text: str, *, once: bool = False, samples: Count = None
) -> Stream:
    """The items of the iterator that `make()` returns, called anew for every pass."""
    return Stream(Iterated(make, once=once, given_samples=samples), text=text)


@record
class Sequenced(Plan):
    """The items of anything with a length that takes an int."""

    source: Any

    @property
    def traits(self) -> Traits:
        return Traits(sized=False, lent=True, blocks=False)

    @property
    def length(self) -> int:
        return len(self.source)

    def items(self, pass_: int, k: int) -> Iterator[Any]:
        return map(self.source.__getitem__, range(k, len(self.source)))

    def as_blocks(self, where: str) -> Blocks:
        return Blocks(
            tuple(as_block(item, f"{where}: item {k}") for k, item in enumerate(self.items(0, 0)))
        )


@record
class Iterated(Plan):
    """The items of an iterator that a function returns: no length, no way but from the start."""

    make: Callable[[], Iterator[Any]]
    lent: bool = False
    once: bool = False
    given_samples: Count = None

    @property
    def traits(self) -> Traits:
        return Traits(
            pure=False, jumps=False, sized=False, lent=self.lent, blocks=False, once=self.once
        )

    @property
    def length(self) -> None:
        return None

    @property
    def samples(self) -> Count:
        return self.given_samples

    def items(self, pass_: int, k: int) -> Iterator[Any]:
        return iter(self.make())

    def as_blocks(self, where: str) -> Plan:
        return CheckedBlocks(self, where)


@record
class CheckedBlocks(DerivedPlan):
    """Items that can't be looked at beforehand, each checked as it comes."""

    where: str

    @property
    def traits(self) -> Traits:
        return replace(self.up.traits, blocks=True)

    def items(self, pass_: int, k: int) -> Iterator[Block]:
        return (
            as_block(item, f"{self.where}: item {n}")
            for n, item in zip(count(), self.up.items(pass_, k))
        )
