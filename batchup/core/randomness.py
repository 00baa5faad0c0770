"""What `shuffle` takes, and what each kind of it draws.

A **seed** keys every draw by its place, so any place is reached without the places before it. A **generator** is
drawn from, one call a pass, when that pass is first needed. **None** means in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from functools import cached_property
from itertools import count, repeat
from typing import TYPE_CHECKING, Any, Protocol, Union

import numpy as np
from numpy.typing import NDArray

from batchup.core.blocks import Block, block_array
from batchup.core.checks import describe
from batchup.core.draws import Draw, Draws, Replay
from batchup.core.plan import Plan, drawing_plans
from batchup.core.record import record

if TYPE_CHECKING:  # importing numpy.random takes a third of the time that this library may take
    from numpy.random import Generator, RandomState


class Permuting(Protocol):
    """A generator of any library, or the module `np.random`: anything with this method."""

    def permutation(self, x: Any, /) -> Any: ...


# What users may write for `shuffle=`; `as_rng` turns it into a `Rng` or None.
SeedLike = int | Sequence[int] | NDArray[Any]
ShuffleLike = Union[bool, SeedLike, "RandomState", "Generator", Permuting, None]


@record
class Seed:
    """Draws that are a function of the seed and their place alone.

    Parameters
    ----------
    ints : tuple of int
        The seed.
    """

    ints: tuple[int, ...]
    replay = Replay.KEYED

    def draw(self, pass_: int) -> Draw:
        """The draws of a pass.

        Parameters
        ----------
        pass_ : int
            The number of the pass.

        Returns
        -------
        Draw
            The draws.
        """
        return _Keyed(self, pass_)

    def of_member(self, member: int) -> Seed:
        """The seed of one of several sources, which otherwise would all have the same order.

        Parameters
        ----------
        member : int
            The number of the source.

        Returns
        -------
        Seed
            The seed.
        """
        high, low = seed_sequence(self, member).generate_state(2).tolist()
        return Seed((high << 32 | low,))

    def __str__(self) -> str:
        return str(self.ints[0] if len(self.ints) == 1 else self.ints)


@record
class Stateful:
    """Draws from a generator, from which the user may draw too. None is NumPy's global generator.

    Anything with a method `permutation` is a generator. Unless it is one of NumPy's its state can't be read, so there
    are no checkpoints.
    """

    generator: Any

    @property
    def replay(self) -> Replay:
        return Replay.DRAWN if _is_numpys(self.generator) else Replay.UNKEPT

    def source(self) -> Any:
        """The generator itself."""
        return np.random.mtrand._rand if self.generator is None else self.generator

    def draw(self, pass_: int) -> Draw:
        return Drawn(lambda number, method, of: getattr(self.source(), method)(of))

    def of_member(self, member: int) -> Stateful:
        return self  # all members draw from the same one

    def __str__(self) -> str:
        if self.generator is None:
            return "True"
        return str(self.generator) if _is_numpys(self.generator) else describe(self.generator)


def _is_numpys(generator: Any) -> bool:
    return generator is None or isinstance(generator, np.random.RandomState | np.random.Generator)


@record
class _Keyed:
    """Draws of a seed: each from a generator of its place."""

    seed: Seed
    pass_: int

    def permutation(self, number: int, block: Block) -> NDArray[np.intp]:
        generator = frozen_generator(self.seed, self.pass_, number)
        return _ordered(generator.permutation(_unordered(block)), block)

    def uniforms(self, number: int, size: int) -> Iterator[NDArray[np.float64]]:
        generator = frozen_generator(self.seed, self.pass_, advance=number * size)
        return map(generator.random, repeat(size))


@record
class Drawn:
    """Draws of a generator, each one call of a method: `call(number, method, argument)`."""

    call: Callable[[int, str, Any], Any]

    def permutation(self, number: int, block: Block) -> NDArray[np.intp]:
        return _ordered(self.call(number, "permutation", _unordered(block)), block)

    def uniforms(self, number: int, size: int) -> Iterator[NDArray[np.float64]]:
        return map(self.call, count(number), repeat("random"), repeat(size))


Rng = Seed | Stateful


@record
class Users:
    """In place of a seed or generator: the items come from a user's iterable, of whose draws nothing is known."""

    replay: Replay

    def draw(self, pass_: int) -> Draw:
        raise NotImplementedError


def generators_of(plan: Plan) -> list[Any]:
    """The generator of each plan that draws from one, in the order of `drawing_plans`."""
    return [inner.rng.source() for inner in drawing_plans(plan) if isinstance(inner.rng, Stateful)]


class Direct:
    """Draws that are not kept: of seeds, or of an iteration without checkpoints.

    `generators` are what the plan draws from, for the stamp of the iteration.
    """

    def __init__(self, generators: Sequence[Any] = ()):
        self._generators = generators

    def begin(self, plan: Plan, pass_: int, number: int) -> Draw:
        assert plan.rng is not None
        return plan.rng.draw(pass_)

    def cursor(self, plan: Plan) -> tuple[int, ...]:
        return ()

    @cached_property
    def stamp(self) -> str | None:
        return stamp_of(self._generators) if self._generators else None


DIRECT = Direct()


