"""Which objects `gather` reads, each checked and converted to an array once."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.core.checks import describe, is_a, plain_array
from batchup.ops.read.tables import SERIES, Columns, of_series
from batchup.ragged import Ragged
from batchup.strings import Strings
from batchup.values import array_of, mixed

SPARSE = "scipy.sparse.spmatrix", "scipy.sparse.sparray"


def as_column(array: Any, where: str) -> Any:
    """The array, checked: it has a length, and is indexed by integer arrays."""
    if isinstance(array, Columns | Ragged | Strings):
        return array
    if is_a(array, "torch.Tensor"):
        return _of_tensor(array, where)
    if isinstance(array, np.memmap) or is_a(array, "jax.Array"):
        return with_samples(plain_array(array, where), where)  # for JAX a view, on a CPU
    if isinstance(array, np.ndarray):  # of a subclass, too: its slices and selections are of the same class
        return with_samples(array, where)
    if is_a(array, *SERIES):
        column = of_series(array, where)
        return Columns(column, len(array)) if isinstance(column, dict) else column
    if is_a(array, *SPARSE):
        return SparseRows(array, where)
    wanted = f"{where}: expected an array, or anything with __len__ and __getitem__"
    if is_a(array, "zarr.Group", "h5py.Group"):
        raise TypeError(f"{wanted}; got {_names_in(array)}")
    sliced = hasattr(array, "__len__") and hasattr(array, "__getitem__")
    if not sliced or isinstance(array, str | bytes | Mapping):
        raise TypeError(f"{wanted}; got {describe(array)}")
    if isinstance(array, list | tuple | range):
        return _of_list(array, where)
    if hasattr(array, "iloc"):
        raise TypeError(f"{wanted}, indexed by position; got {describe(array)}: pass its .to_numpy()")
    return with_samples(array, where)


def _names_in(group: Any) -> str:
    """A group of an HDF5 file or a zarr store, and one of the arrays in it."""
    name = next(iter(group), "X")
    return f"a group of {type(group).__module__.partition('.')[0]}: give one of its arrays, group[{name!r}]"


def with_samples(array: Any, where: str) -> Any:
    """The array. Raises TypeError if it has no axis of samples."""
    if getattr(array, "shape", None) == ():
        wanted = f"{where}: expected an array, or anything with __len__ and __getitem__ and one axis at least"
        raise TypeError(f"{wanted}; got a single {describe(array)}")
    return array


def _of_list(values: Any, where: str) -> Any:
    arrays = bool(len(values)) and all(isinstance(value, np.ndarray) and value.ndim for value in values)
    if not arrays:
        return array_of(values, where)
    plain = [plain_array(value, where) for value in values]
    if kinds := mixed(map(describe, plain)):
        raise ValueError(f"{where}: expected arrays of one shape and dtype; got {kinds}")
    return _ListOfArrays(plain)


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


class SparseRows:
    """The rows of a CSR matrix of SciPy, as dense arrays."""

    batchup_gives_fresh_arrays = True

    def __init__(self, matrix: Any, where: str = "gather"):
        if matrix.format != "csr" or matrix.ndim != 2:
            got = f"got {describe(matrix)} in the format {matrix.format}"
            raise TypeError(f"{where}: expected a sparse matrix whose rows can be read; {got}. Write matrix.tocsr()")
        self.matrix = matrix
        self.shape, self.dtype = matrix.shape, matrix.dtype

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, which: Any) -> NDArray[Any]:
        rows: NDArray[Any] = self.matrix[which].toarray()
        return rows


def _of_tensor(tensor: Any, where: str) -> Any:
    """The memory of a PyTorch tensor as an array."""
    try:
        array: NDArray[Any] = _viewed(tensor.detach())
    except (TypeError, RuntimeError) as error:
        wanted = f"{where}: expected a dense tensor on the CPU, of a dtype that NumPy has"
        raise TypeError(
            f"{wanted}; got {describe(tensor)} on {tensor.device}: {error}. Write tensor.cpu(), or tensor.float()"
        ) from None
    return with_samples(array, where)


def _viewed(tensor: Any) -> NDArray[Any]:
    """The tensor as an array; for dtypes such as bfloat16 as one of `ml_dtypes`, if that is installed."""
    kind = str(tensor.dtype).removeprefix("torch.")
    if not kind.startswith(("bfloat", "float8")):
        return tensor.numpy()  # type: ignore[no-any-return]
    import torch

    try:
        import ml_dtypes

        dtype = np.dtype(getattr(ml_dtypes, kind))
    except (ImportError, AttributeError):
        raise TypeError(f"NumPy has no {kind}; the package ml_dtypes may have it") from None
    words: NDArray[Any] = tensor.view(torch.int16 if dtype.itemsize == 2 else torch.uint8).numpy()
    return words.view(dtype)
