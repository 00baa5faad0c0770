"""Pickle work, items, results and exceptions for workers in other processes.

Every error of pickling is caught here, on both sides: a pool must neither hang nor break because of a result or an
exception that can't be pickled.
"""

from __future__ import annotations

import io
import pickle
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from importlib import import_module
from types import CodeType
from typing import Any, NamedTuple

import cloudpickle
import numpy as np
from numpy.typing import NDArray

from batchup.core.checks import describe
from batchup.core.item import Item, Place
from batchup.core.joint import Choice
from batchup.ops.read.hdf5 import reduced_hdf5
from batchup.ops.read.zarr import reduced_zarr
from batchup.work_pool.errors import RemoteTraceback, WorkError
from batchup.work_pool.forks import called
from batchup.work_pool.tracebacks import as_here, code_with_source
from batchup.work_pool.watch import Watch

__all__ = [
    "Outcome",
    "Pickler",
    "Unpacked",
    "dumps",
    "opened",
    "outcome_of",
    "pack_item",
    "pack_work",
    "packed_error",
    "span_of",
]


class Outcome(NamedTuple):
    """What became of an item."""

    well: bool  # True if the work succeeded
    packed: bytes  # the result or the exception, pickled
    buffers: list[Any]  # the large buffers of the result
    drew: str = ""  # a stage that drew from a global generator without a seed


_ATOMS = {range, int, float, complex, bool, str, bytes, type(None)}
_CONTAINERS = {tuple, list, Item, Place, Choice}


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """The pickler of cloudpickle, with three changes.

    Functions keep the name and lines of their file, classes of NumPy are pickled by name, and the memory of PyTorch's
    tensors goes out of band, as that of arrays does.
    """

    dispatch_table = cloudpickle.Pickler.dispatch_table.new_child({CodeType: code_with_source})

    def reducer_override(self, obj: Any) -> Any:
        # cloudpickle takes an object without a module for one of `__main__`, and pickles it by value. NumPy has modules,
        # such as numpy.rec, that exist before they are imported.
        if isinstance(obj, type) and obj.__module__.startswith("numpy."):
            with suppress(ImportError):
                import_module(obj.__module__)
        reduced = _OF_PACKAGES.get(str(type(obj).__module__).partition(".")[0], _as_usual)(obj)
        if reduced is not NotImplemented:
            return reduced
        if type(obj) is np.ndarray and (span := span_of(obj)) is not None:
            return _spread, (span, obj.shape, obj.strides, obj.dtype, obj.flags.writeable)
        torch = sys.modules.get("torch")
        if torch is not None and type(obj) is torch.Tensor and not obj.requires_grad:
            with suppress(TypeError, RuntimeError):  # the tensor is not dense, or not on the CPU
                return _reduced_tensor(obj)
        return super().reducer_override(obj)


def _as_usual(_: Any) -> Any:
    return NotImplemented


# Objects of these packages are opened again, wherever in the work they are.
_OF_PACKAGES: dict[str, Callable[[Any], Any]] = {"h5py": reduced_hdf5, "zarr": reduced_zarr}


def span_of(array: NDArray[Any]) -> NDArray[np.uint8] | None:
    """The bytes that a view with overlapping elements lies in, such as sliding windows; None for other arrays."""
    if array.dtype.hasobject or not array.size or min(array.strides, default=0) < 0:
        return None
    last = sum((n - 1) * stride for n, stride in zip(array.shape, array.strides, strict=True))
    if last + array.itemsize >= array.nbytes:
        return None
    first = array[(slice(0, 1),) * array.ndim]
    return np.lib.stride_tricks.as_strided(first.view(np.uint8).reshape(-1), (last + array.itemsize,), (1,))


def _spread(
    span: NDArray[np.uint8], shape: tuple[int, ...], strides: tuple[int, ...], dtype: np.dtype[Any], writeable: bool
) -> NDArray[Any]:
    """The view of which `span` has the bytes."""
    array: NDArray[Any] = np.ndarray(shape, dtype, span, 0, strides)
    array.flags.writeable = writeable and span.flags.writeable
    return array


def _reduced_tensor(tensor: Any) -> tuple[Any, ...]:
    """How to make a tensor again of an array, which pickle protocol 5 sends out of band."""
    plain = tensor.contiguous().detach()
    if str(tensor.dtype) == "torch.bfloat16":  # a dtype that NumPy doesn't have
        return _tensor, (plain.view(sys.modules["torch"].int16).numpy(), "bfloat16")
    return _tensor, (plain.numpy(), None)


def _tensor(array: Any, view: str | None) -> Any:
    import torch

    tensor = torch.from_numpy(array)
    return tensor if view is None else tensor.view(getattr(torch, view))


def is_plain(value: Any) -> bool:
    """True if plain pickle can be used, which takes a fifth of the time of cloudpickle for a small batch.

    It can't for anything that may be defined in `__main__`, which workers can't import.
    """
    kind = type(value)
    if kind is np.ndarray:
        return not value.dtype.hasobject
    if kind in _CONTAINERS:
        return all(map(is_plain, value))
    if kind is dict:
        return all(map(is_plain, value)) and all(map(is_plain, value.values()))
    return kind in _ATOMS


