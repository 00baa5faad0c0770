"""Checks of arguments, and names of values for errors."""

from functools import partial

import numpy as np
import pytest

from batchup.core.checks import as_labels, describe, describe_callable, is_a, listed, read_only, shortened, whole_number


def test_whole_numbers_are_ints():
    for value in (3, np.int8(3), np.uint64(3)):
        number = whole_number(value, "n")
        assert number == 3
        assert type(number) is int
    assert whole_number(-1, "n", least=1, also=-1) == -1


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (True, TypeError, "n: expected a whole number >= 1, or -1; got True"),
        (1.0, TypeError, "got 1.0"),
        ("1", TypeError, "got '1'"),
        (0, ValueError, "got 0"),
        (2**80, ValueError, "at most 9223372036854775807; got 1208925819614629174706176"),
    ],
)
def test_what_is_no_such_number_is_refused(value, error, text):
    with pytest.raises(error, match=text):
        whole_number(value, "n", least=1, also=-1)


def test_labels():
    assert as_labels([True, False], "y").tolist() == [1, 0]
    with pytest.raises(ValueError, match="y: expected labels >= 0; sample 1 has -3"):
        as_labels([0, -3], "y")
    with pytest.raises(TypeError, match="got <2x1 int64>"):
        as_labels([[0], [1]], "y")


def test_a_read_only_copy_is_a_copy():
    array = np.zeros(2)
    kept = read_only(array)
    array[0] = 1
    assert kept.tolist() == [0, 0]
    assert not kept.flags.writeable


class Unlucky:
    def __len__(self):
        raise OSError("no length today")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.zeros((2, 3), np.uint8), "<2x3 uint8>"),
        (np.float64(1.5), repr(np.float64(1.5))),
        ("x" * 50, "'" + "x" * 36 + "..."),
        ({"a": 1}, "<dict of 1>"),
        (Unlucky(), "<Unlucky>"),
        (None, "None"),
    ],
)
def test_values_have_short_names(value, text):
    assert describe(value) == text


def test_texts_are_shortened_in_the_middle():
    assert shortened("a" * 50 + "b" * 50, 21) == "a" * 9 + " ... " + "b" * 8
    assert listed(["a", "b"]) == "a, b"


def test_functions_have_the_names_that_users_know():
    assert describe_callable(len) == "len"
    assert describe_callable(partial(np.add, 1)) == "partial(add)"
    assert describe_callable(Unlucky()) == "Unlucky"
    assert describe_callable(Unlucky, qualified=True) == f"{__name__}.Unlucky"


def test_classes_of_packages_that_are_not_imported():
    assert is_a(np.zeros(1), "numpy.ndarray")
    assert not is_a(np.zeros(1), "no_such_package.Array", "numpy.no_such.Array")
