"""Data sources whose samples are read by index: arrays, and what users derive for anything else."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchup import ops
from batchup.core.blocks import Block, as_indices, block_array
from batchup.core.checks import describe, shortened, whole_number
from batchup.core.item import as_batch
from batchup.core.record import Count, record
from batchup.data_source.base import AbstractDataSource, StreamDataSource
from batchup.data_source.indices import as_asked, listed, several
from batchup.data_source.request import Request
from batchup.ops.read.gather import as_reads, check_names, gather_step, reading, with_indices
from batchup.ops.read.reader import Reader
from batchup.sampling import (
    AbstractSampler,
    EpisodeSampler,
    OrderSampler,
    StandardSampler,
    StratifiedSampler,
    SubsetSampler,
    WeightedSampler,
)
from batchup.sampling.epochs import EpochSampler, check_repeats

__all__ = ["ArrayDataSource", "RandomAccessDataSource"]


class RandomAccessDataSource(StreamDataSource):
    """A source of samples that can be read in any order: the base class for your own.

    Derived classes define one method, `read`. The batches are `sampler.stream(batch_size, shuffle) | map(read)`.

    Parameters
    ----------
    length : int
        The number of samples.
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
        If the class doesn't define `read`, or an argument is of another type.
    ValueError
        If indices lie outside, if both `sampler` and `indices` or `repeats` are given, or if the sampler has weights or
        labels for another number of samples.

    Examples
    --------
    >>> class Files(RandomAccessDataSource):
    ...     def __init__(self, names, **kwargs):
    ...         super().__init__(len(names), **kwargs)
    ...         self.names = names
    ...     def read(self, indices):
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
        name, own, base = type(self).__name__, type(self), RandomAccessDataSource
        if own.samples_by_indices_nomapping is not base.samples_by_indices_nomapping:
            raise TypeError(f"{name}: define read(indices) in place of samples_by_indices_nomapping, which calls it")
        if own.read is base.read:
            raise TypeError(f"{name}: define read(indices), which returns the samples of an index array")
        self.length = whole_number(length, f"{name}: length")
        if sampler is None:
            subset = range(self.length) if indices is None else as_indices(indices, f"{name}: indices", self.length)
            check_repeats(repeats, len(subset), name)
            if indices is None:
                sampler = StandardSampler(self.length, repeats)
            else:
                sampler = SubsetSampler(block_array(subset), repeats)
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
        if isinstance(sampler, StratifiedSampler | EpisodeSampler) and len(sampler.y) != self.length:
            raise ValueError(f"{name}: expected a label for each of {self.length} samples; got {sampler!r}")
        # The random samplers need a seed; any will do.
        blocks = sampler._order(0) if isinstance(sampler, OrderSampler) else sampler.stream(1, shuffle=0)
        grid = blocks.plan.grid
        bound = None if grid is None else grid.bound
        if bound is not None and bound > self.length:
            raise ValueError(f"{name}: expected indices below its {self.length} samples; {sampler!r} gives {bound - 1}")

    @property
    def is_random_access(self) -> bool:
        return True

    def num_samples(self, **kwargs: Any) -> Count:
        return self.sampler.num_indices_generated()

    def read(self, indices: NDArray[np.intp]) -> Any:
        """The samples of these indices, to be defined by derived classes.

        Parameters
        ----------
        indices : 1-D array of intp
            The sample indices.

        Returns
        -------
        tuple of arrays
            Arrays of shape (samples, ...).
        """
        raise NotImplementedError

    @property
    def sample_indices(self) -> NDArray[np.intp]:
        subset = getattr(self.sampler, "indices", None)
        return np.arange(self.length) if subset is None else np.array(subset)

    def _samples_to_split(self) -> tuple[NDArray[np.intp], int]:
        if not isinstance(self.sampler, EpochSampler):
            raise TypeError(
                f"split: expected all samples, or indices= of some; {self.sampler!r} draws them in its own way"
            )
        return self.sample_indices, self.length

    def _of_samples(self, indices: NDArray[np.intp]) -> Self:
        assert isinstance(self.sampler, EpochSampler)
        other = copy(self)
        other.sampler = SubsetSampler(indices, self.sampler.repeats)
        return other

    def samples_by_indices_nomapping(self, indices: ArrayLike | slice) -> Any:
        return self._batch_at(indices)

    def samples_by_indices(self, indices: ArrayLike | slice) -> tuple[Any, ...]:
        listed = self._listed(indices, True)
        places = block_array(several(listed))
        batch: tuple[Any, ...] = as_asked(listed, self._batch(self.sampler.map_indices(places)))
        return batch

    def _listed(self, indices: Any, mapped: bool) -> Any:
        subset = getattr(self.sampler, "indices", None) if mapped else None
        length = self.length if subset is None else len(subset)
        where = "samples_by_indices" if mapped else "samples_by_indices_nomapping"
        return listed(indices, length, where)

    def _stream(self, request: Request) -> ops.Stream:
        return self._blocks(request) | self._reading(request)

    def _index_stream(self, request: Request) -> ops.Stream:
        return self._blocks(request) | ops.map(block_array, name="indices")

    def _blocks(self, request: Request) -> ops.Stream:
        request.refuse_sizes()
        if request.window is not None:
            chunks = self._chunks(request)
            if not isinstance(self.sampler, EpochSampler):
                wanted = "window: expected all samples, or indices= of some"
                raise TypeError(f"{wanted}; {self.sampler!r} draws them one by one from anywhere")
            return self.sampler.windows(request.shuffle, chunks, self._window(request.window))
        blocks = self.sampler.stream(request.batch_size, request.shuffle, request.drop_last)
        return blocks if request.shard is None else blocks | ops.shard(*request.shard)

    def _chunks(self, request: Request) -> int | NDArray[np.intp]:
        """The numbers of samples in the chunks that windows are made of."""
        request.refuse_window(self)
        raise NotImplementedError

    def _window(self, window: int | str) -> int:
        """The number of chunks in a window."""
        raise NotImplementedError

    def _reading(self, request: Request) -> ops.Stage:
        """The stage that makes batches of index blocks."""
        return ops.map(_Reader(self), name=f"{type(self).__name__}.read")

    def _options(self) -> str:
        """The further arguments, for a repr."""
        sampler = self.sampler
        own = (self.length, 1)
        plain = isinstance(sampler, StandardSampler) and (sampler.length, sampler.repeats) == own
        options = "" if plain else f", sampler={sampler!r}"
        return options + ", include_indices=True" * self.include_indices

    def _batch(self, block: Block) -> Any:
        indices = block_array(block)
        samples = as_batch(self.read(indices))
        return with_indices(indices, samples) if self.include_indices else samples


