"""Make the loader of a stream: with workers of its own, or a pool, and with epochs of a number of steps."""

from __future__ import annotations

import mmap
import warnings
from functools import partial
from typing import Any

import numpy as np

from batchup.core.checks import whole_number
from batchup.core.computed import Computed, has_pool
from batchup.core.errors import users_frame
from batchup.core.joint import JointStep
from batchup.core.loader import Loader
from batchup.core.plan import trunk
from batchup.core.stream import Stream
from batchup.core.work import Own
from batchup.ops.index.steps import steps as in_steps
from batchup.ops.parallel import in_pool
from batchup.ops.read.gather import Gather


def loader_of(
    stream: Stream,
    workers: int | None = None,
    threads: int | None = None,
    pool: Any = None,
    buffer: int | None = None,
    split: bool = False,
    steps: int | None = None,
) -> Loader:
    """The loader of a stream; the arguments are those of `stream.loader`."""
    workers, threads = own_workers(workers, threads, pool, "loader")
    source = stream if steps is None else in_steps(steps)(stream)
    if workers is None and threads is None and pool is None:
        if split or buffer is not None:
            name = "split" if split else "buffer"
            raise TypeError(f"loader: {name}: expected workers=, threads= or pool=, which make the batches")
        return Loader(source)
    if pool is not None:
        return Loader(in_pool(source, pool, buffer, split))
    own = pool_of(stream, workers, threads, "loader")
    loader = Loader(in_pool(source, own, buffer, split))
    again = partial(loader_of, stream, workers, threads, buffer=buffer, split=split, steps=steps)
    return loader._own(own, again)


def own_workers(workers: Any, threads: Any, pool: Any, where: str) -> tuple[int | None, int | None]:
    """The numbers of worker processes and threads that a user asks for; None for none."""
    given = {"workers": workers, "threads": threads, "pool": pool}
    names = [f"{name}=" for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise ValueError(
            f"{where}: expected one of workers=, for processes, threads= and pool=; got {' and '.join(names)}"
        )
    for name in ("workers", "threads"):
        if given[name] is not None:
            given[name] = whole_number(given[name], f"{where}: {name}") or None
    return given["workers"], given["threads"]


def pool_of(stream: Stream, workers: int | None, threads: int | None, where: str) -> Any:
    """A pool of so many processes or threads for a stream. They start with the first iteration."""
    from batchup.work_pool.own import OwnProcesses, OwnThreads

    if why := why_no_workers(stream):
        name, number = ("workers", workers) if threads is None else ("threads", threads)
        warnings.warn(f"{where}: {name}={number}: {stream!r} {why}", stacklevel=users_frame())
    return OwnProcesses(workers) if threads is None else OwnThreads(threads)


def why_no_workers(stream: Stream) -> str:
    """Why workers are of no use for a stream; empty if they may be."""
    if has_pool(stream.plan):
        return ""  # which is an error
    works = [stream.work, *(plan.work for plan in trunk(stream.plan) if isinstance(plan, Computed))]
    steps = [step for work in works for _, step in work.leaves()]
    if not all(isinstance(step, Own | JointStep) or _reads_memory(step) for step in steps):
        return ""
    if any(isinstance(step, Gather) for step in steps):
        return "only reads arrays in memory, which takes less time than sending them from workers: they are not needed"
    return "has no work for workers, since its batches come one after another in this process: they are not needed"


def _reads_memory(step: Any) -> bool:
    return isinstance(step, Gather) and all(
        type(column) is np.ndarray and not _is_mapped(column) for column in step.reader.columns
    )


def _is_mapped(array: Any) -> bool:
    """True for a memory map, and for views of one."""
    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(array, mmap.mmap)