def dumps(value: Any, buffers: Callable[[pickle.PickleBuffer], Any] | None = None) -> bytes:
    """A value, pickled; its large buffers are passed to `buffers`."""
    if is_plain(value):
        return pickle.dumps(value, protocol=5, buffer_callback=buffers)
    file = io.BytesIO()
    Pickler(file, protocol=5, buffer_callback=buffers).dump(value)
    return file.getvalue()


def pack_item(item: Any) -> bytes:
    """An item of a plan, pickled. Raises TypeError if it can't be."""
    try:
        return dumps(item)
    except Exception as error:
        raise TypeError(
            f"expected an item that can be pickled, to send it to a worker; {describe(item)} can't be: {error}"
        ) from error


def pack_work(work: Any, where: str, pickler: Callable[[io.BytesIO], pickle.Pickler] = Pickler) -> bytes:
    """The work, pickled. Raises TypeError, naming the stage, if it can't be."""
    file = io.BytesIO()
    try:
        pickler(file).dump(work)
    except MemoryError:
        raise
    except Exception as error:
        culprit, why = _culprit(work) or (describe(work), error)
        raise TypeError(
            f"{where}: expected work that can be pickled, to send it to workers; {culprit} can't be: "
            f"{why}. WorkerThreadPool, or threads= of a loader, needs no pickling"
        ) from error
    return file.getvalue()


def _culprit(work: Any) -> tuple[str, Exception] | None:
    """The innermost stage that can't be pickled, and why."""
    for step in _steps(work):
        try:
            dumps(step)
        except Exception as error:
            return f"the stage {step}", error
    return None


def _steps(work: Any) -> Iterator[Any]:
    """All steps of the work; those of members come before the step that joins them."""
    for step in getattr(work, "steps", ()):
        for member in getattr(step, "parts", tuple)():
            yield from _steps(member)
        yield step


# --- in the worker


def outcome_of(work: Unpacked, packed_item: bytes) -> Outcome:
    """The outcome of the work for an item. Never raises, except when the process is to end."""
    buffers: list[Any] = []
    try:
        batch = called(work.run, pickle.loads(packed_item))
    except BaseException as error:  # also a SystemExit: it ends the caller, as it would without a pool
        return Outcome(False, packed_error(error), [])
    try:
        return Outcome(True, dumps(batch, buffers.append), buffers, work.news())
    except Exception as error:
        return Outcome(False, packed_error(_unsendable(batch, error)), [])


def _unsendable(batch: Any, error: Exception) -> TypeError:
    found = describe(batch)
    parts = enumerate(batch) if isinstance(batch, tuple | list) else ()
    for name, part in batch.items() if isinstance(batch, dict) else parts:
        try:
            dumps(part)
        except Exception:
            found = f"{name!r} of it, {describe(part)},"
            break
    return TypeError(f"expected a batch that can be pickled, to send it from a worker; {found} can't be: {error}")


def packed_error(error: BaseException) -> bytes:
    """An exception and the text of its traceback, pickled."""
    for _ in range(2):  # leave out the frames of this library
        error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
    text = "".join(traceback.format_exception(error))
    try:
        packed = dumps((error, text))
        again, _ = pickle.loads(packed)
        if type(again) is type(error):
            return packed
    except Exception:  # replaced by a WorkError below
        pass
    try:
        said = str(error)
    except Exception:
        said = "<no text: its __str__ fails>"
    kind = type(error)
    stand_in = WorkError(f"{kind.__module__}.{kind.__qualname__}: {said}")
    for note in getattr(error, "__notes__", ()):
        stand_in.add_note(note)
    return pickle.dumps((stand_in, text))


class Unpacked:
    """The work, unpickled when it is first run, so that an error is raised at that batch.

    `own_process` is True if nothing else in this process draws from the global generators, so that they can be watched.
    """

    def __init__(self, packed: bytes, buffers: Iterable[Any] = (), own_process: bool = True):
        self._packed = packed
        self._buffers = buffers
        self._work: Any = None
        self._watch = Watch() if own_process else None

    def run(self, item: Any) -> Any:
        if self._work is None:
            try:
                work = pickle.loads(self._packed, buffers=self._buffers)
            except ImportError as error:
                error.needed_by_work = True  # type: ignore[attr-defined]
                raise
            self._work = work if self._watch is None else self._watch.over(work)
        return self._work.run(item)

    def news(self) -> str:
        """See `Watch.news`."""
        return "" if self._watch is None else self._watch.news()


# --- back in the caller


def opened(outcome: Outcome, work: Any) -> Any:
    """Return the batch, or raise the exception, with its traceback in the worker as the cause."""
    if outcome.well:
        return pickle.loads(outcome.packed, buffers=outcome.buffers)
    error, text = pickle.loads(outcome.packed)
    if hasattr(error, "needed_by_work"):
        error = _import_error(error, work)
    error.__cause__ = RemoteTraceback(as_here(text))
    raise error


def _import_error(error: ImportError, work: Any) -> ImportError:
    """The text of an error for a module that workers can't import: which stage needs it, and the remedy."""
    module = str(error.name)
    users = (step for step in _steps(work) if module.encode() in dumps(step, lambda _: None))
    stage = f"the stage {next(users, work)}"
    return type(error)(
        f"expected a module that workers can import, as this process does; {module!r}, which {stage} needs, "
        f"they can't: {error}. Install it where they are, or put its folder on their path (PYTHONPATH, or "
        f"sys.path before `| parallel(pool)`), or send it along: cloudpickle.register_pickle_by_value({module})",
        name=error.name,
        path=error.path,
    )
