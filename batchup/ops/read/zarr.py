"""Arrays with chunks, such as those of zarr and tensorstore: other processes open them again, and must find the array that the caller has."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from batchup.core.checks import describe, is_a
from batchup.ops.read.arrays import with_samples
from batchup.ops.read.at_once import REMOTE
from batchup.ops.read.chunked import Stored


def in_chunks(array: Any, where: str) -> Stored | None:
    """An array with `chunks`, to be read by them; None for anything else."""
    shape = getattr(array, "shape", None)
    if not isinstance(shape, tuple) or not hasattr(array, "__getitem__"):
        return None
    package = type(array).__module__.partition(".")[0]
    if not hasattr(array, "chunks") and package != "tensorstore":
        return None
    with_samples(array, where)
    kind = {"tensorstore": OfTensorStore, "zarr": OfZarr}.get(package, Stored)
    return kind(array) if kind is not Stored or array.chunks else None


class OfZarr(Stored):
    """An array of zarr. Its store has an absolute path, if it is in a directory or a zip file."""

    is_fresh = True

    def __init__(self, array: Any):
        super().__init__(_with_absolute_path(array))
        self.requests_a_chunk = _parts(self.shape, array.chunks)

    @property
    def reads(self) -> int:
        return 1 if _is_local(self.array.store) else REMOTE

    def __reduce__(self) -> tuple[Any, ...]:
        reduced = reduced_zarr(self.array)
        return super().__reduce__() if reduced is NotImplemented else (_opened_zarr, reduced[1])


def _parts(shape: tuple[int, ...], chunks: Sequence[int]) -> int:
    """The number of chunks of an array that have parts of one sample."""
    return math.prod(-(-n // max(1, size)) for n, size in zip(shape[1:], chunks[1:], strict=True))


def _is_local(store: Any) -> bool:
    """True for a store of zarr on this machine. Of one of another kind nothing is known."""
    inner = getattr(store, "fs", None)  # of fsspec
    inner = getattr(inner, "sync_fs", inner) or getattr(store, "store", None)  # or of obstore
    return type(store).__name__ in _LOCAL or type(inner).__name__ in _LOCAL


# Classes of zarr, fsspec and obstore.
_LOCAL = {"LocalStore", "ZipStore", "MemoryStore", "GpuMemoryStore", "LocalFileSystem", "MemoryFileSystem"}


def reduced_zarr(thing: Any) -> Any:
    """How to open an array of zarr in another process; NotImplemented for anything else.

    Raises TypeError for a store that another process can't see.
    """
    if not (is_a(thing, "zarr.Array") and hasattr(thing, "_async_array")):
        return NotImplemented
    array = _with_absolute_path(thing)
    file_system = getattr(array.store, "fs", None)
    protocol = getattr(getattr(file_system, "sync_fs", file_system), "protocol", "")
    if "memory" in ((protocol,) if isinstance(protocol, str) else protocol):
        raise TypeError(
            f"{describe(array)} of zarr is in memory:// of this process, which another process can't see. Copy it to a "
            "directory, or read it into memory: array[:]"
        )
    return _opened_array, (array._async_array,)


def _opened_array(asynchronous: Any) -> Any:
    """The array in another process. It was pickled with its metadata, so its store may have no array at all."""
    import zarr

    array = zarr.Array(asynchronous)
    return _found(array, array.store)


def _opened_zarr(asynchronous: Any) -> OfZarr:
    return OfZarr(_opened_array(asynchronous))


def _with_absolute_path(array: Any) -> Any:
    store = array.store
    path = {"LocalStore": "root", "ZipStore": "path"}.get(type(store).__name__)
    if path is None or os.path.isabs(getattr(store, path)):
        return array
    absolute = os.path.abspath(getattr(store, path))
    options = {"mode": "r"} if path == "path" else {"read_only": store.read_only}
    return _found(array, type(store)(absolute, **options))


def _found(array: Any, store: Any) -> Any:
    """The array in this store. Raises ValueError if another one, or none, is there."""
    import zarr

    try:
        found = zarr.open_array(store=store, path=array.path, mode="r" if store.read_only else "r+")
    except Exception as error:  # of any store
        raise ValueError(
            f"expected the array of zarr {array.store_path}, {describe(array)}; this process finds none there: {error}"
        ) from None
    if found.metadata != array.metadata:
        raise ValueError(
            f"expected the array of zarr {array.store_path}, {describe(array)}; this process finds another one there, "
            f"{describe(found)}"
        )
    return found


class OfTensorStore(Stored):
    """An array of tensorstore."""

    is_fresh = True

    def __init__(self, array: Any):
        store = _kvstore(spec := array.spec().to_json())
        path = store.get("path", "")
        if store.get("driver") == "file" and not os.path.isabs(path):
            store["path"] = os.path.abspath(path) + "/" * path.endswith("/")
            array = _opened(spec)
        super().__init__(array)
        self.dtype = array.dtype.numpy_dtype
        self.requests_a_chunk = _parts(self.shape, array.chunk_layout.read_chunk.shape)

    def _chunks(self) -> Any:
        return self.array.chunk_layout.read_chunk.shape[0] or 1

    @property
    def reads(self) -> int:
        local = ("file", "memory", "array", "zip", "ocdbt")
        return 1 if _kvstore(self.array.spec().to_json()).get("driver") in local else REMOTE

    def read(self, start: int, stop: int) -> NDArray[Any]:
        return self._checked(self.array[start:stop].read().result(), stop - start)

    def __reduce__(self) -> tuple[Any, ...]:
        spec = self.array.spec(retain_context=True)
        if _kvstore(spec.to_json()).get("driver") in ("memory", "array"):
            raise TypeError(
                f"{describe(self)} of tensorstore is in the memory of this process, which another process can't see. Copy it "
                "to a directory, or read it into memory: array.read().result()"
            )
        return _opened_tensorstore, (spec,)


def _kvstore(spec: dict[str, Any]) -> dict[str, Any]:
    """Where the bytes are, of an array's specification."""
    while "base" in spec:
        spec = spec["base"]
    store: dict[str, Any] = spec.get("kvstore", spec)
    return store


def _opened(spec: Any) -> Any:
    """The array of this specification. Raises ValueError if there is none."""
    import tensorstore

    try:
        return tensorstore.open(spec, open=True, create=False).result()
    except Exception as error:
        raise ValueError(
            f"expected the array of tensorstore that the caller reads; this process finds none: {error}"
        ) from None


def _opened_tensorstore(spec: Any) -> OfTensorStore:
    return OfTensorStore(_opened(spec))
