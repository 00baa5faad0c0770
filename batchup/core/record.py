"""Frozen records, which plans, grids and steps are; and counts."""

import operator
from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields, replace
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
    # For the 90 records of this library `dataclass` would compile 260 functions: a third of the time that its import takes.
    made = dataclass(init=False, eq=False, repr=False)(type_)
    if "__init__" not in made.__dict__:
        setattr(made, "__init__", _Init(made))  # noqa: B010
    for name in ("__setattr__", "__delattr__"):
        setattr(made, name, _refuse)
    return made


class _Init:
    """The `__init__` of a record, which is compiled when it is first asked for."""

    def __init__(self, type_: type):
        self._type = type_

    def __get__(self, instance: Any, owner: type) -> Any:
        init = _init_of(self._type)
        setattr(self._type, "__init__", init)  # noqa: B010
        return init if instance is None else init.__get__(instance)


def _init_of(type_: type) -> Callable[..., None]:
    names: dict[str, Any] = {"_put_": object.__setattr__, "_absent_": MISSING}
    parameters, lines = [], []
    for f in fields(type_):
        default, value = "", f.name
        if f.default is not MISSING:
            names[f"_default_{f.name}"] = f.default
            default = f" = _default_{f.name}"
        elif f.default_factory is not MISSING:
            names[f"_make_{f.name}"] = f.default_factory
            default, value = " = _absent_", f"_make_{f.name}() if {f.name} is _absent_ else {f.name}"
        parameters.append(f"{f.name}{default}")
        lines.append(f"_put_(self, {f.name!r}, {value})")
    if hasattr(type_, "__post_init__"):
        lines.append("self.__post_init__()")
    source = f"def __init__(self, {', '.join(parameters)}) -> None:\n " + "\n ".join(lines or ["pass"])
    exec(source, names)
    init: Callable[..., None] = names["__init__"]
    init.__qualname__ = f"{type_.__qualname__}.__init__"
    init.__annotations__ |= {f.name: f.type for f in fields(type_)}
    return init


def _refuse(self: Any, name: str, *value: Any) -> None:
    raise FrozenInstanceError(
        f"a {type(self).__name__} is frozen: expected no change of {name!r}; replace(...) makes another"
    )


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
