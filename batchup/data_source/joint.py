"""Several data sources as one: `CompositeDataSource` and `ChoiceDataSource`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchup import ops
from batchup.core.checks import describe, read_only, shortened
from batchup.core.draws import Replay
from batchup.core.hints import BLEND_HINTS, hinted
from batchup.core.plan import Plan, replay_of
from batchup.core.randomness import Seed, as_rng
from batchup.core.record import Count, record
from batchup.core.sources import Iterated
from batchup.core.work import SAME, Step
from batchup.data_source.base import AbstractDataSource, StreamDataSource, as_sources
from batchup.data_source.request import Request
from batchup.ops.choose import checked_shares, chosen
from batchup.ops.index.chunk import is_several
from batchup.ops.zip import joined
from batchup.sampling.counts import counted

__all__ = ["ChoiceBatch", "ChoiceDataSource", "CompositeDataSource"]


class JointDataSource(StreamDataSource):
    """What both have in common: the members, and a stream of each."""

    def __init__(self, datasets: Sequence[AbstractDataSource]):
        self.datasets = as_sources(datasets, type(self).__name__)

    @property
    def is_random_access(self) -> bool:
        return all(ds.is_random_access for ds in self.datasets)

    def _stream(self, request: Request) -> ops.Stream:
        request.refuse_window(self)
        streams = []
        for ds, own in zip(self.datasets, self._requests(request), strict=True):
            # Further keyword arguments are for the members that call a user's function.
            streams.append(ds._stream(replace(own, others={}) if ds.is_random_access else own))
        return self._joined(streams, request)

    def _index_stream(self, request: Request) -> ops.Stream:
        members = zip(self.datasets, self._requests(replace(request, others={})), strict=True)
        streams = [ds._index_stream(own) for ds, own in members]
        return self._joined(streams, request, indices=True)

    @abstractmethod
    def _joined(self, streams: list[ops.Stream], request: Request, indices: bool = False) -> ops.Stream:
        """The streams of the members, of batches or of indices, joined."""

    def _num_samples(self, kwargs: dict[str, Any]) -> list[int | float]:
        """The numbers of samples of the members that know theirs."""
        counts = [ds.num_samples(**kwargs) for ds in self.datasets]
        return [count for count in counts if count is not None]

    def _requests(self, request: Request) -> list[Request]:
        """The request for each member. Members share a generator; from a seed each member derives its own."""
        rng = as_rng(request.shuffle, "shuffle")
        requests = []
        for n, size in enumerate(self._batch_sizes(request)):
            order = rng.of_member(n).ints[0] if isinstance(rng, Seed) else request.shuffle
            requests.append(replace(request, shuffle=order, batch_size=size))
        return requests

    def _batch_sizes(self, request: Request) -> list[Any]:
        """The batch size of each member."""
        request.refuse_sizes()
        return [request.batch_size] * len(self.datasets)

    def __repr__(self) -> str:
        return shortened(f"{type(self).__name__}([{', '.join(map(repr, self.datasets))}])")


class CompositeDataSource(JointDataSource):
    """A batch of each of several sources, side by side: `zip(*streams, flatten=, trim=)`.

    The batch size is that of every member, or a list with a size for each: `ds.loader([16, 112])`. An epoch ends with
    the shortest source; give the others `repeats=-1`. An index batch is a tuple of the index batches of the members. The
    number of samples is the smallest known number of a member.

    If `shuffle` is a generator, the members share it, and draw from it in the order in which they are asked. From a
    seed each member derives its own.

    Parameters
    ----------
    datasets : sequence of AbstractDataSource
        The members.
    flatten : bool
        If True, the tuples of the members are joined into one: `(X, y)` and `(U,)` give `(X, y, U)`.
    trim : bool or None
        If True, the batches are cut to the shortest of each joint batch, as the last one of an epoch may be. If False,
        nothing is cut. None cuts if there is one batch size for all members, and not if each has its own.

    Raises
    ------
    TypeError
        If a member is no data source.
    ValueError
        Without members; for a list of batch sizes, if it has another length than `datasets`, or if `trim` is True.

    Examples
    --------
    >>> from batchup.data_source import ArrayDataSource
    >>> labelled = ArrayDataSource([np.arange(3), np.array([0, 1, 0])], repeats=-1)
    >>> unlabelled = ArrayDataSource([np.arange(5) * 10])
    >>> for X, y, U in CompositeDataSource([labelled, unlabelled]).batch_iterator(2):
    ...     print(X, y, U)
    [0 1] [0 1] [ 0 10]
    [2 0] [0 0] [20 30]
    [1] [1] [40]
    >>> for X, y, U in CompositeDataSource([labelled, unlabelled]).batch_iterator([1, 3]):
    ...     print(X, y, U)
    [0] [0] [ 0 10 20]
    [1] [1] [30 40]
    """

    def __init__(self, datasets: Sequence[AbstractDataSource], flatten: bool = True, trim: bool | None = None):
        super().__init__(datasets)
        self.flatten = bool(flatten)
        self.trim = None if trim is None else bool(trim)

    def num_samples(self, **kwargs: Any) -> Count:
        return min(self._num_samples(kwargs), default=None)

    def _batch_sizes(self, request: Request) -> list[Any]:
        sizes = request.batch_size
        if not is_several(sizes):
            return [sizes] * len(self.datasets)
        sizes = sizes.tolist() if isinstance(sizes, np.ndarray) else list(sizes)
        if len(sizes) != len(self.datasets):
            wanted = f"batch_size: expected a number, or a list of {len(self.datasets)}, one for each member"
            raise ValueError(f"{wanted}; got {describe(sizes)}")
        if self.trim:
            raise ValueError(
                f"batch_size: expected one number for CompositeDataSource(..., trim=True), which cuts all members alike; got "
                f"{sizes}. Leave trim out to have these sizes"
            )
        return sizes

    def _joined(self, streams: list[ops.Stream], request: Request, indices: bool = False) -> ops.Stream:
        trim = not is_several(request.batch_size) if self.trim is None else self.trim
        return ops.zip(*streams, flatten=self.flatten and not indices, trim=trim)

    def samples_by_indices(self, indices: Sequence[Any]) -> tuple[Any, ...]:
        """The joint batch of the samples at these places of the subsets of the members.

        Parameters
        ----------
        indices : sequence of 1-D arrays of int
            One array for each member.

        Returns
        -------
        tuple of arrays
            The joint batch.
        """
        members = self._members_of("samples_by_indices", indices)
        return self._joint_batch([ds.samples_by_indices(part) for ds, part in members], indices)

    def samples_by_indices_nomapping(self, indices: Sequence[Any]) -> tuple[Any, ...]:
        """The joint batch of the samples with these indices, whatever the subsets of the members.

        Parameters
        ----------
        indices : sequence of 1-D arrays of int
            One array for each member.

        Returns
        -------
        tuple of arrays
            The joint batch.
        """
        members = self._members_of("samples_by_indices_nomapping", indices)
        return self._joint_batch([ds._batch_at(part) for ds, part in members], indices)

    def _joint_batch(self, batches: list[Any], indices: Sequence[Any]) -> tuple[Any, ...]:
        single = any(isinstance(part, int | np.integer) for part in indices)
        return joined(tuple(batches), self.flatten, bool(self.trim) and not single)

    def _members_of(self, method: str, indices: Any) -> Iterator[tuple[AbstractDataSource, Any]]:
        if not self.is_random_access:
            self._refuse(method)
        wanted = f"{method}: expected a tuple of {len(self.datasets)} index arrays, one a member"
        if not isinstance(indices, list | tuple):
            raise TypeError(f"{wanted}; got {describe(indices)}")
        if len(indices) != len(self.datasets):
            raise ValueError(f"{wanted}; got {len(indices)}")
        return zip(self.datasets, indices, strict=True)


class ChoiceBatch(NamedTuple):
    """The sample indices of one batch of a `ChoiceDataSource`, and the number of their source.

    Parameters
    ----------
    sample_indices : 1-D array of int
        The indices of the batch.
    ds_index : int
        The number of the member, from 0 on.
    """

    sample_indices: Any
    ds_index: int


class ChoiceDataSource(JointDataSource):
    """Each batch from one of several sources: `choose(*streams, rng=shuffle, stratified=, weights=)`.

    In order, the members take turns until one has ended; shuffled, each round has a random order. Members get `shuffle`
    as in a `CompositeDataSource`. Index batches are `ChoiceBatch(sample_indices, ds_index)`. The number of samples is
    the sum of those of the members; an unknown number counts as 0. With weights it is unknown, unless it never ends.

    Parameters
    ----------
    datasets : sequence of AbstractDataSource
        The members.
    stratified : bool
        If True, all members come to their ends. In order, their batches are spread evenly, in proportion to their
        number; shuffled, their order is random.
    weights : (members,) array of float or None
        The share of the batches that comes from each member, >= 0, with any sum. Without `shuffle` the counts follow the
        weights, to within a batch; with it each turn is random. The epoch ends when a member has its turn and no batch
        left.

    Raises
    ------
    TypeError
        If a member is no data source.
    ValueError
        Without members; for `stratified` if a member is endless or of unknown length; for weights that are negative or
        not one for each member, and with `stratified`.

    Examples
    --------
    >>> from batchup.data_source import ArrayDataSource
    >>> ds = ChoiceDataSource([ArrayDataSource([np.arange(6)]), ArrayDataSource([np.arange(3) * 10])],
    ...                       stratified=True)
    >>> [batch.tolist() for (batch,) in ds.batch_iterator(2)]
    [[0, 1], [0, 10], [2, 3], [20], [4, 5]]
    >>> next(ds.batch_indices_iterator(2))
    ChoiceBatch(sample_indices=array([0, 1]), ds_index=0)
    """

    @hinted(**BLEND_HINTS)
    def __init__(
        self, datasets: Sequence[AbstractDataSource], stratified: bool = False, weights: ArrayLike | None = None
    ):
        super().__init__(datasets)
        self.stratified = bool(stratified)
        self.weights: NDArray[Any] | None = None
        if weights is not None:
            checked_shares(weights, len(self.datasets), self.stratified, "ChoiceDataSource")
            self.weights = read_only(np.asarray(weights))

    def num_samples(self, **kwargs: Any) -> Count:
        counts = self._num_samples(kwargs)
        if self.weights is None:
            return sum(counts)
        return np.inf if len(counts) == len(self.datasets) and min(counts) == np.inf else None

    def _joined(self, streams: list[ops.Stream], request: Request, indices: bool = False) -> ops.Stream:
        if request.drop_last:
            self._check_batches(streams, request.batch_size)
        if indices:
            streams = [stream.with_step(_Tag(n)) for n, stream in enumerate(streams)]
        if self.stratified:
            streams = [counted(s, request.batch_size) if _length_follows(s.plan) else s for s in streams]
        return chosen(tuple(streams), request.shuffle, self.stratified, self.weights, "ChoiceDataSource")

    def _check_batches(self, streams: list[ops.Stream], batch_size: int) -> None:
        for n, (ds, stream) in enumerate(zip(self.datasets, streams, strict=True)):
            # The length is the same on all ranks; a rank's part of a batch may have no samples.
            length = stream.plan.length
            if (stream.num_samples if length is None else length) == 0:
                wanted = f"with drop_last, expected members with at least {batch_size} samples"
                raise ValueError(f"ChoiceDataSource: {wanted}; number {n}, {ds!r}, has {ds.num_samples()} samples")

    def samples_by_indices(self, indices: ChoiceBatch) -> Any:
        """The batch of the samples at these places of the subset of one member.

        Parameters
        ----------
        indices : ChoiceBatch
            The indices, and the number of the member.

        Returns
        -------
        tuple of arrays
            The batch.
        """
        choice = self._choice("samples_by_indices", indices)
        return self.datasets[choice.ds_index].samples_by_indices(choice.sample_indices)

    def samples_by_indices_nomapping(self, indices: ChoiceBatch) -> Any:
        """The batch of the samples with these indices, whatever the subset of one member.

        Parameters
        ----------
        indices : ChoiceBatch
            The indices, and the number of the member.

        Returns
        -------
        tuple of arrays
            The batch.
        """
        choice = self._choice("samples_by_indices_nomapping", indices)
        return self.datasets[choice.ds_index]._batch_at(choice.sample_indices)

    def _choice(self, method: str, indices: Any) -> ChoiceBatch:
        if not self.is_random_access:
            self._refuse(method)
        if not isinstance(indices, ChoiceBatch):
            raise TypeError(
                f"{method}: expected a ChoiceBatch(sample_indices, ds_index), as batch_indices_iterator "
                f"gives them; got {describe(indices)}"
            )
        if not 0 <= indices.ds_index < len(self.datasets):
            raise ValueError(
                f"{method}: expected a ds_index from 0 to {len(self.datasets) - 1}; got {indices.ds_index}"
            )
        return indices


@record
class _Tag(Step):
    """The step that says to which member a batch of indices belongs."""

    tag = "_tag"

    member: int
    sizes = SAME

    def run(self, item: Any) -> ChoiceBatch:
        return ChoiceBatch(item, self.member)

    def __str__(self) -> str:
        return f"ChoiceBatch(..., {self.member})"


def _length_follows(plan: Plan) -> bool:
    """True if the number of batches follows from that of samples: not for joins, nor for iterators."""
    return isinstance(plan, Iterated) and replay_of(plan) < Replay.SINGLE_PASS
