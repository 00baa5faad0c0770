"""Data sources whose samples are read by index: arrays, and what users derive for anything else."""

from __future__ import annotations

from abc import abstractmethod
from functools import wraps
from typing import Any, Never

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchup import ops
from batchup.core.blocks import Block, block_array
from batchup.core.checks import describe, shortened, whole_number
from batchup.core.item import as_batch
from batchup.core.randomness import ShuffleLike
from batchup.core.record import Count, record
from batchup.data_source.base import AbstractDataSource, StreamDataSource
from batchup.data_source.indices import as_asked, listed, several
from batchup.data_source.request import Request, ShardLike
from batchup.ops.read.gather import gather_step, reading
from batchup.ops.read.reader import Reader
from batchup.sampling import (
    AbstractSampler,
    StandardSampler,
    StratifiedSampler,
    SubsetSampler,
    WeightedSampler,
)
from batchup.sampling.epochs import EpochSampler
from batchup.sampling.wording import said_of

__all__ = ["ArrayDataSource", "RandomAccessDataSource"]


class RandomAccessDataSource(StreamDataSource):
    """A source of `length` samples that can be read in any order.

    Derived classes write one method, `samples_by_indices_nomapping`. `indices` is a 1-D integer array,
    the subset to take; `repeats` is how often to go through it, -1 for ever; or give a `sampler`, but
    then neither of them. With `include_indices` the sample indices come first in each batch.
    The batches are `sampler.stream(batch_size, shuffle) | map(samples_by_indices_nomapping)`.

    >>> class Files(RandomAccessDataSource):
    ...     def __init__(self, names, **kwargs):
    ...         super().__init__(len(names), **kwargs)
    ...         self.names = names
    ...     def samples_by_indices_nomapping(self, indices):
    ...         return (np.array([len(self.names[i]) for i in indices]),)
    >>> list(Files(["a", "bcd", "ef"], include_indices=True).batch_iterator(2))
    [(array([0, 1]), array([1, 3])), (array([2]), array([2]))]
    """

    def __init__(
        self,
        length: int,
        indices: ArrayLike | None = None,
        repeats: int = 1,
        sampler: AbstractSampler | None = None,
        include_indices: bool = False,
    ):
        name = type(self).__name__
        self.length = whole_number(length, f"{name}: length")
        if sampler is None:
            with said_of(name, "StandardSampler", "SubsetSampler"):
                sampler = (
                    StandardSampler(self.length, repeats)
                    if indices is None
                    else SubsetSampler(indices, repeats)
                )
        elif indices is not None or repeats != 1:
            raise ValueError(f"{name}: expected a sampler, or indices and repeats; got both")
        if not isinstance(sampler, AbstractSampler):
            raise TypeError(f"{name}: expected a sampler; got {describe(sampler)}")
        self.sampler = sampler
        self.include_indices = bool(include_indices)
        if isinstance(sampler, WeightedSampler) and len(sampler.weights) != self.length:
            raise ValueError(
                f"{name}: expected a weight for each of {self.length} samples; got {sampler!r}. "
                "For some of the samples there is WeightedSubsetSampler"
            )
        if isinstance(sampler, StratifiedSampler) and len(sampler.y) != self.length:
            raise ValueError(
                f"{name}: expected a label for each of {self.length} samples; got {sampler!r}"
            )
        # Any seed will do: the weighted samplers want one.
        grid = sampler.stream(1, shuffle=0).plan.grid
        bound = None if grid is None else grid.bound
        if bound is not None and bound > self.length:
            raise ValueError(
                f"{name}: expected indices below its {self.length} samples; "
                f"{sampler!r} gives {bound - 1}"
            )

    @property
    def is_random_access(self) -> bool:
        return True

    def num_samples(self, **kwargs: Any) -> Count:
        """How many samples the sampler gives in an epoch: an int, or `np.inf`."""
        return self.sampler.num_indices_generated()

    @abstractmethod
    def samples_by_indices_nomapping(self, indices: NDArray[np.intp]) -> tuple[Any, ...]:
        """The samples `indices`, a 1-D intp array, as a tuple of arrays of shape (samples, ...).

        Whoever calls it may also give a slice, or an int for one sample by itself, and with
        `include_indices` the indices come first: that is seen to for what a derived class writes.
        """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        written = cls.__dict__.get("samples_by_indices_nomapping")
        if written is None:
            return

        @wraps(written)
        def samples_by_indices_nomapping(self: RandomAccessDataSource, indices: Any) -> Any:
            if type(self).samples_by_indices_nomapping is not samples_by_indices_nomapping:
                return written(self, indices)  # asked by the method of a class derived from this
            return self._batch_at(indices)

        cls._samples = written  # type: ignore[method-assign]
        cls.samples_by_indices_nomapping = samples_by_indices_nomapping  # type: ignore[method-assign]

    def _samples(self, indices: NDArray[np.intp]) -> tuple[Any, ...]:
        """What the class has written for `samples_by_indices_nomapping`."""
        raise NotImplementedError

    def samples_by_indices(self, indices: ArrayLike | slice) -> tuple[Any, ...]:
        """The batch of the samples at these places of the subset; of all samples if there is none.

        `indices` is a 1-D integer array, or a slice; or an int, for one sample by itself, without the
        first axis of a batch. Raises TypeError for anything else, IndexError for an int outside.
        """
        listed = self._listed(indices, True)
        places = block_array(several(listed))
        batch: tuple[Any, ...] = as_asked(listed, self._batch(self.sampler.map_indices(places)))
        return batch

    def _listed(self, indices: Any, mapped: bool) -> Any:
        subset = getattr(self.sampler, "indices", None) if mapped else None
        length = self.length if subset is None else len(subset)
        where = "samples_by_indices" if mapped else "samples_by_indices_nomapping"
        return listed(indices, length, where)

    def batch_iterator(
        self,
        batch_size: int,
        shuffle: ShuffleLike = None,
        shard: ShardLike = None,
        drop_last: bool = False,
        epoch: int | None = None,
        *,
        window: int | None = None,
        **unknown: Never,
    ) -> ops.StreamIterator:
        return super().batch_iterator(
            batch_size, shuffle, shard, drop_last, epoch, window=window, **unknown
        )

    def stream(
        self,
        batch_size: int,
        shuffle: ShuffleLike = None,
        shard: ShardLike = None,
        drop_last: bool = False,
        epoch: int | None = None,
        *,
        window: int | None = None,
        **unknown: Never,
    ) -> ops.Stream:
        return super().stream(batch_size, shuffle, shard, drop_last, epoch, window=window, **unknown)

    def _stream(self, request: Request) -> ops.Stream:
        return self._blocks(request) | self._reading()

    def _index_stream(self, request: Request) -> ops.Stream:
        return self._blocks(request) | ops.map(block_array, name="indices")

    def _blocks(self, request: Request) -> ops.Stream:
        if request.window is not None:
            chunks = self._chunks(request)
            if not isinstance(self.sampler, EpochSampler):
                wanted = "window: expected all samples, or indices= of some"
                raise TypeError(f"{wanted}; {self.sampler!r} draws them one by one from anywhere")
            return self.sampler.windows(request.shuffle, chunks, request.window)
        blocks = self.sampler.stream(request.batch_size, request.shuffle, request.drop_last)
        return blocks if request.shard is None else blocks | ops.shard(*request.shard)

    def _chunks(self, request: Request) -> int | NDArray[np.intp]:
        """How many samples the chunks have that windows are made of."""
        request.refuse_window(self)
        raise NotImplementedError

    def _reading(self) -> ops.Stage:
        """The stage that makes batches of index blocks."""
        return ops.map(_Reader(self))

    def _options(self) -> str:
        """The further arguments, for a repr."""
        sampler = self.sampler
        own = (self.length, 1)
        plain = isinstance(sampler, StandardSampler) and (sampler.length, sampler.repeats) == own
        options = "" if plain else f", sampler={sampler!r}"
        return options + ", include_indices=True" * self.include_indices

    def _batch(self, block: Block) -> tuple[Any, ...]:
        indices = block_array(block)
        samples: tuple[Any, ...] = as_batch(self._samples(indices))
        if not self.include_indices:
            return samples
        return (np.array(indices), *(samples if isinstance(samples, tuple) else (samples,)))


