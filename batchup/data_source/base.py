"""What every data source can do, and `MapDataSource`, which `.map` makes of any of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from batchup import ops
from batchup.core.checks import describe, describe_callable, shortened
from batchup.core.loader import Loader
from batchup.core.randomness import SeedLike, ShuffleLike, as_seed, seed_sequence
from batchup.core.record import Count
from batchup.data_source.indices import as_asked, flat, refuse_others, several
from batchup.data_source.refusals import NotIterable
from batchup.data_source.request import BatchOf, Request, ShardLike, batches_of
from batchup.data_source.results import BatchMaps
from batchup.ops.batch.map import Map
from batchup.ops.parallel import Pool

__all__ = ["AbstractDataSource", "MapDataSource", "StreamDataSource"]


class AbstractDataSource(BatchMaps, NotIterable, ABC):
    """A source of mini-batches. Derived classes write `num_samples` and `batch_iterator`.

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
        """How many samples an epoch has: an int, `np.inf`, or None where that is not known."""

    @abstractmethod
    def batch_iterator(
        self, batch_size: int, shuffle: ShuffleLike = None, **kwargs: Any
    ) -> Iterator[Any]:
        """The batches of an epoch, tuples of arrays of `batch_size` samples, the last perhaps less.

        `shuffle` is None or False for in order, True for NumPy's global generator, a RandomState or
        Generator, or a seed; see `ops.shuffle`.
        """

    def stream(
        self,
        batch_size: int,
        shuffle: ShuffleLike = None,
        shard: ShardLike = None,
        drop_last: bool = False,
        epoch: int | None = None,
        *,
        window: int | None = None,
        **kwargs: Any,
    ) -> ops.Stream:
        """The `Stream` behind `batch_iterator`, to be continued with `|`; its arguments are the same.

        Where arrays lie in chunks, `window` of these are mixed at a time, each read once a pass: `indices(n) | mix(shuffle,
        chunks, window) | gather(...) | rebatch(batch_size)`; the function of a `map` gets whole windows. Where a function or
        class of yours gives the batches, `drop_last` and `epoch` are for that, which must name them among its parameters.
        """
        self._check("stream", kwargs)
        request = Request(batch_size, shuffle, shard, drop_last, kwargs, window)
        return request.cut(self._stream(request), epoch)

    def _stream(self, request: Request) -> ops.Stream:
        """The stream of all epochs."""
        return batches_of(self, request, self.batch_iterator, self.batch_iterator)

    def loader(
        self,
        batch_size: int,
        shuffle: ShuffleLike = None,
        shard: ShardLike = None,
        drop_last: bool = False,
        *,
        window: int | None = None,
        pool: Pool | None = None,
        buffer: int | None = None,
        split: bool = False,
        **kwargs: Any,
    ) -> Loader:
        """What a training loop holds: the batches of an epoch each time that it is iterated.

        `self.stream(...).loader(pool=pool, buffer=buffer, split=split)`: with a `pool` its workers make the batches,
        `buffer` of them ahead at most, 32 by default. With `window`, see `stream`, they make windows, of which 2 are
        ahead by default. The other arguments are those of `batch_iterator`. See `Loader`.

        >>> from batchup.data_source import ArrayDataSource
        >>> loader = ArrayDataSource([np.arange(5)]).loader(2, shuffle=12345, drop_last=True)
        >>> [[batch.tolist() for (batch,) in loader] for epoch in range(2)], len(loader)
        ([[[1, 3], [2, 0]], [[0, 1], [3, 2]]], 2)
        """
        self._check("loader", kwargs)
        if "epoch" in kwargs:
            raise TypeError("loader: there is no argument epoch=; write loader.set_epoch(epoch)")
        request = Request(batch_size, shuffle, shard, drop_last, kwargs, window)
        stream = request.cut(self._stream(request) if pool is None else self._for_pool(request))
        return stream.loader(pool=pool, buffer=buffer, split=split)

    def _for_pool(self, request: Request) -> ops.Stream:
        """The same stream, but all its work is left to who gets it, and not done by `batch_iterator`."""
        if not self.is_random_access:
            return self._stream(request)
        return self._index_stream(request) | ops.map(BatchOf(self))

    def _index_stream(self, request: Request) -> ops.Stream:
        """The sample indices of each batch, as a stream."""
        return batches_of(self, request, self.batch_indices_iterator, self.batch_indices_iterator)

    def _batch_at(self, indices: Any) -> Any:
        """The batch of what `_index_stream` gives."""
        return self.samples_by_indices_nomapping(indices)

    def map(
        self, fn: Callable[..., Any], rng: SeedLike | None = None, *, resizes: bool = False
    ) -> MapDataSource:
        """A data source of the batches `fn(*batch)`, such as augmentations: `stream | map(fn, rng)`.

        With `rng`, a seed, it is `fn(*batch, rng=generator)`; with `resizes` it may give other numbers; see `ops.map`.
        """
        return MapDataSource(self, fn, rng, resizes)

    # The index methods of what is not random access.

    def batch_indices_iterator(
        self, batch_size: int, shuffle: ShuffleLike = None, **kwargs: Any
    ) -> Iterator[Any]:
        """The sample indices of each batch of an epoch; TypeError where there is no random access."""
        self._refuse("batch_indices_iterator")

    def samples_by_indices(self, indices: Any) -> Any:
        """The batch of the samples at these places; TypeError where there is no random access."""
        self._refuse("samples_by_indices")

    def samples_by_indices_nomapping(self, indices: Any) -> Any:
        """As `samples_by_indices`, but past the subset, if there is one."""
        self._refuse("samples_by_indices_nomapping")

    def __repr__(self) -> str:
        return type(self).__name__


