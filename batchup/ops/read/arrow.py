"""Columns of Arrow as arrays: each type of Arrow has one form, with the same values, or is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from more_itertools import duplicates_everseen
from numpy.typing import NDArray

from batchup.ragged import Ragged
from batchup.strings import Strings

Convert = Callable[[Any], Any]


class Kind(NamedTuple):
    """How a type of Arrow is read.

    Parameters
    ----------
    text : str
        The dtype, for errors and reprs.
    convert : callable
        `convert(array)` returns an array, `Strings`, `Ragged`, or a dict of these, of an array of Arrow.
    dtype : dtype or None
        That of its numbers, also inside of lists; None for anything but numbers and bools.
    form : "array", "strings", "ragged" or "dict"
        What `convert` returns.
    """

    text: str
    convert: Convert
    dtype: np.dtype[Any] | None = None
    form: str = "array"


def kind_of(type_: Any, where: str, fill: Any = None) -> Kind:
    """How a column of this type is read. `fill` is written where numbers are missing.

    Raises TypeError for a type that has no form in NumPy, ValueError if the type can't hold `fill`.
    """
    import pyarrow as pa

    is_ = pa.types
    if isinstance(type_, pa.BaseExtensionType):
        return _extension(type_, where, fill)
    if is_.is_dictionary(type_):
        inner = kind_of(type_.value_type, where, fill)
        return inner._replace(convert=lambda array: inner.convert(array.dictionary_decode()))
    if is_run_end_encoded(type_):
        import pyarrow.compute as pc

        inner = kind_of(type_.value_type, where, fill)
        return inner._replace(convert=lambda array: inner.convert(pc.run_end_decode(array)))
    if is_.is_struct(type_):
        return _struct(type_, where, fill)
    if is_.is_fixed_size_list(type_):
        return _fixed(type_, where, fill)
    if is_list(type_):
        return _lists(type_, where, fill)
    leaf = _leaf(type_, where)
    if fill is None:
        return leaf
    value = scalar(fill, type_, where)
    return leaf._replace(convert=lambda array: leaf.convert(array.fill_null(value)))


def is_run_end_encoded(type_: Any) -> bool:
    """True for a type of run ends, which old versions of Arrow haven't."""
    from pyarrow import types

    return bool(getattr(types, "is_run_end_encoded", _no)(type_))


def _no(_: Any) -> bool:
    return False


def is_list(type_: Any) -> bool:
    """True for lists of any length, also in views."""
    from pyarrow import types

    views = (getattr(types, name, _no) for name in ("is_list_view", "is_large_list_view"))
    return types.is_list(type_) or types.is_large_list(type_) or any(is_view(type_) for is_view in views)


def _leaf(type_: Any, where: str) -> Kind:
    import pyarrow as pa

    is_ = pa.types
    if is_.is_boolean(type_):
        return Kind("bool", lambda array: array.to_numpy(zero_copy_only=False), np.dtype(bool))
    if is_.is_integer(type_) or is_.is_floating(type_):
        number = np.dtype(type_.to_pandas_dtype())
        return Kind(str(number), lambda array: array.to_numpy(), number)
    if is_.is_timestamp(type_) and type_.tz not in (None, "UTC", "+00:00", "Etc/UTC"):
        raise TypeError(
            f"{where}: expected times without a time zone, or in UTC, as NumPy's are; got {type_}. Cast it to the same times in "
            f"UTC: column.cast(pyarrow.timestamp({type_.unit!r}, 'UTC'))"
        )
    unit = "D" if is_.is_date32(type_) else "ms" if is_.is_date64(type_) else getattr(type_, "unit", "")
    if is_.is_date(type_) or is_.is_timestamp(type_) or is_.is_duration(type_):
        dtype = np.dtype(f"{'m8' if is_.is_duration(type_) else 'M8'}[{unit}]")
        whole = pa.int32() if is_.is_date32(type_) else pa.int64()
        return Kind(str(dtype), lambda array: array.view(whole).to_numpy().astype(np.int64, copy=False).view(dtype))
    text = is_.is_string(type_) or is_.is_large_string(type_) or str(type_) == "string_view"
    if text or is_.is_binary(type_) or is_.is_large_binary(type_) or str(type_) == "binary_view":
        return Kind("str" if text else "bytes", lambda array: strings_of(array, text), form="strings")
    if is_.is_fixed_size_binary(type_) and not is_.is_decimal(type_):
        return Kind("bytes", _bytes_of_one_size, form="strings")
    raise TypeError(
        f"{where}: expected numbers, dates, strings, or lists and structs of these; got {type_}.{_remedy(type_)}"
    )


