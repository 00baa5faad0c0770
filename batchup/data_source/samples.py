"""Datasets whose samples are read one by one: `SampleDataSource`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchup import ops
from batchup.core.checks import describe
from batchup.core.hints import DATASET_HINTS, hinted
from batchup.core.noise import read_by_index
from batchup.core.randomness import SeedLike
from batchup.data_source.arrays import RandomAccessDataSource
from batchup.data_source.request import Request
from batchup.ops.read.samples import samples_step, sampling
from batchup.sampling import AbstractSampler

__all__ = ["SampleDataSource"]


class SampleDataSource(RandomAccessDataSource):
    """Mini-batches of a dataset's samples: `sampler.stream(batch_size, shuffle) | samples(dataset, collate)`.

    Parameters
    ----------
    dataset : anything with `__len__`, and `__getitem__` that takes an int
        A PyTorch `Dataset`, a list of records, a Hugging Face dataset.
    collate : callable or None
        `collate(list of samples)` returns a batch; for the default see `ops.samples`.
    indices : 1-D array of int, mask, or None
        The subset to take, in this order; None for all samples.
    repeats : int
        The number of passes in an epoch; -1 for an endless number.
    sampler : AbstractSampler or None
        In place of `indices` and `repeats`: which samples come, in which order.
    include_indices : bool
        If True, the sample indices come first in each batch.
    seed_globals : int, sequence of int or None
        If given, a seed, by which the global generators of `random`, `np.random` and PyTorch are seeded before each
        sample is read; see `ops.map_samples`.
    resizes : bool
        Pass True if `collate` leaves samples out; see `ops.samples`.

    Raises
    ------
    TypeError
        If `dataset` has no `__len__` or `__getitem__`.
    ValueError
        If indices lie outside.

    Examples
    --------
    >>> records = [{"text": word, "length": len(word)} for word in ("one", "three", "seven")]
    >>> ds = SampleDataSource(records)
    >>> list(ds.batch_iterator(2))
    [{'text': ['one', 'three'], 'length': array([3, 5])}, {'text': ['seven'], 'length': array([5])}]
    """

    @hinted(**DATASET_HINTS)
    def __init__(
        self,
        dataset: Any,
        collate: Callable[[list[Any]], Any] | None = None,
        indices: ArrayLike | None = None,
        repeats: int = 1,
        sampler: AbstractSampler | None = None,
        include_indices: bool = False,
        *,
        seed_globals: SeedLike | None = None,
        resizes: bool = False,
    ):
        self._step = samples_step(
            dataset, collate, seed_globals, include_indices=include_indices, resizes=resizes, where="SampleDataSource"
        )
        super().__init__(self._step.length, indices, repeats, sampler, include_indices)
        self.dataset = dataset

    def read(self, indices: NDArray[np.intp]) -> Any:
        step = replace(self._step, include_indices=False)
        return step.run(indices) if step.rng is None else step.run(indices, step.rng.generator(read_by_index(indices)))

    def _reading(self, request: Request) -> ops.Stage:
        return sampling(self._step)

    def __repr__(self) -> str:
        return f"SampleDataSource({describe(self.dataset)}{self._options()})"
