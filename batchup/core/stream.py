"""Stream, Stage and `|`: a stream is a plan and the work for each of its items."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from batchup.core.checks import describe, describe_callable, shortened, whole_number
from batchup.core.computed import Computed, below_pool, draws_ahead_below, of_member, without_pools
from batchup.core.cursors import why_not_behind
from batchup.core.draws import Replay
from batchup.core.epoch import Epoch, why_no_epochs
from batchup.core.hints import LOADER_HINTS, hinted
from batchup.core.iteration import StreamIterator, length_of
from batchup.core.loader import Loader
from batchup.core.noise import random_steps, with_places
from batchup.core.plan import Kind, Plan, is_drawn, replay_of
from batchup.core.record import Count, record
from batchup.core.sources import as_blocks, plan_of, with_epochs_told
from batchup.core.work import Step, Work, first_steps


@record
class Stream:
    """A stream of items that can be iterated again: a cheap plan, and steps of work for each item.

    A source makes one (`indices`, `sample`, `zip`, `choose`), and `stream | stage` makes the next. `stream[k]` is item
    k by itself, `len(stream)` the number of items.

    Parameters
    ----------
    plan : Plan
        Which samples make up each item.
    steps : tuple of Step
        The work for each item, in order.
    text : str
        The repr of the stream: the expression that made it.

    Examples
    --------
    >>> from batchup import ops
    >>> batches = ops.indices(10) | ops.chunk(4) | ops.gather(np.arange(10) * 10)
    >>> batches
    indices(10) | chunk(4) | gather(<10 int64>)
    >>> len(batches), batches.num_samples
    (3, 10)
    >>> batches[2]
    (array([80, 90]),)
    """

    plan: Plan
    steps: tuple[Step, ...] = ()
    text: str = "stream"

    # So `ndarray | stage` calls the stage, and NumPy does not broadcast.
    __array_ufunc__ = None

    def __post_init__(self) -> None:
        if draws_ahead_below(self.plan):
            raise TypeError(
                f"{self!r}: expected no pool before this stage over a generator: it would take draws that "
                "belong to other streams. Put the pool last, as in zip(a, b) | parallel(pool) or "
                "pool.parallel_data_source(CompositeDataSource(...)); or give seeds"
            )

    @property
    def num_samples(self) -> Count:
        """The number of samples of all items: an int, `np.inf`, or None if it is unknown."""
        grid = self.work.grid(self.plan)
        return None if grid is None else grid.samples

    @property
    def pure(self) -> bool:
        """True if every iteration gives the same items: the stream draws from no generator."""
        return replay_of(self.plan) is Replay.KEYED

    @property
    def work(self) -> Work:
        """The work for each item of the plan: at least what makes it the caller's own."""
        return Work(self.steps or first_steps(self.plan.kind, whole=True))

    def with_step(self, step: Step, copy: bool = True) -> Stream:
        """The same stream with one more step of work for each item.

        Parameters
        ----------
        step : Step
            The step. If it draws random numbers, it gets those of its place in the stream.
        copy : bool
            Pass False for a step that neither writes into its item nor passes it on: items that don't belong to the
            caller are not copied for it.

        Returns
        -------
        Stream
            The new stream.
        """
        before = self.steps if self.steps or not copy else first_steps(self.plan.kind)
        if step.rng is None:
            return replace(self, steps=(*before, step))
        rng = step.rng.after(random_steps(self.plan, self.steps))
        placed = self.with_plan(with_places)
        return replace(placed, steps=(*before, replace(step, rng=rng)))  # type: ignore[type-var]

    def with_plan(self, f: Callable[[Plan], Plan]) -> Stream:
        """The same stream with another choice of its items. Below a pool, the pool makes the items of the new plan.

        Parameters
        ----------
        f : callable
            `f(plan)` returns the new plan.

        Returns
        -------
        Stream
            The new stream.
        """
        return replace(self, plan=below_pool(self.plan, f))

    def index_plan(self, where: str) -> Plan:
        """The plan, checked to be of index blocks.

        Parameters
        ----------
        where : str
            The name of the stage, for the error.

        Returns
        -------
        Plan
            The plan of this stream.

        Raises
        ------
        TypeError
            If the items are not index blocks.
        """
        if self.steps or self.plan.kind is Kind.OWN:
            pool = ", of batches of a pool. Put parallel last" * isinstance(self.plan, Computed)
            raise TypeError(
                f"{where}: expected a stream of index blocks, before any gather, map, zip or choose; got {self!r}{pool}"
            )
        return as_blocks(self.plan, where)

    def epoch(self, e: int) -> Stream:
        """Epoch `e` of this stream by itself: the order and the noise that `repeat` gives in this pass.

        It is frozen: repeated, or iterated by a loader, it is the same epoch each time, unless a stage behind it draws
        anew in each pass. Epoch `e` of a `zip` or `choose` is made of epoch `e` of each member; endless members begin
        anew there. If an iterable of yours has a method `set_epoch`, it is called with the epoch.

        Parameters
        ----------
        e : int
            The number of the epoch, from 0 on.

        Returns
        -------
        Stream
            The epoch.

        Raises
        ------
        TypeError
            For an endless stream, and for streams over a generator or an iterator, whose passes come one after another.

        Examples
        --------
        >>> from batchup import ops
        >>> batches = ops.indices(4) | ops.shuffle(7) | ops.chunk(4)
        >>> list(batches.epoch(1)), list(batches | ops.repeat(2))[1:]
        ([array([2, 1, 3, 0])], [array([2, 1, 3, 0])])
        >>> list(batches.epoch(1) | ops.repeat(2))
        [array([2, 1, 3, 0]), array([2, 1, 3, 0])]
        """
        number = whole_number(e, "epoch(e)")
        if why := why_no_epochs(self.plan):
            raise TypeError(f"epoch({number}): {self!r} {why}")
        return self._numbered(number)

    def _numbered(self, e: int) -> Stream:
        """Epoch `e` for a loader: also of a stream over generators, which draws a new one each time."""
        epoch = self.with_plan(lambda plan: Epoch(with_epochs_told(plan), e))
        return replace(epoch, text=f"({self.text}).epoch({e})")

    @hinted(**LOADER_HINTS)
    def loader(
        self,
        *,
        workers: int | None = None,
        threads: int | None = None,
        pool: Any = None,
        buffer: int | None = None,
        split: bool = False,
        steps: int | None = None,
    ) -> Loader:
        """A loader for a training loop: each iteration of it is the next epoch. See `batchup.core.Loader`.

        Parameters
        ----------
        workers : int or None
            If given, so many worker processes make the batches. They start with the first iteration, serve all epochs,
            and end with the loader, or by its `close()` or `with`. 0 is none.
        threads : int or None
            In place of `workers`, so many threads.
        pool : pool of `batchup.work_pool` or None
            In place of `workers`, a pool of yours: the loader is that of `self | parallel(pool, buffer, split=split)`.
            If `rebatch` cuts the batches from windows, the workers make the windows.
        buffer : int or None
            The number of items that workers make ahead: by default 32 batches, or 2 windows.
        split : bool
            As for `ops.parallel`.
        steps : int or None
            If given, an epoch has so many batches, and the next one goes on where it stopped: it is a part of `self |
            repeat(-1)`. Epoch e begins at batch e * `steps`. Over a generator, or an iterable of yours, epochs come one
            after another only.

        Returns
        -------
        Loader
            The loader.

        Raises
        ------
        TypeError
            For a stream without epochs, for work that can't be sent to worker processes, and with `steps` behind a stage
            whose number of items depends on the data, such as `filter`.
        ValueError
            If more than one of `workers`, `threads` and `pool` is given.

        Examples
        --------
        >>> from batchup import ops, work_pool
        >>> batches = ops.indices(5) | ops.shuffle(7) | ops.chunk(2) | ops.gather(np.arange(5) * 10) | ops.map(np.negative)
        >>> with batches.loader(threads=2) as loader:
        ...     [[batch.tolist() for batch in loader] for epoch in range(2)]
        [[[-30, -20], [-10, -40], [0]], [[-20, -10], [-40, -30], [0]]]
        >>> [[len(batch) for batch in epoch] for loader in [batches.loader(steps=2)] for epoch in [loader, loader]]
        [[2, 2], [1, 2]]
        """
        from batchup.ops.loading import loader_of

        return loader_of(self, workers, threads, pool, buffer, split, steps)

    def __iter__(self) -> StreamIterator:
        return StreamIterator(self.plan, self.work, self.text)

    def __len__(self) -> int:
        return length_of(self.plan.length, repr(self))

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, k: int) -> Any:
        """Item `k`, made alone, without a pool; counted from the end if `k` is negative and the length known.

        Raises IndexError if there is none, TypeError for a stream over a generator, whose item `k` would be another one
        each time.
        """
        try:
            position = operator.index(k)
        except TypeError:
            several = "For several items write stream | skip(start) | take(count)"
            raise TypeError(f"stream[k]: expected an int; got {describe(k)}. {several}") from None
        why = "draws from a generator: give a seed" * is_drawn(self.plan)
        if replay_of(self.plan) is Replay.SINGLE_PASS:
            why = "goes through an iterator, which can be gone through only once: make it a list"
        if why:
            raise TypeError(f"stream[k]: expected a stream that gives the same items each time; {self!r} {why}")
        if position < 0:
            position += len(self)
        if position >= 0:
            for item in islice(StreamIterator(without_pools(self.plan), self.work, self.text, position), 1):
                return item
        length = f"; it has {self.plan.length}" if isinstance(self.plan.length, int) else ""
        raise IndexError(f"there is no item {k} in {self!r}{length}")

    def __or__(self, stage: Any) -> Stream:
        if isinstance(stage, Stage):
            return stage(self)
        raise TypeError(f"{self!r} | ...: expected a stage; got {_no_stage(stage)}")

    def __repr__(self) -> str:
        return shortened(self.text)


