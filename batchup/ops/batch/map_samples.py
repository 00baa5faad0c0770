"""Call a function with every sample: `map_samples`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import cached_property, partial
from typing import Any

from toolz import dissoc

from batchup.core.checks import call_text, describe, describe_callable
from batchup.core.errors import note
from batchup.core.global_seeds import GlobalSeeds, Seeding, noise_of, seed_option
from batchup.core.hints import FUNCTION_HINTS, hinted
from batchup.core.identity import Named, named
from batchup.core.noise import Noise, SampleGenerator, SampleNoise
from batchup.core.randomness import SeedLike
from batchup.core.record import record
from batchup.core.stream import Stage, Stream
from batchup.core.work import SAME, UNKNOWN, Results, Sizes, Split, Step
from batchup.ops.read.collate import Collate, as_collate, collated
from batchup.parts import samples_in


@hinted(**FUNCTION_HINTS)
def map_samples(
    fn: Callable[..., Any],
    rng: SeedLike | None = None,
    collate: Collate | None = None,
    seed_globals: SeedLike | None = None,
    *,
    name: str | None = None,
    resizes: bool = False,
) -> Stage:
    """Call a function with each sample of a batch, and put the results together to the new batch.

    If the batch is a tuple, the call is `fn(*sample)`; for a dict or a single array it is `fn(sample)`. Samples are rows
    of the arrays, as views, which `fn` may write into. A batch that is a list, as `samples(dataset, collate=list)` gives
    it, is a list of samples. A batch without samples is passed on as it is: a rank may get one of a small last batch. In
    a pool of threads, `parallel(pool, split=True)` spreads the samples of one batch.

    Parameters
    ----------
    fn : callable
        Returns the new sample: a tuple of its parts, a dict, or a single array, number or string.
    rng : int, sequence of int or None
        If given, a seed: the call is `fn(*sample, generator)`, with a `np.random.Generator`; if `rng` is a keyword-only
        parameter of `fn`, it is `fn(*sample, rng=generator)`. The generator is keyed as that of `map`, and by the
        position of the sample in the batch. It is valid during the call. `rng.spawn` raises TypeError.
    collate : callable or None
        `collate(list of results)` returns the batch. By default results are put together as in `samples`.
    seed_globals : int, sequence of int or None
        In place of `rng`, for a function that draws from global generators, as the transforms of torchvision do: a
        seed. Before each sample the generators of `random` and `np.random` are seeded, and PyTorch's for the CPU if
        torch is imported, from the key that `rng` would have. So the results are the same in this process, in any
        number of worker processes, and after a resume. After the batch the generators are as they were before. Threads
        share these generators, so pools of threads are refused.
    name : str or None
        The name of the function in checkpoints, in place of its qualified name.
    resizes : bool
        Pass True if `collate` leaves samples out, and a `rebatch` follows.

    Returns
    -------
    Stage
        Gives batches of the results.

    Raises
    ------
    TypeError
        If `fn` or `collate` can't be called, or `rng` or `seed_globals` is not a seed.
    ValueError
        If a seed is negative, or both are given; while iterating, by the default `collate`, if results have different
        shapes or dtypes.

    Examples
    --------
    >>> import numpy as np
    >>> from batchup import ops
    >>> images, labels = np.arange(24).reshape(2, 3, 4), np.array([0, 1])
    >>> def crop(image, label, rng):
    ...     i, j = rng.integers(2), rng.integers(3)
    ...     return image[i : i + 2, j : j + 2], label
    >>> [batch] = ops.indices(2) | ops.gather(images, labels) | map_samples(crop, rng=7)
    >>> batch
    (array([[[ 5,  6],
            [ 9, 10]],
    <BLANKLINE>
           [[17, 18],
            [21, 22]]]), array([0, 1]))
    """
    step = samples_mapped(fn, rng, collate, seed_globals, name=name, resizes=resizes)
    return Stage(Stream.with_step, step, text=str(step))


def samples_mapped(
    fn: Callable[..., Any],
    rng: SeedLike | None,
    collate: Collate | None,
    seed_globals: SeedLike | None,
    *,
    name: str | None = None,
    resizes: bool = False,
) -> MapSamples:
    """The step of `map_samples`, with its arguments checked."""
    if not callable(fn):
        raise TypeError(f"map_samples(fn): expected a function; got {describe(fn)}")
    noise = noise_of(rng, seed_globals, SampleNoise, "map_samples")
    return MapSamples(named(fn, name, "map_samples"), noise, as_collate(collate, "map_samples"), bool(resizes))


@record
class MapSamples(Step):
    """The step of `map_samples`."""

    tag = "map_samples"

    fn: Callable[..., Any]
    rng: Noise | None = None
    collate: Collate | None = None
    resizes: bool = False

    @cached_property
    def _function(self) -> Callable[..., Any]:
        """The function; if it takes a generator, as its last argument."""
        fn = self.fn
        if self.rng is None or isinstance(self.rng, GlobalSeeds) or not _takes_rng_by_name(fn):
            return fn
        return lambda *arguments: fn(*arguments[:-1], rng=arguments[-1])

    def __getstate__(self) -> dict[str, Any]:
        return dict(dissoc(self.__dict__, "_function"))

    @property
    def sizes(self) -> Sizes:
        if self.resizes:
            return UNKNOWN
        return SAME if self.collate is None else Sizes(remedy="map_samples(fn, collate=..., resizes=True)")

    def run(self, item: Any, rng: SampleGenerator | Seeding | None = None) -> Any:
        if not samples_in(item, "map_samples"):
            return item
        fn, samples = self._function, samples_of_batch(item)
        results: list[Any] = []
        if isinstance(rng, SampleGenerator):
            samples = ((*sample, rng.of(n)) for n, sample in enumerate(samples))
        elif rng is not None:
            samples = rng.before_each(samples)
        with rng.kept() if isinstance(rng, Seeding) else nullcontext():
            try:
                for sample in samples:
                    results.append(fn(*sample))
            except Exception as error:
                _note(error, len(results))
                raise
            return self._batch(results)

    def split(self, item: Any, rng: SampleGenerator | None = None) -> Split:
        """The calls of the function for the samples of a batch."""
        if not samples_in(item, "map_samples"):
            return Split([], lambda results: item)
        calls = [partial(self._call, n, sample, rng) for n, sample in enumerate(samples_of_batch(item))]
        return Split(calls, self._joined)

    def _call(self, n: int, sample: tuple[Any, ...], rng: SampleGenerator | None) -> Any:
        try:
            return self._function(*sample) if rng is None else self._function(*sample, rng.alone(n))
        except Exception as error:
            _note(error, n)
            raise

    def _batch(self, results: list[Any]) -> Any:
        return collated(results, "map_samples") if self.collate is None else self.collate(results)

    def _joined(self, results: Results) -> Any:
        return self._batch([result.result() for result in results])

    def __str__(self) -> str:
        collate = self.collate and describe_callable(self.collate)
        return call_text(
            "map_samples", describe_callable(self.fn), **seed_option(self.rng), collate=collate, resizes=self.resizes
        )


def _takes_rng_by_name(fn: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(fn.fn if isinstance(fn, Named) else fn).parameters
    except (TypeError, ValueError):  # of a built-in function
        return False
    return "rng" in parameters and parameters["rng"].kind is inspect.Parameter.KEYWORD_ONLY


def _note(error: Exception, n: int) -> None:
    note(error, lambda: f"in sample {n} of the batch")


def samples_of_batch(batch: Any) -> Iterator[tuple[Any, ...]]:
    """The samples of a batch, each as the arguments of a call."""
    if isinstance(batch, list):
        return (sample if isinstance(sample, tuple) else (sample,) for sample in batch)
    return zip(*map(_each, batch), strict=True) if isinstance(batch, tuple) else zip(_each(batch), strict=True)


def _each(part: Any) -> Iterator[Any]:
    """The samples of a part of a batch."""
    if isinstance(part, dict):
        return (dict(zip(part, values, strict=True)) for values in zip(*map(_each, part.values()), strict=True))
    if isinstance(part, tuple):
        samples = zip(*map(_each, part), strict=True)
        return (type(part)(*sample) for sample in samples) if hasattr(part, "_fields") else samples
    return iter(part)
