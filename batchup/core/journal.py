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

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from batchup.core.computed import bare
from batchup.core.cursors import BEHIND, Place, Places, resumed
from batchup.core.plan import Again, Draw, Plan, drawing_plans, rng_of
from batchup.core.randomness import (
    DIRECT,
    Drawn,
    bits_of,
    copy_with_state,
    get_state,
    set_state,
    stamp_of,
)

_LARGE = 256  # numbers; by value they are as large as the state of a generator
_MANY = 32  # draws kept before it is looked which of them are used up

Key = tuple[int, int]  # the pass, and the number of the draw in it


class _NotDrawnError(Exception):
    """A plan that is only asked where it would go on from wants a draw that was not made."""


class _Site:
    """The draws of one plan from its generator, by their keys."""

    def __init__(self, generator: Any, journal: Journal):
        self.generator = generator
        self.journal = journal
        self.kept: dict[Key, Any] = {}  # value, or a dict, the state before the draw
        self.first: Key | None = None  # the key from which on a plan that was started will ask
        self.due = _MANY

    def draw(self, pass_: int, number: int, method: str, of: Any) -> Any:
        """What a method of the generator gives: now, or gave when this draw was made."""
        with self.journal.lock:
            return self._draw((pass_, number), method, of)

    def _draw(self, key: Key, method: str, of: Any) -> Any:
        kept = self.kept.get(key)
        if isinstance(kept, dict):
            return getattr(copy_with_state(self.generator, kept), method)(of)
        if kept is not None:
            return kept
        if self.journal.asking:
            raise _NotDrawnError
        if len(self.kept) >= self.due:
            self.journal.forget()
            self.due = 2 * len(self.kept) + _MANY
        size = of if isinstance(of, int) else len(of)
        before = get_state(self.generator) if size > _LARGE else None
        # In one call from C: a Ctrl-C comes before it or after it, never between the draw and keeping it.
        self.kept.update(zip((key,), map(getattr(self.generator, method), (of,)), strict=True))
        value = self.kept[key]
        if before is not None:
            self.kept[key] = before
        return value


class Journal:
    """The draws of one iteration over a plan that draws from generators: the `Draws` of the plan.

    `position` says how many items the caller has received, `places` what the cursors were at a position.
    """

    def __init__(self, plan: Plan, position: Callable[[], int], places: Callable[[int], Places]):
        self._bare = bare(plan)
        self._position = position
        self._places = places
        self.asking = False
        # Another thread may ask for the state while plans draw; and a signal handler, in the midst of a draw.
        self.lock = threading.RLock()
        self._stamp: str | None = None
        drawing = drawing_plans(plan)
        self._sites = [_Site(rng_of(plan).source(), self) for plan in drawing]
        self._of_plan = {
            id(plan): site
            for plans in (drawing, drawing_plans(self._bare))
            for plan, site in zip(plans, self._sites, strict=True)
        }
        if len({id(plan) for plan in drawing}) < len(drawing):
            raise RuntimeError(
                "expected plans that are each there once; one stands in two places. A stage over several "
                "streams takes their plans from members_of(streams)"
            )
        # One of each source of bits, which generators may share.
        self._generators = list({id(bits_of(s.generator)): s.generator for s in self._sites}.values())

    def begin(self, plan: Plan, pass_: int, number: int) -> Draw:
        rng = rng_of(plan)
        if rng.again < Again.DRAWN:
            return DIRECT.begin(plan, pass_, number)
        site = self._of_plan[id(plan)]
        with self.lock:
            if self.asking and (site.first is None or (pass_, number) < site.first):
                site.first = (pass_, number)
        return Drawn(partial(site.draw, pass_))

    def cursor(self, plan: Plan) -> Place:
        return ()

    @property
    def stamp(self) -> str | None:
        if self._stamp is None and not self.asking:
            self._stamp = stamp_of([site.generator for site in self._sites])
        return self._stamp

    def _needed(self, position: int) -> list[dict[Key, Any]]:
        """Of each site, the draws that going on from a position would ask for."""
        # A signal handler may ask while this is being asked.
        outer = self.asking, [site.first for site in self._sites]
        self.asking = True
        for site in self._sites:
            site.first = None
        try:
            self._bare.start(0, position, resumed(self, self._places(position)))
            return [
                {
                    key: kept
                    for key, kept in site.kept.items()
                    if site.first is None or key >= site.first
                }
                for site in self._sites
            ]
        except _NotDrawnError:  # it is not known then what it needs: everything is kept
            return [site.kept for site in self._sites]
        finally:
            self.asking, firsts = outer
            for site, first in zip(self._sites, firsts, strict=True):
                site.first = first

    def forget(self) -> None:
        """Keep only what going on from one of the items that were received last would ask for."""
        needed = self._needed(max(0, self._position() - BEHIND))
        for site, kept in zip(self._sites, needed, strict=True):
            site.kept = kept

    def state(self, position: int) -> dict[str, Any]:
        """The states of the generators, and for each plan that draws the draws that are not used up."""
        with self.lock:
            self.forget()
            return {
                "stamp": self._stamp,
                "generators": list(map(get_state, self._generators)),
                "draws": [
                    [[*key, value] for key, value in kept.items()] for kept in self._needed(position)
                ],
            }

    def load(self, generators: list[Any], draws: list[Any], stamp: str | None) -> None:
        """Put the generators and the draws back to a state, all of them or none."""
        kept = [{(pass_, number): value for pass_, number, value in each} for each in draws]
        for own, state in zip(self._generators, generators, strict=True):
            copy_with_state(own, state)  # refuses those of another kind
        self._stamp = stamp
        for site, own_kept in zip(self._sites, kept, strict=True):
            site.kept = own_kept
        for own, state in zip(self._generators, generators, strict=True):
            set_state(own, state)
