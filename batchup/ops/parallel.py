"""Have a pool of workers do the work, some items ahead: `parallel`."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any, Protocol, Self, runtime_checkable

from batchup.core.checks import call_text, describe, shortened, whole_number
from batchup.core.computed import Computed
from batchup.core.draws import Draws
from batchup.core.errors import item_note, no_stop_iteration, note
from batchup.core.item import with_batch
from batchup.core.plan import Plan, replay_of, trunk
from batchup.core.record import record
from batchup.core.stream import Stage, Stream
from batchup.core.work import Work
from batchup.ops.batch.rebatch import Rebatch


class Pending(Protocol):
    """An item that is being made; a `concurrent.futures.Future` is one."""

    def result(self, timeout: float | None = None) -> Any: ...

    def done(self) -> bool: ...

    def cancel(self) -> Any: ...


class Run(Protocol):
    """One iteration in a pool."""

    def submit(self, item: Any) -> Pending:
        """Begin to make an item. Its `result` raises whatever goes wrong."""

    def close(self, stuck: Pending | None, timeout: float | None) -> None:
        """End the iteration.

        A pool that is able to ends by force what is `stuck`, and after `timeout` seconds whatever is still being made.
        """


class Workers(Protocol):
    """Workers that know the work, for any number of iterations."""

    def start(self, buffer: int) -> Run:
        """Begin an iteration, at most `buffer` items ahead."""


@runtime_checkable
class SplittingWorkers(Workers, Protocol):
    """Workers that can do the work for one item together, since they share memory."""

    def splitting(self) -> Workers:
        """Workers that divide the work for each item."""


class Pool(Protocol):
    """All that `parallel` needs of a pool."""

    def employ(self, work: Work, where: str) -> Workers:
        """Send the work to the workers, once. Raises TypeError, naming the stage, for work that can't be sent."""


def parallel(pool: Pool, buffer: int = 32, timeout: float | None = None, *, split: bool = False) -> Stage:
    """Have a pool of workers do the work of the stages before it, some items ahead of the caller.

    The items are the same, in the same order, bit for bit, for every pool and number of workers: the plan, and every
    draw from a generator, stays in the caller's thread. The pool starts with the first items at `iter()`. Stages behind
    `parallel` run in the caller, and `stream[k]` needs no worker.

    An exception in the work is raised at its item, after the items before it, with notes that say at which stage and
    item.

    Parameters
    ----------
    pool : pool of `batchup.work_pool`
        Threads, processes, an executor, or a cluster.
    buffer : int
        The number of items that the pool makes ahead of the caller, at most.
    timeout : float or None
        The number of seconds to wait for one item; None waits as long as it takes.
    split : bool
        If True, the threads of a pool work on the samples of one batch together, those of `samples` and `map_samples`,
        so that the first batch comes sooner.

    Returns
    -------
    Stage
        Gives the same items.

    Raises
    ------
    TypeError
        If `pool` is no pool; when the stage is applied, if the work can't be sent to the pool, or can't be split.
    ValueError
        If `buffer` is below 1, or `timeout` is not above 0.
    TimeoutError
        While iterating, if an item takes longer than `timeout`.
    WorkerDied
        While iterating, if a worker process died. See `batchup.work_pool`.

    Examples
    --------
    >>> from batchup import ops, work_pool
    >>> pool = work_pool.WorkerThreadPool(processes=2)
    >>> squares = ops.indices(5) | ops.chunk(2) | ops.gather(np.arange(5) ** 2)
    >>> squares | parallel(pool, buffer=4)
    indices(5) | chunk(2) | gather(<5 int64>) | parallel(WorkerThreadPool(processes=2), buffer=4)
    >>> list(squares | parallel(pool, buffer=4))
    [(array([0, 1]),), (array([4, 9]),), (array([16]),)]
    >>> pool.close()
    """
    if not callable(getattr(pool, "employ", None)):
        raise TypeError(
            f"parallel(pool): expected a pool of batchup.work_pool; got {describe(pool)}. "
            "For a concurrent.futures executor write ExecutorPool(executor)"
        )
    buffer = whole_number(buffer, "parallel: buffer", least=1)
    if timeout is not None and not timeout > 0:
        raise ValueError(f"parallel: timeout: expected seconds > 0, or None; got {timeout!r}")
    text = call_text("parallel", repr(pool), buffer=buffer, timeout=timeout, split=bool(split))
    if timeout is not None and timeout > threading.TIMEOUT_MAX:  # some hundred years, the most there is
        timeout = None
    return Stage(_parallel, pool, buffer, timeout, bool(split), text, text=text)


