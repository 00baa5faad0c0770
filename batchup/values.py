"""Lists of Python's values as arrays: exactly, or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from more_itertools import first
from numpy.typing import NDArray

from batchup.core.checks import describe, listed, plain_array
from batchup.strings import Strings

_NUMBERS: dict[type, np.dtype[Any]] = {kind: np.dtype(kind) for kind in (bool, float, complex)}
_NUMBERS[int] = np.dtype(np.int64)
_OTHERS = "For samples of other kinds there is samples(dataset, collate)"


def array_of(values: Sequence[Any], where: str) -> Any:
    """The values of a list as an array, or as `Strings`. Nested lists of one shape make an array of more dimensions.

    Numbers keep their values and their type: `int` becomes int64, `float` float64. Strings and bytes stay objects, since
    NumPy's own strings lose zeros at their ends. Raises TypeError for anything that an array would change, and
    ValueError for None.
    """
    kinds: list[Any] = [np.dtype(np.int64)] if isinstance(values, range) else list(_kinds(values, where))
    if not kinds:
        return np.asarray(values)
    if type(None) in kinds:
        raise ValueError(f"{where}: expected no missing values; there is a None in the list. Leave it out, or fill it")
    if len(kinds) > 1:
        raise TypeError(
            f"{where}: expected values of one type; got {listed(map(_name, kinds))} in the list. "
            "Write np.array(values, dtype), with the dtype that you want"
        )
    kind = kinds[0]
    if kind in (str, bytes):
        return _texts(values, kind, where)
    if not isinstance(kind, np.dtype):
        wanted = f"{where}: expected numbers, strings, or arrays of one shape"
        raise TypeError(f"{wanted}; got {describe(first(_leaves(values)))} in the list. {_OTHERS}")
    try:
        array = np.asarray(values)
    except ValueError as error:  # lists of different lengths
        raise _uneven(where, error) from None
    except OverflowError:
        array = np.empty(0, object)
    if array.dtype != kind:
        raise TypeError(
            f"{where}: expected numbers that int64 can hold; there are larger ones in the list. "
            "Write np.array(values, dtype), with the dtype that you want"
        )
    return array


def mixed(kinds: Iterable[str]) -> str:
    """The kinds, for an error, if they are not all the same."""
    different = sorted(set(kinds))
    return ", ".join(different[:4]) if len(different) > 1 else ""


def _kinds(values: Any, where: str) -> dict[Any, None]:
    """The kinds of the values in nested lists, each once, in the order in which they first come."""
    types = dict.fromkeys(map(type, values))  # in C: a list may have millions of numbers
    if all(kind in _NUMBERS for kind in types):
        return dict.fromkeys(_NUMBERS[kind] for kind in types)
    kinds: dict[Any, None] = {}
    for value in values:
        kinds |= _kinds(value, where) if isinstance(value, list | tuple) else {_kind(value, where): None}
    return kinds


def _leaves(values: Any) -> Iterator[Any]:
    """The values in nested lists."""
    for value in values:
        if isinstance(value, list | tuple):
            yield from _leaves(value)
        else:
            yield value


def _kind(value: Any, where: str) -> Any:
    """The dtype of a number or an array; otherwise the type."""
    kind = type(value)
    if kind in _NUMBERS:
        return _NUMBERS[kind]
    if isinstance(value, str | bytes):
        return str if isinstance(value, str) else bytes
    if hasattr(value, "__array__"):  # NumPy's numbers, too
        dtype = plain_array(value, where).dtype
        return kind if dtype.hasobject else dtype
    return np.dtype(np.int64) if isinstance(value, int) else kind


def _name(kind: Any) -> str:
    return str(kind) if isinstance(kind, np.dtype) else str(kind.__name__)


def _texts(values: Sequence[Any], kind: type, where: str) -> Any:
    """Strings; of nested lists an object array."""
    if not any(isinstance(value, list | tuple) for value in values):
        return Strings.of(values)
    array: NDArray[Any] = np.array(values, dtype=object)
    if not all(isinstance(value, kind) for value in array.flat):
        raise _uneven(where, "the lists have different lengths")
    return array


def _uneven(where: str, why: Any) -> TypeError:
    return TypeError(
        f"{where}: expected numbers, or lists and arrays of one shape; {why}. For samples of different lengths write "
        "ops.Ragged.of(samples)"
    )
