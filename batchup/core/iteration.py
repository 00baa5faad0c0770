"""Going through a stream: its batches one after another, and checkpoints in between."""

from __future__ import annotations

import base64
import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cached_property
from typing import Any, NoReturn

import numpy as np

from batchup.core.checks import describe, shortened, whole_number
from batchup.core.cursors import BEHIND, Places, Track, cursors_in, resumed
from batchup.core.errors import no_stop_iteration, note, was_noted, where
from batchup.core.identity import identity
from batchup.core.journal import Journal
from batchup.core.plan import Again, Draws, Plan, drawing_plans, rng_of
from batchup.core.randomness import DIRECT, Direct
from batchup.core.record import Count
from batchup.core.work import Work, mapped

_LONG = 500  # characters; of a longer name the checkpoint keeps the beginning and a hash
_VERSION = 3


class StreamIterator(Iterator[Any]):
    """The items of a stream, one after another, with the checkpoints of torchdata and PyTorch.

    `len` of it is how many are left; TypeError where that is not known. `state_dict()` says where it is, as
    of the last item received: a dict that `json` can write. `load_state_dict(state)` goes on from there, in
    this process or another. After an exception, a Ctrl-C among them, the iterator is over: `next` raises
    RuntimeError, and `state_dict()` is still that of the last item received.

    `state_dict()` may be called at any time, by another thread or a signal handler, and never waits for a batch. While a
    `next` is under way, another `next`, `load_state_dict` and `close` raise RuntimeError and change nothing.

    >>> from batchup import ops
    >>> batches = ops.indices(10**6) | ops.shuffle(7) | ops.chunk(3)
    >>> it = iter(batches)
    >>> first, state = next(it), it.state_dict()
    >>> state["position"]
    1
    >>> other = iter(batches)
    >>> other.load_state_dict(state)
    >>> bool((next(other) == next(it)).all())
    True
    """

    def __init__(self, plan: Plan, work: Work, text: str, k: int = 0, start: bool = True):
        self._plan = plan
        self._work = work
        self._text = shortened(text)
        alone = len(work.steps) == 1 and not work.random
        self._single = work.steps[0] if alone else None
        # Of one step alone, as mostly, its own method: a call less for every batch.
        self._run = self._single.run if self._single is not None else work.run
        self._position = self._began = k
        self._track = Track(k, ()) if cursors_in(plan) else None
        self._journal: Journal | None = None
        if plan.again is Again.DRAWN:
            self._journal = self._new_journal()
        self._items: Iterator[Any] = iter(())
        self._next = self._items.__next__
        # While a `next` is under way. No other thread runs between the look at it and the setting of it; a lock costs a
        # tenth of what a small batch takes.
        self._busy = False
        if start:
            self.start()

    def start(self) -> None:
        """Begin, now and not at the first `next`: a parallel plan fills its buffer meanwhile."""
        draws: Draws = DIRECT
        if self._journal is not None:
            draws = self._journal
        elif self._plan.again is not Again.KEYED:
            draws = Direct([rng_of(plan).source() for plan in drawing_plans(self._plan)])
        self._items = self._plan.start(0, self._position, resumed(draws, self._places(self._position)))
        if self._track is not None:
            self._items = self._track.through(self._items, self._position)
        self._next = self._items.__next__

    def _new_journal(self) -> Journal:
        return Journal(self._plan, lambda: self._position, self._places)

    def _places(self, position: int) -> Places:
        return () if self._track is None else self._track.at(position)

    def __iter__(self) -> StreamIterator:
        return self

    def __next__(self) -> Any:
        if self._busy:
            raise self._under_way("next()")
        self._busy = True
        position = self._position
        item: Any = _NOT_PLANNED
        try:
            item = self._next()
            batch = self._run(item)
            self._position = position + 1
            self._busy = False
            return batch
        except BaseException as error:
            self._position = position  # a Ctrl-C may come at any moment
            self._busy = False
            if item is _NOT_PLANNED and (type(error) is StopIteration or self._next == self._over):
                if type(error) is StopIteration:
                    self._end()  # an iterator that has ended is not asked again
                raise
            self._failed(error, item)

    def _under_way(self, method: str) -> RuntimeError:
        return RuntimeError(
            f"{method}: a next() of {self._text} is under way, in another thread or below a signal handler. Call it between "
            "two batches, and give each thread an iterator of its own"
        )

    @contextmanager
    def turn(self, method: str) -> Iterator[None]:
        """Keep others from `next`; RuntimeError if one is under way."""
        if self._busy:
            raise self._under_way(method)
        self._busy = True
        try:
            yield
        finally:
            self._busy = False

    def _failed(self, error: BaseException, item: Any) -> NoReturn:
        self._next = self._over
        if item is not _NOT_PLANNED:
            if self._single is not None:
                note(error, lambda: f"in the stage {self._single}")
            note(error, lambda: where(self._text, self._plan.again, self._position, item))
        elif not was_noted(error):  # by a pool
            note(error, lambda: f"while item {self._position} of {self._text} was planned")
        self._stop()
        try:
            raise no_stop_iteration(error)
        finally:
            del error  # else it would keep itself, by its traceback

    def _over(self) -> NoReturn:
        raise RuntimeError(
            f"this iterator came to its end by an exception, at item {self._position} of {self._text}. "
            "To go on, load its state_dict() into a fresh iterator of the stream"
        )

    def close(self) -> None:
        """End the iteration, and whatever is under way for it."""
        with self.turn("close()"):
            self._end()

    def _end(self) -> None:
        self._stop()
        self._next = self._items.__next__

    def _stop(self) -> None:
        close = getattr(self._items, "close", None)
        self._items = iter(())  # nothing must keep the old one alive
        if close is not None:
            close()

    def state_dict(self, unused: int = 0) -> dict[str, Any]:
        """Where the iteration is, as of the last item received.

        For a pure stream less than 1 KB: the stream's name and the position. For one that draws from
        generators also their states, and what of their draws is not used up; behind a `filter`, or another
        stage whose number of items depends on the data, the position of what is below. Who reads ahead says how
        many of the items received are `unused`, of such streams at most 32: it is as of the last before these. Raises
        ValueError for more than were received, TypeError for a stream over a user's iterator.
        """
        self._check_it_can_go_on()
        unused = whole_number(unused, "state_dict: unused")
        # While the lock is held nothing is drawn, so that no draw is forgotten which this position needs.
        with nullcontext() if self._journal is None else self._journal.lock:
            return self._state(unused)

    def _state(self, unused: int) -> dict[str, Any]:
        most = self.received
        if self._journal is not None or self._track is not None:
            most = min(most, BEHIND)
        if unused > most:
            wanted = f"state_dict: unused: expected at most {most} here, of {self._text}"
            raise ValueError(f"{wanted}; got {unused}")
        position = self._position - unused
        state = {"version": _VERSION, "stream": self._identity, "position": position}
        if self._track is not None:
            state["cursor"] = [list(place) for place in self._track.at(position)]
        if self._journal is not None:
            state |= mapped(self._journal.state(position), _encoded)
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint: the next item is the one after the last received then.

        Reads no data. Generators are put back as they were. Raises ValueError for the checkpoint of
        another stream, TypeError for what is no checkpoint and for a stream over a user's iterator.
        """
        with self.turn("load_state_dict()"):
            self.load_unstarted(state)
            self._end()
            self.start()

    def load_unstarted(self, state: Any) -> None:
        """The same, before it is started."""
        self._check_it_can_go_on()
        check_version(state, "version", _VERSION, "state_dict()")
        if state.get("stream") != self._identity:
            own, other = _where_they_differ(self._identity, str(state.get("stream")))
            raise ValueError(
                f"load_state_dict of {self._text}: expected a checkpoint of this stream, made of\n"
                f"  {own}\ngot one of a stream made of\n  {other}"
            )
        position = whole_number(state.get("position"), "load_state_dict: position")
        drawn = ("generators", "draws") if self._journal is not None else ()
        for key in ("cursor",) * (self._track is not None) + drawn:
            if not isinstance(state.get(key), list):
                raise TypeError(f"load_state_dict: expected a list under {key!r}; there is none")
        if self._journal is not None:
            journal = self._new_journal()
            generators, draws = mapped(state["generators"], _decoded), mapped(state["draws"], _decoded)
            journal.load(generators, draws, state.get("stamp"))
            self._journal = journal
        if self._track is not None:
            places = tuple([tuple(map(int, place)) for place in state["cursor"]])
            self._track = Track(position, places)
        self._position = self._began = position

    @property
    def received(self) -> int:
        """How many items came from this iterator."""
        return self._position - self._began

    @property
    def left(self) -> Count:
        """How many items are to come: an int, `math.inf`, or None where nobody knows."""
        length = self._plan.length
        return None if length is None else max(0, length - self._position)

    def __len__(self) -> int:
        return length_of(self.left, self._text)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return self.shown_as("StreamIterator", self._text)

    def shown_as(self, name: str, stream: Any) -> str:
        left = "" if self.left is None else f", {self.left} left"
        return f"<{name} of {stream}: at item {self._position}{left}>"

    def _check_it_can_go_on(self) -> None:
        if self._plan.again is Again.UNKEPT:
            source = f"{self._text} draws from a generator that is none of NumPy's, whose state can't be read"
            raise TypeError(f"{source}: give a seed, a RandomState or a Generator to have checkpoints")
        if self._plan.again > Again.DRAWN:
            source = f"{self._text} comes from an iterator of yours, which can't start at any position"
            raise TypeError(
                f"{source}, so it has no checkpoints. A list, or anything with len() and [i], has"
            )

    @cached_property
    def _identity(self) -> str:
        name = identity(self._plan, self._work)
        digest = hashlib.sha256(name.encode()).hexdigest()
        return name if len(name) <= _LONG else f"{name[:_LONG]}... (SHA-256 {digest})"


def check_version(state: Any, key: str, version: int, method: str) -> None:
    """TypeError for what is no checkpoint, ValueError for one of another version of BatchUp."""
    if not isinstance(state, dict) or not isinstance(state.get(key), int):
        wanted = f"load_state_dict: expected a dict that {method} gave"
        raise TypeError(f"{wanted}; got {describe(state)}")
    if state[key] != version:
        raise ValueError(
            f"load_state_dict: expected a checkpoint of version {version}; got one of version {state[key]}, which "
            "another version of BatchUp wrote. Go on with that version, or begin the epoch anew: loader.set_epoch(e)"
        )


def _where_they_differ(one: str, other: str) -> tuple[str, str]:
    """Two long texts, from a little before the first character in which they differ."""
    from more_itertools import ilen, longest_common_prefix

    same = ilen(longest_common_prefix([one, other]))
    start = max(0, same - 20) if max(len(one), len(other)) > 120 else 0
    before = "... " if start else ""
    return before + shortened(one[start:], 116), before + shortened(other[start:], 116)


def length_of(count: Count, text: str) -> int:
    """What `len` says of so many items; TypeError where there is no number."""
    if isinstance(count, int):
        if count > sys.maxsize:
            raise OverflowError(f"{text} has {count} items, more than len() can say")
        return count
    if count is None:
        raise TypeError(
            f"{text} has no length that is known beforehand; len(list(stream)) counts its items"
        )
    raise TypeError(f"{text} is endless; take(k) makes it one of k items")


_NOT_PLANNED = object()
_ARRAY = "base64 "  # how the text of an array begins


def _encoded(value: Any) -> Any:
    """A number or an array as `json` can write it."""
    if isinstance(value, np.ndarray):
        return f"{_ARRAY}{value.dtype.str} {base64.b64encode(value.tobytes()).decode()}"
    return value.item() if isinstance(value, np.generic) else value


def _decoded(value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith(_ARRAY):
        return value
    _, dtype, data = value.split(" ")
    return np.frombuffer(base64.b64decode(data), dtype).copy()
