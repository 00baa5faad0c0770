"""What is asked of a data source: `Request`, and the batches that a user's own function gives for one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import field
from functools import partial
from typing import Any

import numpy as np

from batchup import ops
from batchup.core.checks import describe, describe_callable, whole_number
from batchup.core.randomness import Seed, ShuffleLike, as_rng
from batchup.core.record import in_whole_parts, record
from batchup.core.sources import Iterated
from batchup.ops.index.shard import ShardLike, as_shard

__all__ = ["BatchOf", "Request", "ShardLike", "batches_of", "given"]


@record
class Request:
    """The arguments of `batch_iterator`, but for the epoch; `others` are those that a user's function knows."""

    batch_size: int
    shuffle: ShuffleLike = None
    shard: ShardLike = None
    drop_last: bool = False
    others: dict[str, Any] = field(default_factory=dict)
    window: int | None = None  # chunks that are mixed at a time

    def __post_init__(self) -> None:
        if self.window is not None:
            whole_number(self.window, "window", least=1)
            if as_rng(self.shuffle, "shuffle") is None:
                raise ValueError(
                    "window: expected shuffle=, a seed or a generator, to mix chunks by; got none"
                )
        if not isinstance(self.drop_last, bool | np.bool_):
            raise TypeError(f"drop_last: expected True or False; got {describe(self.drop_last)}")
        as_shard(self.shard, "")

    def cut(self, stream: ops.Stream, epoch: int | None = None) -> ops.Stream:
        """The batches of a stream of what this was asked for, which may be windows; of an epoch alone, if one is named."""
        if self.window is not None:
            stream = stream | ops.rebatch(self.batch_size, self.drop_last, shard=self.shard)
        return stream if epoch is None else stream.epoch(epoch)

    def refuse_window(self, source: Any) -> None:
        if self.window is not None:
            raise TypeError(
                f"window: expected an ArrayDataSource of arrays with chunks, or maps of one; got {source!r}"
            )

    def refuse_shard(self, source: Any) -> None:
        if self.shard is not None:
            raise TypeError(
                f"shard: the batches of {source!r} come one after another, and have no parts"
            )


def batches_of(
    source: Any, request: Request, make: Callable[..., Iterator[Any]], written: Callable[..., Any]
) -> ops.Stream:
    """The stream of `make(batch_size, shuffle=..., **others)`, whose parameters are those of what is `written`.

    It is given `drop_last` where that is asked for, and the epoch, if it has parameters of these names.
    """
    request.refuse_shard(source)
    request.refuse_window(source)
    parameters = _parameters(written)
    name = f"{describe_callable(written)} of {source!r}"
    samples, others = source.num_samples(**request.others), request.others
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
            alike = (
                f"has one order for all epochs: expected a parameter epoch of {name}, or shuffle=True"
            )
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
    """The keyword arguments for a user's batch iterator: `shuffle` among them where there is one."""
    return kwargs if shuffle is None else {"shuffle": shuffle, **kwargs}


@record
class BatchOf:
    """Makes the batches of the indices of a user's own source."""

    source: Any

    def __call__(self, indices: Any) -> Any:
        return self.source._batch_at(indices)

    @property
    def __name__(self) -> str:
        return f"{type(self.source).__name__}.samples_by_indices_nomapping"