def _remedy(type_: Any) -> str:
    from pyarrow import types

    if types.is_decimal(type_):
        return " Cast it first: column.cast('float64'), or 'int64'; in polars column.cast(polars.Float64)"
    if types.is_time(type_):
        whole = f"int{type_.bit_width}"
        return f" Cast it first, to the number of its units since midnight: column.cast({whole!r})"
    if types.is_null(type_):
        return " All its values are missing: leave the column out"
    return " Leave the column out, or give the rows to samples(dataset, collate)"


def scalar(value: Any, type_: Any, where: str) -> Any:
    """A number as one of a type of Arrow. Raises ValueError if the type can't hold it."""
    import pyarrow as pa

    try:
        held = pa.scalar(value, type_)
        again = held.as_py()
        rounded = pa.types.is_floating(type_) and (math.isfinite(again) or not math.isfinite(value))
        fits = rounded or bool(again == value)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        fits = False
    if not fits:
        raise cannot_hold(value, type_, where)
    return held


def cannot_hold(value: Any, type_: Any, where: str) -> ValueError:
    """The error for a value that can't be written where values of a column are missing."""
    name = where.rpartition("column ")[2]
    return ValueError(
        f"{where}: nulls: expected a value that a column of {type_} can hold; got {value!r}. Give one for this column: "
        f"nulls={{{name}: ...}}"
    )


def strings_of(array: Any, text: bool) -> Strings:
    """A column of strings, or of bytes, without a copy."""
    import pyarrow as pa

    if "view" in str(array.type):
        try:
            array = array.cast(pa.large_string() if text else pa.large_binary())
        except pa.ArrowNotImplementedError:  # an old version of Arrow
            return Strings.of(array.to_pylist()) if len(array) else _no_strings(text)
    wide = pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type)
    _, ends, data = array.buffers()
    if ends is None or not len(array):
        return _no_strings(text)
    offsets: NDArray[Any] = np.frombuffer(ends, np.int64 if wide else np.int32)[
        array.offset : array.offset + len(array) + 1
    ]
    return Strings(np.frombuffer(data or b"", np.uint8), offsets, text)


def _bytes_of_one_size(array: Any) -> Strings:
    size, data = array.type.byte_width, array.buffers()[1]
    offsets = np.arange(array.offset, array.offset + len(array) + 1) * size
    return Strings(np.frombuffer(data or b"", np.uint8), offsets, False)


def _no_strings(text: bool) -> Strings:
    return Strings.of([] if text else [b""])[:0]


def _fixed(type_: Any, where: str, fill: Any) -> Kind:
    """Lists of one size: one more axis."""
    size, inner = type_.list_size, kind_of(type_.value_type, where, fill)
    if inner.form in ("ragged", "dict"):
        raise _too_deep(type_, where)

    def convert(array: Any) -> NDArray[Any]:
        values = plain(inner.convert(array.values[array.offset * size : (array.offset + len(array)) * size]))
        return values.reshape(len(array), size, *values.shape[1:])

    return Kind(f"{inner.text}[{size}]", convert, inner.dtype)


