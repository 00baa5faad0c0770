"""Loaders: what a training loop holds, an epoch for each time it is gone through."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, Protocol, Self

from batchup.core.checks import whole_number
from batchup.core.epoch import why_no_loader
from batchup.core.iteration import StreamIterator, check_version, length_of
from batchup.core.plan import Again, Plan
from batchup.core.work import Work

_VERSION = 1


class Epochs(Protocol):
    """What a loader is of: a `Stream`."""

    @property
    def plan(self) -> Plan: ...

    @property
    def work(self) -> Work: ...

    @property
    def text(self) -> str: ...

    def numbered(self, e: int) -> Self: ...


class Loader:
    """The epochs of a stream, one each time that it is iterated: a new order, and new noise.

    `ds.loader(...)` and `stream.loader()` make one. Of a stream with seeds, iteration e is `stream.epoch(e)`; of
    one over a generator, each epoch draws from that. A new `iter()` ends the iterator before: its `next`
    raises RuntimeError. After a `break` the next epoch comes, after an exception too; where nothing was received
    yet it is still the same. `state_dict()` may be called at any time, by another thread or a signal handler, and never
    waits for a batch; `load_state_dict`, `set_epoch` and `iter` raise RuntimeError, and change nothing, while a batch is
    made. A loader pickles, and a copy goes on where this one is. Raises TypeError for an endless stream, and for one over
    a user's iterator that has one epoch.

    >>> from batchup import ops
    >>> loader = (ops.indices(4) | ops.shuffle(7) | ops.chunk(2)).loader()
    >>> for epoch in range(loader.epoch, 2):
    ...     print(epoch, [batch.tolist() for batch in loader])
    0 [[3, 2], [0, 1]]
    1 [[2, 1], [3, 0]]
    >>> loader
    <Loader of indices(4) | shuffle(7) | chunk(2): epoch 2, 2 batches each>
    """

    def __init__(self, stream: Epochs):
        if why := why_no_loader(stream.plan):
            raise TypeError(f"loader: {stream!r} {why}")
        self.stream = stream
        # One that the same thread may take again: a signal handler, in the midst of a `next`.
        self._lock = threading.RLock()
        self._under_way: _Epoch | None = None
        self._ticket = 0  # of the one iterator that may go on
        self._coming = _Epoch(stream, 0)

    @property
    def epoch(self) -> int:
        """The epoch that is gone through; once that has ended, and before any, the one that comes."""
        with self._lock:
            return self._now().number

    @property
    def received(self) -> int:
        """How many batches of the epoch that is gone through were received; 0 once it has ended, and before any."""
        with self._lock:
            return self._now().received

    def _now(self) -> _Epoch:
        under_way = self._under_way
        return self._coming if under_way is None or under_way.ended else under_way

    def set_epoch(self, epoch: int) -> None:
        """Have the next `iter` be this epoch; from its beginning, unless what was loaded is the rest of it."""
        number = whole_number(epoch, "set_epoch")
        with self._lock, self._between_batches("set_epoch()"):
            if self._under_way is not None or self._coming.number != number:
                self._end()
                self._coming = _Epoch(self.stream, number)

    def state_dict(self, unused: int = 0) -> dict[str, Any]:
        """Where the training is, as of the last batch received: a dict that `json` can write.

        Behind the last batch of an epoch that is the beginning of the next. Who reads ahead of the training
        says how many of the batches received are `unused`; see `StreamIterator.state_dict`. Raises ValueError
        for more than were received of this epoch, TypeError for a stream over a user's iterator.
        """
        with self._lock:
            epoch = self._under_way
            if epoch is None or (not unused and (epoch.ended or epoch.left == 0)):
                epoch = self._coming
        return {
            "loader": _VERSION,
            "epoch": epoch.number,
            "iterator": epoch.state_dict(unused),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there: the next `iter` is the rest of that epoch. One that is under way is ended.

        Reads no data. Generators are put back as they were. Raises ValueError for the state of another
        stream, TypeError for what is no state of a loader.
        """
        check_version(state, "loader", _VERSION, "the state_dict() of a loader")
        number = whole_number(state.get("epoch"), "load_state_dict: epoch")
        with self._lock, self._between_batches("load_state_dict()"):
            coming = _Epoch(self.stream, number)
            coming.load_unstarted(state.get("iterator"))
            self._end()
            self._coming = coming

    def _between_batches(self, method: str) -> AbstractContextManager[None]:
        """RuntimeError, before anything is changed, while a batch of the epoch under way is made."""
        return nullcontext() if self._under_way is None else self._under_way.turn(method)

    def _end(self) -> None:
        self._ticket += 1
        if self._under_way is not None:
            self._under_way.end()
            self._under_way = None

    def __iter__(self) -> LoaderIterator:
        with self._lock, self._between_batches("iter(loader)"):
            before = self._under_way
            if before is not None and not (before.received or before.ended):
                self._coming = before  # hosts ask for an iterator more than once
            self._end()
            epoch = self._coming
            epoch.start()  # where a pool refuses, it is still to come
            self._under_way, self._coming = epoch, _Epoch(self.stream, epoch.number + 1)
            return LoaderIterator(self, epoch, self._ticket)

    def __reduce__(self) -> tuple[Any, ...]:
        resumable = self.stream.plan.again <= Again.DRAWN
        return _restored, (self.stream, self.state_dict() if resumable else self._coming.number)

    def __len__(self) -> int:
        """The number of batches of an epoch; TypeError where it is not known beforehand."""
        return length_of(self.stream.plan.length, repr(self.stream))

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        length = self.stream.plan.length
        each = f", {length} batches each" if isinstance(length, int) else ""
        return f"<Loader of {self.stream!r}: epoch {self.epoch}{each}>"


