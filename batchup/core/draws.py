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
        """The indices of a block in a random order.

        Parameters
        ----------
        number : int
            The number of the draw in the pass.
        block : index block
            The indices.

        Returns
        -------
        1-D array of intp
            The permuted indices.
        """

    def uniforms(self, number: int, size: int) -> Iterator[Any]:
        """Endless arrays of uniform numbers in [0, 1).

        Parameters
        ----------
        number : int
            The number of the first draw.
        size : int
            The number of numbers in an array.

        Yields
        ------
        (size,) array of float64
            One draw.
        """


class Rng(Protocol):
    """What a plan draws from: a seed, a generator, or a user's iterator."""

    @property
    def replay(self) -> Replay: ...

    def draw(self, pass_: int) -> Draw:
        """The draws of a pass."""


class Draws(Protocol):
    """Gives plans their draws, and the places from which they go on. `items` of a plan receives it."""

    def begin(self, plan: Any, pass_: int, number: int) -> Draw:
        """The draws of `plan.rng` in a pass. `items` calls it before it returns.

        Parameters
        ----------
        plan : Plan
            The plan that draws.
        pass_ : int
            The number of the pass.
        number : int
            The number of the first draw.

        Returns
        -------
        Draw
            The draws.
        """

    def cursor(self, plan: Any) -> tuple[int, ...]:
        """The place from which a plan with a `cursor` goes on.

        Parameters
        ----------
        plan : Plan
            The plan.

        Returns
        -------
        tuple of int
            The place; () if it is unknown.
        """

    @property
    def stamp(self) -> str | None:
        """A digest of the generators' states when the iteration began; None if all draws are of seeds."""