BATCHES_AHEAD, WINDOWS_AHEAD = 32, 2  # the default buffers


def in_pool(stream: Stream, pool: Pool, buffer: int | None, split: bool = False) -> Stream:
    """The stream, with a pool that makes its batches; if these are cut from windows, it makes the windows."""
    above = list(trunk(stream.plan))
    if any(isinstance(plan, Computed) and plan.ahead for plan in above):
        raise TypeError(f"loader: expected a stream without a pool, for other workers; got {stream!r}")
    if buffer is None:
        buffer = WINDOWS_AHEAD if any(isinstance(plan, Rebatch) for plan in above) else BATCHES_AHEAD
    stage = parallel(pool, buffer, split=split)
    made = [plan for plan in above if isinstance(plan, Computed)]
    if not made:
        return stream | stage
    first = made[-1]
    below = stage(Stream(first.up, first.work.steps, first.text))

    def over(plan: Plan) -> Plan:
        return below.plan if plan is first else plan.over(over)

    return replace(stream, plan=over(stream.plan), text=stream.text.replace(first.text, below.text, 1))


def _parallel(stream: Stream, pool: Pool, buffer: int, timeout: float | None, split: bool, text: str) -> Stream:
    text = f"{stream.text} | {text}"
    work = stream.work
    workers = _employed(pool, work, text, split)
    return Stream(Parallel(stream.plan, work, text, pool, workers, buffer, timeout, split), (), text)


def _employed(pool: Pool, work: Work, text: str, split: bool) -> Workers:
    if split and not work.splits:
        wanted = "expected samples(dataset) or map_samples(fn) before it, which work on one sample at a time"
        raise TypeError(f"{shortened(text)}: split: {wanted}; there is nothing to split")
    workers = pool.employ(work, shortened(text))
    if not split:
        return workers
    if not isinstance(workers, SplittingWorkers):
        wanted = "expected a pool of threads, which read the samples of one batch together"
        raise TypeError(f"{shortened(text)}: split: {wanted}; got {pool!r}, whose workers make a batch each")
    return workers.splitting()


@record
class Parallel(Computed):
    """Items that a pool makes, at most `ahead` of them before they are asked for."""

    pool: Pool
    workers: Workers
    ahead: int
    timeout: float | None
    split: bool

    def __deepcopy__(self, memo: Any) -> Parallel:
        return replace(self, up=deepcopy(self.up, memo)).with_work(deepcopy(self.work, memo))

    def with_work(self, work: Work) -> Self:
        return replace(self, work=work, workers=_employed(self.pool, work, self.text, self.split))

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Any]:
        items = self._ahead(pass_, k, draws)
        next(items)  # fills the buffer
        return items

    def _ahead(self, pass_: int, k: int, draws: Draws) -> Iterator[Any]:
        """None as soon as the buffer is full, then the items from position `k` on.

        The first None lets `items` fill the buffer at `iter()`. It also makes the `finally` below run if the iterator
        is dropped before it was asked for an item.
        """
        run = self.workers.start(self.ahead)
        waiting: deque[tuple[Any, Pending]] = deque()
        stuck: Pending | None = None
        ended: Exception | bool = False
        try:
            plan = self.up.start(pass_, k, draws)

            def fill() -> Exception | bool:
                """Submit items of the plan until the buffer is full. Returns whether the plan has ended, or its exception."""
                try:
                    for item in islice(plan, self.ahead - len(waiting)):
                        waiting.append((item, run.submit(item)))
                except Exception as error:  # raised later, after the items before it
                    return error
                return len(waiting) < self.ahead

            ended = fill()
            yield None
            while waiting:
                item, pending = waiting[0]
                try:
                    batch = pending.result(self.timeout)
                except Exception as error:
                    if isinstance(error, TimeoutError) and not pending.done():
                        stuck = pending
                        error = TimeoutError(f"no batch within the timeout of {self.timeout} s")
                    failure = no_stop_iteration(error)
                    note(failure, partial(item_note, self.text, replay_of(self), k, item))
                    raise failure from failure.__cause__
                made = with_batch(item, batch)
                waiting.popleft()
                del item, pending, batch  # otherwise they are kept while the caller trains
                if ended is False:  # the plan is not asked again after its end
                    ended = fill()
                yield made
                del made
                k += 1
            if isinstance(ended, Exception):
                raise ended
        finally:
            for _, pending in waiting:
                pending.cancel()
            waiting.clear()
            run.close(stuck, self.timeout)
