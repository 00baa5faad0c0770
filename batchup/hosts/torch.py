"""PyTorch's DataLoader and torchdata's StatefulDataLoader, with or without worker processes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any
from zlib import crc32

import torch
from torch.utils.data import IterableDataset, get_worker_info

from batchup.core.checks import describe, whole_number
from batchup.core.epochs import why_no_epochs
from batchup.core.loader import Loader
from batchup.core.plan import Again, Draws, PlanOver
from batchup.core.record import Count, record
from batchup.core.stream import Stream
from batchup.ops.blocks import skip

__all__ = ["Batches"]


class Batches(IterableDataset[Any]):
    """The batches of a stream, or the epochs of a loader, for `DataLoader(Batches(...), batch_size=None)`.

    With any number of workers, they are those of `list(stream)`, bit for bit and in order: each worker makes every
    n-th. Of a stream each iteration is the same; of a loader each is the next epoch, and `set_epoch(e)`, which
    Accelerate and Hugging Face's Trainer call, has the next be epoch e. `start` is how many batches of the first
    epoch to leave out, to go on with a plain DataLoader; of a loader that is in the midst of an epoch, of the rest of
    it. A `StatefulDataLoader` has checkpoints of its own, of which this is a part. `len` is that of a whole epoch.

    Raises TypeError for streams over a generator, which workers would all draw from alike.

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
        if stream.plan.again in (Again.DRAWN, Again.UNKEPT):
            raise TypeError(
                f"Batches: {stream!r} draws from a generator, of which each worker would have a copy: give a seed"
            )
        if stream.plan.again is Again.SINGLE_PASS:
            raise TypeError(f"Batches: {stream!r} goes through a user's iterator: make it a list")
        self._stream = stream
        self._start = whole_number(start, "Batches: start")
        first = None if loader is None else loader.epoch
        if loader is not None and stream.plan.again is Again.KEYED:
            state = loader.state_dict()
            first = state["epoch"]
            self._start += state["iterator"]["position"]
        self._epochs = _Epochs(first)
        self._epoch = 0
        self._resumed: int | None = None

    def set_epoch(self, epoch: int) -> None:
        """Have the next iteration be this epoch, in all workers; also of a stream, if it has epochs."""
        number = whole_number(epoch, "set_epoch")
        if why := why_no_epochs(self._stream.plan):
            raise TypeError(f"set_epoch({number}): {self._stream!r} {why}")
        self._epochs.set(number)

    def __len__(self) -> int:
        """The number of batches of a whole epoch."""
        return len(self._stream)

    def __iter__(self) -> Iterator[Any]:
        self._epoch, first = self._epochs.begin(self._resumed)
        self._resumed = None
        start = self._start if first else 0
        worker = get_worker_info()
        number, count = (0, 1) if worker is None else (worker.id, worker.num_workers)
        stream = self._stream.epoch(self._epoch) if self._epoch else self._stream
        if start or count > 1:
            # DataLoader takes from its workers in turn: the first batch, `start`, from number 0.
            stream |= skip(start + number)
            stream = stream.with_plan(lambda plan: Every(plan, count))
        batches = iter(stream)
        return batches if stream.plan.again is Again.KEYED else (batch for batch in batches)

    # StatefulDataLoader has the state of this, and of its iterator.

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self._epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._resumed = whole_number(state.get("epoch"), "load_state_dict: epoch")


@record
class Every(PlanOver):
    """Every `step`-th item, from the first on."""

    step: int

    @property
    def length(self) -> Count:
        length = self.up.length
        return -(-length // self.step) if isinstance(length, int) else length

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Any]:
        # Item k - 1 was received, and what it needed was drawn; what lies between it and item k was not.
        start = (k - 1) * self.step + 1 if k else 0
        return islice(self.up.start(pass_, start, draws), k * self.step - start, None, self.step)


class _Epochs:
    """Which epoch an iteration is: all workers of a DataLoader have to agree, and don't speak with each other.

    In shared memory there is what `set` has said, the first epoch that was asked for, and for each worker which
    iteration it was at last, and which epoch that is. An iteration is known by the seed that DataLoader gives
    its workers for it, and by how many there were before in this process: workers live on, with one seed, or are new
    ones each time. Who finds nobody at it takes the epoch after the last, or that of the last, of a stream. Each
    slot is one number, so that nobody reads half of it.
    """

    def __init__(self, first: int | None):
        self._step = 0 if first is None else 1
        self._here = 0
        self._shared = torch.zeros(2 + _SLOTS, dtype=torch.int64)
        self._shared.share_memory_()
        self._shared[1] = -1  # nobody has asked for an epoch
        if first is not None:
            self.set(first)

    def set(self, epoch: int) -> None:
        self._shared[0] = (int(self._shared[0]) >> 32) + 1 << 32 | epoch
        if self._shared[1] == -1:
            self._shared[1] = epoch

    def begin(self, resumed: int | None) -> tuple[int, bool]:
        """The epoch of the iteration that begins, and whether it is the first that was asked for."""
        numbers: list[int] = self._shared.tolist()
        said, first, *slots = numbers
        time, epoch = said >> 32, said & 0xFFFFFFFF
        worker = get_worker_info()
        number, seed = (0, -1) if worker is None else (worker.id, worker.seed - worker.id)
        self._here += 1
        key = crc32(repr((time, seed, self._here)).encode()) & 0xFFFFFF
        for slot in slots:
            if slot >> 48 != time & 0x7FFF or not slot:
                continue  # of before it was set, or of nobody
            if slot >> 24 & 0xFFFFFF == key:
                epoch = slot & 0xFFFFFF
                break
            epoch = max(epoch, (slot & 0xFFFFFF) + self._step)
        if resumed is not None:
            epoch = resumed
        self._shared[2 + number % _SLOTS] = (time & 0x7FFF) << 48 | key << 24 | epoch
        return epoch, first in (-1, epoch)


_SLOTS = 256
