"""Lightning's Trainer, for loaders of unknown length. Pass a loader with a length to `Trainer.fit` as it is."""

from __future__ import annotations

from typing import Any

from batchup.core.checks import describe
from batchup.core.loader import Loader, LoaderIterator

__all__ = ["Batches"]


class Batches:
    """A loader for `Trainer.fit`. Its checkpoints are the place after the last batch that was trained on.

    Without a length, Lightning reads one batch ahead, to know which one is the last. A checkpoint of the loader itself
    would leave that batch out. Raises TypeError for anything but a loader.

    >>> from batchup import ops
    >>> batches = Batches(ops.choose([1, 2], [3, 4, 5], rng=7).loader())
    >>> received = [batch for _, batch in zip(range(2), batches)]
    >>> batches.state_dict()["iterator"]["position"]
    1
    """

    def __init__(self, loader: Loader):
        if not isinstance(loader, Loader):
            wanted = "Batches: expected a loader, such as ds.loader(64) or stream.loader()"
            raise TypeError(f"{wanted}; got {describe(loader)}")
        self._loader = loader
        self._ahead = 0 if isinstance(loader.stream.plan.length, int) else 1

    def __iter__(self) -> LoaderIterator:
        return iter(self._loader)

    def __len__(self) -> int:
        return len(self._loader)

    def state_dict(self) -> dict[str, Any]:
        return self._loader.state_dict(min(self._ahead, self._loader.received))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._loader.load_state_dict(state)
