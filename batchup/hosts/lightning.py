"""Lightning's Trainer, for loaders of unknown length. Pass a loader with a length to `Trainer.fit` as it is."""

from __future__ import annotations

from typing import Any

from batchup.core.checks import describe
from batchup.core.loader import Loader, LoaderIterator

__all__ = ["Batches"]


class Batches:
    """A loader for `Trainer.fit`, whose checkpoints are the place after the last batch that was trained on.

    Without a length, Lightning reads one batch ahead, to know which one is the last. A checkpoint of the loader itself
    would leave that batch out.

    Parameters
    ----------
    loader : Loader
        A loader of unknown length. A loader with a length can be passed as it is.

    Raises
    ------
    TypeError
        For anything but a loader.

    Examples
    --------
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
        """The place after the last batch that was trained on.

        Returns
        -------
        dict
            The checkpoint.
        """
        return self._loader.state_dict(min(self._ahead, self._loader.received))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint.

        Parameters
        ----------
        state : dict
            What `state_dict` returned.
        """
        self._loader.load_state_dict(state)
