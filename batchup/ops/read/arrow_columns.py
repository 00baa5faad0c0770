"""Whole columns of Arrow: in their form, their missing values and their size."""

from __future__ import annotations

from typing import Any

import numpy as np

from batchup.ops.read.arrow import Kind, is_list, is_run_end_encoded, kind_of
from batchup.ops.read.forms import as_dtype, joined
from batchup.ragged import Ragged


def column_of(column: Any, kind: Kind) -> Any:
    """An array or chunked array of Arrow as an array, `Strings`, `Ragged`, or a dict of these."""
    import pyarrow as pa

    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    full = [chunk for chunk in chunks if len(chunk)] or [pa.array([], column.type) if not chunks else chunks[0]]
    return joined([kind.convert(chunk) for chunk in full])


def with_dtype(kind: Kind, dtype: np.dtype[Any]) -> Kind:
    """The same with numbers of this dtype, also inside of lists."""
    if kind.dtype is None:
        return kind
    text = kind.text.replace(str(kind.dtype), str(dtype))
    return kind._replace(text=text, convert=lambda array: as_dtype(kind.convert(array), dtype), dtype=dtype)


def bytes_of_type(type_: Any) -> float | None:
    """The number of bytes of a value in NumPy; None if it varies."""
    from pyarrow import types

    if types.is_struct(type_):
        sizes = [bytes_of_type(type_.field(n).type) for n in range(type_.num_fields)]
        return None if None in sizes else sum(size or 0 for size in sizes)
    if types.is_fixed_size_list(type_):
        inner = bytes_of_type(type_.value_type)
        return None if inner is None else inner * type_.list_size
    if getattr(type_, "extension_name", "") == "arrow.fixed_shape_tensor":
        return bytes_of_type(type_.storage_type)
    if types.is_boolean(type_):
        return 1
    if types.is_date(type_):
        return 8
    return type_.bit_width / 8 if types.is_primitive(type_) else None


def missing_in(column: Any) -> int:
    """The number of missing values of a column, at any depth."""
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        return sum(map(missing_in, column.chunks))
    type_ = column.type
    if isinstance(type_, pa.BaseExtensionType):
        return missing_in(column.storage)
    if pa.types.is_dictionary(type_):
        inside = column.dictionary.null_count
        return int(column.dictionary_decode().null_count if inside else column.null_count)
    if is_run_end_encoded(type_):
        import pyarrow.compute as pc

        return missing_in(pc.run_end_decode(column))
    own = int(column.null_count)
    if pa.types.is_struct(type_):
        return own or sum(map(missing_in, column.flatten()))
    if pa.types.is_fixed_size_list(type_):
        size = type_.list_size
        return own or missing_in(column.values[column.offset * size : (column.offset + len(column)) * size])
    if is_list(type_):
        return own or missing_in(column.flatten())
    return own


def ragged_of(lists: Any) -> Ragged:
    """The samples of a column of lists: `Ragged.from_arrow`."""
    import pyarrow as pa

    where = "Ragged.from_arrow"
    column = lists
    if hasattr(lists, "source") and hasattr(lists, "column_name"):  # a column of Hugging Face
        name = lists.column_name
        column = lists.source.with_format("arrow", columns=[name])[:][name]
    if not isinstance(column, pa.Array | pa.ChunkedArray):
        raise TypeError(f"{where}: expected lists of Arrow; got {type(lists).__name__}")
    fixed = pa.types.is_fixed_size_list(column.type)
    if not (fixed or is_list(column.type)):
        raise TypeError(f"{where}: expected lists of Arrow; got a column of {column.type}")
    if missing := missing_in(column):
        raise ValueError(f"{where}: expected no missing values; there are {missing}")
    part: Any = column_of(column, kind_of(column.type, where))
    if not fixed:
        assert isinstance(part, Ragged)
        return part
    size = column.type.list_size
    return Ragged(part.reshape(-1, *part.shape[2:]), np.arange(len(part) + 1) * size)
