"""What goes to workers that see other memory, and what comes back: all of it pickled with care.

Whatever can go wrong while pickling does so inside a `try` of ours, on either side: a pool must
neither hang nor break because of a result or an exception that can't be sent.
"""

from __future__ import annotations

import io
import pickle
import traceback
import uuid
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from batchup.ops.checks import describe
from batchup.ops.plan import record
from batchup.ops.stream import Work
from batchup.work_pool.errors import RemoteTraceback, WorkError
from batchup.work_pool.tracebacks import Pickler, as_here

__all__ = [
    "Outcome",
    "Package",
    "Shipment",
    "opened",
    "outcome_of",
    "pack_item",
    "pack_work",
    "ship",
]

# Whether the work went well; then the result, or the exception, pickled; and its large buffers.
Outcome = tuple[bool, bytes, list[Any]]

_ATOMS = {range, int, float, complex, bool, str, bytes, type(None)}


def is_plain(value: Any) -> bool:
    """Whether plain pickle will do, which takes a fifth of cloudpickle's time for a small batch.

    It won't for anything that may be defined in `__main__`, which workers don't have.
    """
    kind = type(value)
    if kind is np.ndarray:
        return not value.dtype.hasobject
    if kind is tuple or kind is list:
        return all(map(is_plain, value))
    if kind is dict:
        return all(map(is_plain, value)) and all(map(is_plain, value.values()))
    return kind in _ATOMS


def dumps(value: Any, buffers: Callable[[pickle.PickleBuffer], Any] | None = None) -> bytes:
    if is_plain(value):
        return pickle.dumps(value, protocol=5, buffer_callback=buffers)
    file = io.BytesIO()
    Pickler(file, protocol=5, buffer_callback=buffers).dump(value)
    return file.getvalue()


def pack_item(item: Any) -> bytes:
    """What a plan gave for a batch, pickled; TypeError where that can't be."""
    try:
        return dumps(item)
    except Exception as error:
        raise TypeError(
            f"expected an item that can be pickled, to send it to a worker; {describe(item)} can't "
            f"be: {error}"
        ) from error


def pack_work(
    work: Any,
    where: str,
    pickler: Callable[[io.BytesIO], pickle.Pickler] = Pickler,
) -> bytes:
    """The work, pickled; TypeError that names the stage that can't be."""
    file = io.BytesIO()
    try:
        pickler(file).dump(work)
    except MemoryError:
        raise
    except Exception as error:
        culprit, why = _culprit(work) or (describe(work), error)
        raise TypeError(
            f"{where}: expected work that can be pickled, to send it to workers; {culprit} can't be: "
            f"{why}. WorkerThreadPool needs no pickling"
        ) from error
    return file.getvalue()


def _culprit(work: Any) -> tuple[str, Exception] | None:
    """The innermost stage that can't be pickled, and why."""
    for step in getattr(work, "steps", ()):
        for member in getattr(step, "works", ()):
            if found := _culprit(member):
                return found
        try:
            dumps(step)
        except Exception as error:
            return f"the stage {step}", error
    return None


# --- in the worker


def outcome_of(run: Callable[[Any], Any], packed_item: bytes) -> Outcome:
    """What comes of the work for an item. Never raises, other than for the end of the process."""
    buffers: list[Any] = []
    try:
        batch = run(pickle.loads(packed_item))
    except BaseException as error:  # a SystemExit too is the caller's, as it would be without a pool
        return False, _packed_error(error), []
    try:
        return True, dumps(batch, buffers.append), buffers
    except Exception as error:
        return False, _packed_error(_unsendable(batch, error)), []


def _unsendable(batch: Any, error: Exception) -> TypeError:
    found = describe(batch)
    parts = enumerate(batch) if isinstance(batch, tuple | list) else ()
    for name, part in batch.items() if isinstance(batch, dict) else parts:
        try:
            dumps(part)
        except Exception:
            found = f"{name!r} of it, {describe(part)},"
            break
    return TypeError(
        f"expected a batch that can be pickled, to send it from a worker; {found} can't be: {error}"
    )


def _packed_error(error: BaseException) -> bytes:
    error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next  # without our own frame
    text = "".join(traceback.format_exception(error))
    try:
        packed = dumps((error, text))
        again, _ = pickle.loads(packed)
        if type(again) is type(error):
            return packed
    except Exception:  # it is replaced, below
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


# --- back in the caller


def opened(outcome: Outcome) -> Any:
    """The batch; or raises the exception, with its traceback in the worker as the cause."""
    well, packed, buffers = outcome
    if well:
        return pickle.loads(packed, buffers=buffers)
    error, text = pickle.loads(packed)
    error.__cause__ = RemoteTraceback(as_here(text))
    raise error


# --- for executors and clusters that run a function and know nothing of streams


class Package:
    """The pickled work with a name of its own, so that a worker unpacks it once."""

    def __init__(self, packed: bytes):
        self.packed = packed
        self.name = uuid.uuid4().hex


_unpacked: OrderedDict[str, Work] = OrderedDict()


def work_of(package: Package) -> Work:
    work = _unpacked.get(package.name)
    if work is None:
        work = _unpacked[package.name] = pickle.loads(package.packed)
        while len(_unpacked) > 4:  # as many streams at once may go without unpacking again
            _unpacked.popitem(last=False)
    return work


def ship(package: Package, packed_item: bytes) -> Outcome:
    """The function that an executor runs."""

    def run(item: Any) -> Any:
        return work_of(package).run(item)

    well, packed, buffers = outcome_of(run, packed_item)
    # As arrays of bytes, which any pickle and any cluster takes; and then without a copy.
    return well, packed, [np.frombuffer(buffer.raw(), np.uint8) for buffer in buffers]


@record
class Shipment:
    """An outcome that is on its way."""

    future: Any

    def result(self, timeout: float | None = None) -> Any:
        well, packed, buffers = self.future.result(timeout)
        # Some clusters keep what they bring as read-only memory; a batch is the caller's.
        return opened((well, packed, [b if b.flags.writeable else b.copy() for b in buffers]))

    def done(self) -> bool:
        return bool(self.future.done())

    def cancel(self) -> Any:
        with suppress(Exception):  # a cluster that is gone has nothing to cancel
            return self.future.cancel()
