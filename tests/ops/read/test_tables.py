"""Tables: rows by position, columns by name."""

import numpy as np
import pyarrow as pa
import pytest

from batchup import ops
from batchup.testing import plain

TABLE = pa.table({"x": [1.5, 2.5, 3.5], "name": ["a", "b", "c"]})


def test_the_samples_of_a_table_are_a_dict_of_arrays():
    [(batch,)] = ops.indices([2, 0]) | ops.gather(TABLE)
    assert plain(batch) == {"x": [3.5, 1.5], "name": ["c", "a"]}
    [(batch,)] = ops.indices(3) | ops.gather(TABLE)
    batch["x"][:] = 0
    assert TABLE["x"].to_pylist() == [1.5, 2.5, 3.5]


def test_a_column_is_an_array():
    [(x, y)] = ops.indices([1]) | ops.gather(TABLE["x"], np.arange(3))
    assert plain((x, y)) == ([2.5], [1])


@pytest.mark.parametrize(
    ("table", "error", "text"),
    [
        (pa.table({"x": [1, None]}), ValueError, "array 0: column 'x': expected no missing values; there are 1"),
        (pa.table({"x": [[[1]], [[2]]]}), TypeError, "column 'x': expected lists of numbers, dates, strings"),
        (pa.table([[1], [2]], names=["x", "x"]), ValueError, "'x' is there twice"),
    ],
)
def test_what_has_no_arrays_for_columns_is_refused(table, error, text):
    with pytest.raises(error, match=text):
        ops.indices(1) | ops.gather(table)
