"""Frozen records, which plans, grids and steps are; and counts."""

import operator
from collections.abc import Callable
from dataclasses import Field, dataclass, field, replace
from inspect import get_annotations
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")

_TOKEN = "token"


def unnamed(**options: Any) -> Any:
    """Declare a field of a plan or step that checkpoints leave out: the items are the same whatever it is.

    Parameters
    ----------
    **options : any
        As for `dataclasses.field`.

    Returns
    -------
    dataclasses.Field
        The field.
    """
    return field(metadata={_TOKEN: "none"}, **options)


def data(**options: Any) -> Any:
    """Declare a field that holds data: checkpoints name it by shape and dtype, or by type and length.

    Parameters
    ----------
    **options : any
        As for `dataclasses.field`.

    Returns
    -------
    dataclasses.Field
        The field.
    """
    return field(metadata={_TOKEN: "data"}, **options)


def is_named(f: Field[Any]) -> bool:
    """True if checkpoints name the field."""
    return f.init and f.metadata.get(_TOKEN) != "none"


def is_data(f: Field[Any]) -> bool:
    """True if the field was declared by `data`."""
    return f.metadata.get(_TOKEN) == "data"


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(field, unnamed, data))
def record(type_: type[T]) -> type[T]:
    """Make a class a frozen dataclass, compared by identity: plans and work hold arrays, which have no `==`.

    Parameters
    ----------
    type_ : type
        The class.

    Returns
    -------
    type
        The dataclass.
    """
    for name in get_annotations(type_):
        if name not in type_.__dict__:
            # Without this, `dataclass` takes an attribute of a base class for the default of the field.
            setattr(type_, name, field())
    return dataclass(frozen=True, eq=False, repr=False)(type_)


def over_each(thing: T, name: str, f: Callable[[Any], Any]) -> T:
    """The record with `f` of each value of a field that is a tuple; the same record if nothing changes."""
    values = getattr(thing, name)
    others = tuple(map(f, values))
    same = all(map(operator.is_, others, values))
    return thing if same else replace(thing, **{name: others})  # type: ignore[type-var]


# A number of items or samples: an int, math.inf, or None if it is unknown.
Count = int | float | None


def parts_of_size(count: Count, size: int) -> Count:
    """The number of parts of a size, the last of which may be smaller."""
    return -(-count // size) if isinstance(count, int) else count


def in_whole_parts(count: Count, size: int) -> Count:
    """The number of samples in parts of a size, without a smaller last part."""
    return count - count % size if isinstance(count, int) else count
