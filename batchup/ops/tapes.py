"""What a checkpoint needs of stateful generators: their states as of the last item received.

A pool plans further than the caller has received, and several stages may share a generator. So while a
stream over generators is iterated, each draw goes through a `Recorded`, which tells a `Tape`, one for
each generator. The tape numbers the draws and can say what the state was before any that still
matters: it keeps a snapshot now and then, and makes the few draws in between again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.ops.blocks import Between, Chunked
from batchup.ops.checks import Block
from batchup.ops.draws import Draws, WeightedOrders
from batchup.ops.functions import Numbered
from batchup.ops.joins import Zipped
from batchup.ops.orders import Repeated, Shuffled
from batchup.ops.plan import DerivedPlan, Plan, record
from batchup.ops.randomness import Stateful, bits_of, copy_with_state, get_state, set_state
from batchup.ops.shards import Sharded
from batchup.ops.worked import Worked

__all__ = ["NOTHING", "Recording", "one_draw_is_enough"]

_EVERY = 32  # draws between two snapshots, which cost 32 us for a RandomState
_LARGE = 256  # indices; to make a permutation of more again costs more than a snapshot

Key = tuple[int, ...]
NOTHING: tuple[Key, Any] = ((), None)  # has been drawn yet
Draw = Callable[[Any], Any]  # of a generator


class Tape:
    """The draws from one generator during one iteration."""

    def __init__(self, generator: Any, recording: Recording):
        self.generator = generator
        self.recording = recording
        self.drawn = 0
        self.stages: list[Recorded] = []
        self._snapshots: deque[tuple[int, Any]] = deque()  # (number of the draw, state before it)
        self._draws: deque[Draw] = deque()  # from the first snapshot on
        self._after_large = False

    def draw(self, make: Draw, large: bool) -> Any:
        due = not self._snapshots or self.drawn - self._snapshots[-1][0] >= _EVERY
        if due or large or self._after_large:
            self._snapshots.append((self.drawn, get_state(self.generator)))
            self._forget(min(stage.oldest() for stage in self.stages))
        self._after_large = large
        self._draws.append(make)
        self.recording.news = True
        self.drawn += 1
        return make(self.generator)

    def state_before(self, number: int) -> Any:
        """The state before draw `number`; of the next one, the state now."""
        if number == self.drawn:
            return get_state(self.generator)
        first = self._snapshots[0][0]
        near, state = max((s for s in self._snapshots if s[0] <= number), key=lambda s: s[0])
        again = copy_with_state(self.generator, state)
        for n in range(near - first, number - first):
            self._draws[n](again)
        return get_state(again)

    def state(self) -> Any:
        """The state as of the last item that the caller has received."""
        return self.state_before(max(stage.received() for stage in self.stages))

    def _forget(self, number: int) -> None:
        """Nobody will ask for the state before a draw with a lower number."""
        while len(self._snapshots) > 1 and self._snapshots[1][0] <= number:
            gone, _ = self._snapshots.popleft()
            for _ in range(self._snapshots[0][0] - gone):
                self._draws.popleft()


class Recorded:
    """The draws of one stage from a generator, for which it stands in.

    `loaded`, from a checkpoint, is the key of the last draw that the caller had received something of,
    and the state before it: that draw is made again, and others go on from the generator.
    """

    pure = False

    def __init__(self, tape: Tape, received: Received, loaded: tuple[Key, Any] | None):
        self.tape = tape
        tape.stages.append(self)
        self.jumps = loaded is not None
        self._received = received
        self._loaded = loaded
        self._again: Any = None
        self._history: deque[tuple[int, Key]] = deque()

    def began(self, pass_: int) -> bool:
        """Whether the pass of the checkpoint: what was drawn in it before is behind us."""
        return self._loaded is not None and self._loaded[0][:1] == (pass_,)

    def permutation(self, pass_: int, key: Key, block: Block) -> NDArray[np.intp]:
        def make(generator: Any) -> NDArray[np.intp]:
            return Stateful(generator).permutation(pass_, key, block)

        order: NDArray[np.intp] = self._draw((pass_, *key), make, large=len(block) > _LARGE)
        return order

    def uniforms(self, pass_: int, k: int, size: int) -> Iterator[NDArray[np.float64]]:
        def make(generator: Any) -> NDArray[np.float64]:
            return next(Stateful(generator).uniforms(pass_, k, size))

        for n in count(k):
            yield self._draw((pass_, n), make, large=size > _LARGE * 16)

    def _draw(self, key: Key, make: Draw, large: bool) -> Any:
        if self._loaded is not None and key == self._loaded[0]:
            if self._again is None:
                self._again = make(copy_with_state(self.tape.generator, self._loaded[1]))
            return self._again.copy()
        self._again = None
        self._forget()
        self._history.append((self.tape.drawn, key))
        return self.tape.draw(make, large)

    def received(self) -> int:
        """How many draws from the generator had been made when the last item received was planned."""
        return self._received.drawn(self.tape)

    def _forget(self) -> None:
        drawn = self.received()
        while len(self._history) > 1 and self._history[1][0] < drawn:
            self._history.popleft()

    def oldest(self) -> int:
        """The number of the first draw that still matters."""
        self._forget()
        received = self.received()
        return min(received, self._history[0][0]) if self._history else received

    def last(self) -> tuple[Key, Any]:
        """The key of the last draw of which the caller has received something, and the state before."""
        self._forget()
        if self._history and self._history[0][0] < self.received():
            number, key = self._history[0]
            return key, self.tape.state_before(number)
        return self._loaded or NOTHING


class Received:
    """How many draws had been made from each tape when the last item received was planned."""

    def __init__(self, tapes: list[Tape]):
        self._tapes = tapes
        self._ahead: deque[list[int]] = deque()
        self._given: list[int] = []
        self._drawn: list[int] = []

    def planned(self) -> None:
        """A plan ahead has got an item, which it will give later."""
        self._ahead.append([tape.drawn for tape in self._tapes])

    def gave(self) -> None:
        """It has given the next one."""
        self._given = self._ahead.popleft()

    def receive(self, ahead: bool) -> None:
        """The caller has received an item."""
        self._drawn = self._given if ahead else [tape.drawn for tape in self._tapes]

    def drawn(self, tape: Tape) -> int:
        return self._drawn[self._tapes.index(tape)] if self._drawn else 0


@record
class _Planned(DerivedPlan):
    """Below a plan ahead: says when an item is planned."""

    received: Received

    def items(self, pass_: int, k: int) -> Iterator[Any]:
        for item in self.up.start(pass_, k):
            self.received.planned()
            yield item


@record
class _Given(DerivedPlan):
    """Above a plan ahead: says when the item is given out."""

    received: Received
    recording: Recording

    def items(self, pass_: int, k: int) -> Iterator[Any]:
        items = self.up.start(pass_, k)
        return self._noting(items)

    def _noting(self, items: Iterator[Any]) -> Iterator[Any]:
        for item in items:
            self.received.gave()
            self.recording.news = True
            yield item


class Recording:
    """A plan whose draws from generators are recorded, from the start or from a checkpoint on."""

    def __init__(self, plan: Plan, draws: list[tuple[Key, Any]] | None = None):
        self.tapes: list[Tape] = []
        self.stages: list[Recorded] = []
        # Whether anything was drawn, or given by a plan ahead, since the last item was received.
        self.news = False
        self._draws = draws
        self._received = Received(self.tapes)
        self._aheads: list[Received] = []
        self.plan = self._recorded(plan, self._received)

    def _recorded(self, plan: Plan, received: Received) -> Plan:
        """`plan` with a `Recorded` in place of each generator."""
        if plan.ahead:
            received = Received(self.tapes)
            self._aheads.append(received)
        changes: dict[str, Any] = {}
        for field in fields(plan):  # type: ignore[arg-type]
            value = getattr(plan, field.name)
            if isinstance(value, Stateful):
                changes[field.name] = self._stage(value, received)
            elif isinstance(value, Plan):
                changes[field.name] = self._recorded(value, received)
            elif isinstance(value, tuple) and value and isinstance(value[0], Plan):
                changes[field.name] = tuple(self._recorded(part, received) for part in value)
        if plan.ahead:
            changes["up"] = _Planned(changes["up"], received)
            return _Given(replace(plan, **changes), received, self)  # type: ignore[type-var]
        return replace(plan, **changes)  # type: ignore[type-var]

    def _stage(self, rng: Stateful, received: Received) -> Recorded:
        generator = rng.source()
        bits = bits_of(generator)  # two generators may draw from one source of bits
        tape = next((tape for tape in self.tapes if bits_of(tape.generator) is bits), None)
        if tape is None:
            tape = Tape(generator, self)
            self.tapes.append(tape)
        loaded = None if self._draws is None else self._draws[len(self.stages)]
        stage = Recorded(tape, received, loaded)
        self.stages.append(stage)
        return stage

    def receive(self) -> None:
        """The caller has received an item."""
        self.news = False
        self._received.receive(ahead=False)
        for received in self._aheads:
            received.receive(ahead=True)

    def states(self) -> list[Any]:
        """The state of each generator as of the last item that the caller has received."""
        return [tape.state() for tape in self.tapes]

    def draws(self) -> list[tuple[Key, Any]]:
        """For each stage its last draw of which the caller has received something."""
        return [stage.last() for stage in self.stages]

    def put_back(self, states: list[Any]) -> None:
        """Set the generators to these states, all of them or none."""
        if len(states) != len(self.tapes):
            raise ValueError(
                f"expected the states of {len(self.tapes)} generators; the checkpoint has {len(states)}"
            )
        for tape, state in zip(self.tapes, states, strict=True):
            copy_with_state(tape.generator, state)  # refuses those of another kind
        for tape, state in zip(self.tapes, states, strict=True):
            set_state(tape.generator, state)


def one_draw_is_enough(plan: Plan, cuts: int = 0) -> bool:
    """Whether, to go on anywhere in the plan, each stage needs no more than its last draw.

    So it is where what a generator orders is cut no more than once on its way, as in an epoch of an
    array, or several side by side. Of what is cut again, or taken in turns, items may reach further
    back; there everything is drawn anew.
    """
    if plan.traits.pure:
        return True
    if plan.ahead and any(_any_ahead(part) for part in plan.below()):
        return False
    if isinstance(plan, Zipped):
        return all(one_draw_is_enough(part, cuts) for part in plan.plans)
    if isinstance(plan, Draws | WeightedOrders):
        return cuts <= 1
    if isinstance(plan, Shuffled):
        return cuts <= 1 and plan.up.traits.pure
    if isinstance(plan, Chunked):
        return one_draw_is_enough(plan.up, cuts + 1)
    through = (Repeated, Between, Sharded, Numbered, Worked, _Planned, _Given)
    return isinstance(plan, through) and one_draw_is_enough(plan.up, cuts)


def _any_ahead(plan: Plan) -> bool:
    return plan.ahead or any(map(_any_ahead, plan.below()))
