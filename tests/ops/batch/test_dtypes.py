"""The dtypes argument of to_torch and to_jax."""

import numpy as np
import pytest

from batchup.ops.batch.dtypes import dtype_names, not_numbers, shown_dtypes

KNOWN = {"int64", "float32"}.__contains__


def test_names_of_dtypes():
    assert dtype_names(None, "here", KNOWN) == ()
    assert dtype_names({"int32": "int64", np.float64: np.float32}, "here", KNOWN) == (
        ("int32", "int64"),
        ("float64", "float32"),
    )
    assert shown_dtypes((("int32", "int64"),)) == ["{'int32': 'int64'}"]


@pytest.mark.parametrize(
    ("dtypes", "text"),
    [
        (["int32"], "got <list of 1>"),
        ({"int33": "int64"}, "NumPy has no 'int33'"),
        ({"int32": "int63"}, "there is no dtype 'int63'"),
    ],
)
def test_what_are_no_dtypes(dtypes, text):
    with pytest.raises(TypeError, match=text):
        dtype_names(dtypes, "here", KNOWN)


def test_what_is_no_number_is_said_with_the_remedy():
    assert str(not_numbers("here", np.array(["a"]))).endswith("Leave it out in a map, or make numbers of it")
