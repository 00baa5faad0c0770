"""Types of Arrow that generated tables don't have, and `Ragged.from_arrow`."""

import numpy as np
import pyarrow as pa
import pytest

from batchup import ops
from batchup.testing import plain


def read(column, block):
    [(batch,)] = [block] | ops.gather(column)
    return batch


@pytest.mark.parametrize("block", [[2, 0], range(1, 3), []])
def test_tensors_are_arrays(block):
    values = np.arange(24, dtype=np.float32).reshape(4, 2, 3)
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(values)
    for column in (tensors, tensors.slice(0, 4), pa.chunked_array([tensors.slice(0, 1), tensors.slice(1)])):
        batch = read(column, block)
        assert batch.dtype == np.float32
        assert batch.tolist() == values[np.array(block, int)].tolist()
    permuted = pa.ExtensionArray.from_storage(
        pa.fixed_shape_tensor(pa.int32(), [2, 3], permutation=[1, 0]),
        pa.array([[1, 2, 3, 4, 5, 6]] * 3, pa.list_(pa.int32(), 6)),
    )
    assert read(permuted, [0, 2]).tolist() == permuted.to_numpy_ndarray()[[0, 2]].tolist()


def test_run_ends_and_bools_of_a_byte():
    import pyarrow.compute as pc

    runs = pc.run_end_encode(pa.array([1, 1, 2, 2, 2]))
    for column in (runs, runs.slice(1, 3)):
        assert read(column, range(3)).tolist() == column.to_pylist()[:3]
    with pytest.raises(ValueError, match="expected no missing values; there are 1"):
        ops.gather(pc.run_end_encode(pa.array([1, None])))
    if hasattr(pa, "bool8"):
        assert read(pa.ExtensionArray.from_storage(pa.bool8(), pa.array([0, 1], pa.int8())), [1, 0]).tolist() == [
            True,
            False,
        ]


class Metres(pa.ExtensionType):
    def __init__(self):
        super().__init__(pa.int64(), "test.metres")

    def __arrow_ext_serialize__(self):
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type, serialized):
        return cls()


@pytest.mark.parametrize(
    ("column", "text"),
    [
        (
            pa.ExtensionArray.from_storage(Metres(), pa.array([1, 2])),
            r"an extension type of Arrow.*column.type.storage_type",
        ),
        (pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int8())), r"got map<.*samples\(dataset, collate\)"),
        (pa.array([[[1]]]), r"expected lists of numbers, dates, strings, or lists of one size; got list<"),
        (pa.array([[{"a": 1}]]), "expected lists of numbers"),
        (pa.array([(1, 2, 3)], pa.month_day_nano_interval()), "got month_day_nano_interval"),
        (pa.array([None]), "All its values are missing"),
        (pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])]), "got sparse_union"),
    ],
)
def test_types_without_a_form_are_refused(column, text):
    with pytest.raises(TypeError, match=f"gather: array 0: .*{text}"):
        ops.gather(column)


def test_what_an_extension_is_stored_as():
    column = pa.ExtensionArray.from_storage(Metres(), pa.array([1, 2]))
    assert read(column.cast(column.type.storage_type), [1]).tolist() == [2]


def test_structs_are_dicts():
    column = pa.array([{"a": n, "b": {"c": [n] * n, "d": f"word {n}"}} for n in range(5)])
    for block in ([3, 1], range(1, 3), []):
        expected = column.take(pa.array(block, pa.int64())).to_pylist()
        batch = plain(read(column.slice(0), block))
        assert batch == {
            "a": [row["a"] for row in expected],
            "b": {"c": [row["b"]["c"] for row in expected], "d": [row["b"]["d"] for row in expected]},
        }
    assert plain(read(column.slice(2), [0]))["a"] == [2]
    with pytest.raises(ValueError, match="'a' is there twice"):
        ops.gather(pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]))


LISTS = [[1, 2], [], [3]]


def test_lists_of_every_kind_are_ragged():
    for type_ in (
        pa.list_(pa.int16()),
        pa.large_list(pa.int16()),
        pa.list_view(pa.int16()),
        pa.large_list_view(pa.int16()),
    ):
        column = pa.array(LISTS, type_)
        for lists, expected in ((column, LISTS), (column.slice(1), LISTS[1:]), (column.slice(0, 0), [])):
            ragged = ops.Ragged.from_arrow(lists)
            assert ragged.dtype == np.int16
            assert ragged.tolist() == expected
        assert ops.Ragged.from_arrow(pa.chunked_array([column, column.slice(2)])).tolist() == [*LISTS, [3]]
    words = ops.Ragged.from_arrow(pa.array([["a", "b\0"], []]))
    assert words.tolist() == [["a", "b\0"], []]
    assert ops.Ragged.from_arrow(pa.array([[1, 2], [3, 4]], pa.list_(pa.int8(), 2))).tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("lists", "error", "text"),
    [
        (pa.array([1, 2]), TypeError, "expected lists of Arrow; got a column of int64"),
        ([[1]], TypeError, "expected lists of Arrow; got list"),
        (pa.array([[1], None]), ValueError, "expected no missing values; there are 1"),
        (pa.array([[1, None], [None]]), ValueError, "expected no missing values; there are 2"),
    ],
)
def test_what_from_arrow_refuses(lists, error, text):
    with pytest.raises(error, match=f"Ragged.from_arrow: {text}"):
        ops.Ragged.from_arrow(lists)
