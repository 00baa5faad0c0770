"""Call a function with every batch: `map`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from batchup.core.checks import call_text, describe, describe_callable
from batchup.core.identity import named
from batchup.core.item import as_batch
from batchup.core.noise import Noise
from batchup.core.randomness import SeedLike, as_seed
from batchup.core.record import record
from batchup.core.stream import Stage, Stream
from batchup.core.work import UNKNOWN, Sizes, Step


def map(
    fn: Callable[..., Any], rng: SeedLike | None = None, *, name: str | None = None, resizes: bool = False
) -> Stage:
    """Call `fn(*batch)` for each batch that is a tuple, `fn(batch)` for others. The result is the new batch.

    If `fn` returns a list, it is a list of the parts of the batch, and becomes a tuple. For a batch with one part that
    is a list of samples return `(samples,)`.

    With `rng`, a seed (an int >= 0 or a sequence of them), the call is `fn(*batch, rng=generator)`. The generator, a
    `np.random.Generator`, is keyed by the seed, the place of the batch in the stream, and the samples of the batch in
    their order. So the batch is the same wherever and whenever it is made: in this process, a worker, after a resume, or
    alone as `stream[k]`. The numbers differ for each pass, each order of the samples and each shard, for several maps
    of one stream and for the members of a `zip` or `choose`, also with the same seed. For items that are not made of
    index blocks, as those of lists and iterators, the place alone counts. `rng.spawn` raises TypeError.

    A checkpoint knows a function by its qualified name. Give lambdas a `name`, to tell them apart. If a `rebatch`
    follows, `fn` must return as many samples as it gets, or say `resizes=True`. An exception of `fn` reaches the caller
    as it was raised, with a note that says at which item. Raises TypeError for an `fn` that can't be called, and for
    an invalid seed.

    >>> from batchup import ops
    >>> halved = ops.indices(4) | ops.chunk(2) | ops.gather(np.arange(4.0)) | map(lambda x: x / 2)
    >>> list(halved)
    [array([0. , 0.5]), array([1. , 1.5])]

    >>> def jitter(x, rng):
    ...     return x + rng.integers(10, size=len(x))
    >>> list(ops.indices(4) | ops.chunk(2) | ops.gather(np.arange(4)) | map(jitter, rng=7))
    [array([9, 6]), array([9, 5])]
    """
    if not callable(fn):
        raise TypeError(f"map(fn): expected a function; got {describe(fn)}")
    noise = None if rng is None else Noise(as_seed(rng, "map(fn, rng)"))
    step = Map(named(fn, name, "map"), noise, bool(resizes))
    return Stage(Stream.with_step, step, text=str(step))


@record
class Map(Step):
    """The step of `map`."""

    tag = "map"

    fn: Callable[..., Any]
    rng: Noise | None = None
    resizes: bool = False

    @property
    def sizes(self) -> Sizes:
        return UNKNOWN if self.resizes else Sizes(remedy="map(fn, resizes=True)")

    def run(self, item: Any, rng: np.random.Generator | None = None) -> Any:
        if rng is None:
            return as_batch(self.fn(*item) if isinstance(item, tuple) else self.fn(item))
        return as_batch(self.fn(*item, rng=rng) if isinstance(item, tuple) else self.fn(item, rng=rng))

    def __str__(self) -> str:
        return call_text("map", describe_callable(self.fn), rng=self.rng, resizes=self.resizes)
