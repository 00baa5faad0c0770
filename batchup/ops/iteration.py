"""Going through a stream: its batches one after another, and checkpoints in between."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from batchup.ops.checks import LazyBlock, describe, whole_number

if TYPE_CHECKING:
    from batchup.ops.plan import Plan
    from batchup.ops.stream import Stream
    from batchup.ops.tapes import Recording

__all__ = ["StreamIterator", "note", "where"]

_LONG = 500  # characters; of a longer name the checkpoint keeps the beginning and a hash


class StreamIterator(Iterator[Any]):
    """The items of a stream, one after another, with the checkpoints of torchdata and PyTorch.

    `state_dict()` says where it is, as of the last item received: a dict that `json` can write.
    `load_state_dict(state)` goes on from there, in this process or another.

    >>> from batchup import ops
    >>> batches = ops.indices(10**6) | ops.shuffle(7) | ops.chunk(3)
    >>> it = iter(batches)
    >>> first, state = next(it), it.state_dict()
    >>> state
    {'version': 1, 'stream': 'indices(1000000) | shuffle(7) | chunk(3)', 'position': 1}
    >>> other = iter(batches)
    >>> other.load_state_dict(state)
    >>> bool((next(other) == next(it)).all())
    True
    """

    def __init__(self, stream: Stream, k: int = 0):
        self._stream = stream
        work = stream.work
        self._single = work.steps[0] if len(work.steps) == 1 else None
        # Of one step alone, as mostly, its own method: a call less for every batch.
        self._run = work.run if self._single is None else self._single.run
        self._start(k, None)

    def _start(self, k: int, draws: list[Any] | None) -> None:
        plan = self._stream.plan
        self._recording: Recording | None = None
        if not plan.traits.pure and not plan.traits.foreign:
            from batchup.ops.tapes import Recording

            self._recording = Recording(plan, draws)
            self._first = self._recording.states()
            plan = self._recording.plan
        # The plan starts now, not at the first `next`: a parallel plan fills its buffer meanwhile.
        self._items = plan.start(0, k)
        self._next = self._items.__next__
        self._position = k

    def __iter__(self) -> StreamIterator:
        return self

    def __next__(self) -> Any:
        try:
            item = self._next()
        except StopIteration:
            raise
        except Exception as error:
            if not was_noted(error):  # by a pool
                note(error, lambda: f"while item {self._position} of {self._stream!r} was planned")
            raise
        try:
            batch = self._run(item)
        except Exception as error:
            self._failed(error, item)
        self._position += 1
        if self._recording is not None and self._recording.news:
            self._recording.receive()
        return batch

    def _failed(self, error: Exception, item: Any) -> NoReturn:
        if self._single is not None:
            note(error, lambda: f"in the stage {self._single}")
        note(error, lambda: where(repr(self._stream), self._stream.pure, self._position, item))
        self.close()
        if isinstance(error, StopIteration):
            # It would end the loop around us, silently.
            raise RuntimeError("a function of the stream raised StopIteration") from error
        raise error

    def close(self) -> None:
        """End the iteration, and whatever is under way for it."""
        close = getattr(self._items, "close", None)
        if close is not None:
            close()
        self._items = iter(())  # nothing must keep the old one alive
        self._next = self._items.__next__

    def state_dict(self) -> dict[str, Any]:
        """Where the iteration is, as of the last item received.

        For a pure stream less than 1 KB: the stream's name and the position. For one that draws from
        generators also their states. Raises TypeError for a stream over somebody's iterator.
        """
        self._check_it_can_go_on()
        state = {"version": 1, "stream": _name(self._stream), "position": self._position}
        if self._recording is not None and self._must_walk():
            state["first"] = _encoded(self._first)
        elif self._recording is not None:
            state["generators"] = _encoded(self._recording.states())
            state["draws"] = _encoded(self._recording.draws())
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint: the next item is the one after the last received then.

        Reads no data. Generators are put back as they were. Raises ValueError for the checkpoint of
        another stream, TypeError for what is no checkpoint and for a stream over somebody's iterator.
        """
        self._check_it_can_go_on()
        if not isinstance(state, dict) or state.get("version") != 1:
            raise TypeError(
                f"load_state_dict: expected a dict that state_dict() gave; got {describe(state)}"
            )
        if state.get("stream") != _name(self._stream):
            raise ValueError(
                "load_state_dict: expected a checkpoint of this stream,\n"
                f"  {_name(self._stream)}\ngot one of\n  {state.get('stream')}"
            )
        position = whole_number(state.get("position"), "load_state_dict: position")
        if self._recording is None:
            self.close()
            self._start(position, None)
            return
        walk = self._must_walk()
        wanted = ["first"] if walk else ["generators", "draws"]
        if missing := [key for key in wanted if not isinstance(state.get(key), list)]:
            raise TypeError(f"load_state_dict: expected a list under {missing[0]!r}; there is none")
        self._recording.put_back(_decoded(state[wanted[0]]))
        self.close()
        if walk:
            self._start(0, None)
            for _ in islice(self._items, position):  # the plan alone: no work is done
                self._recording.receive()
            self._position = position
        elif position == 0:  # nothing was drawn, also not what is to be skipped
            self._start(0, None)
        else:
            self._start(position, [(tuple(key), before) for key, before in _decoded(state["draws"])])

    def _must_walk(self) -> bool:
        """Whether a position can't be reached but by drawing all again that was drawn before it."""
        from batchup.ops.tapes import NOTHING, Recording, one_draw_is_enough

        if not one_draw_is_enough(self._stream.plan):
            return True
        stages = len(self._recording.stages) if self._recording else 0
        return not Recording(self._stream.plan, [NOTHING] * stages).plan.traits.jumps

    def _check_it_can_go_on(self) -> None:
        if self._stream.plan.traits.foreign:
            raise TypeError(
                f"{self._stream!r} comes from somebody's iterator, which can't start just anywhere, so "
                "there are no checkpoints of it"
            )


