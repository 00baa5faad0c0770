"""Convert arrays to JAX arrays: `to_jax`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.core.checks import call_text, whole_number
from batchup.core.item import mapped
from batchup.core.record import record
from batchup.core.stream import Stage, Stream
from batchup.core.work import SAME, Sizes, Step
from batchup.ops.batch.dtypes import Dtypes, dtype_names, native, not_numbers, shown_dtypes, with_plain_arrays
from batchup.ops.read.gather import Gather, columns_known


def to_jax(dtypes: Mapping[Any, Any] | None = None, pad_to: int | None = None) -> Stage:
    """Make JAX arrays of the arrays of a batch, on JAX's default device.

    Arrays inside of nested tuples, lists and dicts become JAX arrays too. On a CPU there is no copy if the memory is
    aligned as XLA needs it: right behind `gather`, and for batches of a `WorkerProcessPool`.

    Parameters
    ----------
    dtypes : dict or None
        Maps dtypes to others, as for `to_torch`. Without `jax_enable_x64` JAX makes 32-bit numbers of 64-bit ones.
    pad_to : int or None
        If given, arrays are filled up with zeros to this number of samples, since a compiled function needs batches of
        one shape. A mask, (pad_to,) bool, True for samples, comes last, or in a dict as "mask".

    Returns
    -------
    Stage
        Gives batches of JAX arrays.

    Raises
    ------
    ImportError
        If JAX is not installed.
    TypeError
        If `dtypes` has unknown dtypes.
    ValueError
        While iterating, if a batch has more than `pad_to` samples.

    Examples
    --------
    >>> from batchup import ops
    >>> stage = to_jax(pad_to=4)
    >>> list(ops.indices(3) | ops.gather(np.arange(3)) | stage)
    [(Array([0, 1, 2, 0], dtype=int32), Array([ True,  True,  True, False], dtype=bool))]
    """
    try:
        import jax.numpy as jnp
    except ImportError as error:
        raise ImportError("to_jax: expected JAX: pip install jax") from error

    names = dtype_names(dtypes, "to_jax", lambda name: hasattr(jnp, name))
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
        stream = replace(stream, steps=(stream.steps[0].aligned(),))
    return with_plain_arrays(stream, step)


def _has_a_mask(step: ToJax) -> str:
    return f'{step}: expected no part of the name "mask", which pad_to adds; there is one. Give it another name'


@record
class ToJax(Step):
    """The step of `to_jax`."""

    tag = "to_jax"

    dtypes: Dtypes
    pad_to: int | None

    @property
    def sizes(self) -> Sizes:
        return SAME if self.pad_to is None else Sizes(rows=self.pad_to)

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
        part = native(part, "to_jax")
        part = part.astype(self._wanted.get(part.dtype.name, part.dtype), copy=False)
        if part.dtype.kind in "OUSmM":
            raise not_numbers("to_jax", part)
        return jax.device_put(part, may_alias=True)

    def __str__(self) -> str:
        return call_text("to_jax", *shown_dtypes(self.dtypes), pad_to=self.pad_to)
