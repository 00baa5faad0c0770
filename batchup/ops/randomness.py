"""The three kinds of thing that `shuffle` takes, and what each means for an order.

A **seed** keys every draw by its place, so that any place is reached without those before it. A
**generator** is drawn from, one call a pass, when that pass is first needed. **None** is in order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Union

import numpy as np
from numpy.typing import NDArray

from batchup.ops.checks import Block, describe
from batchup.ops.plan import record

if TYPE_CHECKING:  # importing numpy.random takes a third of the time that this library may take
    from numpy.random import Generator, RandomState

__all__ = [
    "Keyed",
    "Rng",
    "Shuffle",
    "Stateful",
    "as_rng",
    "generator_of",
    "member_shuffle",
    "shuffle_text",
]

# What users may write for `shuffle=`; `as_rng` turns it into a `Rng` or None.
Shuffle = Union[bool, int, Sequence[int], NDArray[Any], "RandomState", "Generator", None]

Uniforms = Callable[[int], NDArray[np.float64]]


@record
class Keyed:
    """Draws that are a function of (seed, key) alone."""

    seed: int | tuple[int, ...]
    pure: ClassVar[bool] = True

    def permutation(self, key: tuple[int, ...], block: Block) -> NDArray[np.intp]:
        """The indices of `block`, permuted."""
        return _permutation(_frozen_generator(self.seed, key).permutation, block)

    def uniforms(self, key: tuple[int, ...], start: int) -> Uniforms:
        """The endless sequence of uniform numbers of that key, from number `start` on."""
        generator = _frozen_generator(self.seed, key, advance=start)
        return generator.random_sample


@record
class Stateful:
    """Draws from a generator that somebody else may draw from too; None is NumPy's global one."""

    generator: RandomState | Generator | None
    pure: ClassVar[bool] = False

    def _source(self) -> Any:
        return np.random if self.generator is None else self.generator

    def permutation(self, key: tuple[int, ...], block: Block) -> NDArray[np.intp]:
        return _permutation(self._source().permutation, block)

    def uniforms(self, key: tuple[int, ...], start: int) -> Uniforms:
        source = self._source()
        draw: Uniforms = (
            source.random if isinstance(source, np.random.Generator) else source.random_sample
        )
        return draw


Rng = Keyed | Stateful


def as_rng(value: Any, where: str) -> Rng | None:
    """What a user wrote for `shuffle`, as draws; None where it means in order.

    Raises TypeError for what is none of the three kinds, ValueError for a negative or empty seed.
    """
    if value is None or isinstance(value, bool | np.bool_):
        return Stateful(None) if value else None
    if isinstance(value, np.random.RandomState | np.random.Generator):
        return Stateful(value)
    wanted = (
        f"{where}: expected a seed (an int >= 0, or a sequence of them), a RandomState, a Generator, "
        "True for NumPy's global generator, or None for in order"
    )
    numbers: Sequence[Any] = value if isinstance(value, list | tuple) else [value]
    if isinstance(value, np.ndarray) and value.ndim == 1:
        numbers = value.tolist()
    for number in numbers:
        if not isinstance(number, int | np.integer) or isinstance(number, bool):
            raise TypeError(f"{wanted}; got {describe(value)}")
        if number < 0:
            raise ValueError(f"{wanted}; got {value!r}")
    if not numbers:
        raise ValueError(f"{wanted}; got an empty sequence")
    return Keyed(int(value) if isinstance(value, int | np.integer) else tuple(map(int, numbers)))


def member_shuffle(shuffle: Shuffle, member: int, where: str) -> Shuffle:
    """The `shuffle` argument of member number `member` of several sources.

    A generator is shared. A seed gives each member a seed of its own, as members of one length
    would otherwise all have the same order.
    """
    rng = as_rng(shuffle, where)
    if not isinstance(rng, Keyed):
        return shuffle
    words = np.random.SeedSequence(rng.seed, spawn_key=(member,)).generate_state(2)
    return int(words[0]) << 32 | int(words[1])


def generator_of(shuffle: Shuffle, where: str) -> RandomState | Generator | None:
    """What users' own samplers are given to draw from; None for in order.

    A generator is given as it is; for a seed, a `RandomState` made of it.
    """
    rng = as_rng(shuffle, where)
    if isinstance(rng, Keyed):
        return _frozen_generator(rng.seed, ())
    if rng is None:
        return None
    numpys_own: RandomState = np.random.mtrand._rand
    return numpys_own if rng.generator is None else rng.generator


def shuffle_text(value: Any) -> str:
    """`value` as it reads in the repr of a stage."""
    return f"{value!s}"


def _frozen_generator(
    seed: int | tuple[int, ...], key: tuple[int, ...], advance: int = 0
) -> RandomState:
    # RandomState, whose streams NumPy froze for ever (NEP 19), over PCG64, which can be advanced;
    # it permutes as fast as Generator does, whose methods may change from one release to the next.
    bits = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key))
    return np.random.RandomState(bits.advance(advance) if advance else bits)


def _permutation(draw: Callable[[Any], NDArray[Any]], block: Block) -> NDArray[np.intp]:
    if not isinstance(block, range):
        return draw(block)
    order = draw(len(block)).astype(np.intp, copy=False)
    return order + block.start if block.start else order
