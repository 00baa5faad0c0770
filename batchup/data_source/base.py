"""What every data source can do, and `MapDataSource`, which `.map` makes of any of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NoReturn

import numpy as np

from batchup import ops
from batchup.core.checks import describe, describe_callable
from batchup.core.given import Iterated
from batchup.core.randomness import SeedLike, ShuffleLike
from batchup.core.record import Count
from batchup.data_source.indices import ShardLike, as_asked, flat, refuse_others, several
from batchup.data_source.results import BatchMaps
from batchup.ops.functions import Map

__all__ = ["AbstractDataSource", "MapDataSource", "StreamDataSource"]


class AbstractDataSource(BatchMaps, ABC):
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

    def stream(self, batch_size: int, shuffle: ShuffleLike = None, **kwargs: Any) -> ops.Stream:
        """The `Stream` behind `batch_iterator`, to be continued with `|`."""
        if kwargs.get("shard") is not None:
            raise TypeError(f"shard: the batches of {self!r} come one after another, and have no parts")
        kwargs.pop("shard", None)
        make = partial(self.batch_iterator, batch_size, **given(shuffle, kwargs))
        plan = Iterated(make, samples=self.num_samples(**kwargs))
        return ops.Stream(plan, text=repr(self))

    def map(self, fn: Callable[..., Any], rng: SeedLike | None = None) -> MapDataSource:
        """A data source of the batches `fn(*batch)`, such as augmentations: `stream | map(fn, rng)`.

        With `rng`, a seed, it is `fn(*batch, rng=generator)`; see `ops.map`.
        """
        return MapDataSource(self, fn, rng)

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

    def __iter__(self) -> NoReturn:
        raise TypeError(f"{self!r}: its batches are those of batch_iterator(batch_size)")

    def __len__(self) -> NoReturn:
        raise TypeError(
            f"{self!r}: the number of its samples is num_samples(), that of its batches "
            "len(stream(batch_size))"
        )

    def __bool__(self) -> bool:
        return True

    def __or__(self, stage: Any) -> NoReturn:
        raise TypeError(
            f"{self!r} | ...: write ds.map(function) for a data source, or continue its batches, "
            "ds.stream(batch_size) | ..."
        )

    def _refuse(self, method: str) -> NoReturn:
        raise TypeError(
            f"{method}: {self!r} is not a random access data source: "
            "its samples come only one after another, by batch_iterator"
        )

    def __repr__(self) -> str:
        return type(self).__name__


def given(shuffle: ShuffleLike, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The keyword arguments for a user's batch iterator: `shuffle` among them where there is one."""
    return kwargs if shuffle is None else {"shuffle": shuffle, **kwargs}


class StreamDataSource(AbstractDataSource):
    """A data source that is a composition of stages: only `stream` is to write."""

    @abstractmethod
    def stream(self, batch_size: int, shuffle: ShuffleLike = None, **kwargs: Any) -> ops.Stream: ...

    @abstractmethod
    def index_stream(
        self, batch_size: int, shuffle: ShuffleLike = None, shard: ShardLike = None
    ) -> ops.Stream:
        """The sample indices of each batch, as a stream."""

    def batch_iterator(
        self, batch_size: int, shuffle: ShuffleLike = None, **kwargs: Any
    ) -> ops.StreamIterator:
        """The batches of an epoch: `iter(self.stream(batch_size, shuffle))`.

        `shard=(i, n)` is part i of n of every batch of `batch_size`; see `ops.shard`.
        """
        self._check("batch_iterator", kwargs)
        return iter(self.stream(batch_size, shuffle, **kwargs))

    def batch_indices_iterator(
        self, batch_size: int, shuffle: ShuffleLike = None, **kwargs: Any
    ) -> ops.StreamIterator:
        """The sample indices of each batch of an epoch; TypeError where there is no random access.

        `samples_by_indices_nomapping` makes the batches of them (but for the noise of a random map).
        """
        if not self.is_random_access:
            self._refuse("batch_indices_iterator")
        self._check("batch_indices_iterator", kwargs)
        return iter(self.index_stream(batch_size, shuffle, **kwargs))

    def _check(self, method: str, kwargs: dict[str, Any]) -> None:
        """TypeError for an argument that nobody knows; a user's function may know others."""
        if self.is_random_access:
            refuse_others(kwargs, getattr(self, method))

    def _batch(self, indices: Any) -> Any:
        """The batch of what `index_stream` gives."""
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
    ):
        check_sources([source], "MapDataSource")
        self.source = source
        self.fn = fn
        self.rng = rng
        self._stage = ops.map(fn, rng)

    @property
    def is_random_access(self) -> bool:
        return self.source.is_random_access

    def num_samples(self, **kwargs: Any) -> Count:
        """Those of its source."""
        return self.source.num_samples(**kwargs)

    def stream(self, batch_size: int, shuffle: ShuffleLike = None, **kwargs: Any) -> ops.Stream:
        self._check("stream", kwargs)
        return self.source.stream(batch_size, shuffle, **kwargs) | self._stage

    def index_stream(
        self, batch_size: int, shuffle: ShuffleLike = None, shard: ShardLike = None
    ) -> ops.Stream:
        return index_stream(self.source, batch_size, shuffle, shard)

    def samples_by_indices(self, indices: Any) -> Any:
        """`fn` of the batch of the samples at these places."""
        indices = self._listed(indices, True)
        return self._mapped(self.source.samples_by_indices(indices), indices)

    def samples_by_indices_nomapping(self, indices: Any) -> Any:
        """As `samples_by_indices`, but past the subset, if there is one."""
        indices = self._listed(indices, False)
        return self._mapped(batch_of(self.source, indices), indices)

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
            fn = partial(fn, rng=np.random.default_rng(np.random.SeedSequence(self.rng, spawn_key=key)))
        return Map(fn).run(batch)

    def __repr__(self) -> str:
        return f"{self.source!r}.map({describe_callable(self.fn)})"


def index_stream(
    source: AbstractDataSource,
    batch_size: int,
    shuffle: ShuffleLike,
    shard: ShardLike = None,
) -> ops.Stream:
    """The index batches of any random-access source as a stream, a user's own among them."""
    if isinstance(source, StreamDataSource):
        return source.index_stream(batch_size, shuffle, shard)
    make = partial(source.batch_indices_iterator, batch_size, **given(shuffle, {}))
    plan = Iterated(make, samples=source.num_samples())
    return ops.Stream(plan, text=f"indices of {source!r}")


def batch_of(source: AbstractDataSource, indices: Any) -> Any:
    """The batch of what `index_stream` gives, of any random-access source."""
    if isinstance(source, StreamDataSource):
        listed = source._listed(indices, False)
        return as_asked(listed, source._batch(several(listed)))
    return source.samples_by_indices_nomapping(indices)


def check_sources(sources: Sequence[Any], where: str) -> None:
    """TypeError for anything among `sources` that is no data source."""
    for n, source in enumerate(sources):
        if not isinstance(source, AbstractDataSource):
            raise TypeError(f"{where}: expected data sources; number {n} is {describe(source)}")
