"""Lists of Python's values as arrays: exactly, or refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchup.strings import Strings
from batchup.values import array_of

NUMBERS = {
    bool: st.booleans(),
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False),
    complex: st.complex_numbers(allow_nan=False),
    str: st.text(),
    bytes: st.binary(),
}


@pytest.mark.parametrize("kind", NUMBERS)
@given(st.data())
def test_values_of_one_type_keep_their_values_and_type(kind, data):
    values = data.draw(st.lists(NUMBERS[kind], min_size=1))
    array = array_of(values, "x")
    again = list(array) if isinstance(array, Strings) else array.tolist()
    assert again == values
    assert {type(value) for value in again} == {kind}


@given(st.lists(st.one_of(*NUMBERS.values(), st.none()), min_size=1))
def test_other_lists_are_refused(values):
    if len({type(value) for value in values}) > 1:
        with pytest.raises((TypeError, ValueError), match="x: expected"):
            array_of(values, "x")


def test_nested_lists():
    assert array_of([[1, 2], [3, 4]], "x").tolist() == [[1, 2], [3, 4]]
    assert array_of([(1.0, 2.0)], "x").dtype == np.float64
    assert array_of([["a", "b\0"], ["c", "d"]], "x").tolist() == [["a", "b\0"], ["c", "d"]]
    assert array_of([], "x").shape == (0,)
    assert array_of(range(3, 9, 2), "x").tolist() == [3, 5, 7]
    assert array_of([np.float32(1), np.float32(2)], "x").dtype == np.float32
    assert array_of([1, np.int64(2)], "x").dtype == np.int64


@pytest.mark.parametrize(
    ("values", "error", "text"),
    [
        (
            [1, 2.5],
            TypeError,
            r"expected values of one type; got int64, float64 in the list. Write np.array\(values, dtype\)",
        ),
        ([True, 1], TypeError, "got bool, int64"),
        ([1.0, "a"], TypeError, "got float64, str"),
        ([np.float32(1), 1.0], TypeError, "got float32, float64"),
        ([1, None], ValueError, "expected no missing values; there is a None in the list"),
        ([[1], [None]], ValueError, "there is a None"),
        ([2**63], TypeError, "expected numbers that int64 can hold"),
        ([2**70, 1], TypeError, "expected numbers that int64 can hold"),
        ([[1], [1, 2]], TypeError, r"write ops.Ragged.of\(samples\)"),
        ([["a"], ["b", "c"]], TypeError, r"lists have different lengths.*ops.Ragged.of\(samples\)"),
        ([object()], TypeError, "expected numbers, strings, or arrays of one shape; got <object>"),
    ],
)
def test_what_an_array_would_change_is_refused(values, error, text):
    with pytest.raises(error, match="x: " + text if text.startswith("expected") else text):
        array_of(values, "x")
