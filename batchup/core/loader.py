"""Loaders: what a training loop iterates, once for each epoch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from typing import Any, Protocol, Self

from batchup.core.checkpoint import check_version
from batchup.core.checks import whole_number
from batchup.core.draws import Replay
from batchup.core.epoch import steps_in, why_no_loader, without_steps
from batchup.core.iteration import StreamIterator, length_of
from batchup.core.plan import Plan, replay_of
from batchup.core.record import Count
from batchup.core.work import Work

_VERSION = 1


class Epochs(Protocol):
    """The stream of a loader: a `Stream`."""

    @property
    def plan(self) -> Plan: ...

    @property
    def work(self) -> Work: ...

    @property
    def text(self) -> str: ...

    def _numbered(self, e: int) -> Self: ...

    def with_plan(self, f: Callable[[Plan], Plan]) -> Self: ...


class OwnPool(Protocol):
    """A pool that ends with its loader."""

    def close(self) -> None: ...


class Loader:
    """The epochs of a stream: each iteration is the next one, with a new order and new noise.

    `ds.loader(...)` and `stream.loader()` make one. For a stream with seeds, iteration e is `stream.epoch(e)`; over a
    generator, each epoch draws from it. A new `iter()` ends the iterator before, whose `next` then raises RuntimeError.
    After a `break` or an exception the next epoch comes; if nothing was received yet, the same epoch comes again.

    `state_dict()` may be called at any time, also by another thread or a signal handler, and never waits for a batch.
    While a batch is made, `load_state_dict`, `set_epoch` and `iter` raise RuntimeError and change nothing. A loader can
    be pickled, and a copy goes on where this one is. The workers of `workers=` or `threads=` end with the loader, or by
    `close()` or `with`. A copy has workers of its own.

    Parameters
    ----------
    stream : Stream
        The stream of batches.

    Raises
    ------
    TypeError
        For an endless stream, and for a stream over an iterator of yours, which has one epoch only.

    Examples
    --------
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
        # True for `steps` over what isn't seeded: an epoch needs the state of the epoch before it.
        self._goes_on = steps_in(stream.plan) is not None and replay_of(stream.plan) is not Replay.KEYED
        self._make: Callable[[], Loader] = partial(Loader, stream)
        self._pool: OwnPool | None = None
        self._closed = False
        # A signal handler may take it during a `next` of the same thread.
        self._lock = threading.RLock()
        self._under_way: _Epoch | None = None
        self._ticket = 0  # that of the only iterator that may go on
        self._coming = _Epoch(stream, 0)

    @property
    def epoch(self) -> int:
        """The number of the epoch under way; between two epochs, that of the next one."""
        with self._lock:
            return self._now().number

    @property
    def received(self) -> int:
        """The number of batches received of the epoch under way; 0 between two epochs."""
        with self._lock:
            return self._now().received

    def _now(self) -> _Epoch:
        under_way = self._under_way
        return self._coming if under_way is None or under_way.ended else under_way

    def set_epoch(self, epoch: int) -> None:
        """Make this epoch the next one: from its beginning, unless the rest of it was loaded from a checkpoint.

        Parameters
        ----------
        epoch : int
            The number of the epoch, from 0 on.
        """
        number = whole_number(epoch, "set_epoch")
        with self._lock, self._between_batches("set_epoch()"):
            if self._goes_on:
                if number != self._coming.number and (number != self.epoch or self.received):
                    raise TypeError(
                        f"set_epoch({number}): {self!r} has steps=, and its order doesn't come from seeds: its epochs come one "
                        f"after another, and the next is {self._coming.number}. With a seed any epoch can be set"
                    )
            elif self._under_way is not None or self._coming.number != number:
                self._end()
                self._coming = _Epoch(self.stream, number)

    def state_dict(self, unused: int = 0) -> dict[str, Any]:
        """The place after the last batch received, as a dict that `json` can write.

        Parameters
        ----------
        unused : int
            If your loop prefetches batches, pass how many it hasn't trained on yet; see `StreamIterator.state_dict`.

        Returns
        -------
        dict
            The checkpoint. After the last batch of an epoch it is the beginning of the next epoch.

        Raises
        ------
        ValueError
            If `unused` is more than the number of batches received of this epoch.
        TypeError
            For a stream over an iterator of yours.
        """
        with self._lock:
            epoch = self._under_way
            if epoch is None or (not unused and (epoch.ended or epoch.left == 0)):
                epoch = self._next_epoch()
        return {"loader": _VERSION, "epoch": epoch.number, "iterator": epoch.state_dict(unused)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint: the next `iter` is the rest of that epoch. An epoch under way ends.

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
            If it is no checkpoint of a loader.
        """
        check_version(state, "loader", (_VERSION,), "the state_dict() of a loader")
        number = whole_number(state.get("epoch"), "load_state_dict: epoch")
        with self._lock, self._between_batches("load_state_dict()"):
            coming = _Epoch(self.stream, number)
            coming._load_unstarted(state.get("iterator"))
            self._end()
            self._coming = coming

    def _next_epoch(self) -> _Epoch:
        """The epoch that comes, with the draws of the epoch before it that are not used up."""
        before = self._under_way
        if self._goes_on and before is not None and before is not self._coming:
            self._coming.take_draws(before)
        return self._coming

    def _between_batches(self, method: str) -> AbstractContextManager[None]:
        """Raises RuntimeError, before anything is changed, while a batch of the epoch under way is made."""
        return nullcontext() if self._under_way is None else self._under_way._turn(method)

    def _end(self) -> None:
        self._ticket += 1
        if self._under_way is not None:
            self._under_way.end()
            self._under_way = None

    def __iter__(self) -> LoaderIterator:
        with self._lock, self._between_batches("iter(loader)"):
            if self._closed:
                raise RuntimeError(f"expected an open loader to iterate; {self!r} was closed. Make another")
            before = self._under_way
            if before is not None and not (before.received or before.ended):
                self._coming = before  # some training frameworks ask for an iterator more than once
            if before is not None and before.part is not None and before.running:
                self._ticket += 1
                epoch = before
                if before is not self._coming:
                    epoch.begin_next_part()
            else:
                epoch = self._next_epoch()
                self._end()
                epoch.start()  # if a pool refuses, this epoch is still the next one
            self._under_way, self._coming = epoch, _Epoch(self.stream, epoch.number + 1)
            return LoaderIterator(self, epoch, self._ticket)

    def close(self) -> None:
        """End the epoch under way, and the workers if the loader has its own. It can't be iterated after that.

        `with` calls it at the end. `state_dict()` is still the place after the last batch received.

        Raises
        ------
        RuntimeError
            While a batch is made by another thread.
        """
        with self._lock, self._between_batches("close()"):
            self._closed = True
            self._ticket += 1
            if self._under_way is not None:
                self._under_way.end()
        if self._pool is not None:
            self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def batch_map_concat(
        self,
        func: Callable[..., Any],
        progress_iter_func: Callable[..., Any] | None = None,
        n_batches: int | None = None,
        prepend_args: Sequence[Any] | None = None,
        *,
        progress: bool = False,
    ) -> Any:
        """The function `batchup.data_source.batch_map_concat` over the next epoch, or the rest of one that was resumed.

        Parameters
        ----------
        func : callable
            As for `batch_map_concat`.
        progress_iter_func : callable or None
            As for `batch_map_concat`.
        n_batches : int or None
            The largest number of batches to go through; None for all.
        prepend_args : sequence or None
            Further arguments, before those of the batch.
        progress : bool
            If True, show a progress bar of tqdm.

        Returns
        -------
        tuple of arrays or Ragged, or None
            As for `batch_map_concat`.
        """
        from batchup.data_source.results import batch_map_concat

        return batch_map_concat(func, self, progress_iter_func, n_batches, prepend_args, progress=progress)

    def batch_map_mean(
        self,
        func: Callable[..., Any],
        progress_iter_func: Callable[..., Any] | None = None,
        sum_axis: int | tuple[int, ...] | None = None,
        n_batches: int | None = None,
        prepend_args: Sequence[Any] | None = None,
        *,
        per: str = "sample",
        progress: bool = False,
    ) -> Any:
        """The function `batchup.data_source.batch_map_mean` over the next epoch, or the rest of one that was resumed.

        Parameters
        ----------
        func : callable
            As for `batch_map_mean`.
        progress_iter_func : callable or None
            As for `batch_map_mean`.
        sum_axis : int, tuple of int or None
            As for `batch_map_mean`.
        n_batches : int or None
            The largest number of batches to go through; None for all.
        prepend_args : sequence or None
            Further arguments, before those of the batch.
        per : "sample" or "batch"
            As for `batch_map_mean`.
        progress : bool
            If True, show a progress bar of tqdm.

        Returns
        -------
        tuple of arrays, or None
            As for `batch_map_mean`.
        """
        from batchup.data_source.results import batch_map_mean

        return batch_map_mean(
            func, self, progress_iter_func, sum_axis, n_batches, prepend_args, per=per, progress=progress
        )

    def _own(self, pool: OwnPool, make: Callable[[], Loader]) -> Self:
        """Have the loader end the pool with itself. `make` makes another loader, with a pool of its own."""
        self._pool = pool
        self._make = make
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        resumable = replay_of(self.stream.plan) <= Replay.DRAWN
        return _restored, (self._make, self.state_dict() if resumable else self._coming.number)

    def __len__(self) -> int:
        """The number of batches of an epoch. Raises TypeError if it is unknown."""
        return length_of(self.stream.plan.length, repr(self.stream))

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        length = self.stream.plan.length
        each = f", {length} batches each" if isinstance(length, int) else ""
        return f"<Loader of {self.stream!r}: epoch {self.epoch}{each}>"


def _restored(make: Callable[[], Loader], state: dict[str, Any] | int) -> Loader:
    """A loader that goes on from a state, or begins with an epoch."""
    loader = make()
    if isinstance(state, int):
        loader._coming = _Epoch(loader.stream, state)
    else:
        loader.load_state_dict(state)
    return loader


class _Epoch(StreamIterator):
    """An epoch of a loader, which is not started yet."""

    def __init__(self, stream: Epochs, number: int):
        replay, steps = replay_of(stream.plan), steps_in(stream.plan)
        # With `steps`, for a stream without checkpoints: all epochs are parts of one iteration, of so many batches each.
        self.part = steps if replay in (Replay.UNKEPT, Replay.NOT_RESUMABLE) else None
        if self.part is not None:
            own = stream.with_plan(without_steps)
        elif replay in (Replay.DRAWN, Replay.UNKEPT) and steps is None:
            own = stream
        else:
            own = stream._numbered(number)
        super().__init__(own.plan, own.work, own.text, start=False)
        self.number = number
        self.ended = False  # True after its last batch
        self.running = False
        self.end = self._end

    def start(self) -> None:
        super().start()
        self.running = True

    def _stop(self) -> None:
        super()._stop()
        self.running = False

    @property
    def left(self) -> Count:
        return super().left if self.part is None else self.part - self.received

    def begin_next_part(self) -> None:
        """Become the epoch after this one, which goes on in the same iteration."""
        self.number += 1
        self.ended = False
        self._began = self._position

    def take_draws(self, before: _Epoch) -> None:
        """Go on with the draws of the epoch before this one that are not used up."""
        if before._journal is not None and self._journal is not None:
            self._journal.go_on_from(before._journal)


class LoaderIterator(Iterator[Any]):
    """The batches of one epoch of a loader; `len` is the number of batches left.

    For checkpoints use the state of the loader.
    """

    def __init__(self, loader: Loader, epoch: _Epoch, ticket: int):
        self._loader = loader
        self._epoch = epoch
        self._ticket = ticket

    def __next__(self) -> Any:
        epoch = self._epoch
        self._check_ticket()
        if epoch.part is not None and epoch.received >= epoch.part:
            epoch.ended = True
            raise StopIteration
        try:
            return epoch.__next__()
        except StopIteration:
            self._check_ticket()  # another thread may have ended the epoch meanwhile
            epoch.ended = True
            raise

    def _check_ticket(self) -> None:
        if self._loader._ticket != self._ticket:
            raise RuntimeError(
                f"epoch {self._epoch.number} of {self._loader!r} was ended by a new iter(), by set_epoch(), "
                "load_state_dict() or close(): there is one iterator of a loader at a time"
            ) from None

    def __len__(self) -> int:
        return len(self._epoch)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return self._epoch._shown_as(f"LoaderIterator, epoch {self._epoch.number},", self._loader.stream)

    def __del__(self) -> None:
        # The loader keeps the epoch for its state; the rest of it is not needed any more.
        if self._loader._ticket == self._ticket and self._epoch.part is None:
            with suppress(RuntimeError):  # raised during a `next`
                self._epoch.close()
