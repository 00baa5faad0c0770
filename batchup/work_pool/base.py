"""The base class of pools."""

from __future__ import annotations

import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, NoReturn, Self

from batchup.core.checks import whole_number
from batchup.core.errors import users_frame
from batchup.core.work import Work
from batchup.data_source.base import AbstractDataSource
from batchup.data_source.parallel import ParallelDataSource
from batchup.memory.limits import available_cpus
from batchup.ops.parallel import Pool, Workers
from batchup.work_pool.tasks import WorkStream

__all__ = ["CLOSED", "WorkerPool", "number_of_workers"]

CLOSED = "the pool was closed"


class WorkerPool(ABC):
    """Workers for `ops.parallel`: the base class of pools, and a context manager.

    Any number of streams may use a pool at once.
    """

    closed = False
    # False for the pool of a loader, whose workers start with the first iteration.
    _starts_at_once = True

    def __init__(self) -> None:
        self._made_in = os.getpid()
        self._draws_told: set[str] = set()

    def check(self) -> None:
        """Raise RuntimeError if the pool is closed, and in a fork of the process that made it."""
        self.check_process()
        if self.closed:
            raise RuntimeError("expected an open pool to iterate; this one is closed")

    def _start(self) -> None:  # noqa: B027
        """Start the workers, unless they run already."""

    def check_process(self) -> None:
        """Raise RuntimeError in a fork of the process that made the pool, which has no workers and would wait for ever."""
        if os.getpid() != self._made_in:
            raise RuntimeError(
                f"{self!r}: expected to be used in the process that made it; this is a fork of that "
                "process, which has no part in its workers. Make a pool here"
            )

    def _warn_of_draws(self, stage: str) -> None:
        """Warn, once for each stage, that it draws from a global generator in a worker process."""
        if stage not in self._draws_told:
            self._draws_told.add(stage)
            warnings.warn(
                f"{stage}: it draws from a global generator (of random, np.random or PyTorch) in worker processes, where that "
                "is not seeded: the batches differ in each run. Draw in map, map_samples or samples with seed_globals=, a seed "
                "for these generators; or in map or map_samples with rng=, from the generator that is passed",
                stacklevel=users_frame(),
            )

    @abstractmethod
    def employ(self, work: Work, where: str) -> Workers:
        """Send the work of a stream to the workers; `ops.parallel` calls it.

        Parameters
        ----------
        work : Work
            The work for each item.
        where : str
            The text of the stream, for errors.

        Returns
        -------
        Workers
            Workers that know the work.

        Raises
        ------
        TypeError
            If the work can't be sent. The error names the stage.
        """

    @abstractmethod
    def close(self) -> None:
        """End the workers. Streams that still use them raise RuntimeError. May be called twice."""

    def keeping(self, value: Any, where: str) -> Pool:
        """The same pool, with the arrays in a value in memory that the workers see.

        Parameters
        ----------
        value : any
            What will be sent to the workers, such as a data source.
        where : str
            The beginning of the error.

        Returns
        -------
        pool
            A pool whose streams send these arrays no more.

        Raises
        ------
        TypeError
            If the value can't be sent to the workers.
        """
        return self

    def parallel_data_source(self, ds: AbstractDataSource, batch_buffer_size: int | None = None) -> ParallelDataSource:
        """A data source whose batches this pool makes.

        Parameters
        ----------
        ds : AbstractDataSource
            A data source with random access.
        batch_buffer_size : int or None
            The number of items that the pool makes ahead: by default 20 batches, or 2 windows.

        Returns
        -------
        ParallelDataSource
            Its batches are those of `ds.stream(batch_size, shuffle) | parallel(pool, buffer=batch_buffer_size)`.

        Raises
        ------
        TypeError
            If the source has no random access, or can't be sent to the workers.

        Examples
        --------
        >>> from batchup import data_source, work_pool
        >>> ds = data_source.ArrayDataSource([np.arange(5)])
        >>> with work_pool.WorkerThreadPool(processes=2) as pool:
        ...     list(pool.parallel_data_source(ds).map(lambda x: x * 10).batch_iterator(3))
        [array([ 0, 10, 20]), array([30, 40])]
        """
        return ParallelDataSource(ds, self, batch_buffer_size)

    def work_stream(self, task_generator: Iterable[Any], task_buffer_size: int = 20) -> WorkStream:
        """The results of tasks, in order.

        Parameters
        ----------
        task_generator : iterable of (fn,), (fn, args) or (fn, args, kwargs)
            The tasks. It is iterated in this thread; the workers call the functions.
        task_buffer_size : int
            The number of tasks that are begun ahead, at most.

        Returns
        -------
        WorkStream
            The results. What is no task raises TypeError at its place.

        Examples
        --------
        >>> from batchup import work_pool
        >>> with work_pool.WorkerThreadPool(processes=2) as pool:
        ...     results = pool.work_stream((pow, (n, 2)) for n in range(3))
        ...     results.retrieve(), list(results.retrieve_iter()), results.retrieve()
        (0, [1, 4], None)
        """
        return WorkStream(task_generator, self, task_buffer_size)

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(
            f"{self!r} can't be pickled, as its workers belong to this process. Pickle the stream without it, and add "
            "`| parallel(pool)`, or loader(pool=pool), where it is loaded"
        )

    def __deepcopy__(self, memo: Any) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def number_of_workers(processes: Any, name: str) -> int:
    """`processes` as a number of workers. None is the number of CPUs that this process may use."""
    return available_cpus() if processes is None else whole_number(processes, f"{name}: processes", least=1)