def _too_deep(type_: Any, where: str) -> TypeError:
    return TypeError(
        f"{where}: expected lists of numbers, dates, strings, or lists of one size; got {type_}. Leave the column out, or "
        "give the rows to samples(dataset, collate)"
    )


def _lists(type_: Any, where: str, fill: Any) -> Kind:
    inner = kind_of(type_.value_type, where, fill)
    if inner.form in ("ragged", "dict"):
        raise _too_deep(type_, where)
    return Kind(f"lists of {inner.text}", lambda array: lists_of(array, inner.convert), inner.dtype, "ragged")


def lists_of(array: Any, convert: Convert) -> Ragged:
    """Lists of Arrow as a `Ragged`, without a copy unless they are views."""
    import pyarrow as pa

    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        ends = array.offsets.to_numpy()
        first, last = (int(ends[0]), int(ends[-1])) if len(ends) else (0, 0)
        return Ragged(plain(convert(array.values[first:last])), ends - first if len(ends) else [0])
    lengths = array.sizes.to_numpy() if len(array) else np.empty(0, np.int64)
    return Ragged(plain(convert(array.flatten())), np.concatenate([[0], lengths]).cumsum(dtype=np.int64))


def plain(part: Any) -> NDArray[Any]:
    """Values as an array."""
    return part.copy() if isinstance(part, Strings) else part


def _struct(type_: Any, where: str, fill: Any) -> Kind:
    fields = [type_.field(n) for n in range(type_.num_fields)]
    names = [field.name for field in fields]
    if twice := set(duplicates_everseen(names)):
        raise ValueError(f"{where}: expected each name of a field once; {min(twice)!r} is there twice")
    kinds = [kind_of(field.type, f"{where}, field {field.name!r}", fill) for field in fields]

    def convert(array: Any) -> dict[str, Any]:
        return {name: kind.convert(part) for name, kind, part in zip(names, kinds, array.flatten(), strict=True)}

    text = ", ".join(f"{name}: {kind.text}" for name, kind in zip(names, kinds, strict=True))
    return Kind(f"{{{text}}}", convert, form="dict")


def _extension(type_: Any, where: str, fill: Any) -> Kind:
    name = getattr(type_, "extension_name", "")
    if name == "arrow.bool8":
        return Kind("bool", lambda array: array.storage.to_numpy() != 0, np.dtype(bool))
    if name == "arrow.fixed_shape_tensor":
        inner, shape = kind_of(type_.storage_type, where, fill), tuple(type_.shape)
        if type_.permutation not in (None, list(range(len(shape)))):
            return inner._replace(convert=lambda array: array.to_numpy_ndarray())
        return inner._replace(convert=lambda array: inner.convert(array.storage).reshape(len(array), *shape))
    if type(type_).__module__.startswith("datasets.") and None not in (
        shape := tuple(getattr(type_, "shape", (None,)))
    ):
        value = kind_of(_innermost(type_.storage_type), where, fill)

        def convert(array: Any) -> NDArray[Any]:
            return _of_shape(array.storage, shape, value.convert, where)

        return Kind(f"{value.text}{list(shape)}", convert, value.dtype)
    raise TypeError(
        f"{where}: expected a type that NumPy has; got an extension type of Arrow, {type_}. Give what it is stored as: "
        f"column.cast(column.type.storage_type)"
    )


def _innermost(type_: Any) -> Any:
    return _innermost(type_.value_type) if is_list(type_) else type_


def _of_shape(lists: Any, shape: tuple[int, ...], convert: Convert, where: str) -> NDArray[Any]:
    """Nested lists, which must have this shape, as one array."""
    count = len(lists)
    for size in shape:
        if len(lists) and set(np.diff(lists.offsets.to_numpy()).tolist()) != {size}:
            raise ValueError(f"{where}: expected arrays of the shape {shape}; there are others")
        lists = lists.flatten()
    return np.asarray(convert(lists)).reshape(count, *shape)