def as_rng(value: Any, where: str) -> Rng | None:
    """What a user passed for `shuffle`, as what plans draw from.

    Parameters
    ----------
    value : any
        A seed, a generator, True, None or False.
    where : str
        The beginning of the error.

    Returns
    -------
    Seed, Stateful or None
        None means in order.

    Raises
    ------
    TypeError
        For anything else.
    ValueError
        For a negative or empty seed.
    """
    if value is None or isinstance(value, bool | np.bool_):
        return Stateful(None) if value else None
    if value is np.random:
        return Stateful(None)
    if callable(getattr(value, "permutation", None)):
        return Stateful(value)
    wanted = (
        f"{where}: expected a seed (an int >= 0, or a sequence of them), NumPy's RandomState or Generator, "
        "True or np.random for NumPy's global generator, another object with a method `permutation`, or None "
        "for in order"
    )
    several = isinstance(value, Sequence) or (isinstance(value, np.ndarray) and value.ndim == 1)
    numbers = list(value) if several and not isinstance(value, str | bytes) else [value]
    for number in numbers:
        if not isinstance(number, int | np.integer) or isinstance(number, bool):
            other = "" if type(value).__name__ != "Generator" else f" of {type(value).__module__}"
            raise TypeError(f"{wanted}; got {describe(value)}{other}")
        if number < 0:
            raise ValueError(f"{wanted}; got {value!r}")
    if not numbers:
        raise ValueError(f"{wanted}; got an empty sequence")
    return Seed(tuple(map(int, numbers)))


def as_seed(value: Any, where: str) -> Seed:
    """What a user passed for a seed.

    Parameters
    ----------
    value : any
        An int >= 0, or a sequence of them.
    where : str
        The beginning of the error.

    Returns
    -------
    Seed
        The seed.

    Raises
    ------
    TypeError
        For anything else; also for a generator, over which the stream would not be pure.
    """
    rng = as_rng(value, where)
    if not isinstance(rng, Seed):
        wanted = f"{where}: expected a seed, an int >= 0 or a sequence of them"
        raise TypeError(f"{wanted}; got {describe(value)}")
    return rng


def seed_of_pass(plan: Plan, pass_: int, draws: Draws) -> Callable[[], Seed]:
    """A function that returns a seed for all of one pass, for a plan that reaches any position by arithmetic.

    From a generator the seed is drawn, by one call of `random(2)`, when the function is first called. `items` calls this
    before it returns.
    """
    draw = draws.begin(plan, pass_, 0)
    if isinstance(plan.rng, Seed):
        seed = Seed((*plan.rng.ints, pass_))
        return lambda: seed
    return lambda: Seed(tuple((next(draw.uniforms(0, 2)) * 2.0**53).astype(np.int64).tolist()))


def key_of(*ints: int) -> list[int]:
    """Numbers as 32-bit words that no other numbers have: for each, the number of its words, then these.

    (SeedSequence by itself pads with zeros, so 5 would be the same as (5, 0).)
    """
    words: list[int] = []
    for number in ints:
        own = [number >> shift & 0xFFFFFFFF for shift in range(0, max(1, number.bit_length()), 32)]
        words += [len(own), *own]
    return words


def seed_sequence(seed: Seed, *place: int) -> np.random.SeedSequence:
    """The entropy of a place under a seed."""
    return np.random.SeedSequence(key_of(*seed.ints), spawn_key=key_of(*place))


def _unordered(block: Block) -> int | NDArray[np.intp]:
    """What a generator permutes for a block."""
    return len(block) if isinstance(block, range) else block_array(block)


def _ordered(drawn: NDArray[Any], block: Block) -> NDArray[np.intp]:
    """The indices of a block, of what a generator gave for it."""
    order: NDArray[np.intp] = drawn.astype(np.intp, copy=False)
    return order + block.start if isinstance(block, range) and block.start else order


def bits_of(generator: Any) -> Any:
    """The source of bits of a generator, which it may share with others."""
    legacy = isinstance(generator, np.random.RandomState)
    return generator._bit_generator if legacy else generator.bit_generator


def get_state(generator: Any) -> dict[str, Any]:
    """The state of a generator, as a dict of numbers, strings and arrays."""
    legacy = isinstance(generator, np.random.RandomState)
    return dict(generator.get_state(legacy=False) if legacy else generator.bit_generator.state)


def set_state(generator: Any, state: dict[str, Any]) -> None:
    """Set a generator to a state. Raises ValueError for the state of another kind of generator."""
    own = get_state(generator)
    if own.keys() != state.keys() or own["bit_generator"] != state["bit_generator"]:
        saved = f"a generator over {state.get('bit_generator')} ({', '.join(state)})"
        drawn = f"the stream draws from {generator} ({', '.join(own)})"
        raise ValueError(f"the checkpoint has the state of {saved}; {drawn}")
    if isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    else:
        generator.bit_generator.state = state


# For a generator whose state can't be read, the number of the iteration in this process tells them apart.
_iterations = count()


def stamp_of(generators: Sequence[Any]) -> str:
    """A digest of the states of generators. It differs for each iteration that draws from them."""
    import hashlib

    digest = hashlib.sha1(usedforsecurity=False)
    for generator in generators:
        if _is_numpys(generator):
            _feed(digest, get_state(generator))
        else:
            digest.update(str(next(_iterations)).encode())
    return digest.hexdigest()


def _feed(digest: Any, state: Any) -> None:
    if isinstance(state, dict):
        for key in sorted(state):
            digest.update(key.encode())
            _feed(digest, state[key])
    else:
        digest.update(state.tobytes() if isinstance(state, np.ndarray) else repr(state).encode())


def copy_with_state(generator: RandomState | Generator, state: dict[str, Any]) -> Any:
    """Another generator of the same kind, in that state."""
    other = deepcopy(generator)
    set_state(other, state)
    return other


def frozen_generator(seed: Seed, *place: int, advance: int = 0) -> RandomState:
    # RandomState, whose streams NumPy froze for ever (NEP 19), over PCG64, which can be advanced;
    # it permutes as fast as Generator does, whose methods may change from one release to the next.
    """A generator whose methods give the same numbers in every release of NumPy."""
    bits = np.random.PCG64(seed_sequence(seed, *place))
    return np.random.RandomState(bits.advance(advance) if advance else bits)
