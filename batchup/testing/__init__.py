"""The laws that every stream obeys, to check a stage of your own.

>>> from batchup import ops
>>> from batchup.testing import check_laws
>>> check_laws(lambda stream, rng: stream | ops.chunk(2) | ops.take(3), members=1)

Each law is checked at all positions of a stream, for its first `SOME` items.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import Any

import numpy as np

from batchup import ops
from batchup.testing.items import SOME, LawError, plain, same, some
from batchup.testing.laws import (
    again,
    checkpoints,
    ended,
    epochs,
    length,
    mapping,
    memory,
    pickling,
    sharding,
    skipping,
)
from batchup.testing.pools import checkpoints_across, checkpoints_across_ranks, parallel, ranks

__all__ = [
    "MEMBERS",
    "SOME",
    "LawError",
    "again",
    "check_laws",
    "checkpoints",
    "checkpoints_across",
    "checkpoints_across_ranks",
    "ended",
    "epochs",
    "length",
    "mapping",
    "memory",
    "parallel",
    "pickling",
    "plain",
    "ranks",
    "sharding",
    "skipping",
]

# The streams that a stage is tried with: of index blocks of every kind.
MEMBERS: tuple[Callable[[Any], ops.Stream], ...] = (
    lambda rng: ops.indices(10) | ops.chunk(3),
    lambda rng: ops.indices(0) | ops.chunk(2),
    lambda rng: [np.array([4, 2, 0]), np.array([], int), np.array([9])] | ops.skip(0),
    lambda rng: ops.indices(7) | ops.shuffle(5) | ops.repeat(3) | ops.chunk(4),
    lambda rng: ops.indices(7) | ops.shuffle(rng) | ops.repeat(3) | ops.chunk(4),
    lambda rng: ops.indices(5) | ops.shuffle(1) | ops.repeat(-1) | ops.chunk(2) | ops.shuffle(2),
    lambda rng: ops.sample([1, 2, 3], rng) | ops.chunk(3),
)


_LAWS: tuple[Callable[..., None], ...] = (
    length,
    ended,
    again,
    skipping,
    mapping,
    epochs,
    sharding,
    checkpoints,
    checkpoints_across_ranks,
    memory,
    pickling,
)


def check_laws(
    build: Callable[..., ops.Stream],
    members: int = 0,
    model: Callable[..., Iterable[Any]] | None = None,
    pools: Sequence[Any] = (),
) -> None:
    """Check a stage, or a stream, by all laws.

    Parameters
    ----------
    build : callable
        `build(*streams, rng=rng)` makes the stream anew at each call, of `members` streams of index blocks and a
        `RandomState`. It may refuse some of them by a TypeError or ValueError, but not all.
    members : int
        The number of streams that `build` takes.
    model : callable or None
        `model(*lists)` returns the expected items for finite members, given their items; all as `plain` makes them.
    pools : sequence of pools
        The laws are checked in these pools, and with members in them.

    Raises
    ------
    LawError
        If a law is broken. It says which one, and how.

    Examples
    --------
    >>> from batchup import ops
    >>> check_laws(lambda stream, rng: stream | ops.chunk(2), members=1)
    """
    refusals: list[Exception] = []
    tried = 0
    for chosen in product(MEMBERS, repeat=members):
        tried += 1
        case = _Case(build, chosen)
        try:
            case.stream()
        except (TypeError, ValueError) as error:
            refusals.append(error)
            continue
        if model is not None:
            _check_model(case, model)
        for law in _LAWS:
            law(case.stream)
        for pool, buffer in product(pools, (1, 5)):
            parallel(case.stream, pool, buffer)
            checkpoints_across(case.stream, pool, buffer)
            _members_in_pools(case, pool)
    if len(refusals) == tried:
        raise refusals[0]


class _Case:
    """Makes a stream of members, all anew each time."""

    def __init__(self, build: Callable[..., ops.Stream], members: Sequence[Callable[[Any], Any]]):
        self.build = build
        self.members = members

    def stream(self, rng: Any = None, through: Callable[[Any], Any] = lambda member: member) -> ops.Stream:
        rng = np.random.RandomState(0) if rng is None else rng
        return self.build(*[through(member(rng)) for member in self.members], rng=rng)


def _check_model(case: _Case, model: Callable[..., Iterable[Any]]) -> None:
    members = [member(np.random.RandomState(0)) for member in case.members]
    if any(member.plan.length in (None, math.inf) or not member.pure for member in members):
        return
    expected = [plain(item) for item in model(*[list(map(plain, member)) for member in members])]
    same(some(case.stream()), expected[:SOME], "the model", case.stream())


def _members_in_pools(case: _Case, pool: Any) -> None:
    """Law 4 at any place: members whose items a pool makes, unless they are refused."""
    whole = some(case.stream())
    try:
        stream = case.stream(through=lambda member: member | ops.parallel(pool, 3))
    except TypeError:
        return
    same(some(stream), whole, "law 4, with members in a pool", stream)


def __dir__() -> list[str]:
    return __all__
