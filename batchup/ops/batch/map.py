"""Call a function with every batch: `map`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from batchup.core.checks import call_text, describe, describe_callable
from batchup.core.global_seeds import Seeding, noise_of, seed_option
from batchup.core.hints import FUNCTION_HINTS, hinted
from batchup.core.identity import named
from batchup.core.item import as_batch
from batchup.core.noise import Noise
from batchup.core.randomness import SeedLike
from batchup.core.record import record
from batchup.core.stream import Stage, Stream
from batchup.core.work import UNKNOWN, Sizes, Step


@hinted(**FUNCTION_HINTS)
def map(
    fn: Callable[..., Any],
    rng: SeedLike | None = None,
    *,
    seed_globals: SeedLike | None = None,
    name: str | None = None,
    resizes: bool = False,
) -> Stage:
    """Call a function with each batch; what it returns is the new batch.

    A batch that is a tuple is unpacked: the call is `fn(*batch)`, and `fn(batch)` for a dict or a single array. An
    exception of `fn` reaches the caller as it was raised, with a note that says at which item.

    Parameters
    ----------
    fn : callable
        Returns the new batch: a tuple of its parts, a dict, or a single array. A list is taken for the parts of a batch
        and becomes a tuple; for a batch with one part that is a list of samples, return `(samples,)`.
    rng : int, sequence of int or None
        If given, a seed: the call is `fn(*batch, rng=generator)`, with a `np.random.Generator` that is keyed by the
        seed, the place of the batch in the stream, and its samples in their order. So the batch is the same in this
        process, in a worker, after a resume, and as `stream[k]`. The numbers differ for each pass, each order of the
        samples, each shard, each map of a stream and each member of a `zip` or `choose`, also with the same seed. For
        items that are not made of index blocks, only their place counts. `rng.spawn` raises TypeError.
    seed_globals : int, sequence of int or None
        In place of `rng`, for a function that draws from global generators: a seed, by which those of `random`,
        `np.random` and PyTorch are seeded before each batch; see `map_samples`.
    name : str or None
        The name of the function in checkpoints, in place of its qualified name. Give lambdas a name to tell them apart.
    resizes : bool
        Pass True if `fn` returns another number of samples than it gets, and a `rebatch` follows.

    Returns
    -------
    Stage
        Gives the batches that `fn` returns.

    Raises
    ------
    TypeError
        If `fn` can't be called, or `rng` or `seed_globals` is not a seed.
    ValueError
        If the seed is negative, or both are given.

    Examples
    --------
    >>> from batchup import ops
    >>> halved = ops.indices(4) | ops.chunk(2) | ops.gather(np.arange(4.0)) | map(lambda x: x / 2)
    >>> list(halved)
    [array([0. , 0.5]), array([1. , 1.5])]

    >>> def jitter(x, rng):
    ...     return x + rng.integers(10, size=len(x))
    >>> list(ops.indices(4) | ops.chunk(2) | ops.gather(np.arange(4)) | map(jitter, rng=7))
    [array([9, 6]), array([9, 5])]
    """
    step = mapped(fn, rng, seed_globals, name=name, resizes=resizes)
    return Stage(Stream.with_step, step, text=str(step))


def mapped(
    fn: Callable[..., Any],
    rng: SeedLike | None,
    seed_globals: SeedLike | None,
    *,
    name: str | None = None,
    resizes: bool = False,
) -> Map:
    """The step of `map`, with its arguments checked."""
    if not callable(fn):
        raise TypeError(f"map(fn): expected a function; got {describe(fn)}")
    return Map(named(fn, name, "map"), noise_of(rng, seed_globals, Noise, "map"), bool(resizes))


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

    def run(self, item: Any, rng: np.random.Generator | Seeding | None = None) -> Any:
        if rng is None:
            return as_batch(self.fn(*item) if isinstance(item, tuple) else self.fn(item))
        if isinstance(rng, Seeding):
            with rng.kept():
                rng.seed(0)
                return self.run(item)
        return as_batch(self.fn(*item, rng=rng) if isinstance(item, tuple) else self.fn(item, rng=rng))

    def __str__(self) -> str:
        return call_text("map", describe_callable(self.fn), **seed_option(self.rng), resizes=self.resizes)