def _restored(stream: Epochs, state: dict[str, Any] | int) -> Loader:
    """A loader that goes on from a state, or begins with this epoch."""
    loader = Loader(stream)
    if isinstance(state, int):
        loader.set_epoch(state)
    else:
        loader.load_state_dict(state)
    return loader


class _Epoch(StreamIterator):
    """An epoch of a loader, to be begun."""

    def __init__(self, stream: Epochs, number: int):
        drawn = stream.plan.again in (Again.DRAWN, Again.UNKEPT)
        own = stream if drawn else stream.numbered(number)
        super().__init__(own.plan, own.work, own.text, start=False)
        self.number = number
        self.ended = False  # its end was reached
        self.end = self._end


class LoaderIterator(Iterator[Any]):
    """The batches of one epoch of a loader; `len` of it is how many are left.

    To stop and go on take the state of the loader.
    """

    def __init__(self, loader: Loader, epoch: _Epoch, ticket: int):
        self._loader = loader
        self._epoch = epoch
        self._ticket = ticket

    def __next__(self) -> Any:
        epoch = self._epoch
        self._check_ticket()
        try:
            return epoch.__next__()
        except StopIteration:
            self._check_ticket()  # another thread may have ended it meanwhile
            epoch.ended = True
            raise

    def _check_ticket(self) -> None:
        if self._loader._ticket != self._ticket:
            raise RuntimeError(
                f"epoch {self._epoch.number} of {self._loader!r} was ended by a new iter(), by set_epoch() or "
                "load_state_dict(): there is one iterator of a loader at a time"
            ) from None

    def __len__(self) -> int:
        return len(self._epoch)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return self._epoch.shown_as(f"LoaderIterator, epoch {self._epoch.number},", self._loader.stream)

    def __del__(self) -> None:
        # As if there were no loader, which keeps the epoch for its state: nobody wants the rest.
        if self._loader._ticket == self._ticket:
            with suppress(RuntimeError):  # a `next` is under way
                self._epoch.close()
