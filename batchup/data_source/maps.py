"""Data sources that call a function with the batches, or the samples, of another: of `.map` and `.map_samples`."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from batchup import ops
from batchup.core.checks import describe_callable, shortened
from batchup.core.noise import read_by_index
from batchup.core.randomness import SeedLike
from batchup.core.record import Count
from batchup.data_source.base import AbstractDataSource, StreamDataSource, check_sources
from batchup.data_source.indices import as_asked, flat, several
from batchup.data_source.request import Request
from batchup.ops.batch.map import Map, mapped
from batchup.ops.batch.map_samples import MapSamples, samples_mapped

__all__ = ["MapDataSource", "MapSamplesDataSource"]


class StepDataSource(StreamDataSource):
    """The batches of another data source, with one more step of work."""

    def __init__(self, source: AbstractDataSource, step: Map | MapSamples, rng: SeedLike | None):
        check_sources([source], type(self).__name__)
        self.source = source
        self.fn = step.fn
        self.rng = rng
        self.resizes = step.resizes
        self._step = step
        self._stage = ops.Stage(ops.Stream.with_step, step, text=str(step))

    @property
    def is_random_access(self) -> bool:
        return self.source.is_random_access

    @property
    def sample_indices(self) -> NDArray[np.intp]:
        return self.source.sample_indices

    def _samples_to_split(self) -> tuple[NDArray[np.intp], int]:
        return self.source._samples_to_split()

    def _of_samples(self, indices: NDArray[np.intp]) -> Self:
        other = copy(self)
        other.source = self.source._of_samples(indices)
        return other

    def num_samples(self, **kwargs: Any) -> Count:
        return None if self.resizes else self.source.num_samples(**kwargs)

    def _stream(self, request: Request) -> ops.Stream:
        return self.source._stream(request) | self._stage

    def _for_pool(self, request: Request) -> ops.Stream:
        return self.source._for_pool(request) | self._stage

    def _index_stream(self, request: Request) -> ops.Stream:
        return self.source._index_stream(request)

    def samples_by_indices(self, indices: Any) -> Any:
        indices = self._listed(indices, True)
        return self._mapped(self.source.samples_by_indices, indices)

    def samples_by_indices_nomapping(self, indices: Any) -> Any:
        indices = self._listed(indices, False)
        return self._mapped(self.source._batch_at, indices)

    def _listed(self, indices: Any, mapped: bool) -> Any:
        source = self.source
        return source._listed(indices, mapped) if isinstance(source, StreamDataSource) else indices

    def _mapped(self, read: Callable[[Any], Any], indices: Any) -> Any:
        """The batch that `read` gives for these indices, with the step applied."""
        step = self._step
        if step.rng is None:
            return step.run(read(indices))
        # Two random steps with the same seed, one behind the other, have different numbers.
        depth = 0
        source: Any = self.source
        while isinstance(source, StepDataSource):
            source, depth = source.source, depth + 1
        planned = tuple([np.ravel(part).astype(np.intp) for part in flat(indices)])
        rng: Any = step.rng.after(depth).generator(read_by_index(planned))
        return step.run(read(indices), rng)

    def __repr__(self) -> str:
        return shortened(f"{self.source!r}.{self._step.tag}({describe_callable(self.fn)})")


class MapDataSource(StepDataSource):
    """The batches of another data source, each given to a function: `source.stream(...) | map(fn, rng)`.

    The batches of `samples_by_indices` have no place in a stream; their random numbers are keyed by the indices.

    Parameters
    ----------
    source : AbstractDataSource
        The data source below.
    fn : callable
        Returns the new batch; see `ops.map`.
    rng : int, sequence of int or None
        If given, a seed: the call is `fn(*batch, rng=generator)`.
    resizes : bool
        Pass True if `fn` may return another number of samples; the number of samples is then unknown.
    seed_globals : int, sequence of int or None
        In place of `rng`, for a function that draws from global generators; see `ops.map`.

    Raises
    ------
    TypeError
        If `fn` can't be called.

    Examples
    --------
    >>> from batchup.data_source import ArrayDataSource
    >>> ds = MapDataSource(ArrayDataSource([np.arange(3)]), lambda x: (x, x * x))
    >>> list(ds.batch_iterator(2))
    [(array([0, 1]), array([0, 1])), (array([2]), array([4]))]
    """

    def __init__(
        self,
        source: AbstractDataSource,
        fn: Callable[..., Any],
        rng: SeedLike | None = None,
        resizes: bool = False,
        seed_globals: SeedLike | None = None,
    ):
        super().__init__(source, mapped(fn, rng, seed_globals, resizes=resizes), rng)


class MapSamplesDataSource(StepDataSource):
    """The batches of another data source, each sample given to a function: `source.stream(...) | map_samples(fn, rng)`.

    The batches of `samples_by_indices` have no place in a stream; their random numbers are keyed by the indices.

    Parameters
    ----------
    source : AbstractDataSource
        The data source below.
    fn : callable
        Returns the new sample; see `ops.map_samples`.
    rng : int, sequence of int or None
        If given, a seed: the call is `fn(*sample, generator)`.
    collate : callable or None
        `collate(list of results)` returns the batch.
    seed_globals : int, sequence of int or None
        In place of `rng`, for a function that draws from global generators.
    resizes : bool
        Pass True if `collate` leaves samples out.

    Raises
    ------
    TypeError
        If `fn` can't be called.

    Examples
    --------
    >>> from batchup.data_source import ArrayDataSource
    >>> ds = MapSamplesDataSource(ArrayDataSource([np.arange(3)]), lambda x: (x, x * x))
    >>> list(ds.batch_iterator(2))
    [(array([0, 1]), array([0, 1])), (array([2]), array([4]))]
    """

    def __init__(
        self,
        source: AbstractDataSource,
        fn: Callable[..., Any],
        rng: SeedLike | None = None,
        collate: Callable[[list[Any]], Any] | None = None,
        seed_globals: SeedLike | None = None,
        resizes: bool = False,
    ):
        super().__init__(source, samples_mapped(fn, rng, collate, seed_globals, resizes=resizes), rng)

    def _mapped(self, read: Callable[[Any], Any], indices: Any) -> Any:
        return as_asked(indices, super()._mapped(read, several(indices)))