def note(error: Exception, text: Callable[[], str]) -> None:
    """Add a note to a user's exception, which must arrive as it was raised whatever it is."""
    with contextlib.suppress(Exception):
        error.add_note(text())


def was_noted(error: Exception) -> bool:
    """Whether a note says at which item it was."""
    return any(str(text).startswith("at item ") for text in getattr(error, "__notes__", ()))


def where(stream: str, pure: bool, position: int, item: Any) -> str:
    """The note that says at which item of a stream something happened."""
    again = f"; stream[{position}] makes it again" if pure else ""
    return f"at item {position} of {stream}, made of {_glance(item)}{again}"


def _glance(item: Any) -> str:
    """The first few sample indices of what a plan gave for a batch."""
    if isinstance(item, range | LazyBlock) or (isinstance(item, np.ndarray) and item.ndim == 1):
        head = ", ".join(str(index) for index in item[:5])
        return f"samples [{head}{', ...' if len(item) > 5 else ''}]"
    if isinstance(item, tuple):
        return f"({', '.join(map(_glance, item))})"
    return describe(item)


def _name(stream: Stream) -> str:
    name = stream.identity
    if stream.plan.parts_differ():  # then each rank is a stream of its own
        name += f", shards {', '.join(_shards(stream.plan))}"
    if len(name) <= _LONG:
        return name
    return f"{name[:_LONG]}... (SHA-256 {hashlib.sha256(name.encode()).hexdigest()})"


def _shards(plan: Plan) -> Iterator[str]:
    """Which shards are in a plan, such as `0 of 2`."""
    from batchup.ops.shards import Sharded

    if isinstance(plan, Sharded):
        yield f"{plan.index} of {plan.count}"
    for part in plan.below():
        yield from _shards(part)


def _encoded(value: Any) -> Any:
    """`value` as `json` can write it: the arrays as text."""
    if isinstance(value, dict):
        return {key: _encoded(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_encoded(part) for part in value]
    if isinstance(value, np.ndarray):
        return {"dtype": value.dtype.str, "base64": base64.b64encode(value.tobytes()).decode()}
    return value.item() if isinstance(value, np.generic) else value


def _decoded(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"dtype", "base64"}:
            return np.frombuffer(base64.b64decode(value["base64"]), value["dtype"])
        return {key: _decoded(part) for key, part in value.items()}
    return [_decoded(part) for part in value] if isinstance(value, list) else value
