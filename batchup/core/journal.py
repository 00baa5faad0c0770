"""What a checkpoint needs of generators: their state now, and the draws that are not yet used up.

A pool plans further than the caller has received, and of an order drawn for a whole pass a batch is a
part. So while a stream over generators is iterated, its plans draw through a `Journal`, which keeps what
was drawn, small draws by value, large ones by the state before them. A checkpoint holds those that
going on from its position will ask for; what is asked for beyond is drawn from the generator as it is
then. So somebody else may draw from it in between.

Which draws those are, the plan says itself: started at a position, each plan that draws says from which
of its draws on it will ask. Nothing is drawn by that, as plans draw when they are asked for an item.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from batchup.core.checks import Block
from batchup.core.computed import Computed, bare
from batchup.core.plan import Again, Draw, Plan, PlanOver, record, rng_of
from batchup.core.randomness import (
    bits_of,
    copy_with_state,
    get_state,
    ordered,
    set_state,
    uniform_method,
    unordered,
)

_LARGE = 256  # numbers; by value they are as large as the state of a generator
_MANY = 32  # draws kept before it is looked which of them are used up

Key = tuple[int, int]  # the pass, and the number of the draw in it


class _NotDrawnError(Exception):
    """A plan that is only asked where it would go on from wants a draw that was not made."""


class _Site:
    """The draws of one plan from its generator, by their keys."""

    def __init__(self, generator: Any):
        self.generator = generator
        self.kept: dict[Key, Any] = {}  # value, or a dict, the state before the draw
        self.first: Key | None = None  # the key from which on a plan that was started will ask
        self.due = _MANY

    def draw(self, key: Key, size: int, method: str, of: Any, journal: Journal) -> Any:
        """What a method of the generator gives: now, or gave when this draw was made."""
        kept = self.kept.get(key)
        if isinstance(kept, dict):
            return getattr(copy_with_state(self.generator, kept), method)(of)
        if kept is not None:
            return kept
        if journal.asking:
            raise _NotDrawnError
        if len(self.kept) >= self.due:
            journal.forget()
            self.due = 2 * len(self.kept) + _MANY
        before = get_state(self.generator) if size > _LARGE else None
        # In one call from C: a Ctrl-C comes before it or after it, never between the draw and keeping it.
        self.kept.update(zip((key,), map(getattr(self.generator, method), (of,)), strict=True))
        value = self.kept[key]
        if before is not None:
            self.kept[key] = before
        return value


@record
class _JournalDraw:
    """What a plan draws in one pass, kept in the journal."""

    site: _Site
    journal: Journal
    pass_: int

    def permutation(self, number: int, block: Block) -> Any:
        key, of = (self.pass_, number), unordered(block)
        return ordered(self.site.draw(key, len(block), "permutation", of, self.journal), block)

    def uniforms(self, number: int, size: int) -> Iterator[Any]:
        method = uniform_method(self.site.generator)
        for n in count(number):
            yield self.site.draw((self.pass_, n), size, method, size, self.journal)


class Journal:
    """The draws of one iteration over a plan that draws from generators.

    `position` says how many items the caller has received; `draws` are those of the plan.
    """

    def __init__(self, plan: Plan, position: Callable[[], int]):
        self._bare = bare(plan)
        self._position = position
        self._sites: list[_Site] = []
        self._of_plan: dict[tuple[Any, int], _Site] = {}
        self.asking = False
        self.draws = _At(self, ())
        for path, drawing in _drawing(plan):
            site = _Site(rng_of(drawing).source())
            self._of_plan[path, id(drawing)] = site
            self._sites.append(site)
        for site, (path, drawing) in zip(self._sites, _drawing(self._bare), strict=True):
            self._of_plan[path, id(drawing)] = site
        # One of each source of bits, which generators may share.
        self._generators = list({id(bits_of(s.generator)): s.generator for s in self._sites}.values())

    def site(self, path: tuple[int, ...], plan: Plan) -> _Site:
        try:
            return self._of_plan[path, id(plan)]
        except KeyError:
            raise RuntimeError(
                f"{type(plan).__name__}.items: expected the draws of its own place; a plan over several "
                "starts member n with plan.start(pass_, k, draws.of(n))"
            ) from None

    def forget(self) -> None:
        """Keep only what going on from the item that was received last would ask for."""
        self.asking = True
        for site in self._sites:
            site.first = None
        try:
            self._bare.start(0, self._position(), self.draws)
        except _NotDrawnError:  # it is not known then what it needs: everything is kept
            return
        finally:
            self.asking = False
        for site in self._sites:
            if site.first is not None:
                site.kept = {key: kept for key, kept in site.kept.items() if key >= site.first}

    def state(self) -> dict[str, Any]:
        """The states of the generators, and for each plan that draws the draws that are not used up."""
        self.forget()
        return {
            "generators": list(map(get_state, self._generators)),
            "draws": [
                [[*key, kept] for key, kept in sorted(site.kept.items(), key=lambda item: item[0])]
                for site in self._sites
            ],
        }

    def load(self, generators: list[Any], draws: list[Any]) -> None:
        """Put the generators and the draws back to a state, all of them or none."""
        if (len(generators), len(draws)) != (len(self._generators), len(self._sites)):
            raise ValueError(
                f"expected the states of {len(self._generators)} generators and the draws of "
                f"{len(self._sites)} stages; the checkpoint has {len(generators)} and {len(draws)}"
            )
        for own, state in zip(self._generators, generators, strict=True):
            copy_with_state(own, state)  # refuses those of another kind
        for own, state in zip(self._generators, generators, strict=True):
            set_state(own, state)
        for site, kept in zip(self._sites, draws, strict=True):
            site.kept = {(pass_, number): value for pass_, number, value in kept}


@record
class _At:
    """The journal, seen from a member of plans over several."""

    journal: Journal
    path: tuple[int, ...]

    def begin(self, plan: Plan, pass_: int, number: int) -> Draw:
        rng = rng_of(plan)
        if rng is not None and rng.again < Again.DRAWN:
            return rng.draw(pass_)  # type: ignore[no-any-return]
        site = self.journal.site(self.path, plan)
        if self.journal.asking and (site.first is None or (pass_, number) < site.first):
            site.first = (pass_, number)
        return _JournalDraw(site, self.journal, pass_)

    def of(self, member: int) -> _At:
        return _At(self.journal, (*self.path, member))


def _drawing(plan: Plan, path: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], Plan]]:
    """The plans that draw from generators, each with the numbers of the members that it is in."""
    while isinstance(plan, Computed):
        plan = plan.up
    if getattr(rng_of(plan), "again", None) is Again.DRAWN:
        yield path, plan
    for n, child in enumerate(plan.children()):
        yield from _drawing(child, path if isinstance(plan, PlanOver) else (*path, n))
