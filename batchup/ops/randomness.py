"""The three kinds of thing that `shuffle` takes, and what each means for an order.

A **seed** keys every draw by its place, so that any place is reached without those before it. A
**generator** is drawn from, one call a pass, when that pass is first needed. **None** is in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any, ClassVar, Union

import numpy as np
from numpy.typing import NDArray

from batchup.ops.checks import Block, block_array, describe
from batchup.ops.plan import record

if TYPE_CHECKING:  # importing numpy.random takes a third of the time that this library may take
    from numpy.random import Generator, RandomState

__all__ = [
    "Keyed",
    "Rng",
    "Shuffle",
    "Stateful",
    "as_rng",
    "as_seed",
    "bits_of",
    "copy_with_state",
    "generator_of",
    "get_state",
    "member_shuffle",
    "set_state",
    "shuffle_text",
]

# What users may write for `shuffle=`; `as_rng` turns it into a `Rng` or None.
Shuffle = Union[bool, int, Sequence[int], NDArray[Any], "RandomState", "Generator", None]


@record
class Keyed:
    """Draws that are a function of (seed, key) alone."""

    seed: int | tuple[int, ...]
    pure: ClassVar[bool] = True
    jumps: ClassVar[bool] = True

    def began(self, pass_: int) -> bool:
        """Whether one may go on in this pass without what was drawn before in it."""
        return True

    def permutation(self, pass_: int, key: tuple[int, ...], block: Block) -> NDArray[np.intp]:
        """The indices of `block`, permuted."""
        return _permutation(_frozen_generator(self.seed, key).permutation, block)

    def uniforms(self, pass_: int, k: int, size: int) -> Iterator[NDArray[np.float64]]:
        """Endless blocks of `size` uniform numbers of a pass, from block `k` on."""
        generator = _frozen_generator(self.seed, (pass_,), advance=k * size)
        return _blocks_of(generator, size)


@record
class Stateful:
    """Draws from a generator that somebody else may draw from too; None is NumPy's global one."""

    generator: RandomState | Generator | None
    pure: ClassVar[bool] = False
    jumps: ClassVar[bool] = False

    def source(self) -> Any:
        """The generator itself."""
        return np.random.mtrand._rand if self.generator is None else self.generator

    def began(self, pass_: int) -> bool:
        return False

    def permutation(self, pass_: int, key: tuple[int, ...], block: Block) -> NDArray[np.intp]:
        return _permutation(self.source().permutation, block)

    def uniforms(self, pass_: int, k: int, size: int) -> Iterator[NDArray[np.float64]]:
        return _blocks_of(self.source(), size)


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


def as_seed(value: Any, where: str) -> int | tuple[int, ...]:
    """`value` as a seed; TypeError for a generator, which would make no pure stream."""
    rng = as_rng(value, where)
    if not isinstance(rng, Keyed):
        raise TypeError(
            f"{where}: expected a seed, an int >= 0 or a sequence of them; got {describe(value)}"
        )
    return rng.seed


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
    generator: RandomState | Generator | None = None if rng is None else rng.source()
    return generator


def get_state(generator: RandomState | Generator) -> dict[str, Any]:
    """The state of a generator, as a dict of numbers, strings and arrays."""
    if isinstance(generator, np.random.RandomState):
        state: dict[str, Any] = generator.get_state(legacy=False)
        return state
    return dict(generator.bit_generator.state)


def bits_of(generator: RandomState | Generator) -> Any:
    """The source of bits of a generator, which it may share with others."""
    if isinstance(generator, np.random.RandomState):
        return generator._bit_generator
    return generator.bit_generator


def set_state(generator: RandomState | Generator, state: dict[str, Any]) -> None:
    """Set a generator to a state; ValueError where it is that of another kind."""
    own = get_state(generator)
    if own.keys() != state.keys() or own["bit_generator"] != state["bit_generator"]:
        raise ValueError(
            f"the checkpoint has the state of a generator over {state.get('bit_generator')} "
            f"({', '.join(state)}); the stream draws from {generator} ({', '.join(own)})"
        )
    if isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    else:
        generator.bit_generator.state = state


def copy_with_state(generator: RandomState | Generator, state: dict[str, Any]) -> Any:
    """Another generator of the same kind, in that state."""
    other = deepcopy(generator)
    set_state(other, state)
    return other


def shuffle_text(value: Any) -> str:
    """`value` as it reads in the repr of a stage."""
    rng = as_rng(value, "shuffle")
    return str(rng.seed if isinstance(rng, Keyed) else value)


def _frozen_generator(
    seed: int | tuple[int, ...], key: tuple[int, ...], advance: int = 0
) -> RandomState:
    # RandomState, whose streams NumPy froze for ever (NEP 19), over PCG64, which can be advanced;
    # it permutes as fast as Generator does, whose methods may change from one release to the next.
    bits = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key))
    return np.random.RandomState(bits.advance(advance) if advance else bits)


def _blocks_of(generator: RandomState | Generator, size: int) -> Iterator[NDArray[np.float64]]:
    draw = generator.random_sample if isinstance(generator, np.random.RandomState) else generator.random
    while True:
        yield draw(size)


def _permutation(draw: Callable[[Any], NDArray[Any]], block: Block) -> NDArray[np.intp]:
    if not isinstance(block, range):
        return draw(block_array(block))
    order = draw(len(block)).astype(np.intp, copy=False)
    order += block.start
    return order
