"""What plans draw from, and how their items can be reproduced."""

from collections.abc import Iterator
from enum import IntEnum
from typing import Any, Protocol


class Replay(IntEnum):
    """How the items of a plan can be reproduced. For a plan over several, the largest value counts."""

    KEYED = 0  # the same items each time, from any position: a function of seeds and positions
    DRAWN = 1  # drawn anew from a generator each time; a checkpoint keeps the draws
    UNKEPT = 2  # drawn from a generator whose state can't be read: no checkpoints
    NOT_RESUMABLE = 3  # of a user's iterable, from its beginning each time: no checkpoints
    SINGLE_PASS = 4  # of a user's iterator, which can be iterated once


class Draw(Protocol):
    """What one plan draws in one pass, from a seed or a generator."""

    def permutation(self, number: int, block: Any) -> Any:
        """The indices of a block, an intp array, permuted: draw `number` of the pass."""

    def uniforms(self, number: int, size: int) -> Iterator[Any]:
        """Endless float64 arrays of `size` uniform numbers: the draws from `number` on."""


class Rng(Protocol):
    """What a plan draws from: a seed, a generator, or a user's iterator."""

    @property
    def replay(self) -> Replay: ...

    def draw(self, pass_: int) -> Draw:
        """The draws of a pass."""


class Draws(Protocol):
    """Gives plans their draws, and the places from which they go on."""

    def begin(self, plan: Any, pass_: int, number: int) -> Draw:
        """The draws of `plan.rng` in a pass, from draw `number` on; `items` calls it before it returns."""

    def cursor(self, plan: Any) -> tuple[int, ...]:
        """The place from which a plan with a `cursor` goes on; () if it is unknown."""

    @property
    def stamp(self) -> str | None:
        """A digest of the generators' states when the iteration began; None if all draws are of seeds."""
