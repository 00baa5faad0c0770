"""The options of `batch_iterator`, `stream` and `loader`, and the batches that a user's function gives for them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from functools import partial
from typing import Any, TypedDict

from toolz import dissoc, keyfilter

from batchup import ops
from batchup.core import hints
from batchup.core.checks import byte_count, describe_callable, true_or_false, whole_number
from batchup.core.randomness import Seed, ShuffleLike, as_rng
from batchup.core.record import in_whole_parts, record
from batchup.core.sources import Iterated
from batchup.ops.index.chunk import is_several, one_size
from batchup.ops.index.shard import ShardLike, as_shard
from batchup.ops.parallel import Pool

__all__ = [
    "BatchOf",
    "BatchOptions",
    "BatchSize",
    "IndexOptions",
    "LoaderOptions",
    "Request",
    "batches_of",
    "given",
    "refuse_others",
]


class _Options(TypedDict, total=False):
    shard: ShardLike
    drop_last: bool


class IndexOptions(_Options, total=False):
    """The keyword arguments of `batch_indices_iterator`: those of `batch_iterator` but `window`."""

    epoch: int | None


class BatchOptions(IndexOptions, total=False):
    """The keyword arguments of `batch_iterator` and `stream`, besides `batch_size` and `shuffle`.

    `shard=(i, n)` is part i of n of every batch, for data-parallel training; `batch_size` is then that of all parts
    together. `shard=()` asks the environment; see `ops.shard`. With `drop_last` a last batch that is shorter is left
    out. `epoch=e` gives the order and the noise of epoch e, for a seed. `window` is for arrays in chunks: this many
    chunks are mixed at a time, each read once a pass; `window="200MB"` is as many as fit into this memory.
    """

    window: int | str | None


class LoaderOptions(_Options, total=False):
    """The keyword arguments of `loader`: those of `batch_iterator` but `epoch`, and those of `stream.loader`."""

    window: int | str | None
    workers: int | None
    threads: int | None
    pool: Pool | None
    buffer: int | None
    split: bool
    steps: int | None


# A number of samples; for a `CompositeDataSource` also a list of such numbers, one for each member.
BatchSize = int | Sequence[Any]

_BATCH = tuple(BatchOptions.__annotations__)
# The options of methods that have others than these.
_OWN: dict[str, Any] = {"loader": LoaderOptions, "batch_indices_iterator": IndexOptions}


@record
class Request:
    """The arguments of `batch_iterator`; `others` are further ones, for a user's function."""

    batch_size: Any
    shuffle: ShuffleLike = None
    shard: ShardLike = None
    drop_last: bool = False
    window: int | str | None = None
    epoch: int | None = None
    others: dict[str, Any] = field(default_factory=dict)

    @staticmethod
    def of(batch_size: BatchSize, shuffle: ShuffleLike, options: Mapping[str, Any]) -> Request:
        """The options as a request, checked."""
        own = keyfilter(_BATCH.__contains__, options)
        others = dissoc(options, *_BATCH)
        return Request(batch_size, shuffle, **own, others=others)

    def __post_init__(self) -> None:
        if self.window is not None:
            if isinstance(self.window, str):
                byte_count(self.window, "window")
            else:
                whole_number(self.window, "window", least=1)
            if as_rng(self.shuffle, "shuffle") is None:
                raise ValueError("window: expected shuffle=, a seed or a generator, to mix chunks by; got none")
        true_or_false(self.drop_last, "drop_last")
        as_shard(self.shard, "")

    def cut(self, stream: ops.Stream) -> ops.Stream:
        """The batches of a stream that answers this request, which may give windows; of the epoch, if there is one."""
        if self.window is not None:
            stream = stream | ops.rebatch(self.batch_size, self.drop_last, shard=self.shard)
        return stream if self.epoch is None else stream.epoch(self.epoch)

    def refuse_sizes(self) -> None:
        """Raise TypeError for a list of batch sizes, which is for `CompositeDataSource`."""
        if is_several(self.batch_size):
            one_size(self.batch_size, "batch_size")

    def refuse_window(self, source: Any) -> None:
        if self.window is not None:
            raise TypeError(
                f"window: expected an ArrayDataSource of arrays with chunks, or maps of one; got {source!r}"
            )

    def refuse_shard(self, source: Any) -> None:
        if self.shard is not None:
            raise TypeError(
                f"shard: {source!r} gives its batches one after another, and they can't be divided among ranks"
            )


def refuse_others(method: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Raise TypeError for an option that the method doesn't have; the error names the most similar one."""
    called = method.__name__
    own = _OWN.get(called, BatchOptions).__annotations__
    if options.keys() <= {"shuffle", *own}:
        return
    parameters = inspect.signature(method).parameters.values()
    named = [each.name for each in parameters if each.kind is not each.VAR_KEYWORD]
    known = list(dict.fromkeys([*named, "shuffle", *own]))
    table = hints.LOADER_HINTS if called == "loader" else hints.BATCH_HINTS
    hints.refuse_others(called, options, known, hints.EVALUATION_HINTS if "func" in named else table)


def batches_of(
    source: Any, request: Request, make: Callable[..., Iterator[Any]], written: Callable[..., Any]
) -> ops.Stream:
    """The stream of `make(batch_size, shuffle=..., **others)`, which has the parameters of the user's function `written`.

    If that has parameters of these names, it gets `drop_last`, if it is asked for, and the epoch.
    """
    request.refuse_sizes()
    request.refuse_shard(source)
    request.refuse_window(source)
    parameters = _parameters(written)
    name = f"{describe_callable(written)} of {source!r}"
    others = request.others
    foreign = others.keys() & hints.LOADER_HINTS.keys() - parameters
    hints.refuse_others(describe_callable(written), foreign, parameters, hints.LOADER_HINTS)
    samples = source.num_samples(**others)
    if request.drop_last:
        if "drop_last" not in parameters:
            wanted = f"drop_last: expected a parameter drop_last of {name}"
            raise TypeError(f"{wanted}, which has to leave out a short batch")
        others = {**others, "drop_last": True}
        samples = in_whole_parts(samples, request.batch_size)
    make = partial(make, request.batch_size, **given(request.shuffle, others))
    if "epoch" in parameters:
        make = partial(_of_epoch, make)
        plan = Iterated(make, samples=samples, numbered=True)
    else:
        alike = ""
        if isinstance(as_rng(request.shuffle, "shuffle"), Seed):
            alike = f"has one order for all epochs: expected a parameter epoch of {name}, or shuffle=True"
        plan = Iterated(make, samples=samples, alike=alike)
    return ops.Stream(plan, text=repr(source))


def _parameters(function: Callable[..., Any]) -> set[str]:
    try:
        return set(inspect.signature(function).parameters)
    except ValueError:  # of a built-in one
        return set()


def _of_epoch(make: Callable[..., Iterator[Any]], epoch: int) -> Iterator[Any]:
    return make(epoch=epoch)


def given(shuffle: ShuffleLike, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The keyword arguments for a user's batch iterator, with `shuffle` if it was given."""
    return kwargs if shuffle is None else {"shuffle": shuffle, **kwargs}


@record
class BatchOf:
    """Makes batches of indices, by the methods of a user's own source."""

    source: Any

    def __call__(self, indices: Any) -> Any:
        return self.source._batch_at(indices)

    @property
    def __name__(self) -> str:
        return f"{type(self.source).__name__}.samples_by_indices_nomapping"