class Stage:
    """A pure function from stream to stream: `stream | stage`, or `stage(stream)`.

    In place of a stream, a list, an array or another iterable is accepted that gives its items anew each time. `stage |
    stage` is a stage. Most stages of your own are compositions; `Stage` gives one a name.

    Parameters
    ----------
    function : callable
        `function(stream, *args)` returns the new stream.
    *args : any
        The further arguments of the function.
    text : str or None
        The repr of the stage; by default the call of the function.

    Examples
    --------
    >>> from batchup import ops
    >>> halves = ops.chunk(2) | ops.take(1)
    >>> halves
    chunk(2) | take(1)
    >>> list([np.arange(7)] | halves)
    [array([0, 1])]
    >>> def windowed(stream, size, seed):
    ...     return stream | ops.chunk(size) | ops.shuffle(seed)
    >>> ops.indices(6) | ops.Stage(windowed, 3, 7)
    indices(6) | windowed(3, 7)
    """

    __slots__ = ("args", "function", "text")
    __array_ufunc__ = None

    def __init__(self, function: Callable[..., Stream], *args: Any, text: str | None = None):
        if not callable(function):
            raise TypeError(f"Stage: expected a function; got {describe(function)}")
        self.function = function
        self.args = args
        given = [describe(arg) if isinstance(arg, np.ndarray) else repr(arg) for arg in args]
        self.text = text or f"{describe_callable(function)}({', '.join(given)})"

    def __call__(self, source: Any) -> Stream:
        stream = as_stream(source, repr(self))
        result = self.function(stream, *self.args)
        if not isinstance(result, Stream):
            raise TypeError(
                f"{self!r}: expected a function from stream to stream; it returned "
                f"{describe(result)}. To apply a function to every item write map(function)"
            )
        return replace(result, text=f"{stream.text} | {self.text}")

    __ror__ = __call__

    def __or__(self, after: Any) -> Stage:
        if isinstance(after, Stage):
            return Stage(_both, self, after, text=f"{self.text} | {after.text}")
        raise TypeError(f"{self!r} | ...: expected a stage; got {_no_stage(after)}")

    def __repr__(self) -> str:
        return shortened(self.text)


