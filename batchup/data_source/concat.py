"""Several data sources as one set of samples: `ConcatDataSource`, and `BlendDataSource`, which mixes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchup import ops
from batchup.core.checks import shortened
from batchup.core.hints import BLEND_HINTS, hinted
from batchup.core.item import as_batch
from batchup.core.randomness import ShuffleLike
from batchup.data_source.arrays import ArrayDataSource, RandomAccessDataSource
from batchup.data_source.base import AbstractDataSource, as_sources
from batchup.data_source.joint import JointDataSource
from batchup.data_source.maps import StepDataSource
from batchup.data_source.request import Request
from batchup.data_source.samples import SampleDataSource
from batchup.ops.index.blend import Blend, Weights, blended, shown_counts
from batchup.ops.read.chunked import ends_of
from batchup.ops.read.concat import kind_of
from batchup.ops.read.reader import pick_from
from batchup.parts import by_owner, in_places
from batchup.sampling import AbstractSampler, OrderSampler, StandardSampler
from batchup.sampling.epochs import EpochSampler
from batchup.sampling.weighted import drawn

__all__ = ["BlendDataSource", "ConcatDataSource"]


class ConcatDataSource(RandomAccessDataSource):
    """The samples of several data sources, one after another, as one: `sampler.stream(batch_size, shuffle) | map(read)`.

    Sample i of member m has the index `sum(lengths[:m]) + i`, where a length is the number of samples of a member, or of
    its subset. The batches have the parts of those of the members.

    Parameters
    ----------
    datasets : sequence of AbstractDataSource
        The members, with random access and in one pass: `ArrayDataSource`, `SampleDataSource`, `TableDataSource`, maps of
        these, your own. Random maps come behind this source.
    indices : 1-D array of int, mask, or None
        The subset to take, in this order; None for all samples.
    repeats : int
        The number of passes in an epoch; -1 for an endless number.
    sampler : AbstractSampler or None
        In place of `indices` and `repeats`: which samples come, in which order.
    include_indices : bool
        If True, the sample indices come first in each batch.

    Raises
    ------
    TypeError
        If a member is no data source, has no random access, draws its samples at random, or has a random map.
    ValueError
        Without members; for a member with `repeats`; if indices lie outside; while iterating, if members give batches of
        different dtypes, shapes or parts.

    Examples
    --------
    >>> from batchup.data_source import ArrayDataSource
    >>> ds = ConcatDataSource([ArrayDataSource([np.arange(3)]), ArrayDataSource([np.arange(9) * 10], indices=[7, 5])])
    >>> [batch.tolist() for (batch,) in ds.batch_iterator(2)]
    [[0, 1], [2, 70], [50]]
    """

    def __init__(
        self,
        datasets: Sequence[AbstractDataSource],
        indices: ArrayLike | None = None,
        repeats: int = 1,
        sampler: AbstractSampler | None = None,
        include_indices: bool = False,
    ):
        super().__init__(sum(self._joined(datasets)), indices, repeats, sampler, include_indices)

    def _joined(self, datasets: Sequence[AbstractDataSource]) -> list[int]:
        """Take these members, and return the number of samples of each."""
        where = type(self).__name__
        self.datasets: list[AbstractDataSource] = as_sources(datasets, where)
        _check_arrays([ds for ds in self.datasets if isinstance(ds, ArrayDataSource)], where)
        lengths = [_length(ds, f"{where}: number {n}") for n, ds in enumerate(self.datasets)]
        self._starts = np.cumsum([0, *lengths])
        return lengths

    def read(self, indices: NDArray[np.intp]) -> Any:
        if not len(indices):
            return as_batch(self.datasets[0].samples_by_indices(indices))
        samples, places = by_owner(indices, self._starts)
        batches = [as_batch(self.datasets[m].samples_by_indices(some)) for m, some in samples]
        return in_places(batches, places, type(self).__name__)

    def _chunks(self, request: Request) -> int | NDArray[np.intp]:
        sizes = []
        for ds in self.datasets:
            if not (isinstance(ds, ArrayDataSource) and isinstance(ds.sampler, StandardSampler)):
                request.refuse_window(ds)
            assert isinstance(ds, ArrayDataSource)
            sizes.append(np.diff(ends_of(ds._chunks(request), ds.length), prepend=0))
        return np.concatenate(sizes)

    def _window(self, window: int | str) -> int:
        return min(ds._window(window) for ds in self.datasets if isinstance(ds, ArrayDataSource))

    def __repr__(self) -> str:
        return shortened(f"{type(self).__name__}([{', '.join(map(repr, self.datasets))}]{self._options()})")


def _length(ds: AbstractDataSource, where: str) -> int:
    if not ds.is_random_access or isinstance(ds, JointDataSource):
        raise ds._no_single_indices(where)
    inner = ds
    while isinstance(inner, StepDataSource):
        _refuse_random(inner, where)
        inner = inner.source
    if isinstance(inner, SampleDataSource):
        _refuse_random(inner, where)
    if isinstance(inner, RandomAccessDataSource):
        if not isinstance(inner.sampler, EpochSampler):
            raise TypeError(
                f"{where}: expected all samples, or indices= of some; {inner.sampler!r} draws them in its own way"
            )
        if inner.sampler.repeats != 1:
            raise ValueError(
                f"{where}: expected one pass; got repeats={inner.sampler.repeats}. Give it to the joint source"
            )
    samples = ds.num_samples()
    if not isinstance(samples, int):
        raise TypeError(f"{where}: expected a known number of samples; {ds!r} has {samples}")
    return samples


def _check_arrays(datasets: Sequence[ArrayDataSource], where: str) -> None:
    """Raise ValueError for arrays of different dtypes or shapes; what maps and other sources give is seen while reading."""
    kinds = [[kind_of(column, pick_from(column, where)) for column in ds._reader.columns] for ds in datasets]
    for ds, kind in zip(datasets, kinds, strict=True):
        if (ds._names, kind) != (datasets[0]._names, kinds[0]):
            raise ValueError(
                f"{where}: expected members with the same arrays, of one dtype and shape; one is {datasets[0]!r}, another one "
                f"{ds!r}"
            )


def _refuse_random(ds: StepDataSource | SampleDataSource, where: str) -> None:
    if ds._step.rng is not None:
        raise TypeError(
            f"{where}: expected no random numbers before samples are put together, where they would be the same in each epoch; "
            f"got {ds!r}. Write the random map behind it: ConcatDataSource([...]).map_samples(fn, rng=seed)"
        )


class BlendDataSource(ConcatDataSource):
    """Samples of several data sources in given proportions: `blend(lengths, shuffle, weights) | chunk | map(read)`.

    It is endless, and needs `shuffle`. Each block of `block` samples has the same number of samples of each member, which the repr shows.
    Sample indices are those of a `ConcatDataSource` of the members.

    Parameters
    ----------
    datasets : sequence of AbstractDataSource
        The members, as for `ConcatDataSource`.
    weights : (members,) array of float, list of (int, array), or None
        The share of each member, or of each in stages, as for `ops.blend`. By default the numbers of samples.
    temperature : float or None
        In place of `weights`, they are `lengths ** (1 / temperature)`.
    block : int
        The number of samples after which the counts are exact.
    include_indices : bool
        If True, the sample indices come first in each batch.

    Raises
    ------
    TypeError
        If a member can't be one of a `ConcatDataSource`.
    ValueError
        For invalid weights, as `ops.blend`.

    Examples
    --------
    >>> from batchup.data_source import ArrayDataSource
    >>> web, books = ArrayDataSource([np.arange(100)]), ArrayDataSource([np.arange(10) * 1000])
    >>> ds = BlendDataSource([web, books], weights=[3, 1], block=8)
    >>> [batch.tolist() for (batch,) in ds.stream(4, shuffle=7) | ops.take(2)]
    [[3000, 86, 85, 36], [60, 1000, 69, 67]]
    """

    @hinted(**BLEND_HINTS)
    def __init__(
        self,
        datasets: Sequence[AbstractDataSource],
        weights: Weights | None = None,
        temperature: float | None = None,
        *,
        block: int = 1000,
        include_indices: bool = False,
    ):
        lengths = self._joined(datasets)
        sampler = _BlendSampler(lengths, weights, temperature, block)
        RandomAccessDataSource.__init__(self, sum(lengths), sampler=sampler, include_indices=include_indices)

    def _options(self) -> str:
        assert isinstance(self.sampler, _BlendSampler)
        return f", {self.sampler.text}" + ", include_indices=True" * self.include_indices


class _BlendSampler(OrderSampler):
    """The order of a `BlendDataSource`."""

    def __init__(self, lengths: list[int], weights: Any, temperature: float | None, block: int):
        self._args = lengths, weights, temperature, block
        plan = self.order(0).plan  # which checks that all goes together
        assert isinstance(plan, Blend)
        self.text = f"weights={shown_counts(plan.stages)}, block={plan.block}"

    def num_indices_generated(self) -> float:
        return np.inf

    def order(self, shuffle: ShuffleLike = None) -> ops.Stream:
        lengths, weights, temperature, block = self._args
        return blended(lengths, drawn(shuffle, self), weights, temperature, block, "BlendDataSource")

    def __repr__(self) -> str:
        return f"blend({self.text})"
