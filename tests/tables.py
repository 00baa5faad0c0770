"""Tables of all types at random, in every kind of source, and what their libraries say is in them.

python -m tests.tables 10000        # so many tables
"""

import datetime
import decimal
import math
import random
import sys
import tempfile
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet

from batchup import ops
from batchup.data_source import ArrayDataSource, TableDataSource

UNITS = "s", "ms", "us", "ns"


def numbers(rng, low, high):
    return lambda: rng.choice([low, high, 0, rng.randint(low, high)])


def floats(rng):
    return lambda: rng.choice([0.0, -0.0, 1e300, -1.5, math.inf, math.nan, rng.random()])


def leaf(rng):
    """A type without parts, and a function that gives a value of it."""
    kinds = {
        pa.bool_(): lambda: rng.random() < 0.5,
        pa.float64(): floats(rng),
        pa.float32(): lambda: float(np.float32(rng.choice([1.5, -0.0, math.inf, math.nan, rng.random()]))),
        pa.float16(): lambda: float(np.float16(rng.random())),
        pa.string(): lambda: rng.choice(["", "a", "a\0", "ü" * rng.randint(0, 9), "word"]),
        pa.large_string(): lambda: rng.choice(["", "b\0", "longer than twelve bytes"]),
        pa.binary(): lambda: rng.choice([b"", b"\0", b"a\0\0", rng.randbytes(rng.randint(0, 20))]),
        pa.large_binary(): lambda: rng.randbytes(3),
        pa.binary(4): lambda: rng.choice([b"\0" * 4, b"a\0\0\0", rng.randbytes(4)]),
        pa.date32(): lambda: datetime.date(1970, 1, 1) + datetime.timedelta(days=rng.randint(-99999, 99999)),
        pa.date64(): lambda: datetime.date(2000, 1, 1) + datetime.timedelta(days=rng.randint(-9999, 9999)),
        pa.null(): lambda: None,
        pa.decimal128(9, 2): lambda: decimal.Decimal(rng.randint(-999, 999)) / 100,
        pa.time32("s"): lambda: datetime.time(rng.randint(0, 23), 5),
        pa.time64("us"): lambda: datetime.time(rng.randint(0, 23), 5, 7, 9),
        pa.timestamp("us", "Europe/Berlin"): lambda: datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
        pa.timestamp("ms", "UTC"): lambda: datetime.datetime(2020, 1, rng.randint(1, 9), tzinfo=datetime.UTC),
    }
    for bits in (8, 16, 32, 64):
        kinds[getattr(pa, f"int{bits}")()] = numbers(rng, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        kinds[getattr(pa, f"uint{bits}")()] = numbers(rng, 0, 2**bits - 1)
    for unit in UNITS:
        at = lambda: rng.randint(-(2**40), 2**40)  # noqa: E731
        kinds[pa.timestamp(unit)] = at
        kinds[pa.duration(unit)] = at
    if hasattr(pa, "string_view"):
        kinds[pa.string_view()] = kinds[pa.string()]
        kinds[pa.binary_view()] = kinds[pa.binary()]
    refused = {
        type_ for type_ in kinds if pa.types.is_null(type_) or pa.types.is_decimal(type_) or pa.types.is_time(type_)
    }
    refused.add(pa.timestamp("us", "Europe/Berlin"))
    wanted = refused if rng.random() < 0.04 else kinds.keys() - refused
    type_ = rng.choice(sorted(wanted, key=str))
    return type_, kinds[type_]


def some_type(rng, depth=0):
    """A type of Arrow, and a function that gives a value of it."""
    type_, value = leaf(rng)
    if depth > 2 or rng.random() < 0.55 + 0.2 * depth:
        return type_, value
    kind = rng.choice(["list", "large_list", "fixed", "struct", "dictionary", "list_view"])
    if kind == "dictionary":
        values = [value() for _ in range(rng.randint(1, 5))]
        return pa.dictionary(pa.int32(), type_), lambda: rng.choice(values)
    if kind == "struct":
        fields = [some_type(rng, depth + 1) for _ in range(rng.randint(1, 3))]
        names = [f"f{n}" for n in range(len(fields))]
        struct = pa.struct([(name, field[0]) for name, field in zip(names, fields, strict=True)])
        return struct, lambda: {name: give() for name, (_, give) in zip(names, fields, strict=True)}
    type_, value = some_type(rng, depth + 1)
    if kind == "fixed":
        size = rng.randint(1, 3)
        return pa.list_(type_, size), lambda: [value() for _ in range(size)]
    lists = {"list": pa.list_, "large_list": pa.large_list, "list_view": getattr(pa, "list_view", pa.list_)}
    return lists[kind](type_), lambda: [value() for _ in range(rng.choice([0, 1, 3]))]


def some_table(rng):
    """A table of Arrow, or None if Arrow itself can't make one of these values."""
    rows, holes = rng.choice([1, 2, 7, 30]), rng.random() < 0.1
    columns = {}
    for n in range(rng.randint(1, 3)):
        type_, value = some_type(rng)
        values = [None if holes and rng.random() < 0.2 else value() for _ in range(rows)]
        try:
            columns[f"c{n}"] = pa.chunked_array([pa.array(values, type_)])
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            return None
    table = pa.table(columns)
    if rng.random() < 0.5 and rows > 1:
        cut = rng.randrange(1, rows)
        table = pa.concat_tables([table.slice(0, cut), table.slice(cut)])
    if rng.random() < 0.3 and rows > 1:
        table = table.slice(1)
    return table


def sources(table, rng, folder):
    """The table in every kind of source that holds it: a name, the source, and the table of Arrow that it has in the end."""

    def attempt(name, make):
        try:
            return [(name, *make())]
        except Exception:  # this library has no such type, and says so
            return []

    def parquet():
        path = folder / f"{rng.random()}.parquet"
        pyarrow.parquet.write_table(table, path, row_group_size=rng.choice([3, 100]))
        return str(path), pyarrow.parquet.read_table(path)

    def feather():
        path = folder / f"{rng.random()}.arrow"
        with pa.ipc.new_file(path, table.schema) as file:
            file.write_table(table, max_chunksize=rng.choice([3, 100]))
        with pa.ipc.open_file(path) as file:
            return str(path), file.read_all()

    def hugging():
        made = datasets.Dataset(table)
        return made, made.with_format("arrow")[:]

    def of_polars():
        frame = pl.from_arrow(table)
        return frame, frame.to_arrow()

    def of_pandas():
        frame = table.to_pandas()
        return frame, frame

    def of_arrow_types():
        frame = table.to_pandas(types_mapper=pd.ArrowDtype)
        return frame, table

    found = [("table", table, table)]
    for name, make in (("parquet", parquet), ("feather", feather), ("polars", of_polars), ("Hugging Face", hugging)):
        found += attempt(name, make)
    found += attempt("pandas", of_pandas) + attempt("pandas of Arrow", of_arrow_types)
    for name, source, truth in list(found):
        if name == "parquet":
            found += attempt("ParquetFile", lambda s=source, t=truth: (pyarrow.parquet.ParquetFile(s), t))
            found += attempt("dataset", lambda s=source, t=truth: (pyarrow.dataset.dataset(s), t))
    return found


# --- what a library says


def same(part, array):
    """True if a part of a batch has the values of an array of Arrow, bit by bit."""
    type_ = array.type
    if pa.types.is_dictionary(type_):
        return same(part, array.dictionary_decode())
    if pa.types.is_struct(type_):
        fields = zip((type_.field(n).name for n in range(type_.num_fields)), array.flatten(), strict=True)
        return list(part) == [type_.field(n).name for n in range(type_.num_fields)] and all(
            same(part[name], field) for name, field in fields
        )
    if len(part) != len(array):
        return False
    if "list" in str(type_).split("<")[0]:
        return all(same(inner, lists.values) for inner, lists in zip(part, array, strict=True))
    if part.dtype == object:
        got, values = part.tolist(), array.to_pylist()
        return got == values and [*map(type, got)] == [*map(type, values)]
    if pa.types.is_boolean(type_):
        return part.dtype == bool and part.tolist() == array.to_pylist()
    if part.dtype.kind in "mM":
        unit = "D" if pa.types.is_date32(type_) else "ms" if pa.types.is_date64(type_) else type_.unit
        whole = array.view(pa.int32() if pa.types.is_date32(type_) else pa.int64()).to_pylist()
        return np.datetime_data(part.dtype)[0] == unit and part.view(np.int64).tolist() == whole
    truth = array.to_numpy()
    nan = np.isnan(truth) if truth.dtype.kind == "f" else np.zeros(len(truth), bool)
    return (
        part.dtype == truth.dtype
        and part[~nan].tobytes() == truth[~nan].tobytes()
        and bool((part[nan] != part[nan]).all())
    )


def deep(value):
    """Nested arrays as nested lists."""
    value = value.tolist() if isinstance(value, np.ndarray) else value
    return [*map(deep, value)] if isinstance(value, list) else value


def same_as_pandas(part, series):
    """True if a part of a batch has the values of a column of pandas."""
    if str(series.dtype) == "category":
        series = series.astype(series.cat.categories.dtype)
    if getattr(series.dtype, "tz", None) is not None:
        series = series.dt.tz_localize(None)
    truth = series.to_numpy()
    if isinstance(part, ops.Ragged):
        return repr([a.tolist() for a in part]) == repr([deep(b) for b in truth])
    if truth.dtype == object:
        values = truth.tolist()
        return part.tolist() == values and [*map(type, part.tolist())] == [*map(type, values)]
    nan = truth != truth
    return part.dtype == truth.dtype and part[~nan].tobytes() == truth[~nan].tobytes()


def wrong(name, source, truth, rng):
    """What is wrong with the batches of a source; None if they are right, or if it is refused when it is built."""
    seed, size = rng.randint(0, 9), rng.choice([1, 4, 50])
    make = TableDataSource if isinstance(source, str) or rng.random() < 0.5 else lambda data: ArrayDataSource([data])
    try:
        made = make(source)
    except (TypeError, ValueError) as error:
        text = str(error)
        assert "DataSource: " in text, text
        return "refused"
    shuffle = rng.choice([None, seed])
    length = len(truth)
    order = np.concatenate(
        [
            np.asarray(block[:] if not isinstance(block, range) else list(block), int)
            for block in ops.indices(length) | ops.shuffle(shuffle) | ops.chunk(size)
        ]
    )
    batches = [batch if isinstance(batch, dict) else batch[0] for batch in made.batch_iterator(size, shuffle=shuffle)]
    codes = getattr(made, "categories", {})
    start = 0
    for batch in batches:
        rows = order[start : start + size]
        start += size
        for column, part in batch.items():
            if column in codes:
                part = codes[column][part]
            if isinstance(truth, pd.DataFrame):
                if not same_as_pandas(part, truth[column].iloc[rows]):
                    return (
                        f"{name}: column {column!r}, {truth[column].dtype}: {part!r} for {truth[column].iloc[rows]!r}"
                    )
                continue
            whole = truth.column(column).combine_chunks()
            whole = whole.combine_chunks() if isinstance(whole, pa.ChunkedArray) else whole
            taken = pa.concat_arrays([whole.slice(int(row), 1) for row in rows] or [whole.slice(0, 0)])
            if not same(part, taken):
                return f"{name}: column {column!r}, {taken.type}: {part!r} for {taken!r}"
    return None if start >= length else f"{name}: {start} rows of {length}"


def check(seed, folder):
    """Check one table in all sources. Returns how many were read, and how many refused."""
    rng = random.Random(seed)
    table = some_table(rng)
    counts = [0, 0]
    for name, source, truth in sources(table, rng, folder) if table is not None else ():
        found = wrong(name, source, truth, rng)
        assert found in (None, "refused"), f"table {seed}: {found}"
        counts[found is not None] += 1
    return counts


def main(count, first=0):
    totals = np.zeros(2, int)
    for seed in range(first, first + count):
        with tempfile.TemporaryDirectory() as folder:
            totals += check(seed, Path(folder))
    print(f"{count} tables: {totals[0]} sources read as their libraries say, {totals[1]} refused when built")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
