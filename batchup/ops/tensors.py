"""Batches for a framework: `to_torch` and `to_jax`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.core.checks import describe, whole_number
from batchup.core.record import record
from batchup.core.stream import Stage, Stream
from batchup.core.work import Step, mapped
from batchup.ops.items import Gather, columns_known

# From the names of NumPy's dtypes to those of others.
Dtypes = tuple[tuple[str, str], ...]


def to_torch(dtypes: Mapping[Any, Any] | None = None) -> Stage:
    """The arrays of a batch as PyTorch tensors, without a copy; also in nested tuples, lists and dicts.

    `dtypes` says which dtypes are to be others, and are copied: `{"int32": torch.int64}`, or "int64", for
    labels. What is no array stays as it is. On the CPU; move them where you train, with
    `tensor.to(device)`. Raises ImportError without PyTorch, TypeError for dtypes that there are not, and,
    while iterating, for arrays of a dtype that PyTorch has not: strings, objects, dates.

    >>> from batchup import ops
    >>> stage = to_torch({"int32": "int64"})
    >>> list(ops.indices(3) | ops.gather(np.arange(3, dtype=np.int32)) | stage)
    [(tensor([0, 1, 2]),)]
    """
    try:
        import torch
    except ImportError as error:
        raise ImportError("to_torch: expected PyTorch: pip install 'batchup[torch]'") from error

    names = _dtypes(
        dtypes, "to_torch", lambda name: isinstance(getattr(torch, name, None), torch.dtype)
    )
    step = ToTorch(names)
    return Stage(Stream.with_step, step, text=str(step))


def to_jax(dtypes: Mapping[Any, Any] | None = None, pad_to: int | None = None) -> Stage:
    """The arrays of a batch as JAX arrays, on JAX's default device; also in nested tuples, lists and dicts.

    On a CPU there is no copy of memory that begins where XLA wants it: of what `gather` reads right before
    it, and of what comes from a `WorkerProcessPool`. `dtypes` says which dtypes are to be others, as for
    `to_torch`; without `jax_enable_x64` JAX makes 32-bit numbers of those of 64 bits. A function that is
    compiled for one shape wants all batches of that: with `pad_to`, arrays are filled up with zeros to so many
    samples, and a mask, (pad_to,) bool, comes last, or in a dict as "mask": True where there is a sample. Or
    leave a short batch out, by `drop_last`.

    Raises ImportError without JAX, TypeError for dtypes that there are not, ValueError for batches that
    are larger than `pad_to`.

    >>> from batchup import ops
    >>> stage = to_jax(pad_to=4)
    >>> list(ops.indices(3) | ops.gather(np.arange(3)) | stage)
    [(Array([0, 1, 2, 0], dtype=int32), Array([ True,  True,  True, False], dtype=bool))]
    """
    try:
        import jax.numpy as jnp
    except ImportError as error:
        raise ImportError("to_jax: expected JAX: pip install jax") from error

    names = _dtypes(dtypes, "to_jax", lambda name: hasattr(jnp, name))
    if pad_to is not None:
        pad_to = whole_number(pad_to, "to_jax: pad_to", least=1)
    step = ToJax(names, pad_to)
    return Stage(_to_jax, step, text=str(step))


def _to_jax(stream: Stream, step: ToJax) -> Stream:
    if step.pad_to is not None and "mask" in columns_known(stream):
        raise ValueError(_has_a_mask(step))
    grid = stream.work.grid(stream.plan)
    size = None if grid is None else grid.size
    samples = stream.num_samples
    if step.pad_to is not None and size is not None and samples is not None:
        largest = min(size, samples)
        if largest > step.pad_to:
            wanted = f"{step}: expected batches of at most {step.pad_to} samples"
            raise ValueError(f"{wanted}; those of {stream!r} have {largest}")
    if len(stream.steps) == 1 and isinstance(stream.steps[0], Gather):
        stream = replace(stream, steps=(replace(stream.steps[0], aligned=True),))
    return stream.with_step(step)


def _has_a_mask(step: ToJax) -> str:
    return f'{step}: expected no part of the name "mask", which pad_to adds; there is one. Give it another name'


def _dtypes(dtypes: Mapping[Any, Any] | None, where: str, known: Any) -> Dtypes:
    wanted = f"{where}: dtypes: expected NumPy's dtypes and what they are to be"
    wanted += ', such as {"int32": "int64"}'
    if not isinstance(dtypes, Mapping | None):
        raise TypeError(f"{wanted}; got {describe(dtypes)}")
    names = []
    for own, other in (dtypes or {}).items():
        name = other if isinstance(other, str) else getattr(other, "__name__", str(other))
        name = name.rpartition(".")[2]
        try:
            own = np.dtype(own).name
        except TypeError:
            raise TypeError(f"{wanted}; NumPy has no {own!r}") from None
        if not known(name):
            raise TypeError(f"{wanted}; there is no dtype {other!r} to make of {own}")
        names.append((own, name))
    return tuple(names)


def _shown(names: Dtypes) -> str:
    return f"{dict(names)}" if names else ""


def _no_numbers(where: str, part: NDArray[Any]) -> TypeError:
    wanted = f"{where}: expected arrays of numbers; got {describe(part)}"
    return TypeError(f"{wanted}. Leave it out in a map, or make numbers of it")


@record
class ToTorch(Step):
    """The step of `to_torch`."""

    dtypes: Dtypes

    @cached_property
    def _wanted(self) -> dict[str, Any]:
        import torch

        return {own: getattr(torch, other) for own, other in self.dtypes}

    def run(self, item: Any) -> Any:
        return mapped(item, self._tensor)

    def _tensor(self, part: Any) -> Any:
        import torch

        if not isinstance(part, np.ndarray):
            return part
        if not part.flags.writeable or min(part.strides, default=0) < 0:
            part = part.copy()
        try:
            tensor = torch.from_numpy(part)
        except TypeError:
            raise _no_numbers("to_torch", part) from None
        return tensor.to(self._wanted[part.dtype.name]) if part.dtype.name in self._wanted else tensor

    def __str__(self) -> str:
        return f"to_torch({_shown(self.dtypes)})"


@record
class ToJax(Step):
    """The step of `to_jax`."""

    dtypes: Dtypes
    pad_to: int | None

    @cached_property
    def _wanted(self) -> dict[str, Any]:
        import jax.numpy as jnp

        return {own: np.dtype(getattr(jnp, other)) for own, other in self.dtypes}

    def run(self, item: Any) -> Any:
        if self.pad_to is None:
            return mapped(item, self._array)
        sizes = []

        def padded(part: Any) -> Any:
            if not isinstance(part, np.ndarray) or not part.ndim:
                return self._array(part)
            sizes.append(len(part))
            return self._array(self._padded(part))

        batch = mapped(item, padded)
        if len(set(sizes)) != 1:
            raise ValueError(f"to_jax: pad_to: expected arrays of one number of samples; got {sizes}")
        mask = self._array(np.arange(self.pad_to) < sizes[0])
        if isinstance(batch, dict):
            if "mask" in batch:
                raise ValueError(_has_a_mask(self))
            return {**batch, "mask": mask}
        return (*batch, mask) if isinstance(batch, tuple) else (batch, mask)

    def _padded(self, part: NDArray[Any]) -> NDArray[Any]:
        n = self.pad_to or 0
        if len(part) > n:
            raise ValueError(f"to_jax: expected batches of at most pad_to={n} samples; got {len(part)}")
        if len(part) == n:
            return part
        whole: NDArray[Any] = np.zeros((n, *part.shape[1:]), part.dtype)
        whole[: len(part)] = part
        return whole

    def _array(self, part: Any) -> Any:
        import jax

        if not isinstance(part, np.ndarray):
            return part
        part = part.astype(self._wanted.get(part.dtype.name, part.dtype), copy=False)
        if part.dtype.kind in "OUSmM":
            raise _no_numbers("to_jax", part)
        return jax.device_put(part, may_alias=True)

    def __str__(self) -> str:
        options = [_shown(self.dtypes), f"pad_to={self.pad_to}" * (self.pad_to is not None)]
        return f"to_jax({', '.join(filter(None, options))})"
