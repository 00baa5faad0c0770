"""What a checkpoint needs of generators: their states, and the draws that are not used up yet.

A pool plans further than the caller has received, and a batch is only a part of an order that was drawn for a whole
pass. So while a stream over generators is iterated, its plans draw through a `Journal`. It keeps what was drawn:
small draws by value, large draws as the state of the generator before them. A checkpoint holds the draws that going
on from its position asks for. Later draws come from the generator as it is then, so others may draw from it too.

A plan says itself which draws these are: started at a position, each plan that draws says from which number on it will
ask. To ask this, the journal starts the plan without its work at the position, and draws nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from batchup.core.cursors import BEHIND, Cursor, resumed
from batchup.core.draws import Draw, Replay
from batchup.core.item import Cursors
from batchup.core.plan import Plan, drawing_plans, without_work
from batchup.core.randomness import (
    DIRECT,
    Drawn,
    bits_of,
    copy_with_state,
    generators_of,
    get_state,
    set_state,
    stamp_of,
)

# Numbers: a permutation of so many takes less time than reading the state of a RandomState, 30 us, and about as many bytes
# in a checkpoint.
_LARGE = 2048
_MANY = 32  # draws that are kept before the journal looks which of them are used up

Key = tuple[int, int]  # the pass, and the number of the draw in it


class _NotDrawnError(Exception):
    """Raised if a plan, asked from which draw on it will draw, needs a draw that was not made."""


class _Site:
    """The draws of one plan from its generator, by their keys."""

    def __init__(self, generator: Any, journal: Journal):
        self.generator = generator
        self.journal = journal
        self.kept: dict[Key, Any] = {}  # the value, or a dict: the state before the draw
        self.first: Key | None = None  # the first draw that the plan, started at a position, will ask for
        self.due = _MANY

    def draw(self, pass_: int, number: int, method: str, of: Any) -> Any:
        """What a method of the generator gives, or gave if this draw was made before."""
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
        # One call into C, so Ctrl-C comes before or after it, never between drawing and keeping the draw.
        self.kept.update(zip((key,), map(getattr(self.generator, method), (of,)), strict=True))
        value = self.kept[key]
        if before is not None:
            self.kept[key] = before
        return value


def _compact(value: Any) -> Any:
    """A draw in as few bytes as hold it."""
    if not isinstance(value, np.ndarray) or value.dtype.kind != "i" or not value.size:
        return value
    return value.astype(np.min_scalar_type(value.max()))


class Journal:
    """The draws of one iteration over a plan that draws from generators: the `Draws` of the plan.

    `position()` is the number of items that the caller has received, `cursors(position)` the cursors there.
    """

    def __init__(self, plan: Plan, position: Callable[[], int], cursors: Callable[[int], Cursors]):
        self._planned = without_work(plan)
        self._position = position
        self._cursors = cursors
        self.asking = False
        # Another thread may ask for the state while plans draw, and a signal handler may ask during a draw.
        self.lock = threading.RLock()
        self._stamp: str | None = None
        drawing = drawing_plans(plan)
        self._sites = [_Site(generator, self) for generator in generators_of(plan)]
        self._of_plan = {
            id(plan): site
            for plans in (drawing, drawing_plans(self._planned))
            for plan, site in zip(plans, self._sites, strict=True)
        }
        if len({id(plan) for plan in drawing}) < len(drawing):
            raise RuntimeError(
                "expected each plan once; one stands in two places. A stage over several "
                "streams takes their plans from members_of(streams)"
            )
        # One generator for each source of bits, since generators may share one.
        self._generators = list({id(bits_of(s.generator)): s.generator for s in self._sites}.values())

    def begin(self, plan: Plan, pass_: int, number: int) -> Draw:
        if plan.rng is None or plan.rng.replay < Replay.DRAWN:
            return DIRECT.begin(plan, pass_, number)
        site = self._of_plan[id(plan)]
        with self.lock:
            if self.asking and (site.first is None or (pass_, number) < site.first):
                site.first = (pass_, number)
        return Drawn(partial(site.draw, pass_))

    def cursor(self, plan: Plan) -> Cursor:
        return ()

    @property
    def stamp(self) -> str | None:
        if self._stamp is None and not self.asking:
            self._stamp = stamp_of([site.generator for site in self._sites])
        return self._stamp

    def _needed(self, position: int) -> list[dict[Key, Any]]:
        """For each site, the draws that going on from a position asks for."""
        # A signal handler may call this while it runs.
        outer = self.asking, [site.first for site in self._sites]
        self.asking = True
        for site in self._sites:
            site.first = None
        try:
            self._planned.start(0, position, resumed(self, self._cursors(position)))
            return [
                {key: kept for key, kept in site.kept.items() if site.first is None or key >= site.first}
                for site in self._sites
            ]
        except _NotDrawnError:  # what it needs is unknown, so everything is kept
            return [site.kept for site in self._sites]
        finally:
            self.asking, firsts = outer
            for site, first in zip(self._sites, firsts, strict=True):
                site.first = first

    def forget(self) -> None:
        """Keep only the draws that going on from one of the items received last asks for."""
        needed = self._needed(max(0, self._position() - BEHIND))
        for site, kept in zip(self._sites, needed, strict=True):
            site.kept = kept

    def state(self, position: int) -> dict[str, Any]:
        """The states of the generators, and the draws of each plan that are not used up."""
        with self.lock:
            self.forget()
            return {
                "stamp": self._stamp,
                "generators": list(map(get_state, self._generators)),
                "draws": [[[*key, _compact(value)] for key, value in kept.items()] for kept in self._needed(position)],
            }

    def go_on_from(self, other: Journal) -> None:
        """Go on with the draws of another iteration over the same plan that are not used up."""
        with self.lock:
            self._stamp = other._stamp
            for own, before in zip(self._sites, other._sites, strict=True):
                own.kept = dict(before.kept)

    def load(self, generators: list[Any], draws: list[Any], stamp: str | None) -> None:
        """Set the generators and the draws to a state: all of them or, if an error is raised, none."""
        kept = [{(pass_, number): value for pass_, number, value in each} for each in draws]
        for own, state in zip(self._generators, generators, strict=True):
            copy_with_state(own, state)  # raises for another kind of generator
        self._stamp = stamp
        for site, own_kept in zip(self._sites, kept, strict=True):
            site.kept = own_kept
        for own, state in zip(self._generators, generators, strict=True):
            set_state(own, state)