@record
class _Reader:
    source: RandomAccessDataSource

    def __call__(self, block: Block) -> Any:
        return self.source._batch(block)


class ArrayDataSource(RandomAccessDataSource):
    """Mini-batches of arrays: `sampler.stream(batch_size, shuffle) | gather(*data)`; of a dict `gather(**data)`.

    A batch is a tuple with one array of shape (samples, ...) for each array of `data`, or a dict with the same names.

    Parameters
    ----------
    data : list, tuple or dict of array-likes of one length
        See `ops.gather` for what is accepted.
    indices : 1-D array of int, mask, or None
        The subset to take, in this order; None for all samples.
    repeats : int
        The number of passes in an epoch; -1 for an endless number.
    sampler : AbstractSampler or None
        In place of `indices` and `repeats`: which samples come, in which order.
    include_indices : bool
        If True, the sample indices come first in each batch.
    cache : int
        The number of bytes of decoded chunks to keep, as for `ops.gather`.
    reads : int or None
        The number of chunks that are read at once, as for `ops.gather`.

    Raises
    ------
    TypeError
        If `data` is not a list, tuple or dict of array-likes.
    ValueError
        If their lengths differ, or indices lie outside.

    Examples
    --------
    >>> X, y = np.arange(8).reshape(4, 2), np.array([5, 6, 7, 8])
    >>> ds = ArrayDataSource([X, y], indices=[0, 2, 3])
    >>> for batch_X, batch_y in ds.batch_iterator(2, shuffle=12345):
    ...     print(batch_X.tolist(), batch_y.tolist())
    [[4, 5], [6, 7]] [7, 8]
    [[0, 1]] [5]
    >>> next(ArrayDataSource({"image": X, "label": y}).batch_iterator(2))["label"]
    array([5, 6])
    """

    def __init__(
        self,
        data: list[Any] | tuple[Any, ...] | Mapping[str, Any],
        indices: ArrayLike | None = None,
        repeats: int = 1,
        sampler: AbstractSampler | None = None,
        include_indices: bool = False,
        cache: int = 0,
        reads: int | None = None,
    ):
        if not isinstance(data, list | tuple | Mapping):
            raise TypeError(
                "ArrayDataSource: expected a list of arrays, such as [X, y], or a dict of them by names, such as "
                f'{{"image": X, "label": y}}; got {describe(data)}'
            )
        if not data:
            raise ValueError(f"ArrayDataSource: expected one array at least; got an empty {type(data).__name__}")
        names = tuple(data) if isinstance(data, Mapping) else ()
        if other := [name for name in names if not isinstance(name, str)]:
            raise TypeError(f"ArrayDataSource: expected names that are strings; got {describe(other[0])}")
        check_names(names, include_indices, "ArrayDataSource")
        arrays = tuple(data.values()) if isinstance(data, Mapping) else tuple(data)
        if any(isinstance(array, AbstractDataSource) for array in arrays):
            raise TypeError(
                "ArrayDataSource: expected arrays; got data sources among them. Side by side they are "
                "CompositeDataSource([ds, ArrayDataSource([y])])"
            )
        kept = whole_number(cache, "ArrayDataSource: cache")
        reader = Reader(arrays, names, "ArrayDataSource", kept, as_reads(reads, "ArrayDataSource"))
        self._reader, self._names = reader, names
        super().__init__(reader.length, indices, repeats, sampler, include_indices)
        self.data = self._with_names(arrays)

    def read(self, indices: NDArray[np.intp]) -> Any:
        return gather_step(self._reader, self._names).run(indices)

    def _with_names(self, arrays: tuple[Any, ...]) -> list[Any] | dict[str, Any]:
        return dict(zip(self._names, arrays, strict=True)) if self._names else list(arrays)

    def __getstate__(self) -> dict[str, Any]:
        # Tables and tensors go as the arrays that are read, once.
        return {**self.__dict__, "data": self._with_names(self._reader.arrays)}

    def _chunks(self, request: Request) -> int | NDArray[np.intp]:
        return self._reader.chunks()

    def _window(self, window: int | str) -> int:
        return self._reader.window(window)

    def _reading(self, request: Request) -> ops.Stage:
        return reading(gather_step(self._reader, self._names, self.include_indices), request.batch_size)

    def __repr__(self) -> str:
        if isinstance(self.data, dict):
            data = f"{{{', '.join(f'{name!r}: {describe(array)}' for name, array in self.data.items())}}}"
        else:
            data = f"[{', '.join(map(describe, self.data))}]"
        return shortened(f"ArrayDataSource({data}{self._options()})")