def _both(stream: Stream, first: Stage, second: Stage) -> Stream:
    return second(first(stream))


def _no_stage(value: Any) -> str:
    """What was passed for a stage, and what to write instead."""
    name = describe_callable(value)
    if str(getattr(value, "__module__", "")).startswith("batchup.ops"):
        return f"the function {name}: call it, as in {name}(...)"
    return f"{name}. To apply a function to every item write map(function)"


def as_stream(source: Any, where: str) -> Stream:
    """What a user passed in place of a stream.

    Parameters
    ----------
    source : Stream or iterable
        A stream is returned as it is.
    where : str
        The beginning of the error.

    Returns
    -------
    Stream
        The stream of its items.

    Raises
    ------
    TypeError
        If it can't be iterated.
    """
    if isinstance(source, Stream):
        return source
    plan, text = plan_of(source, where)
    return Stream(plan, text=text)


def members_of(streams: tuple[Any, ...], where: str) -> tuple[tuple[Plan, ...], tuple[Work, ...], str]:
    """The plans, the works and the text of several streams, for a stage that joins them.

    Parameters
    ----------
    streams : tuple of Stream or iterable
        The members.
    where : str
        The name of the stage.

    Returns
    -------
    (tuple of Plan, tuple of Work, str)
        The plans for a `JointPlan`, the works for a `JointStep`, and the text.
    """
    if not streams:
        raise ValueError(f"{where}: expected one stream at least; got none")
    members = [as_stream(stream, f"{where}: stream {n}") for n, stream in enumerate(streams)]
    for member in members:
        if why := why_not_behind(member.plan):
            raise TypeError(f"{where}: {member!r} {why}")
    works = [Work(m.steps or first_steps(m.plan.kind)) for m in members]
    return (
        tuple([of_member(member.plan, n) for n, member in enumerate(members)]),
        tuple([work.of_member(n) for n, work in enumerate(works)]),
        ", ".join(member.text for member in members),
    )
