"""A data source whose batches a pool of workers makes: a preset over `ops.parallel`."""

from __future__ import annotations

from typing import Any, Protocol

from batchup import ops
from batchup.core.checks import describe, whole_number
from batchup.core.record import Count
from batchup.data_source.base import AbstractDataSource, StreamDataSource
from batchup.data_source.request import Request
from batchup.ops.parallel import WINDOWS_AHEAD, Pool

__all__ = ["ParallelDataSource"]


_BATCHES_AHEAD = 20  # the default of 0.2.3


class _Pool(Pool, Protocol):
    def keeping(self, value: Any, where: str) -> Pool: ...


class ParallelDataSource(StreamDataSource):
    """The batches of a random-access data source, made by a pool: `WorkerPool.parallel_data_source`.

    The function of a `map` on it runs in the caller. For the pool to run it, map the source first.

    Parameters
    ----------
    source : AbstractDataSource
        The data source, with random access.
    pool : pool of `batchup.work_pool`
        Its workers make the batches.
    batch_buffer_size : int or None
        The number of items that the pool makes ahead: by default 20 batches, or 2 windows.

    Raises
    ------
    TypeError
        If the source has no random access, or can't be sent to the workers.

    Examples
    --------
    >>> from batchup import data_source, work_pool
    >>> source = data_source.ArrayDataSource([np.arange(5)])
    >>> with work_pool.WorkerThreadPool(processes=2) as pool:
    ...     list(data_source.ParallelDataSource(source, pool).batch_iterator(3))
    [(array([0, 1, 2]),), (array([3, 4]),)]
    """

    def __init__(self, source: AbstractDataSource, pool: _Pool, batch_buffer_size: int | None = None):
        wanted = "parallel_data_source: expected a random-access data source"
        if not isinstance(source, AbstractDataSource):
            raise TypeError(f"{wanted}; got {describe(source)}")
        if not source.is_random_access:
            raise TypeError(f"{wanted}; the samples of {source!r} come only one after another, by batch_iterator")
        self.source = source
        self.pool = pool
        if batch_buffer_size is not None:
            batch_buffer_size = whole_number(batch_buffer_size, "parallel_data_source: batch_buffer_size", least=1)
        self.buffer = batch_buffer_size
        self._pool = pool.keeping(source, f"{pool!r}.parallel_data_source")

    @property
    def is_random_access(self) -> bool:
        return True

    def num_samples(self, **kwargs: Any) -> Count:
        return self.source.num_samples(**kwargs)

    def _stream(self, request: Request) -> ops.Stream:
        buffer = self.buffer
        if buffer is None:
            buffer = _BATCHES_AHEAD if request.window is None else WINDOWS_AHEAD
        return self.source._for_pool(request) | ops.parallel(self._pool, buffer)

    def _index_stream(self, request: Request) -> ops.Stream:
        return self.source._index_stream(request)

    def samples_by_indices(self, indices: Any) -> Any:
        return self.source.samples_by_indices(indices)

    def samples_by_indices_nomapping(self, indices: Any) -> Any:
        return self.source._batch_at(indices)

    def __repr__(self) -> str:
        buffer = "" if self.buffer is None else f", batch_buffer_size={self.buffer}"
        return f"{self.pool!r}.parallel_data_source({self.source!r}{buffer})"
