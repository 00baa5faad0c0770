"""PyTorch's DataLoader and torchdata's StatefulDataLoader, with or without worker processes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from torch.utils.data import IterableDataset, get_worker_info

from batchup.core.checks import describe, whole_number
from batchup.core.draws import Draws, Replay
from batchup.core.epoch import why_no_epochs
from batchup.core.loader import Loader
from batchup.core.plan import PlanOver, is_drawn, replay_of
from batchup.core.record import Count, record
from batchup.core.stream import Stream
from batchup.hosts.torch_epochs import Epochs
from batchup.ops.index.skip import skip

__all__ = ["Batches"]


class Batches(IterableDataset[Any]):
    """The batches of a stream, or the epochs of a loader, for `DataLoader(Batches(...), batch_size=None)`.

    For any number of workers they are the batches of `list(source)`, bit for bit and in order: each worker makes every
    n-th. The checkpoints of a `StatefulDataLoader` include this object. `len` is that of a whole epoch.

    Parameters
    ----------
    source : Stream or Loader
        For a stream all iterations are the same. For a loader each is the next epoch.
    start : int
        The number of batches of the first epoch to leave out, to go on with a plain `DataLoader`. If the loader is in
        the middle of an epoch, they are left out of its rest.

    Raises
    ------
    TypeError
        For streams over a generator: all workers would draw the same from their copies of it.

    Examples
    --------
    >>> import numpy as np
    >>> from torch.utils.data import DataLoader
    >>> from batchup.data_source import ArrayDataSource
    >>> loader = ArrayDataSource([np.arange(5)]).loader(2, shuffle=12345)
    >>> batches = DataLoader(Batches(loader), batch_size=None)
    >>> [[x.tolist() for (x,) in batches] for epoch in range(2)]
    [[[1, 3], [2, 0], [4]], [[0, 1], [3, 2], [4]]]
    """

    def __init__(self, source: Stream | Loader, start: int = 0):
        loader = source if isinstance(source, Loader) else None
        stream = loader.stream if loader is not None else source
        if not isinstance(stream, Stream):
            wanted = "Batches: expected a stream or a loader, such as ds.stream(64) or ds.loader(64)"
            raise TypeError(f"{wanted}; got {describe(source)}")
        if is_drawn(stream.plan):
            raise TypeError(
                f"Batches: {stream!r} draws from a generator, of which each worker would have a copy: give a seed"
            )
        if replay_of(stream.plan) is Replay.SINGLE_PASS:
            raise TypeError(f"Batches: {stream!r} goes through a user's iterator: make it a list")
        self._stream = stream
        self._start = whole_number(start, "Batches: start")
        first = None if loader is None else loader.epoch
        if loader is not None and replay_of(stream.plan) is Replay.KEYED:
            state = loader.state_dict()
            first = state["epoch"]
            self._start += state["iterator"]["position"]
        self._first: int | None = first  # the epoch of which `start` batches are left out; None for each
        self._epochs = Epochs(self, first or 0, step=0 if loader is None else 1)
        self._is_set = loader is not None  # True if each iteration is another epoch
        self._has_epochs = not why_no_epochs(stream.plan)
        self._epoch = 0
        self._resumed: int | None = None

    def set_epoch(self, epoch: int) -> None:
        """Make this epoch the next iteration, in all workers. Accelerate and Hugging Face's Trainer call it.

        Call it before `iter` of the DataLoader, in the process of the DataLoader.

        Parameters
        ----------
        epoch : int
            The number of the epoch, from 0 on; also of a stream, if it has epochs.
        """
        number = whole_number(epoch, "set_epoch")
        if why := why_no_epochs(self._stream.plan):
            raise TypeError(f"set_epoch({number}): {self._stream!r} {why}")
        if self._first is None:
            self._first = number
        self._is_set = True
        self._epochs.set(number)

    def __len__(self) -> int:
        """The number of batches of a whole epoch."""
        return len(self._stream)

    def __iter__(self) -> Iterator[Any]:
        self._epoch = self._epochs.begin(self._resumed)
        self._resumed = None
        start = self._start if self._first in (None, self._epoch) else 0
        worker = get_worker_info()
        number, count = (0, 1) if worker is None else (worker.id, worker.num_workers)
        stream = self._stream
        # A user's source may count its epochs itself: its `set_epoch` is called only if the user asked for an epoch.
        if self._has_epochs and (self._is_set or self._epoch or replay_of(stream.plan) is Replay.KEYED):
            stream = stream.epoch(self._epoch)
        if start or count > 1:
            # DataLoader takes batches from its workers in turn, the first one, `start`, from worker 0.
            stream |= skip(start + number)
            stream = stream.with_plan(lambda plan: Every(plan, count))
        batches = iter(stream)
        return batches if replay_of(stream.plan) is Replay.KEYED else (batch for batch in batches)

    def __getstate__(self) -> dict[str, Any]:
        self._epochs.look_for_iteration()  # this object may be sent to a worker that starts
        return self.__dict__.copy()

    # StatefulDataLoader keeps the state of this object and that of its iterator.

    def state_dict(self) -> dict[str, Any]:
        """The place after the last batch, for a `StatefulDataLoader`.

        Returns
        -------
        dict
            The checkpoint.
        """
        return {"epoch": self._epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint.

        Parameters
        ----------
        state : dict
            What `state_dict` returned.
        """
        self._resumed = whole_number(state.get("epoch"), "load_state_dict: epoch")


@record
class Every(PlanOver):
    """Every `step`-th item, from the first on."""

    tag = "every"

    step: int

    @property
    def length(self) -> Count:
        length = self.up.length
        return -(-length // self.step) if isinstance(length, int) else length

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Any]:
        # Item k - 1 was received, and its draws were made; those of the items between it and item k were not.
        start = (k - 1) * self.step + 1 if k else 0
        return islice(self.up.start(pass_, start, draws), k * self.step - start, None, self.step)
