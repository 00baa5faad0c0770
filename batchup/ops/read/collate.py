"""Put samples together to a batch: the default `collate` of `samples` and `map_samples`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

import numpy as np
from more_itertools import all_equal
from numpy.typing import NDArray

from batchup.core.checks import describe, is_a, plain_array
from batchup.core.memory import empty
from batchup.values import array_of

Collate = Callable[[list[Any]], Any]


def as_collate(collate: Any, where: str) -> Collate | None:
    """A user's `collate`, or None. Errors begin with `where`."""
    if collate is not None and not callable(collate):
        raise TypeError(f"{where}: collate: expected a function of a list of samples; got {describe(collate)}")
    return collate  # type: ignore[no-any-return]


def collated(samples: list[Any], stage: str = "samples", where: str = "") -> Any:
    """The batch of a list of samples. `stage` is the name of the stage in errors, `where` the part of the samples."""
    first = samples[0]
    kind = type(first)
    if kind is np.ndarray or isinstance(first, np.generic):
        if len({type(sample) for sample in samples}) == 1 and (array := _stacked(samples)) is not None:
            return array
    elif isinstance(first, Mapping):
        _check(samples, lambda s: (type(s), isinstance(s, Mapping) and frozenset(s)), stage, where)
        return {key: collated([s[key] for s in samples], stage, f"{where}[{key!r}]") for key in first}
    elif isinstance(first, tuple) or (isinstance(first, list) and not where):
        _check(samples, lambda s: (type(s), isinstance(s, tuple | list) and len(s)), stage, where)
        parts = enumerate(zip(*samples, strict=True))
        columns = [collated(list(part), stage, f"{where}[{n}]") for n, part in parts]
        return kind(*columns) if hasattr(first, "_fields") else tuple(columns)
    _check(samples, type, stage, where)
    if isinstance(first, str | bytes):
        return samples
    if isinstance(first, list):
        types = set(map(type, chain.from_iterable(samples)))  # in C: there may be many tokens
        if any(issubclass(kind, str | bytes) for kind in types):
            return samples
    if is_a(first, "torch.Tensor"):
        import torch

        _check(samples, lambda s: (s.shape, s.dtype), stage, where)
        return torch.stack(samples)
    if not isinstance(first, list) and not _is_array(first):
        return _numbers(samples, stage, where)
    arrays = [_array(sample, stage, where) for sample in samples]
    _check(arrays, lambda array: (array.shape, array.dtype), stage, where)
    return np.stack(arrays, out=empty((len(arrays), *arrays[0].shape), arrays[0].dtype))


def _stacked(samples: list[Any]) -> NDArray[Any] | None:
    """Arrays, or numbers of NumPy, of one type, shape and dtype, as one array; None for others."""
    dtype, shape = samples[0].dtype, samples[0].shape
    if dtype.kind not in "biufc":
        return None
    for sample in samples:
        if sample.dtype is not dtype and sample.dtype != dtype:
            return None
        if sample.shape != shape:
            return None
    out = empty((len(samples), *shape), dtype)
    for n, sample in enumerate(samples):
        out[n] = sample
    return out


def _array(sample: Any, stage: str, where: str) -> NDArray[Any]:
    """One sample, or a part of one, as an array of the same values."""
    make = plain_array if _is_array(sample) else array_of
    array: NDArray[Any] = make(sample, f"{stage}: at sample{where}")
    if array.dtype.hasobject:
        raise TypeError(f"{stage}: {_expected(where)}; got {describe(sample)}. {_remedy(stage)}")
    return array


def _is_array(sample: Any) -> bool:
    return hasattr(sample, "__array__") or hasattr(sample, "__array_interface__")


def _numbers(samples: list[Any], stage: str, where: str) -> NDArray[Any]:
    """Samples that are numbers of one type, as one array."""
    if not isinstance(samples[0], bool | int | float | complex):
        raise TypeError(f"{stage}: {_expected(where)}; got {describe(samples[0])}. {_remedy(stage)}")
    numbers: NDArray[Any] = array_of(samples, f"{stage}: at sample{where}")
    return numbers


def _remedy(stage: str) -> str:
    giver = "the function" if stage == "map_samples" else "the dataset"
    return f"Have {giver} give what fits, or give collate=, a function of a list of samples"


def _expected(where: str) -> str:
    return f"expected arrays, numbers, strings, tuples or dicts{f' at sample{where}' * bool(where)}"


def _check(samples: list[Any], kind: Callable[[Any], Any], stage: str, where: str) -> None:
    """Raise ValueError if samples are not of one kind."""
    if not all_equal(map(kind, samples)):
        got = ", ".join(dict.fromkeys(_kind(sample) for sample in samples))
        wanted = (
            f"{stage}: expected samples of one type, shape and dtype for a batch{f', at sample{where}' * bool(where)}"
        )
        raise ValueError(f"{wanted}; got {got:.200}. {_remedy(stage)}")


def _kind(sample: Any) -> str:
    if isinstance(sample, Mapping):
        return f"a dict of {', '.join(map(repr, sample))}"
    named = hasattr(sample, "shape") or isinstance(sample, tuple | list)
    return describe(sample) if named else type(sample).__name__
