"""The value that `pad` and `fill` write where there is no token."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from batchup.core.checks import describe, listed
from batchup.ragged import Ragged


def checked_value(value: Any, where: str) -> Any:
    """The argument `value`: a number, or a dict of numbers by the names of the parts."""
    for one in value.values() if isinstance(value, Mapping) else (value,):
        if not isinstance(one, bool | int | float | complex | str | bytes | np.generic):
            wanted = f"{where}: value: expected a number, or a dict of numbers by the names of the parts"
            raise TypeError(f"{wanted}; got {describe(one)}")
    return dict(value) if isinstance(value, Mapping) else value


def filling(value: Any, name: str, part: Ragged, where: str) -> Any:
    """The value for the places of a part without a token, checked to be one of its dtype."""
    if isinstance(value, dict):
        if name not in value:
            wanted = f"{where}: value: expected a value for each part"
            raise ValueError(f"{wanted}; got {listed(map(repr, value))}, and none for {name!r}")
        value = value[name]
    try:
        with np.errstate(invalid="ignore"):
            one = np.array(value).astype(part.dtype)
        fits = part.dtype.kind not in "iubUS" or bool(one == value)
    except (TypeError, ValueError, OverflowError):
        fits = False
    if not fits:
        raise ValueError(f"{where}: value: expected one that {part.dtype} has, for {name!r}; got {value!r}")
    return value


def shown_value(value: Any) -> str | None:
    """The argument `value` in the text of a stage; None for the default."""
    return None if type(value) is int and value == 0 else repr(value)
