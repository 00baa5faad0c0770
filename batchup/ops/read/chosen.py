"""Which columns of a table are read, and in which form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from batchup.core.checks import describe, listed
from batchup.ops.read.forms import Form, as_dtype
from batchup.ops.read.stacked import Stacked
from batchup.ops.read.tables import checked_names

Nulls = Any  # a number, or a dict of numbers by the names of columns


class Chosen:
    """Which columns of a table are read, and in which form."""

    def __init__(
        self,
        columns: list[str] | None = None,
        features: list[str] | str | None = None,
        target: str | None = None,
        dtype: np.dtype[Any] | None = None,
        nulls: Nulls = None,
        codes: bool = True,
    ):
        self.columns, self.features, self.target, self.dtype = columns, features, target, dtype
        self.nulls, self.codes = nulls, codes

    @staticmethod
    def of(columns: Any, features: Any, target: Any, dtype: Any, nulls: Nulls, where: str) -> Chosen:
        """The arguments of `table`, checked."""
        if columns is not None and features is not None:
            raise ValueError(f"{where}: expected columns, for dicts, or features, for an array; got both")
        if features is None and (target is not None or dtype is not None):
            name = "target" if target is not None else "dtype"
            raise ValueError(f"{where}: {name}: expected features, too: the columns to put side by side; got none")
        if target is not None and not isinstance(target, str):
            raise TypeError(f"{where}: target: expected the name of a column; got {describe(target)}")
        columns = None if columns is None else _names(columns, f"{where}: columns")
        if features is not None and not isinstance(features, str):
            features = _names(features, f"{where}: features")
        if target is not None and target in ([features] if isinstance(features, str) else features):
            raise ValueError(f"{where}: expected a target that is no feature; {target!r} is among the features")
        if dtype is not None:
            dtype = np.dtype(dtype)
            if dtype.kind not in "biufc":
                raise TypeError(f"{where}: dtype: expected a dtype of numbers; got {dtype}")
        return Chosen(columns, features, target, dtype, nulls)

    def names(self, has: list[str], where: str) -> list[str]:
        """The columns to read. Raises ValueError for one that the table doesn't have."""
        if self.features is None:
            wanted = has if self.columns is None else self.columns
        else:
            features = [self.features] if isinstance(self.features, str) else self.features
            wanted = [*features, *([] if self.target is None else [self.target])]
        others = list(self.nulls) if isinstance(self.nulls, Mapping) else []
        for name in (*wanted, *others):
            if name not in has:
                import difflib

                near = difflib.get_close_matches(str(name), has, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"it has {listed(map(repr, has))}"
                raise ValueError(f"{where}: there is no column {name!r}; {hint}")
        return wanted

    def fill(self, name: str) -> Any:
        """What to write where values of a column are missing."""
        return self.nulls.get(name) if isinstance(self.nulls, Mapping) else self.nulls

    def dtype_of(self, name: str) -> np.dtype[Any] | None:
        """The dtype that was asked for, if the column is a feature."""
        features = [self.features] if isinstance(self.features, str) else self.features or []
        return self.dtype if name in features else None

    def arranged(self, parts: Mapping[str, Form], lazily: bool) -> dict[str, Form]:
        """The columns in the form that is read. `lazily`: features are put side by side when rows are read."""
        if self.features is None:
            return dict(parts)
        if isinstance(self.features, str):
            X = parts[self.features]
            X = X if self.dtype is None else as_dtype(X, self.dtype)
        else:
            columns = [parts[name] for name in self.features]
            stacked = Stacked(columns, self.dtype or columns[0].dtype)
            X = stacked if lazily else stacked[:]
        y = {} if self.target is None else {"target": parts[self.target]}
        return {"features": X, **y}

    def check_features(self, kinds: Mapping[str, tuple[str, np.dtype[Any] | None]], where: str) -> None:
        """Raise TypeError if the features can't be put side by side, or be given the dtype.

        `kinds` are the columns: the text of each for errors, and the dtype of its numbers, None if it has none.
        """
        if self.features is None or (isinstance(self.features, str) and self.dtype is None):
            return
        single = isinstance(self.features, str)
        own = {name: kinds[name] for name in ([self.features] if isinstance(self.features, str) else self.features)}
        for name, (text, dtype) in own.items():
            if dtype is None or not (single or text == str(dtype)):
                raise TypeError(
                    f"{where}: features: expected columns of numbers; {name!r} has {text}. Leave it out, or give columns= "
                    "in place of features="
                )
        if self.dtype is None and len({text for text, _ in own.values()}) > 1:
            each = listed(f"{name!r} has {text}" for name, (text, _) in own.items())
            raise TypeError(
                f"{where}: features: expected columns of one dtype; {each}. Write dtype=, such as dtype='float32'"
            )


def _names(names: Any, where: str) -> list[str]:
    if isinstance(names, str | bytes | Mapping) or not isinstance(names, Sequence):
        raise TypeError(f"{where}: expected a list of names of columns; got {describe(names)}")
    if not names:
        raise ValueError(f"{where}: expected one name at least; got an empty list")
    return checked_names(list(names), where)
