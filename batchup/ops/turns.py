"""Which member of `choose` is next, by weights or spread evenly, computed in whole numbers."""

import math
from collections.abc import Iterator, Sequence
from itertools import chain, count


def by_weights(weights: Sequence[int], k: int) -> tuple[list[int], Iterator[int]]:
    """How many items each member gave before a position up to k, and the turns from there on.

    Of weights with the sum s, member m has the share weights[m] / s. The turns repeat after s items.
    """
    periods = k // sum(weights)
    return [periods * weight for weight in weights], chain.from_iterable(_period(weights) for _ in count())


def _period(weights: Sequence[int]) -> Iterator[int]:
    total = sum(weights)
    taken = [0] * len(weights)
    for t in range(1, total + 1):
        turn = -1
        for member, weight in enumerate(weights):
            n = taken[member]
            if n * total < weight * t and (turn < 0 or (n + 1) * weights[turn] < (taken[turn] + 1) * weight):
                turn = member
        taken[turn] += 1
        yield turn


def taken_by_weights(weights: Sequence[int], lengths: Sequence[int | float]) -> list[int | float]:
    """The number of items that each member gives, until one has its turn and no item left."""
    periods = min(int(n // weight) for n, weight in zip(lengths, weights, strict=True) if weight and n < math.inf)
    taken: list[int | float] = [periods * weight for weight in weights]
    for turn in _period(weights):
        if taken[turn] == lengths[turn]:
            break
        taken[turn] += 1
    return taken


def evenly(lengths: list[int], start: int) -> tuple[list[int], Iterator[int]]:
    """The evenly spread turns of members of these lengths, from a little before position `start` on.

    Turn j of n is due at j / n of the way, and ties go to the first member; all in whole numbers.
    (`more_itertools.interleave_evenly` breaks ties differently, and can't start in the middle.)
    """
    scale = math.lcm(*[n for n in lengths if n])
    paces = [scale // n if n else 0 for n in lengths]
    total = sum(lengths)
    start = min(start, total)
    # Turns that were due before this time are over: `start` of them, or a few less.
    by = scale * (start - len(lengths)) // total if start > len(lengths) else 0
    taken = [-(-by // pace) if pace else 0 for pace in paces]
    return taken, _by_due_time(paces, list(taken), scale)


def _by_due_time(paces: list[int], taken: list[int], end: int) -> Iterator[int]:
    pairs = enumerate(zip(taken, paces, strict=True))
    due = {member: n * pace for member, (n, pace) in pairs if pace and n * pace < end}
    while due:
        member = min(due, key=due.__getitem__)
        yield member
        due[member] += paces[member]
        if due[member] >= end:
            del due[member]
