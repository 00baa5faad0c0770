"""Which objects `gather` reads, each checked and converted to an array once."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.core.checks import describe, is_a
from batchup.ops.read.tables import SERIES, TABLES, Columns, OfDataset, of_series, of_table
from batchup.ragged import Ragged


def as_column(array: Any, where: str) -> Any:
    """The array, checked: it has a length, and is indexed by integer arrays."""
    if isinstance(array, Columns | OfDataset):
        return array
    if is_a(array, "torch.Tensor"):
        return _of_tensor(array, where)
    if is_a(array, "jax.Array"):
        return with_samples(np.asarray(array), where)  # a view, on a CPU
    if is_a(array, *TABLES):
        return of_table(array, where)
    if is_a(array, *SERIES):
        return of_series(array, where)
    if is_a(array, "datasets.arrow_dataset.Dataset"):
        return OfDataset(array, where)
    wanted = f"{where}: expected an array, or anything with __len__ and __getitem__"
    if isinstance(array, Ragged):
        return array
    sliced = hasattr(array, "__len__") and hasattr(array, "__getitem__")
    if not sliced or isinstance(array, str | bytes | Mapping):
        raise TypeError(f"{wanted}; got {describe(array)}")
    if isinstance(array, list | tuple | range):
        return _of_list(array, where)
    if hasattr(array, "iloc"):
        raise TypeError(f"{wanted}, indexed by position; got {describe(array)}: pass its .to_numpy()")
    if isinstance(array, np.memmap):
        array = array.view(np.ndarray)  # batches shall be plain arrays
    return with_samples(array, where)


def with_samples(array: Any, where: str) -> Any:
    """The array. Raises TypeError if it has no axis of samples."""
    if getattr(array, "shape", None) == ():
        wanted = f"{where}: expected an array, or anything with __len__ and __getitem__ and one axis at least"
        raise TypeError(f"{wanted}; got a single {describe(array)}")
    return array


def _of_list(values: Any, where: str) -> Any:
    if len(values) and isinstance(values[0], np.ndarray) and values[0].ndim:
        kinds = sorted({describe(np.asarray(value)) for value in values})
        if len(kinds) > 1:
            wanted = f"{where}: expected arrays of one shape and dtype"
            raise ValueError(f"{wanted}; got {', '.join(kinds[:4])}")
        return _ListOfArrays(values)
    wanted = f"{where}: expected numbers, or arrays of one shape"
    try:
        column = np.asarray(values)
    except ValueError as error:  # ragged
        raise TypeError(f"{wanted}; {error}") from None
    if column.dtype == object:
        other = next((value for value in values if np.asarray(value).dtype == object), values[0])
        raise TypeError(f"{wanted}; got {describe(other)} in the list")
    return column


class _ListOfArrays:
    """A list of arrays of one shape as an array-like, which stacks only what is read."""

    def __init__(self, arrays: Any):
        self.arrays = arrays

    def __len__(self) -> int:
        return len(self.arrays)

    def __getitem__(self, block: NDArray[np.intp]) -> NDArray[Any]:
        if not len(block):
            return np.stack(self.arrays[:1])[:0]
        return np.stack([self.arrays[i] for i in block])


def _of_tensor(tensor: Any, where: str) -> Any:
    """The memory of a PyTorch tensor as an array."""
    try:
        array: NDArray[Any] = tensor.detach().numpy()
    except (TypeError, RuntimeError) as error:
        wanted = f"{where}: expected a dense tensor on the CPU, of a dtype that NumPy has"
        raise TypeError(
            f"{wanted}; got {describe(tensor)} on {tensor.device}: {error}. Write tensor.cpu(), or tensor.float()"
        ) from None
    return with_samples(array, where)
