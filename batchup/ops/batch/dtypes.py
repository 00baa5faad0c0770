"""The `dtypes` argument of `to_torch` and `to_jax`."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.core.checks import describe, plain_array
from batchup.core.stream import Stream
from batchup.core.work import Step
from batchup.ops.read.gather import Gather

# Pairs of the names of dtypes: of NumPy, and of the framework.
Dtypes = tuple[tuple[str, str], ...]


def dtype_names(dtypes: Mapping[Any, Any] | None, where: str, known: Any) -> Dtypes:
    """The dtypes of `to_torch` and `to_jax`, checked, by their names."""
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


def shown_dtypes(names: Dtypes) -> list[str]:
    """The argument `dtypes` in the text of a stage, if there is one."""
    return [f"{dict(names)}"] if names else []


def with_plain_arrays(stream: Stream, step: Step) -> Stream:
    """The stream with a step that converts arrays. Raises TypeError if `gather` right before it reads one with a mask."""
    last = stream.steps[-1] if stream.steps else None
    for array in last.arrays if isinstance(last, Gather) else ():
        if isinstance(array, np.ndarray):
            plain_array(array, str(step))
    return stream.with_step(step)


def native(part: NDArray[Any], where: str) -> NDArray[Any]:
    """The array in the byte order of this machine. Raises TypeError for an array with a mask."""
    part = plain_array(part, where)
    return part if part.dtype.isnative else part.astype(part.dtype.newbyteorder("="))


def not_numbers(where: str, part: NDArray[Any]) -> TypeError:
    """The error for an array that a framework has no dtype for."""
    wanted = f"{where}: expected arrays of numbers; got {describe(part)}"
    return TypeError(f"{wanted}. Leave it out in a map, or make numbers of it")