class StreamDataSource(AbstractDataSource):
    """A data source that is a composition of stages: `_stream` and `_index_stream` are to write."""

    @abstractmethod
    def _stream(self, request: Request) -> ops.Stream: ...

    def _for_pool(self, request: Request) -> ops.Stream:
        return self._stream(request)

    @abstractmethod
    def _index_stream(self, request: Request) -> ops.Stream: ...

    def batch_iterator(
        self,
        batch_size: int,
        shuffle: ShuffleLike = None,
        shard: ShardLike = None,
        drop_last: bool = False,
        epoch: int | None = None,
        *,
        window: int | None = None,
        **kwargs: Any,
    ) -> ops.StreamIterator:
        """The batches of an epoch, tuples of arrays of `batch_size` samples: `iter(self.stream(...))`.

        `shuffle` is as for `ops.shuffle`; with a seed it is the same order each time, and `epoch=e` has that of
        epoch e, and the noise of its own. (`loader` counts the epochs itself.) With `drop_last` a last batch
        that is short is left out. `shard=(i, n)` is part i of n of every batch, for data-parallel
        training; `batch_size` is then the global one, of all parts together. See `ops.shard`; `shard=()`
        asks the environment. `window` is as for `stream`.
        """
        self._check("batch_iterator", kwargs)
        return iter(self.stream(batch_size, shuffle, shard, drop_last, epoch, window=window, **kwargs))

    def batch_indices_iterator(
        self,
        batch_size: int,
        shuffle: ShuffleLike = None,
        shard: ShardLike = None,
        drop_last: bool = False,
        epoch: int | None = None,
        **kwargs: Any,
    ) -> ops.StreamIterator:
        """The sample indices of each batch of an epoch; TypeError where there is no random access.

        `samples_by_indices_nomapping` makes the batches of them (but for the noise of a random map).
        """
        if not self.is_random_access:
            self._refuse("batch_indices_iterator")
        self._check("batch_indices_iterator", kwargs)
        stream = self._index_stream(Request(batch_size, shuffle, shard, drop_last, kwargs))
        return iter(stream if epoch is None else stream.epoch(epoch))

    def _check(self, method: str, kwargs: dict[str, Any]) -> None:
        """TypeError for an argument that nobody knows; a user's function may know others."""
        if self.is_random_access:
            refuse_others(kwargs, getattr(self, method))

    def _batch_at(self, indices: Any) -> Any:
        listed = self._listed(indices, False)
        return as_asked(listed, self._batch(several(listed)))

    def _batch(self, indices: Any) -> Any:
        """The batch of an index array."""
        return self.samples_by_indices_nomapping(indices)

    def _listed(self, indices: Any, mapped: bool) -> Any:
        """What may be given for an index array, as one; `mapped` if they are places of the subset."""
        return indices


class MapDataSource(StreamDataSource):
    """The batches of another data source, each given to a function: `source.stream(...) | map(fn, rng)`.

    `fn(*batch)` returns the new batch; with `rng`, a seed, `fn(*batch, rng=generator)`, see `ops.map`.
    (The batches of `samples_by_indices` have no place in a stream; theirs is keyed by their indices.)
    Raises TypeError for a function that can't be called.

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
    ):
        check_sources([source], "MapDataSource")
        self.source = source
        self.fn = fn
        self.rng = rng
        self.resizes = bool(resizes)
        self._stage = ops.map(fn, rng, resizes=resizes)

    @property
    def is_random_access(self) -> bool:
        return self.source.is_random_access

    def num_samples(self, **kwargs: Any) -> Count:
        """Those of its source; None where the function may give other numbers."""
        return None if self.resizes else self.source.num_samples(**kwargs)

    def _stream(self, request: Request) -> ops.Stream:
        return self.source._stream(request) | self._stage

    def _for_pool(self, request: Request) -> ops.Stream:
        return self.source._for_pool(request) | self._stage

    def _index_stream(self, request: Request) -> ops.Stream:
        return self.source._index_stream(request)

    def samples_by_indices(self, indices: Any) -> Any:
        """`fn` of the batch of the samples at these places."""
        indices = self._listed(indices, True)
        return self._mapped(self.source.samples_by_indices(indices), indices)

    def samples_by_indices_nomapping(self, indices: Any) -> Any:
        """As `samples_by_indices`, but past the subset, if there is one."""
        indices = self._listed(indices, False)
        return self._mapped(self.source._batch_at(indices), indices)

    def _listed(self, indices: Any, mapped: bool) -> Any:
        source = self.source
        return source._listed(indices, mapped) if isinstance(source, StreamDataSource) else indices

    def _mapped(self, batch: Any, indices: Any) -> Any:
        fn = self.fn
        if self.rng is not None:
            depth = 0  # two maps with one seed, one upon the other, have numbers of their own
            source: Any = self.source
            while isinstance(source, MapDataSource):
                source, depth = source.source, depth + 1
            key = (depth, *[int(i) for part in flat(indices) for i in np.ravel(part)])
            entropy = seed_sequence(as_seed(self.rng, "map(fn, rng)"), *key)
            fn = partial(fn, rng=np.random.default_rng(entropy))
        return Map(fn).run(batch)

    def __repr__(self) -> str:
        return shortened(f"{self.source!r}.map({describe_callable(self.fn)})")


def check_sources(sources: Sequence[Any], where: str) -> None:
    """TypeError for anything among `sources` that is no data source."""
    for n, source in enumerate(sources):
        if not isinstance(source, AbstractDataSource):
            raise TypeError(f"{where}: expected data sources; number {n} is {describe(source)}")
