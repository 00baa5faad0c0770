"""Keras 3's `model.fit`, with any backend."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import keras

from batchup.core.checks import describe
from batchup.core.draws import Replay
from batchup.core.loader import Loader
from batchup.core.plan import replay_of
from batchup.core.stream import Stream

__all__ = ["Batches"]


class Batches(keras.utils.PyDataset):
    """The batches of a loader for `model.fit`, one epoch after another; or of a stream, the same each time.

    The batches come in the order of the loader: with `shuffle=True`, `fit` shuffles the numbers of batches, which don't
    matter here. An epoch of Keras has as many batches as an epoch of the loader, and begins where the loader is. From
    an endless stream `fit` takes `steps_per_epoch` batches at a time.

    Parameters
    ----------
    source : Loader or Stream
        Use a stream, shuffled or not, for `validation_data` and `evaluate`. Its batches are tuples of inputs, labels
        and weights, as usual in Keras, or dicts.

    Raises
    ------
    TypeError
        For other sources, and if the length is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from batchup.data_source import ArrayDataSource
    >>> X, y = np.ones((40, 3), np.float32), np.ones(40, np.float32)
    >>> model = keras.Sequential([keras.layers.Dense(1)])
    >>> model.compile(loss="mse")
    >>> history = model.fit(Batches(ArrayDataSource([X, y]).loader(8, shuffle=12345)), epochs=2, verbose=0)
    >>> len(history.epoch)
    2
    """

    def __init__(self, source: Loader | Stream):
        super().__init__()
        if not isinstance(source, Loader | Stream):
            wanted = "Batches: expected a loader or a stream, such as ds.loader(64) or ds.stream(64)"
            raise TypeError(f"{wanted}; got {describe(source)}")
        self._source = source
        stream = source.stream if isinstance(source, Loader) else source
        self._length = stream.plan.length
        if self._length is None:
            raise TypeError(f"Batches: {stream!r} has no known length, which Keras needs")
        self._resumable = replay_of(stream.plan) <= Replay.DRAWN
        self._anew = True
        self._iterator: Iterator[Any] = iter(())
        self._received: float = math.inf
        self._state: dict[str, Any] | None = None

    @property
    def num_batches(self) -> int | None:
        """The number of batches of an epoch; None for an endless stream."""
        # Keras asks for it at the beginning of each pass. Nothing else tells that a pass begins, since Keras asks for the
        # batches in an order of its own.
        self._anew = True
        return int(self._length) if isinstance(self._length, int) else None

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Any:
        if self._anew:
            self._anew = False
            self._begin()
        self._received += 1
        for batch in self._iterator:
            return batch
        self._iterator = iter(self._source)  # the next epoch
        return next(self._iterator)

    def _begin(self) -> None:
        """Begin the next epoch, or the same one again if Keras took fewer batches than an epoch has.

        Keras reads a batch to build the model, and then begins again.
        """
        loader = self._source
        if not isinstance(loader, Loader):
            self._iterator = iter(loader)
        elif self._received >= (self._length or 0):
            self._state = loader.state_dict() if self._resumable else None
        else:
            if self._state is not None:
                loader.load_state_dict(self._state)
            else:
                loader.set_epoch(loader.epoch)
            self._iterator = iter(loader)
        self._received = 0
