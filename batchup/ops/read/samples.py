"""Read samples one by one: `samples`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.core.blocks import Block, block_array
from batchup.core.checks import call_text, describe, describe_callable, is_a
from batchup.core.errors import note
from batchup.core.global_seeds import GlobalSeeds, Seeding, as_global_seeds
from batchup.core.hints import DATASET_HINTS, hinted
from batchup.core.item import mapped
from batchup.core.randomness import SeedLike
from batchup.core.record import data, record, unnamed
from batchup.core.stream import Stage
from batchup.core.work import SAME, UNKNOWN, Results, Sizes, Split, Step
from batchup.ops.read.collate import Collate, as_collate, collated
from batchup.ops.read.gather import with_indices, with_reading
from batchup.ops.read.tables import FRAMES
from batchup.strings import packed


@hinted(**DATASET_HINTS)
def samples(
    dataset: Any,
    collate: Collate | None = None,
    *,
    seed_globals: SeedLike | None = None,
    include_indices: bool = False,
    resizes: bool = False,
) -> Stage:
    """Read the samples of each index block one by one, and put them together to a batch.

    Sample i is `dataset[i]` for an int i. If the dataset has PyTorch's `__getitems__`, one call asks for all samples of
    a batch. In a pool of threads, `parallel(pool, split=True)` reads the samples of one batch at once.

    Parameters
    ----------
    dataset : anything with `__len__` and `__getitem__`
        A PyTorch `Dataset`, a list of records, a Hugging Face dataset.
    collate : callable or None
        `collate(list of samples)` returns the batch. By default tuples, named tuples and dicts stay what they are, and
        lists become tuples. Inside of them, arrays, images and numbers become arrays of shape (samples, ...), PyTorch
        tensors become tensors, and strings become lists.
    seed_globals : int, sequence of int or None
        If given, a seed: before each sample is read, the global generators of `random`, `np.random` and PyTorch are
        seeded, for transforms in the dataset that draw from them; see `map_samples`. The samples are then read one by
        one, without `__getitems__`.
    include_indices : bool
        If True, the index block comes first, as an intp array; in a dict, under "indices".
    resizes : bool
        Pass True if `collate` leaves samples out, such as broken ones, and a `rebatch` follows.

    Returns
    -------
    Stage
        Gives batches.

    Raises
    ------
    TypeError
        If `dataset` has no `__len__` or `__getitem__`, or `seed_globals` is not a seed.
    ValueError
        If the stream reaches beyond the dataset; while iterating, by the default `collate`, if samples have different
        shapes or dtypes.

    Examples
    --------
    >>> from batchup import ops
    >>> records = [{"x": [0.5, 1.5], "name": "a"}, {"x": [2.5, 3.5], "name": "b"}]
    >>> list(ops.indices([1, 0]) | samples(records))
    [{'x': array([[2.5, 3.5],
           [0.5, 1.5]]), 'name': ['b', 'a']}]
    """
    return sampling(samples_step(dataset, collate, seed_globals, include_indices=include_indices, resizes=resizes))


def sampling(step: Samples) -> Stage:
    """The stage of a `Samples`."""
    return Stage(with_reading, step, step.length, "samples", "dataset", text=str(step))


def samples_step(
    dataset: Any,
    collate: Collate | None = None,
    seed_globals: SeedLike | None = None,
    *,
    include_indices: bool = False,
    resizes: bool = False,
    where: str = "samples",
) -> Samples:
    """The step of `samples`, with its arguments checked."""
    wanted = f"{where}: expected a dataset with __len__ and __getitem__, which takes an int"
    if isinstance(dataset, Mapping):
        raise TypeError(f"{wanted}; got {describe(dataset)}: give one of its parts, dataset['train']")
    if is_a(dataset, *FRAMES, "polars.LazyFrame"):
        raise TypeError(f"{wanted}; got {describe(dataset)}, whose columns gather takes")
    if isinstance(dataset, str | bytes) or not hasattr(dataset, "__getitem__"):
        raise TypeError(f"{wanted}; got {describe(dataset)}")
    try:
        length = len(dataset)
    except TypeError:
        raise TypeError(f"{wanted}; {describe(dataset)} has no length") from None
    if hasattr(dataset, "iloc"):
        raise TypeError(f"{wanted}; got {describe(dataset)}, whose columns gather takes")
    collate = as_collate(collate, where)
    seeds = as_global_seeds(seed_globals, where)
    return Samples(dataset, collate, bool(include_indices), bool(resizes), where, length, seeds)


@record
class Samples(Step):
    """The step of `samples`: from an index block to the batch that `collate` makes of its samples."""

    tag = "samples"

    dataset: Any = data()
    collate: Collate | None = None
    include_indices: bool = False
    resizes: bool = False
    where: str = unnamed(default="samples")
    length: int = unnamed(default=0)
    rng: GlobalSeeds | None = None

    @property
    def sizes(self) -> Sizes:
        if self.resizes:
            return UNKNOWN
        remedy = f"{self.where}(dataset, collate, resizes=True)"
        return SAME if self.collate is None else Sizes(remedy=remedy)

    def run(self, item: Block, seeding: Seeding | None = None) -> Any:
        block = block_array(item)
        if seeding is not None:
            with seeding.kept():
                return self._batch(block, [self._sample(i) for i in seeding.before_each(block.tolist())])
        several = getattr(self.dataset, "__getitems__", None)
        if several is None:
            return self._batch(block, [self._sample(i) for i in block.tolist()])
        samples = list(several(block.tolist())) if len(block) else []
        if len(samples) != len(block):
            wanted = f"expected __getitems__ to give one sample for each of {len(block)} indices"
            raise ValueError(f"{wanted}; it gave {len(samples)}")
        return self._batch(block, samples)

    def split(self, item: Block) -> Split:
        """The calls that read the samples of a block, one each."""
        block = block_array(item)
        calls = [partial(self._sample, i) for i in block.tolist()]
        return Split(calls, partial(self._joined, block))

    def _joined(self, block: NDArray[np.intp], results: Results) -> Any:
        return self._batch(block, [result.result() for result in results])

    def _sample(self, i: int) -> Any:
        try:
            return self.dataset[i]
        except Exception as error:
            note(error, lambda: f"while sample {i} of {describe(self.dataset)} was read")
            raise

    def _batch(self, block: NDArray[np.intp], samples: list[Any]) -> Any:
        collate = self.collate or collated
        if samples or not self.length:
            batch = collate(samples)
        else:  # a shard's part of a small block is empty: another sample shows what a batch looks like
            batch = mapped(collate([self._sample(0)]), _emptied, (tuple, dict))
        return with_indices(block, batch) if self.include_indices else batch

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "dataset": packed(self.dataset)}

    def __str__(self) -> str:
        collate = self.collate and describe_callable(self.collate)
        options: dict[str, Any] = {"collate": collate, "seed_globals": self.rng}
        options |= {"include_indices": self.include_indices, "resizes": self.resizes}
        return call_text("samples", describe(self.dataset), **options)


def _emptied(part: Any) -> Any:
    return part[:0] if hasattr(part, "__getitem__") and getattr(part, "shape", True) else part
