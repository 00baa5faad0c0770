"""Tasks without a data source: functions that the workers of a pool call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from batchup import ops
from batchup.core.checks import describe, describe_callable, whole_number
from batchup.core.record import record
from batchup.core.sources import SINGLE_PASS, Iterated
from batchup.core.work import Step
from batchup.ops.parallel import Pool

__all__ = ["WorkStream"]


class WorkStream:
    """The results of tasks, in order; see `WorkerPool.work_stream`.

    Parameters
    ----------
    task_generator : iterable of (fn,), (fn, args) or (fn, args, kwargs)
        The tasks.
    pool : WorkerPool
        Its workers call the functions.
    task_buffer_size : int
        The number of tasks that are begun ahead, at most.

    Examples
    --------
    >>> from batchup import work_pool
    >>> with work_pool.WorkerThreadPool(processes=2) as pool:
    ...     list(work_pool.WorkStream([(pow, (2, 3)), (len, ("abc",))], pool).retrieve_iter())
    [8, 3]
    """

    def __init__(self, task_generator: Iterable[Any], pool: Pool, task_buffer_size: int = 20):
        if not isinstance(task_generator, Iterable):
            raise TypeError(
                f"work_stream: expected an iterable of tasks (fn, args, kwargs); got {describe(task_generator)}"
            )
        buffer = whole_number(task_buffer_size, "work_stream: task_buffer_size", least=1)
        make = partial(_checked, iter(task_generator))
        tasks = ops.Stream(Iterated(make, rng=SINGLE_PASS), text="tasks")
        self._results = iter(tasks.with_step(_Call()) | ops.parallel(pool, buffer))

    def retrieve(self) -> Any:
        """Wait for the next result.

        Returns
        -------
        any
            The result; None at the end.
        """
        return next(self._results, None)

    def retrieve_iter(self) -> Iterator[Any]:
        """The remaining results.

        Yields
        ------
        any
            The results, in order.
        """
        yield from self._results


def _checked(tasks: Iterator[Any]) -> Iterator[_Task]:
    for n, task in enumerate(tasks):
        if not (isinstance(task, tuple | list) and 1 <= len(task) <= 3 and callable(task[0])):
            raise TypeError(
                f"work_stream: expected tasks (fn,), (fn, args) or (fn, args, kwargs); task {n} is {describe(task)}"
            )
        yield _Task(*task)


class _Task:
    """A task. It is no tuple, since `map` would unpack it."""

    def __init__(
        self, fn: Callable[..., Any], args: Iterable[Any] = (), kwargs: Mapping[str, Any] = MappingProxyType({})
    ):
        self.fn, self.args, self.kwargs = fn, tuple(args), dict(kwargs)

    @property
    def __name__(self) -> str:  # in errors
        return describe_callable(self.fn)


@record
class _Call(Step):
    """The step that calls a task. Its result is returned as it is, also a list."""

    def run(self, task: _Task) -> Any:
        return task.fn(*task.args, **task.kwargs)

    def __str__(self) -> str:
        return "work_stream"
