"""What every data source has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchup import ops
from batchup.core.checks import describe
from batchup.core.hints import FUNCTION_HINTS, SPLIT_HINTS, hinted
from batchup.core.loader import Loader
from batchup.core.randomness import SeedLike, ShuffleLike
from batchup.core.record import Count
from batchup.data_source.indices import as_asked, several
from batchup.data_source.refusals import NotIterable
from batchup.data_source.request import (
    BatchOf,
    BatchOptions,
    BatchSize,
    IndexOptions,
    LoaderOptions,
    Request,
    batches_of,
    refuse_others,
)
from batchup.data_source.results import BatchMaps
from batchup.data_source.split import parts_of_split

if TYPE_CHECKING:  # which are derived from what is here
    from batchup.data_source.maps import MapDataSource, MapSamplesDataSource

__all__ = ["AbstractDataSource", "StreamDataSource"]


# The options of `stream.loader`.
_OF_LOADERS = "workers", "threads", "pool", "buffer", "split", "steps"


class AbstractDataSource(BatchMaps, NotIterable, ABC):
    """A source of mini-batches: the base class of all data sources.

    Derived classes define `num_samples` and `batch_iterator`.

    Examples
    --------
    >>> class Squares(AbstractDataSource):
    ...     def num_samples(self, **kwargs):
    ...         return 6
    ...     def batch_iterator(self, batch_size, shuffle=None, **kwargs):
    ...         for start in range(0, 6, batch_size):
    ...             yield (np.arange(start, min(start + batch_size, 6)) ** 2,)
    >>> list(Squares().map(lambda x: (x, x + 1)).batch_iterator(4))
    [(array([0, 1, 4, 9]), array([ 1,  2,  5, 10])), (array([16, 25]), array([17, 26]))]
    """

    @abstractmethod
    def num_samples(self, **kwargs: Any) -> Count:
        """The number of samples of an epoch.

        Parameters
        ----------
        **kwargs : any
            The options of `batch_iterator`, if the number depends on them.

        Returns
        -------
        int, np.inf or None
            The number; `np.inf` for an endless source, None if it is unknown.
        """

    @abstractmethod
    def batch_iterator(self, batch_size: int, shuffle: ShuffleLike = None, **options: Any) -> Iterator[Any]:
        """The batches of one epoch.

        With a seed the order is the same each time, unless you pass `epoch=`. A `loader` counts the epochs itself.

        Parameters
        ----------
        batch_size : int or list of int
            The number of samples in a batch; for a `CompositeDataSource` also a list with a number for each member.
        shuffle : int, sequence of int, Generator, RandomState, True, None or False
            A seed, a generator, True for NumPy's global generator, or None for in order; see `ops.shuffle`.
        **options : any
            Further options:

            * `epoch` (int): the order and the noise of this epoch, for a seed.
            * `drop_last` (bool): if True, leave out a last batch of fewer than `batch_size` samples.
            * `shard` ((rank, world) or ()): one rank's part of every batch, as `ops.shard` has it; `batch_size` is that
              of all ranks together. `()` takes rank and world size from the environment.
            * `window` (int or str): for arrays in chunks. This many chunks are mixed at a time, and each is read once a
              pass; or, as `"200MB"`, as many as fit into this memory.

        Yields
        ------
        tuple of arrays
            Batches of shape (`batch_size`, ...). The last may be shorter.
        """

    def stream(self, batch_size: BatchSize, shuffle: ShuffleLike = None, **options: Any) -> ops.Stream:
        """The `Stream` behind `batch_iterator`, to be continued with `|`.

        With `window`, it is `indices(n) | mix(shuffle, chunks, window) | gather(...) | rebatch(batch_size)`, and the
        function of a `map` gets whole windows. If a function or class of yours gives the batches, it gets `drop_last`
        and `epoch`, which must be among its parameters, and options of your own.

        Parameters
        ----------
        batch_size : int or list of int
            As for `batch_iterator`.
        shuffle : int, sequence of int, Generator, RandomState, True, None or False
            As for `batch_iterator`.
        **options : any
            `epoch`, `drop_last`, `shard` and `window`, as for `batch_iterator`.

        Returns
        -------
        ops.Stream
            A stream of batches.
        """
        self._check("stream", options)
        request = Request.of(batch_size, shuffle, options)
        return request.cut(self._stream(request))

    def _stream(self, request: Request) -> ops.Stream:
        """The stream of all epochs."""
        return batches_of(self, request, self.batch_iterator, self.batch_iterator)

    def survey(
        self, batch_size: int, shuffle: ShuffleLike = None, *, labels: ArrayLike | None = None, **options: Any
    ) -> ops.Survey:
        """How well the batches of an epoch mix labels, what is read for them, and how much memory windows take.

        Nothing is read. It is `ops.survey(stream(batch_size, shuffle, ...), labels)`.

        Parameters
        ----------
        batch_size : int or list of int
            As for `batch_iterator`.
        shuffle : int, sequence of int, Generator, RandomState, True, None or False
            As for `batch_iterator`.
        labels : (n,) array of int or str, or None
            The label of each sample, >= 0 or a string.
        **options : any
            `epoch`, `drop_last`, `shard` and `window`, as for `batch_iterator`.

        Returns
        -------
        ops.Survey
            `print` shows a short report; `.plot()` draws it.

        Examples
        --------
        >>> from batchup.data_source import ArrayDataSource
        >>> print(ArrayDataSource([np.arange(6.0)]).survey(2, shuffle=12345))
        3 batches of 2, of windows of 6 samples
        held in windows: 0.0 MB
        """
        return ops.survey(self.stream(batch_size, shuffle, **options), labels)

    def loader(self, batch_size: BatchSize, shuffle: ShuffleLike = None, **options: Any) -> Loader:
        """A loader for a training loop: each iteration gives the batches of the next epoch. See `batchup.core.Loader`.

        Parameters
        ----------
        batch_size : int or list of int
            As for `batch_iterator`.
        shuffle : int, sequence of int, Generator, RandomState, True, None or False
            As for `batch_iterator`.
        **options : any
            `drop_last`, `shard` and `window`, as for `batch_iterator`, and:

            * `workers` (int): so many worker processes make the batches. They start with the first epoch, and end with
              the loader, or by its `close()` or `with`. With `window` they make windows.
            * `threads` (int): in place of `workers`, so many threads.
            * `pool`: in place of `workers`, a pool of `batchup.work_pool`.
            * `buffer` (int): the number of items that workers make ahead; by default 32 batches, or 2 windows.
            * `split` (bool): if True, threads work on the samples of one batch together; see `ops.parallel`.
            * `steps` (int): an epoch has so many batches, and the next goes on where it stopped; see `Stream.loader`.

        Returns
        -------
        Loader
            The loader.

        Examples
        --------
        >>> from batchup.data_source import ArrayDataSource
        >>> loader = ArrayDataSource([np.arange(5)]).loader(2, shuffle=12345, drop_last=True)
        >>> [[batch.tolist() for (batch,) in loader] for epoch in range(2)], len(loader)
        ([[[1, 3], [2, 0]], [[0, 1], [3, 2]]], 2)
        >>> doubled = ArrayDataSource([np.arange(5)]).map(lambda x: x * 2)
        >>> with doubled.loader(2, workers=2) as loader:
        ...     [batch.tolist() for batch in loader]
        [[0, 2], [4, 6], [8]]
        """
        if "epoch" in options:
            raise TypeError("loader: there is no argument epoch=; write loader.set_epoch(epoch)")
        self._check("loader", options)
        own = {name: options.pop(name) for name in _OF_LOADERS if name in options}
        request = Request.of(batch_size, shuffle, options)
        pooled = any(own.get(name) for name in ("workers", "threads", "pool"))
        stream = request.cut(self._for_pool(request) if pooled else self._stream(request))
        return stream.loader(**own)

    def _stream_for_pool(self, batch_size: BatchSize, shuffle: ShuffleLike = None, **options: Any) -> ops.Stream:
        request = Request.of(batch_size, shuffle, options)
        return request.cut(self._for_pool(request))

    def _for_pool(self, request: Request) -> ops.Stream:
        """The same stream for a pool, which does all its work: `batch_iterator` of a user's class would do it in the caller."""
        if not self.is_random_access:
            return self._stream(request)
        return self._index_stream(request) | ops.map(BatchOf(self))

    def _index_stream(self, request: Request) -> ops.Stream:
        """The sample indices of each batch, as a stream."""
        return batches_of(self, request, self.batch_indices_iterator, self.batch_indices_iterator)

    def _batch_at(self, indices: Any) -> Any:
        """The batch of an item of `_index_stream`."""
        return self.samples_by_indices_nomapping(indices)

    @hinted(**FUNCTION_HINTS)
    def map(
        self,
        fn: Callable[..., Any],
        rng: SeedLike | None = None,
        *,
        seed_globals: SeedLike | None = None,
        resizes: bool = False,
    ) -> MapDataSource:
        """A data source of the batches `fn(*batch)`, such as augmentations: `stream | map(fn, rng)`.

        Parameters
        ----------
        fn : callable
            Returns the new batch; see `ops.map`.
        rng : int, sequence of int or None
            If given, a seed: the call is `fn(*batch, rng=generator)`, with a generator keyed by the seed, the place of
            the batch and its samples.
        seed_globals : int, sequence of int or None
            In place of `rng`, for a function that draws from global generators; see `ops.map`.
        resizes : bool
            Pass True if `fn` may return another number of samples.

        Returns
        -------
        MapDataSource
            The data source of the new batches.
        """
        from batchup.data_source.maps import MapDataSource

        return MapDataSource(self, fn, rng, resizes, seed_globals)

    @hinted(**FUNCTION_HINTS)
    def map_samples(
        self,
        fn: Callable[..., Any],
        rng: SeedLike | None = None,
        collate: Callable[[list[Any]], Any] | None = None,
        seed_globals: SeedLike | None = None,
        *,
        resizes: bool = False,
    ) -> MapSamplesDataSource:
        """A data source of batches of the samples `fn(*sample)`: `stream | map_samples(fn, rng, collate, seed_globals)`.

        Parameters
        ----------
        fn : callable
            Returns the new sample; see `ops.map_samples`.
        rng : int, sequence of int or None
            If given, a seed: the call is `fn(*sample, generator)`.
        collate : callable or None
            `collate(list of results)` returns the batch.
        seed_globals : int, sequence of int or None
            In place of `rng`, for a function that draws from global generators, as the transforms of torchvision do.
        resizes : bool
            Pass True if `collate` leaves samples out.

        Returns
        -------
        MapSamplesDataSource
            The data source of the new batches.

        Examples
        --------
        >>> from batchup.data_source import ArrayDataSource
        >>> halves = ArrayDataSource([np.arange(3.0)]).map_samples(lambda x: x / 2)
        >>> list(halves.batch_iterator(2))
        [array([0. , 0.5]), array([1.])]
        """
        from batchup.data_source.maps import MapSamplesDataSource

        return MapSamplesDataSource(self, fn, rng, collate, seed_globals, resizes)

    @hinted(**SPLIT_HINTS)
    def split(
        self,
        *fractions: float,
        rng: ShuffleLike = 0,
        stratify: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> list[Self]:
        """Data sources of disjoint parts of the samples, such as those for training and for validation.

        A part is a source of the same kind with `indices`; with `include_indices` its batches have the original indices.
        Without `groups`, each part has its fraction of the samples, and of each class, to within one sample.

        Parameters
        ----------
        *fractions : float
            The fraction of the samples in each part, above 0. Their sum is at most 1; of less, the rest is left out.
        rng : int, sequence of int, Generator, RandomState, True, or None
            Which samples go into which part, and their order in it, as for `ops.shuffle`; None for the first samples in
            the first part, and the order in which they are.
        stratify : (n,) array of int or str, or None
            If given, the class of each sample, of all samples that the source has without `indices`.
        groups : (n,) array of int or str, or None
            If given, the group of each sample, such as a patient. All samples of a group are in one part. Groups are
            exchanged until the parts come no nearer to their fractions. Then a part that has more samples than its
            fraction has at most the size of its smallest group too many. With `stratify`, the same is done for the
            samples of each class, without such a bound.

        Returns
        -------
        list of data sources
            One for each fraction.

        Raises
        ------
        TypeError
            If the source has no random access, or takes its samples by a sampler.
        ValueError
            If the sum of the fractions is above 1, a part would have no samples, or `stratify` or `groups` have another
            length.

        Examples
        --------
        >>> from batchup.data_source import ArrayDataSource
        >>> ds = ArrayDataSource([np.arange(10) * 10], include_indices=True)
        >>> train, val = ds.split(0.8, 0.2, rng=0)
        >>> [batch[0].tolist() for source in (train, val) for batch in source.batch_iterator(8)]
        [[8, 4, 7, 0, 1, 2, 5, 9], [6, 3]]
        """
        parts = parts_of_split(*self._samples_to_split(), fractions, rng, stratify, groups)
        return [self._of_samples(part) for part in parts]

    def _samples_to_split(self) -> tuple[NDArray[np.intp], int]:
        """The samples that `split` divides, and the number of all samples, for each of which it gets a label."""
        raise self._no_single_indices("split")

    def _of_samples(self, indices: NDArray[np.intp]) -> Self:
        """The same source with these samples alone."""
        raise NotImplementedError

    def _no_single_indices(self, where: str) -> TypeError:
        return TypeError(
            f"{where}: expected a data source whose samples are read by one index each, such as an ArrayDataSource, or a map "
            f"of one; got {self!r}"
        )

    # The index methods of a source without random access.

    @property
    def sample_indices(self) -> NDArray[np.intp]:
        """The indices of the samples that the source has, in order: all, or those of `indices=` or of a part of `split`.

        Raises TypeError if the source has no random access, or has several members side by side.
        """
        raise self._no_single_indices("sample_indices")

    def batch_indices_iterator(self, batch_size: int, shuffle: ShuffleLike = None, **options: Any) -> Iterator[Any]:
        """The sample indices of each batch of an epoch.

        `samples_by_indices_nomapping` makes the batches of them, with other random numbers in a random map.

        Parameters
        ----------
        batch_size : int or list of int
            As for `batch_iterator`.
        shuffle : int, sequence of int, Generator, RandomState, True, None or False
            As for `batch_iterator`.
        **options : any
            `epoch`, `drop_last` and `shard`, as for `batch_iterator`.

        Yields
        ------
        1-D array of int
            The indices of a batch.

        Raises
        ------
        TypeError
            If the source has no random access.
        """
        self._refuse("batch_indices_iterator")

    def samples_by_indices(self, indices: Any) -> Any:
        """The batch of the samples at these places of the subset; of all samples if there is no subset.

        Parameters
        ----------
        indices : 1-D array of int, slice or int
            The places. An int gives one sample by itself, without the first axis of a batch.

        Returns
        -------
        tuple of arrays
            The batch.

        Raises
        ------
        TypeError
            If the source has no random access, or `indices` is of another type.
        IndexError
            For a place outside.
        """
        self._refuse("samples_by_indices")

    def samples_by_indices_nomapping(self, indices: Any) -> Any:
        """The batch of the samples with these indices, whatever the subset.

        Parameters
        ----------
        indices : 1-D array of int, slice or int
            The sample indices.

        Returns
        -------
        tuple of arrays
            The batch. With `include_indices` the indices come first.
        """
        self._refuse("samples_by_indices_nomapping")

    def __repr__(self) -> str:
        return type(self).__name__


class StreamDataSource(AbstractDataSource):
    """A data source that is a composition of stages, which `_stream` and `_index_stream` return."""

    @abstractmethod
    def _stream(self, request: Request) -> ops.Stream: ...

    def _for_pool(self, request: Request) -> ops.Stream:
        return self._stream(request)

    @abstractmethod
    def _index_stream(self, request: Request) -> ops.Stream: ...

    if TYPE_CHECKING:  # so type checkers see the options

        def stream(  # type: ignore[override]
            self, batch_size: BatchSize, shuffle: ShuffleLike = None, **options: Unpack[BatchOptions]
        ) -> ops.Stream: ...

        def loader(  # type: ignore[override]
            self, batch_size: BatchSize, shuffle: ShuffleLike = None, **options: Unpack[LoaderOptions]
        ) -> Loader: ...

    def batch_iterator(  # type: ignore[override]
        self, batch_size: BatchSize, shuffle: ShuffleLike = None, **options: Unpack[BatchOptions]
    ) -> ops.StreamIterator:
        self._check("batch_iterator", options)
        return iter(self.stream(batch_size, shuffle, **options))

    def batch_indices_iterator(  # type: ignore[override]
        self, batch_size: BatchSize, shuffle: ShuffleLike = None, **options: Unpack[IndexOptions]
    ) -> ops.StreamIterator:
        if not self.is_random_access:
            self._refuse("batch_indices_iterator")
        self._check("batch_indices_iterator", options)
        request = Request.of(batch_size, shuffle, options)
        stream = self._index_stream(request)
        return iter(stream if request.epoch is None else stream.epoch(request.epoch))

    def _check(self, method: str, options: Mapping[str, Any]) -> None:
        """Raise TypeError for an unknown option, unless a user's function may know it."""
        if self.is_random_access:
            refuse_others(getattr(self, method), options)

    def _batch_at(self, indices: Any) -> Any:
        listed = self._listed(indices, False)
        return as_asked(listed, self._batch(several(listed)))

    def _batch(self, indices: Any) -> Any:
        """The batch of an index array."""
        return self.samples_by_indices_nomapping(indices)

    def _listed(self, indices: Any, mapped: bool) -> Any:
        """What a user passed for an index array, as one; with `mapped` they are places of the subset."""
        return indices


def as_sources(datasets: Any, where: str) -> list[Any]:
    """A list of data sources that a user passed, checked."""
    if not isinstance(datasets, list | tuple):
        raise TypeError(f"{where}: expected a list of data sources; got {describe(datasets)}")
    if not datasets:
        raise ValueError(f"{where}: expected one data source at least; got an empty list")
    check_sources(datasets, where)
    return list(datasets)


def check_sources(sources: Sequence[Any], where: str) -> None:
    """Raise TypeError for anything among `sources` that is no data source."""
    for n, source in enumerate(sources):
        if not isinstance(source, AbstractDataSource):
            raise TypeError(f"{where}: expected data sources; number {n} is {describe(source)}")
