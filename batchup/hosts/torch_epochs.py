"""The epoch of each iteration of a DataLoader, the same in all of its workers.

The workers can't talk to each other, so the parent decides. When a DataLoader starts its workers, the parent assigns an
epoch to the iteration before the first worker is forked or its dataset is pickled. Persistent workers count how often
they start. Workers write the epochs that they begin into shared memory, which the parent reads before it assigns the
next epoch.
"""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from torch.utils.data import get_worker_info

__all__ = ["Epochs"]

_REPORTS = 64  # iterations whose workers may report at the same time
_WORKERS = 1024
_PARTS = 100  # parts of a dataset, at most, that are searched for another dataset


class Epochs:
    """The epochs of a dataset `owner`: `first`, and with `step` 1 those after it, one an iteration."""

    def __init__(self, owner: Any, first: int, step: int):
        self._step = step
        self._next = first  # in the parent
        self._iteration = 0  # the number of iterations that began in the parent
        self._assigned: int | None = None  # the epoch of the iteration that workers are started for
        self._last: int | None = None  # in a worker: the epoch that it began last
        self._version = 0  # the number of calls of `set`
        # Shared memory: the last call of `set`, as its number, the epoch and the iteration from which it holds;
        self._said = _shared(3)
        self._said[1] = first
        # the next epoch plus 1, reported by the workers of each iteration, 0 before they have started;
        self._reports = _shared(_REPORTS)
        # and for each worker the number of the last call of `set` that it has used, plus 1.
        self._used = _shared(_WORKERS)
        self._begun_for: weakref.ref[Any] | None = None
        self._owner = weakref.ref(owner)
        _alive.add(self)

    def set(self, epoch: int) -> None:
        """Have the next iteration be this epoch."""
        self._iteration += 1  # earlier reports don't count
        self._reports[self._iteration % _REPORTS] = 0
        self._next = epoch
        self._version += 1
        self._said[1:] = torch.tensor([epoch, self._iteration])
        self._said[0] = self._version

    def begin(self, resumed: int | None) -> int:
        """The epoch of the iteration that begins in this process: the epoch `resumed`, if one was resumed."""
        worker = get_worker_info()
        if worker is None:
            return self._take_next(resumed)
        epoch = self._of_worker(worker.id) if resumed is None else resumed
        self._last = epoch
        self._reports[self._iteration % _REPORTS] = epoch + self._step + 1
        return epoch

    def _of_worker(self, number: int) -> int:
        if self._last is not None:  # a persistent worker starts again
            version, said, iteration = map(int, self._said.tolist())
            if version == self._version:
                return self._last + self._step
            self._version, self._iteration = version, iteration
            return said
        if self._assigned is not None:
            return self._assigned
        if not self._step:
            return self._next
        # The parent has not found this dataset inside that of the DataLoader, so no epoch was assigned.
        if int(self._used[number % _WORKERS]) > self._version:
            raise RuntimeError(
                "Batches: expected a call of set_epoch, as this DataLoader starts new workers for each, and its dataset is "
                "not the Batches itself: write DataLoader(Batches(loader), batch_size=None), or call "
                "batches.set_epoch(epoch) before each epoch"
            )
        self._used[number % _WORKERS] = self._version + 1
        return self._next

    def _take_next(self, resumed: int | None = None) -> int:
        """The epoch of an iteration that begins, by the reports of the workers of the last one."""
        reported = int(self._reports[self._iteration % _REPORTS])
        if resumed is not None:
            self._next = resumed
        elif reported:
            self._next = reported - 1
        self._iteration += 1
        self._reports[self._iteration % _REPORTS] = 0
        epoch = self._next
        self._next += self._step
        return epoch

    def look_for_iteration(self) -> None:
        """Assign an epoch to the iteration of a DataLoader that is starting its workers, if there is one."""
        owner = self._owner()
        for iteration in _iterations():
            if owner is None or not _has(iteration._dataset, owner):
                continue
            if self._begun_for is None or self._begun_for() is not iteration:
                self._begun_for = weakref.ref(iteration)
                self._assigned = self._take_next()
            return

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_begun_for": None, "_owner": _no_owner}


def _no_owner() -> None:
    return None


def _shared(size: int) -> torch.Tensor:
    zeros: torch.Tensor = torch.zeros(size, dtype=torch.int64).share_memory_()
    return zeros


_alive: weakref.WeakSet[Epochs] = weakref.WeakSet()


def _iterations() -> Iterator[Any]:
    """The iterations of DataLoaders whose constructors are on the call stack."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code.co_name == "__init__":
            made = frame.f_locals.get("self")
            if hasattr(made, "_dataset") and hasattr(made, "_num_workers"):
                yield made


def _has(dataset: Any, owner: Any, depth: int = 3) -> bool:
    """True if a dataset is the owner, or a wrapper with the owner among its attributes."""
    if dataset is owner:
        return True
    inside = dataset if isinstance(dataset, list | tuple) else getattr(dataset, "__dict__", {}).values()
    return depth > 0 and any(_has(part, owner, depth - 1) for part in islice(inside, _PARTS))


def _before_fork() -> None:
    for epochs in list(_alive):
        epochs.look_for_iteration()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork)
