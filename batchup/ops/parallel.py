"""Have a pool of workers do the work, some items ahead: `parallel`."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any, Protocol, runtime_checkable

from batchup.core.checks import describe, shortened, whole_number
from batchup.core.computed import Computed
from batchup.core.errors import no_stop_iteration, note, where
from batchup.core.plan import Draws, Plan, trunk
from batchup.core.record import record
from batchup.core.stream import Stage, Stream
from batchup.core.work import OPENED, Made, Work
from batchup.ops.batch.rebatch import Rebatch


class Pending(Protocol):
    """An item that is being made somewhere; a `concurrent.futures.Future` is one."""

    def result(self, timeout: float | None = None) -> Any: ...

    def done(self) -> bool: ...

    def cancel(self) -> Any: ...


class Run(Protocol):
    """What one iteration has in a pool."""

    def submit(self, item: Any) -> Pending:
        """Have the item made. What goes wrong with it, at whatever time, is raised by its result."""

    def close(self, stuck: Pending | None, timeout: float | None) -> None:
        """No more is wanted. By force, where the pool is able to, is ended what is `stuck`, now, and
        what is still being made after `timeout` seconds.
        """


class Crew(Protocol):
    """Workers that know the work; one crew serves any number of iterations."""

    def start(self, buffer: int) -> Run:
        """Begin an iteration, which is at most `buffer` items ahead."""


@runtime_checkable
class SplittingCrew(Crew, Protocol):
    """Workers that may do the work for one item together: they see the same memory."""

    def splitting(self) -> Crew:
        """The crew that does."""


class Pool(Protocol):
    """All that `parallel` knows of a pool."""

    def employ(self, work: Work, where: str) -> Crew:
        """Tell the workers of the work, once; TypeError, naming the stage, if it can't reach them."""


def parallel(
    pool: Pool, buffer: int = 32, timeout: float | None = None, *, split: bool = False
) -> Stage:
    """Have a pool do the work of the stages before it, on at most `buffer` items ahead of the caller.

    The items are those of the stream before it, in order, bit for bit, for every pool and number of
    workers; the plan, and every draw from a generator, stays in the caller's thread. The first items
    are under way from `iter()` on. What follows `parallel` runs in the caller, and so does
    `stream[k]`, which needs no worker. `timeout` is how many seconds to wait for one item at most,
    None for as long as it takes. With `split` the threads of a pool read the samples of one batch at once
    (those of `samples`), and not each a batch: the first comes sooner. See `batchup.work_pool` for the pools.

    An exception in the work is raised at its item, after those before it, with notes that say in which
    stage and at which item it was. Raises TypeError for what is no pool and, at once, for work
    that can't be sent to it, or split; ValueError for a buffer below 1; while iterating, TimeoutError after
    `timeout`, and `WorkerDied` where a worker process came to its end.

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
    options = f"buffer={buffer}" if timeout is None else f"buffer={buffer}, timeout={timeout}"
    text = f"parallel({pool!r}, {options}{', split=True' * bool(split)})"
    if timeout is not None and timeout > threading.TIMEOUT_MAX:  # some hundred years, the most there is
        timeout = None
    return Stage(_parallel, pool, buffer, timeout, bool(split), text, text=text)


BATCHES_AHEAD, WINDOWS_AHEAD = 32, 2  # unless a buffer is given


def made_by(stream: Stream, pool: Pool, buffer: int | None, split: bool = False) -> Stream:
    """The stream with its batches made by a pool; with its windows, where the batches are cut from some."""
    above = list(trunk(stream.plan))
    if any(plan.ahead for plan in above):
        raise TypeError(f"loader: pool: expected a stream without a pool; got {stream!r}")
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


def _parallel(
    stream: Stream, pool: Pool, buffer: int, timeout: float | None, split: bool, text: str
) -> Stream:
    text = f"{stream.text} | {text}"
    work = stream.work
    crew = _employed(pool, work, text, split)
    plan = Parallel(stream.plan, work, text, pool, crew, buffer, timeout, split)
    return Stream(plan, (OPENED,), text)


def _employed(pool: Pool, work: Work, text: str, split: bool) -> Crew:
    if split and not work.splits:
        wanted = "expected samples(dataset) before it, whose samples are read one by one"
        raise TypeError(f"{shortened(text)}: split: {wanted}; there is nothing to split")
    crew = pool.employ(work, shortened(text))
    if not split:
        return crew
    if not isinstance(crew, SplittingCrew):
        wanted = "expected a pool of threads, which read the samples of one batch together"
        raise TypeError(
            f"{shortened(text)}: split: {wanted}; got {pool!r}, whose workers make a batch each"
        )
    return crew.splitting()


@record
class Parallel(Computed):
    """Items that a pool makes, some ahead."""

    ahead = True

    pool: Pool
    crew: Crew
    buffer: int
    timeout: float | None
    split: bool

    def __deepcopy__(self, memo: Any) -> Parallel:
        return replace(self, up=deepcopy(self.up, memo)).with_work(deepcopy(self.work, memo))

    def with_work(self, work: Work) -> Parallel:
        return replace(self, work=work, crew=_employed(self.pool, work, self.text, self.split))

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Any]:
        items = self._ahead(pass_, k, draws)
        next(items)  # fills the buffer
        return items

    def _ahead(self, pass_: int, k: int, draws: Draws) -> Iterator[Any]:
        """The items from position `k` on; but first None, once the buffer is full.

        That first None is why the buffer fills at `iter()`, and why the `finally` below runs even
        where the iterator is dropped without having been asked for an item.
        """
        run = self.crew.start(self.buffer)
        waiting: deque[tuple[Any, Pending]] = deque()
        stuck: Pending | None = None
        ended: Exception | bool = False
        try:
            plan = self.up.start(pass_, k, draws)

            def fill() -> Exception | bool:
                """Hand over items of the plan until the buffer is full. Returns whether the plan has ended, or its
                exception.
                """
                try:
                    for item in islice(plan, self.buffer - len(waiting)):
                        waiting.append((item, run.submit(item)))
                except Exception as error:  # to be raised at its place, after the items before it
                    return error
                return len(waiting) < self.buffer

            ended = fill()
            yield None
            while waiting:
                item, pending = waiting[0]
                try:
                    batch = pending.result(self.timeout)
                except Exception as error:
                    if isinstance(error, TimeoutError) and not pending.done():
                        stuck = pending
                        error = TimeoutError(f"no batch after {self.timeout} s, its timeout")
                    failure = no_stop_iteration(error)
                    note(failure, partial(where, self.text, self.again, k, item))
                    raise failure from failure.__cause__
                made = Made(item, batch)
                waiting.popleft()
                del item, pending, batch  # else they would be kept for as long as the caller trains
                if ended is False:  # a plan that has ended is not asked again
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
