"""Iterating a stream: its batches one after another, with checkpoints in between."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cached_property, partial
from typing import Any, NoReturn

from batchup.core.checkpoint import VERSION, checked_state, decoded, encoded
from batchup.core.checks import shortened, whole_number
from batchup.core.cursors import BEHIND, Track, resumed
from batchup.core.draws import Draws, Replay
from batchup.core.errors import has_item_note, item_note, no_stop_iteration, note
from batchup.core.identity import name_of
from batchup.core.item import Cursors
from batchup.core.journal import Journal
from batchup.core.memory import CURRENT, BatchMemory
from batchup.core.noise import gives_items
from batchup.core.plan import Plan, cursors_in, replay_of
from batchup.core.randomness import DIRECT, Direct, generators_of
from batchup.core.record import Count
from batchup.core.work import Work

_NOT_PLANNED = object()


class StreamIterator(Iterator[Any]):
    """The items of a stream, one after another, with the checkpoint methods of PyTorch and torchdata.

    `iter(stream)` makes one. `len(iterator)` is the number of items left; it raises TypeError if that is unknown. After
    an exception, Ctrl-C included, the iterator has ended: `next` raises RuntimeError, and `state_dict()` is still the
    place after the last item received.

    `state_dict()` may be called at any time, also by another thread or a signal handler, and never waits for a batch.
    During a `next`, another `next`, `load_state_dict` and `close` raise RuntimeError and change nothing.

    Parameters
    ----------
    plan : Plan
        Which items come.
    work : Work
        The work for each item.
    text : str
        The repr of the stream, for errors.
    k : int
        The position of the first item.
    start : bool
        If False, the plan starts at the first `next`, not at once.

    Examples
    --------
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
        self._run = work.runner(not gives_items(plan))
        self._weakly = weakref.ref(self)
        self._position = self._began = k
        self._track = Track(k, ()) if cursors_in(plan) else None
        self._journal: Journal | None = None
        self._replay = replay_of(plan)
        if self._replay is Replay.DRAWN:
            self._journal = self._new_journal()
        self._items: Iterator[Any] = iter(())
        self._next = self._items.__next__
        # True during a `next`. No other thread runs between reading and setting it; a lock would cost a tenth of the
        # time of a small batch.
        self._busy = False
        if start:
            self.start()

    def start(self) -> None:
        """Start the plan now, not at the first `next`, so that a pool fills its buffer meanwhile."""
        draws: Draws = DIRECT
        if self._journal is not None:
            draws = self._journal
        elif self._replay is not Replay.KEYED:
            draws = Direct(generators_of(self._plan))
        self._items = self._plan.start(0, self._position, resumed(draws, self._cursors(self._position)))
        if self._track is not None:
            self._items = self._track.through(self._items, self._position)
        self._next = self._items.__next__

    def _new_journal(self) -> Journal:
        return Journal(self._plan, lambda: self._position, self._cursors)

    def _cursors(self, position: int) -> Cursors:
        return () if self._track is None else self._track.at(position)

    def __iter__(self) -> StreamIterator:
        return self

    def __next__(self) -> Any:
        if self._busy:
            raise self._under_way("next()")
        self._busy = True
        CURRENT.owner = self._weakly
        position = self._position
        item: Any = _NOT_PLANNED
        try:
            item = self._next()
            batch = self._run(item)
            self._position = position + 1
            self._busy = False
            return batch
        except BaseException as error:
            self._position = position  # Ctrl-C may come at any moment
            self._busy = False
            if item is _NOT_PLANNED and (type(error) is StopIteration or self._next == self._over):
                if type(error) is StopIteration:
                    self._end()  # the plan is not asked again after its end
                raise
            self._failed(error, item)

    def _under_way(self, method: str) -> RuntimeError:
        return RuntimeError(
            f"{method}: a next() of {self._text} is under way, in another thread or below a signal handler. Call it between "
            "two batches, and give each thread an iterator of its own"
        )

    @contextmanager
    def _turn(self, method: str) -> Iterator[None]:
        """Keep other threads from `next` meanwhile. Raises RuntimeError, which names `method`, during a `next`."""
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
            if self._run != self._work.run:
                note(error, lambda: f"in the stage {self._work.steps[0]}")
            note(error, partial(item_note, self._text, self._replay, self._position, item))
        elif not has_item_note(error):  # a pool adds one
            note(error, lambda: f"while item {self._position} of {self._text} was planned")
        self._stop()
        try:
            raise no_stop_iteration(error)
        finally:
            del error  # otherwise its traceback keeps it alive

    def _over(self) -> NoReturn:
        raise RuntimeError(
            f"this iterator ended by an exception, at item {self._position} of {self._text}. "
            "To go on, load its state_dict() into a fresh iterator of the stream"
        )

    def close(self) -> None:
        """End the iteration and the work of pools for it."""
        with self._turn("close()"):
            self._end()

    def _end(self) -> None:
        self._stop()
        self._next = self._items.__next__

    @cached_property
    def memory(self) -> BatchMemory:
        """The memory of the batches that the caller's thread makes."""
        return BatchMemory()

    def _stop(self) -> None:
        close = getattr(self._items, "close", None)
        self._items = iter(())  # nothing keeps the old one alive
        self.__dict__.pop("memory", None)
        if close is not None:
            close()

    def state_dict(self, unused: int = 0) -> dict[str, Any]:
        """The place after the last item received, as a dict that `json` can write.

        For a stream over seeds it has less than 1 KB: the names of the stages and the position. For a stream over
        generators it also has their states and the draws that are not used up. Behind a `filter`, or another stage
        whose number of items depends on the data, it also has the position of the stream below.

        Parameters
        ----------
        unused : int
            If your loop prefetches items, pass the number of items that it hasn't used: the state is the place before
            these. For streams over generators, and behind a `filter`, at most 32.

        Returns
        -------
        dict
            The checkpoint.

        Raises
        ------
        ValueError
            If `unused` is more than the number of items received.
        TypeError
            For a stream over an iterator of yours, and for a stage that has no name in checkpoints.
        """
        self._check_it_can_go_on()
        unused = whole_number(unused, "state_dict: unused")
        # Under the lock nothing is drawn, so no draw is dropped that this position needs.
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
        state = {"version": VERSION, "stream": [*self._name], "position": position}
        if self._track is not None:
            state["cursor"] = list(map(list, self._track.at(position)))
        if self._journal is not None:
            state |= encoded(self._journal.state(position))
        return state

    @cached_property
    def _name(self) -> list[str]:
        return name_of(self._plan, self._work)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint: the next item is the one after the last item received then.

        It reads no data. Generators are set to their states then.

        Parameters
        ----------
        state : dict
            What `state_dict` returned, in this process or another.

        Raises
        ------
        ValueError
            If it is the checkpoint of another stream.
        TypeError
            If it is no checkpoint, and for a stream over an iterator of yours.
        """
        with self._turn("load_state_dict()"):
            self._load_unstarted(state)
            self._end()
            self.start()

    def _load_unstarted(self, state: Any) -> None:
        """Load a checkpoint into an iterator that is not started."""
        self._check_it_can_go_on()
        state = checked_state(state, self._plan, self._work, self._text)
        position = whole_number(state.get("position"), "load_state_dict: position")
        drawn = ("generators", "draws") if self._journal is not None else ()
        for key in ("cursor",) * (self._track is not None) + drawn:
            if not isinstance(state.get(key), list):
                raise TypeError(f"load_state_dict: expected a list under {key!r}; there is none")
        if self._journal is not None:
            journal = self._new_journal()
            journal.load(decoded(state["generators"]), decoded(state["draws"]), state.get("stamp"))
            self._journal = journal
        if self._track is not None:
            self._track = Track(position, tuple([tuple(map(int, cursor)) for cursor in state["cursor"]]))
        self._position = self._began = position

    @property
    def received(self) -> int:
        """The number of items received from this iterator."""
        return self._position - self._began

    @property
    def left(self) -> Count:
        """The number of items left: an int, `math.inf`, or None if it is unknown."""
        length = self._plan.length
        return None if length is None else max(0, length - self._position)

    def __len__(self) -> int:
        return length_of(self.left, self._text)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return self._shown_as("StreamIterator", self._text)

    def _shown_as(self, name: str, stream: Any) -> str:
        left = "" if self.left is None else f", {self.left} left"
        return f"<{name} of {stream}: at item {self._position}{left}>"

    def _check_it_can_go_on(self) -> None:
        if self._replay is Replay.UNKEPT:
            source = f"{self._text} draws from a generator that is none of NumPy's, whose state can't be read"
            raise TypeError(f"{source}: give a seed, a RandomState or a Generator to have checkpoints")
        if self._replay > Replay.DRAWN:
            source = f"{self._text} comes from an iterator of yours, which can't start at any position"
            raise TypeError(f"{source}, so it has no checkpoints. A list, or anything with len() and [i], has")


def length_of(count: Count, text: str) -> int:
    """The `len` of `count` items. Raises TypeError if they are endless or their number is unknown."""
    if isinstance(count, int):
        if count > sys.maxsize:
            raise OverflowError(f"{text} has {count} items, more than len() can say")
        return count
    if count is None:
        raise TypeError(f"{text} has no length that is known beforehand; len(list(stream)) counts its items")
    raise TypeError(f"{text} is endless; take(k) makes it one of k items")
