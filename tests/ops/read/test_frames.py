"""Columns of pandas."""

import datetime
import decimal

import numpy as np
import pandas as pd
import pytest

from batchup import ops
from batchup.testing import plain

COLUMNS = {
    "Int8": pd.array([1, 2, 3], "Int8"),
    "Float32": pd.array([1.5, 2.5, 3.5], "Float32"),
    "boolean": pd.array([True, False, True], "boolean"),
    "string": pd.array(["a", "b\0", ""], "string"),
    "object of str": np.array(["a", "b", "c"], object),
    "object of int": np.array([1, 2, 3], object),
    "object of bytes": np.array([b"\0", b"a\0", b""], object),
    "complex": np.array([1j, 2, 3]),
    "seconds": np.array([1, 2, 3], "M8[s]"),
    "UTC": pd.to_datetime(["2020-01-01", "2021-01-01", "2022-01-01"]).tz_localize("UTC"),
    "sparse": pd.arrays.SparseArray([0.0, 0.0, 1.5]),
    "categories": pd.Categorical(["x", "y", "x"]),
    "categories of int": pd.Categorical([30, 10, 30]),
    "lists": [[1], [], [2, 3]],
    "lists of str": [["a"], [], ["b\0", "c"]],
    "arrays": [np.array([1.5]), np.array([]), np.array([2.5, 3.5])],
}


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_of_every_dtype(name):
    series = pd.Series(COLUMNS[name])
    for block in ([2, 0], range(1, 3), []):
        [(batch,)] = [block] | ops.gather(series)
        expected = series.iloc[np.array(block, int)].tolist()
        if name in ("seconds", "UTC"):
            assert [pd.Timestamp(value, tz=series.dt.tz) for value in batch] == expected
        else:
            assert plain(batch) == [plain(value) if isinstance(value, np.ndarray) else value for value in expected]


def test_dtypes():
    dtypes = {
        "Int8": np.int8,
        "Float32": np.float32,
        "boolean": np.bool_,
        "object of int": np.int64,
        "string": np.object_,
    }
    for name, dtype in dtypes.items():
        [(batch,)] = [[0]] | ops.gather(pd.Series(COLUMNS[name]))
        assert batch.dtype == dtype


@pytest.mark.parametrize(
    ("values", "error", "text"),
    [
        ([1, 2.5, "a"], TypeError, "expected values of one type; got int64, float64, str"),
        ([decimal.Decimal("1.5")], TypeError, r"got Decimal. Cast it first: column.astype\('float64'\)"),
        ([datetime.date(2020, 1, 1)], TypeError, "expected numbers, strings, or arrays of one shape"),
        ([{"a": 1}], TypeError, "expected numbers, strings"),
        ([[[1]], [[2]]], TypeError, "got lists of lists"),
        ([np.zeros((2, 2))], TypeError, "expected 1-D arrays of numbers"),
        ([np.zeros(2), np.zeros(2, int)], TypeError, "expected arrays of one dtype"),
        ([[1], None], ValueError, "expected no missing values; there are 1"),
        ([["a"], [None]], ValueError, "there is a None in the list"),
        (["a", None], ValueError, "expected no missing values; there are 1"),
        (pd.period_range("2020-01", periods=2, freq="M"), TypeError, r"got period\[M\]"),
        (pd.interval_range(0, 2), TypeError, "got interval"),
    ],
)
def test_what_is_refused(values, error, text):
    series = pd.Series(values, dtype=None if hasattr(values, "dtype") else object)
    with pytest.raises(error, match=text):
        ops.gather(series)
    if text.startswith("got Decimal"):
        assert ops.gather(series.astype("float64"))


def test_missing_values_of_pandas():
    when = pd.Series(pd.to_datetime(["2020-01-01", None]).tz_localize("UTC"), name="a")
    text = pd.Series(["x", None], name="a", dtype="string")
    for series, wrong, right in ((when, 5, pd.Timestamp("2021-01-01", tz="UTC")), (text, 5, "none")):
        frame = series.to_frame()
        with pytest.raises(ValueError, match="column 'a': expected no missing values; there are 1"):
            ops.table(frame)
        with pytest.raises(ValueError, match=r"nulls: expected a value that a column of .* can hold; got 5"):
            ops.table(frame, nulls=wrong)
        [(rows,)] = ops.indices(2) | ops.gather(ops.table(frame, nulls=right))
        assert rows["a"][1] == (right if isinstance(right, str) else right.tz_localize(None).to_datetime64())
