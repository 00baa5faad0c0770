"""What all pools have in common, and two presets over `ops.parallel`: data sources and task streams."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Self

from batchup import ops
from batchup.data_source.base import AbstractDataSource, StreamDataSource, batch_of, index_stream
from batchup.ops.checks import describe, describe_callable, whole_number
from batchup.ops.plan import Count, record
from batchup.ops.randomness import Shuffle
from batchup.ops.sources import stream_of_call
from batchup.ops.stream import Work
from batchup.ops.workers import Crew, Pool

__all__ = ["ParallelDataSource", "WorkStream", "WorkerPool", "number_of_workers"]


class WorkerPool(ABC):
    """Workers for `ops.parallel`; a context manager. Any number of streams may use one at once."""

    @abstractmethod
    def employ(self, work: Work, where: str) -> Crew:
        """What `ops.parallel` calls: tell the workers of the work."""

    @abstractmethod
    def close(self) -> None:
        """End the workers; streams that still use them get a RuntimeError. Twice is as good as once."""

    def keeping(self, value: Any, where: str) -> Pool:
        """This pool, but with the arrays in `value` already where the workers reach them.

        TypeError for what can't be sent to them. Nothing to do where workers see the same memory.
        """
        return self

    def parallel_data_source(
        self, ds: AbstractDataSource, batch_buffer_size: int = 20
    ) -> ParallelDataSource:
        """A data source whose batches this pool makes, `batch_buffer_size` of them ahead at most.

        `ds.stream(batch_size, shuffle) | parallel(pool, buffer=batch_buffer_size)`. Raises TypeError
        for a source that isn't random access, and for one that can't be sent to the workers.

        >>> from batchup import data_source, work_pool
        >>> ds = data_source.ArrayDataSource([np.arange(5)])
        >>> with work_pool.WorkerThreadPool(processes=2) as pool:
        ...     list(pool.parallel_data_source(ds).map(lambda x: x * 10).batch_iterator(3))
        [array([ 0, 10, 20]), array([30, 40])]
        """
        return ParallelDataSource(ds, self, batch_buffer_size)

    def work_stream(self, task_generator: Iterable[Any], task_buffer_size: int = 20) -> WorkStream:
        """The results of tasks `(fn,)`, `(fn, args)` or `(fn, args, kwargs)`, in order.

        Tasks are taken from the generator in this thread, `task_buffer_size` ahead at most, and
        called by the workers. Raises TypeError, at its place, for what is no task.

        >>> from batchup import work_pool
        >>> with work_pool.WorkerThreadPool(processes=2) as pool:
        ...     results = pool.work_stream((pow, (n, 2)) for n in range(3))
        ...     results.retrieve(), list(results.retrieve_iter()), results.retrieve()
        (0, [1, 4], None)
        """
        return WorkStream(task_generator, self, task_buffer_size)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class ParallelDataSource(StreamDataSource):
    """The batches of a random-access data source, made by a pool: `WorkerPool.parallel_data_source`.

    The function of a `map` on it runs in the caller. For one that the pool runs, map the source first.
    """

    def __init__(self, source: AbstractDataSource, pool: WorkerPool, batch_buffer_size: int = 20):
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

    def stream(self, batch_size: int, shuffle: Shuffle = None, **kwargs: Any) -> ops.Stream:
        source = self.source
        if isinstance(source, StreamDataSource):
            return source.stream(batch_size, shuffle, **kwargs) | self._stage
        # Its own batch_iterator would do the work where it is iterated: in the caller.
        blocks = index_stream(source, batch_size, shuffle, **kwargs)
        return blocks | ops.map(_BatchOf(source)) | self._stage

    def index_stream(
        self, batch_size: int, shuffle: Shuffle = None, shard: tuple[int, int] | None = None
    ) -> ops.Stream:
        return index_stream(self.source, batch_size, shuffle, shard)

    def samples_by_indices(self, indices: Any) -> Any:
        """As its source gives them, in this process."""
        return self.source.samples_by_indices(indices)

    def samples_by_indices_nomapping(self, indices: Any) -> Any:
        """As `samples_by_indices`, but past the subset, if there is one."""
        return batch_of(self.source, indices)

    def __repr__(self) -> str:
        return f"{self.pool!r}.parallel_data_source({self.source!r}, batch_buffer_size={self.buffer})"


@record
class _BatchOf:
    source: AbstractDataSource

    def __call__(self, indices: Any) -> Any:
        return batch_of(self.source, indices)

    @property
    def __name__(self) -> str:
        return f"{type(self.source).__name__}.samples_by_indices_nomapping"


class WorkStream:
    """The results of tasks, in order; see `WorkerPool.work_stream`.

    It is `tasks | map(call) | parallel(pool)`, of which `retrieve` takes one item at a time.
    """

    def __init__(self, task_generator: Iterable[Any], pool: WorkerPool, task_buffer_size: int = 20):
        if not isinstance(task_generator, Iterable):
            raise TypeError(
                "work_stream: expected an iterable of tasks (fn, args, kwargs); "
                f"got {describe(task_generator)}"
            )
        buffer = whole_number(task_buffer_size, "work_stream: task_buffer_size", least=1)
        tasks = stream_of_call(partial(_checked, iter(task_generator)), "tasks", once=True)
        self._results = iter(tasks | ops.map(_call) | ops.parallel(pool, buffer))

    def retrieve(self) -> Any:
        """The next result, waiting for it if need be; None at the end."""
        return next(self._results, None)

    def retrieve_iter(self) -> Iterator[Any]:
        """The results that are left."""
        yield from self._results


def _checked(tasks: Iterator[Any]) -> Iterator[_Task]:
    for n, task in enumerate(tasks):
        if not (isinstance(task, tuple | list) and 1 <= len(task) <= 3 and callable(task[0])):
            raise TypeError(
                "work_stream: expected tasks (fn,), (fn, args) or (fn, args, kwargs); "
                f"task {n} is {describe(task)}"
            )
        yield _Task(*task)


class _Task:
    """Not a tuple: `map` would take it apart."""

    def __init__(
        self,
        fn: Callable[..., Any],
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] = MappingProxyType({}),
    ):
        self.fn, self.args, self.kwargs = fn, tuple(args), dict(kwargs)

    @property
    def __name__(self) -> str:  # in errors
        return describe_callable(self.fn)


def _call(task: _Task) -> Any:
    return task.fn(*task.args, **task.kwargs)


def number_of_workers(processes: Any, name: str) -> int:
    """`processes` as a number of workers; None is as many as the CPUs that this process may use."""
    if processes is not None:
        return whole_number(processes, f"{name}: processes", least=1)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
