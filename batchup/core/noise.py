"""Random numbers of steps, such as augmentations: keyed by the seed, the place of the item and its samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property, partial
from itertools import chain, count, repeat
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from batchup.core.blocks import LazyBlock, block_array
from batchup.core.computed import Computed, OverMade
from batchup.core.draws import Draws
from batchup.core.epoch import pass_of
from batchup.core.item import Item, Place, planned_in
from batchup.core.plan import Plan, SameSamples, trunk
from batchup.core.randomness import Seed, seed_sequence
from batchup.core.record import record
from batchup.core.work import Step


@record
class Noise:
    """The random numbers of one step of a stream: `Step.rng`.

    Parameters
    ----------
    seed : Seed
        The seed.
    path : tuple of int
        What tells the random steps of a stream apart: how many come before this one, then the numbers of the members of
        joins that it belongs to.
    """

    seed: Seed
    path: tuple[int, ...] = ()
    # The argument of a stage that is given the seed.
    argument: ClassVar[str] = "rng"

    def generator(self, item: Item) -> np.random.Generator:
        """The generator for an item. Items that are not made of index blocks count by their place alone.

        Parameters
        ----------
        item : Item
            The item, with its place.

        Returns
        -------
        np.random.Generator
            The generator.
        """
        # Philox is a cipher of a counter (Salmon et al., SC 2011). Its key is that of this step, and the upper half
        # of its counter that of the item.
        counter = np.frombuffer(bytes(16) + digest_of(item), "<u8")
        return np.random.Generator(np.random.Philox(self._key, counter=counter))

    @cached_property
    def _key(self) -> Any:
        return _philox_key(seed_sequence(self.seed, *self.path).generate_state(2, np.uint64))

    def of_member(self, member: int) -> Self:
        """The numbers of this step in one member of a join.

        Parameters
        ----------
        member : int
            The number of the member.

        Returns
        -------
        Noise
            The numbers.
        """
        return replace(self, path=(*self.path, member))

    def after(self, number: int) -> Self:
        """The numbers of this step after other random steps.

        Parameters
        ----------
        number : int
            The number of these steps.

        Returns
        -------
        Noise
            The numbers.
        """
        return replace(self, path=(number,))

    def __str__(self) -> str:
        return str(self.seed)


@record
class SampleNoise(Noise):
    """The random numbers of a step that works on one sample of an item at a time."""

    def generator(self, item: Item) -> SampleGenerator:  # type: ignore[override]
        return SampleGenerator(partial(super().generator, item))


class SampleGenerator:
    """The generator of an item, in a state of its own for each sample."""

    def __init__(self, make: Callable[[], np.random.Generator]):
        self._make = make
        self._generator = make()
        self._bits = self._generator.bit_generator
        self._state: Any = self._bits.state
        self._counter = self._state["state"]["counter"]

    def of(self, n: int) -> np.random.Generator:
        """The generator for sample `n`, valid until the next call."""
        self._counter[1] = n  # of the 256 bits, the lowest 64 count the draws, and the upper 128 are those of the item
        self._bits.state = self._state
        return self._generator

    def alone(self, n: int) -> np.random.Generator:
        """A generator of its own for sample `n`, for threads."""
        return SampleGenerator(self._make).of(n)


_BY_INDEX = "by index"  # the pass of samples that are read by their indices, not by a stream


def read_by_index(indices: Any) -> Item:
    """The item of samples that are read by their indices: their random numbers are keyed by the indices alone."""
    return Item(indices, place=Place(_BY_INDEX, 0, True))


def digest_of(item: Item) -> bytes:
    """128 bits of the place of an item and of the indices of its samples, in their order."""
    import hashlib

    pass_, position, indexed = item.place  # type: ignore[misc]
    digest = hashlib.sha1(repr((pass_, position)).encode(), usedforsecurity=False)
    if indexed:
        _feed(digest.update, item.planned)
    return digest.digest()[:16]


def _feed(update: Callable[[Any], None], item: Any) -> None:
    item = planned_in(item)
    if isinstance(item, range | LazyBlock):
        item = block_array(item)
    if isinstance(item, np.ndarray):
        if item.ndim == 1 and item.dtype.kind in "iu":
            update(np.ascontiguousarray(item, dtype="<i8"))
    elif isinstance(item, tuple):
        for part in item:
            _feed(update, part)
            update(b",")
    elif isinstance(item, int):
        update(b"%d;" % item)


class _PhiloxKey(NamedTuple):
    """A key of Philox in place of a seed sequence.

    Without one NumPy asks the system for entropy, which takes longer than all the rest, and generators that `rng.spawn`
    makes of it could never be had again.
    """

    key: Any

    def generate_state(self, n_words: int, dtype: Any) -> Any:
        if n_words != len(self.key):  # for another generator, which would read beyond the key
            raise TypeError("rng makes no further generators: draw from it alone")
        return self.key

    def __reduce__(self) -> tuple[Any, ...]:
        return _philox_key, tuple(self)


def _philox_key(key: Any) -> _PhiloxKey:
    return np.random.bit_generator.ISeedSequence.register(_PhiloxKey)(key)


@record
class PlacedPlan(SameSamples):
    """Each item with its place among the items of all passes, which stays the same whatever is skipped later."""

    tag = "placed"

    indexed: bool

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Item]:
        number = pass_of(self, pass_)
        # Passes over a generator have no numbers: its state tells them apart.
        if draws.stamp is not None:
            number = (number, draws.stamp)
        items = self.up.start(pass_, k, draws)
        places = map(Place, repeat(number), count(k), repeat(self.indexed))
        if gives_items(self.up):
            return (item._replace(place=place) for item, place in zip(items, places, strict=False))
        return map(Item, items, repeat(None), repeat(False), places)


def gives_items(plan: Plan) -> bool:
    """True if the items of a plan are `Item`s: with a batch, a place or cursors."""
    return any(isinstance(inner, Computed | OverMade | PlacedPlan) for inner in trunk(plan))


def with_places(plan: Plan) -> Plan:
    """The plan with the place of each item, unless its items have one."""
    for inner in trunk(plan):
        if isinstance(inner, PlacedPlan):
            return plan
        if isinstance(inner, Computed):
            break
    return PlacedPlan(plan, _is_indexed(plan))


def _is_indexed(plan: Plan) -> bool:
    return plan.kind.indexed or any(map(_is_indexed, plan.children()))


def random_steps(plan: Plan, steps: tuple[Step, ...]) -> int:
    """The number of random steps in a stream of this plan and these steps."""
    made = [inner.work.steps for inner in trunk(plan) if isinstance(inner, Computed)]
    return sum(step.rng is not None for step in chain(*made, steps))
