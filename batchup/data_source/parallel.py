"""A data source whose batches a pool of workers makes: a preset over `ops.parallel`."""

from __future__ import annotations

from typing import Any, Protocol

from batchup import ops
from batchup.core.checks import describe, whole_number
from batchup.core.record import Count
from batchup.data_source.base import AbstractDataSource, StreamDataSource
from batchup.data_source.request import Request
from batchup.ops.workers import Pool

__all__ = ["ParallelDataSource"]


class _Pool(Pool, Protocol):
    def keeping(self, value: Any, where: str) -> Pool: ...


class ParallelDataSource(StreamDataSource):
    """The batches of a random-access data source, made by a pool: `WorkerPool.parallel_data_source`.

    The function of a `map` on it runs in the caller. For one that the pool runs, map the source first.
    """

    def __init__(self, source: AbstractDataSource, pool: _Pool, batch_buffer_size: int = 20):
        wanted = "parallel_data_source: expected a random-access data source"
        if not isinstance(source, AbstractDataSource):
            raise TypeError(f"{wanted}; got {describe(source)}")
        if not source.is_random_access:
            raise TypeError(
                f"{wanted}; the samples of {source!r} come only one after another, by batch_iterator"
            )
        self.source = source
        self.pool = pool
        self.buffer = whole_number(
            batch_buffer_size, "parallel_data_source: batch_buffer_size", least=1
        )
        self._stage = ops.parallel(pool.keeping(source, f"{pool!r}.parallel_data_source"), self.buffer)

    @property
    def is_random_access(self) -> bool:
        return True

    def num_samples(self, **kwargs: Any) -> Count:
        """Those of its source."""
        return self.source.num_samples(**kwargs)

    def _stream(self, request: Request) -> ops.Stream:
        return self.source._for_pool(request) | self._stage

    def _index_stream(self, request: Request) -> ops.Stream:
        return self.source._index_stream(request)

    def samples_by_indices(self, indices: Any) -> Any:
        """As its source gives them, in this process."""
        return self.source.samples_by_indices(indices)

    def samples_by_indices_nomapping(self, indices: Any) -> Any:
        """As `samples_by_indices`, but past the subset, if there is one."""
        return self.source._batch_at(indices)

    def __repr__(self) -> str:
        return f"{self.pool!r}.parallel_data_source({self.source!r}, batch_buffer_size={self.buffer})"
