"""Convert arrays to PyTorch tensors: `to_torch`."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from batchup.core.checks import call_text
from batchup.core.item import mapped
from batchup.core.record import record
from batchup.core.stream import Stage
from batchup.core.work import SAME, Step
from batchup.ops.batch.dtypes import Dtypes, dtype_names, native, not_numbers, shown_dtypes, with_plain_arrays


def to_torch(dtypes: Mapping[Any, Any] | None = None) -> Stage:
    """Make PyTorch tensors of the arrays of a batch, without a copy.

    Arrays inside of nested tuples, lists and dicts become tensors too; other parts stay as they are. The tensors are on
    the CPU: move them with `tensor.to(device)`.

    Parameters
    ----------
    dtypes : dict or None
        Maps dtypes to others, such as `{"int32": torch.int64}` or `{"int32": "int64"}` for labels. These arrays are
        copied.

    Returns
    -------
    Stage
        Gives batches of tensors.

    Raises
    ------
    ImportError
        If PyTorch is not installed.
    TypeError
        If `dtypes` has unknown dtypes; while iterating, for arrays of a dtype that PyTorch doesn't have: strings,
        objects, dates.

    Examples
    --------
    >>> from batchup import ops
    >>> stage = to_torch({"int32": "int64"})
    >>> list(ops.indices(3) | ops.gather(np.arange(3, dtype=np.int32)) | stage)
    [(tensor([0, 1, 2]),)]
    """
    try:
        import torch
    except ImportError as error:
        raise ImportError("to_torch: expected PyTorch: pip install 'batchup[torch]'") from error

    names = dtype_names(dtypes, "to_torch", lambda name: isinstance(getattr(torch, name, None), torch.dtype))
    step = ToTorch(names)
    return Stage(with_plain_arrays, step, text=str(step))


@record
class ToTorch(Step):
    """The step of `to_torch`."""

    tag = "to_torch"

    dtypes: Dtypes
    sizes = SAME

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
        part = native(part, "to_torch")
        if not part.flags.writeable or min(part.strides, default=0) < 0:
            part = part.copy()
        # Of the dtypes of ml_dtypes, such as bfloat16, PyTorch has its own: the same bits.
        same = getattr(torch, part.dtype.name, None) if part.dtype.isbuiltin == 2 else None
        try:
            tensor = torch.from_numpy(part if same is None else part.view(f"i{part.itemsize}"))
            tensor = tensor if same is None else tensor.view(same)
        except TypeError:
            raise not_numbers("to_torch", part) from None
        return tensor.to(self._wanted[part.dtype.name]) if part.dtype.name in self._wanted else tensor

    def __str__(self) -> str:
        return call_text("to_torch", *shown_dtypes(self.dtypes))