@record
class _Reader:
    source: RandomAccessDataSource

    def __call__(self, block: Block) -> tuple[Any, ...]:
        return self.source._batch(block)

    @property
    def __name__(self) -> str:
        return f"{type(self.source).__name__}.samples_by_indices_nomapping"


class ArrayDataSource(RandomAccessDataSource):
    """Mini-batches of arrays: `sampler.stream(batch_size, shuffle) | gather(*data)`.

    `data` is a list of arrays, or anything array-like, of one length; a batch is a tuple with one
    array of shape (samples, ...) for each of them. `indices`, `repeats`, `sampler` and
    `include_indices` are as for `RandomAccessDataSource`; `cache` is how many bytes of decoded chunks are kept, as for
    `ops.gather`. Raises TypeError where `data` is not a list of array-likes, ValueError where their lengths differ or
    indices lie outside.

    >>> X, y = np.arange(8).reshape(4, 2), np.array([5, 6, 7, 8])
    >>> ds = ArrayDataSource([X, y], indices=[0, 2, 3])
    >>> for batch_X, batch_y in ds.batch_iterator(2, shuffle=12345):
    ...     print(batch_X.tolist(), batch_y.tolist())
    [[4, 5], [6, 7]] [7, 8]
    [[0, 1]] [5]
    """

    def __init__(
        self,
        data: list[Any],
        indices: ArrayLike | None = None,
        repeats: int = 1,
        sampler: AbstractSampler | None = None,
        include_indices: bool = False,
        cache: int = 0,
    ):
        if not isinstance(data, list):
            raise TypeError(
                f"ArrayDataSource: expected a list of arrays, such as [X, y]; got {describe(data)}"
            )
        if not data:
            raise ValueError("ArrayDataSource: expected one array at least; got an empty list")
        if any(isinstance(array, AbstractDataSource) for array in data):
            raise TypeError(
                "ArrayDataSource: expected arrays; got data sources among them. Side by side they are "
                "CompositeDataSource([ds, ArrayDataSource([y])])"
            )
        reader = Reader(
            tuple(data), where="ArrayDataSource", cache=whole_number(cache, "ArrayDataSource: cache")
        )
        self._gather = gather_step(reader, (), include_indices)
        super().__init__(reader.length, indices, repeats, sampler, include_indices)
        self.data = list(data)

    def samples_by_indices_nomapping(self, indices: ArrayLike | slice) -> tuple[Any, ...]:
        """The samples `indices` of the arrays themselves; after the indices, with `include_indices`.

        `indices` is as for `samples_by_indices`.
        """
        return self._batch(several(self._listed(indices, False)))

    def __getstate__(self) -> dict[str, Any]:
        # As arrays alone, also what is a table or a tensor: once, not beside those that are read.
        return {**self.__dict__, "data": list(self._gather.arrays)}

    def _chunks(self, request: Request) -> int | NDArray[np.intp]:
        return self._gather.reader.chunks()

    def _reading(self) -> ops.Stage:
        return reading(self._gather)

    def _batch(self, block: Block) -> tuple[Any, ...]:
        batch: tuple[Any, ...] = self._gather.run(block)
        return batch

    def __repr__(self) -> str:
        return shortened(f"ArrayDataSource([{', '.join(map(describe, self.data))}]{self._options()})")
