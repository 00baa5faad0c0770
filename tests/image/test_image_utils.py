"""Bytes that read as floats: indexing is that of the floats, for every kind of index."""

import copy
import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from batchup.data_source import ArrayDataSource
from batchup.image.utils import ImageArrayUInt8ToFloat32

U8 = np.random.default_rng(1).integers(0, 256, (7, 3, 4, 5), dtype=np.uint8)


def as_float(u8, lower=0.0, upper=1.0):
    return u8.astype(np.float32) * np.float32((upper - lower) / 255) + np.float32(lower)


@pytest.fixture
def mapped(tmp_path):
    np.save(tmp_path / "x.npy", U8)
    return np.load(tmp_path / "x.npy", mmap_mode="r")


def check_index(u8, index):
    """The same result, error kind and layout as indexing the floats has; and it is new."""
    images, floats = ImageArrayUInt8ToFloat32(u8, -1.0, 1.0), as_float(u8, -1.0, 1.0)
    try:
        expected = floats[index]
    except IndexError:
        with pytest.raises(IndexError):
            images[index]
        return
    found = images[index]
    assert type(found) is type(expected)
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found, expected)
    if isinstance(found, np.ndarray):
        assert found.flags.writeable
        assert found.base is None or found.base.base is None  # memory that is used again
        assert not np.shares_memory(found, u8)


INDICES = [
    3,
    -1,
    np.int64(2),
    7,
    slice(None),
    slice(2, 5),
    slice(None, None, -2),
    slice(5, 2),
    ...,
    None,
    (),
    [1, 3, 1],
    [],
    [-1, 0],
    np.array([4, 0, -7]),
    np.array([], dtype=np.int64),
    np.array([[1, 2], [3, 4]]),
    np.array(3),
    np.array([1, 2], dtype=np.uint64),
    np.array([1, 2], dtype=np.int8),
    np.array([7]),
    np.array([-8]),
    np.arange(7) % 2 == 0,
    np.ones(6, bool),
    U8 > 128,
    U8[:, 0, 0, 0] > 300,
    (2, 1),
    (2, 1, 3, 4),
    (2, 1, 3, 4, ...),
    (..., 0),
    (slice(1, 3), ..., slice(None, None, 2)),
    (None, 2, None),
    (np.array([1, 2]), 0),
    (np.array([1, 2]), slice(None), np.array([0, 1])),
    (slice(None), [True, False, True]),
    (1, 2, 3, 4, 5),
    (0, 3),
]


@pytest.mark.parametrize("index", INDICES, ids=str)
@pytest.mark.parametrize("layout", ["C", "Fortran", "every second", "backwards", "map"])
def test_index(index, layout, mapped):
    u8 = {
        "C": U8,
        "Fortran": np.asfortranarray(U8),
        "every second": np.repeat(U8, 2, axis=0)[::2],
        "backwards": U8[::-1],
        "map": mapped,
    }[layout]
    check_index(u8, index)


@given(st.data())
def test_any_basic_or_advanced_index(data):
    u8 = data.draw(hnp.arrays(np.uint8, hnp.array_shapes(min_side=0)))
    basic = hnp.basic_indices(u8.shape, allow_newaxis=True)
    masks = hnp.arrays(bool, u8.shape)
    options = [basic, masks]
    if all(u8.shape):
        options.append(hnp.integer_array_indices(u8.shape))
    check_index(u8, data.draw(st.one_of(options)))


@given(hnp.arrays(np.uint8, 9), st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_values_are_those_of_the_formula(u8, lower, upper):
    found = ImageArrayUInt8ToFloat32(u8, lower, upper)
    np.testing.assert_array_equal(found[...], as_float(u8, lower, upper))


def test_ends_of_the_range():
    images = ImageArrayUInt8ToFloat32(np.array([0, 255], np.uint8), -1.0, 1.0)
    assert images[...].tolist() == [-1.0, 1.0]


def test_looks_like_an_array(mapped):
    images = ImageArrayUInt8ToFloat32(mapped)
    assert images.shape == (7, 3, 4, 5)
    assert images.ndim == 4
    assert images.dtype == np.float32
    assert len(images) == 7
    assert images.size == U8.size
    assert images.nbytes == U8.size * 4
    assert repr(images) == ("ImageArrayUInt8ToFloat32(shape=(7, 3, 4, 5), dtype=float32, values 0.0 to 1.0 from uint8)")


def test_iteration():
    rows = list(ImageArrayUInt8ToFloat32(U8))
    assert len(rows) == 7
    np.testing.assert_array_equal(rows, as_float(U8))
    assert all(row.flags.writeable for row in rows)


def test_array_protocol():
    images = ImageArrayUInt8ToFloat32(U8)
    for converted in (np.asarray(images), np.array(images, copy=True), np.asarray(images, "f4")):
        assert converted.dtype == np.float32
        np.testing.assert_array_equal(converted, as_float(U8))
    assert np.asarray(images, dtype=np.float64).dtype == np.float64
    np.testing.assert_array_equal(np.asarray(images, np.float64), as_float(U8).astype(np.float64))
    assert np.mean(images, dtype=np.float64) == as_float(U8).mean(dtype=np.float64)


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.0.0", reason="no copy=False before")
def test_array_without_a_copy_is_refused():
    with pytest.raises(ValueError, match="can't be read from uint8 without a copy"):
        np.asarray(ImageArrayUInt8ToFloat32(U8), copy=False)


def test_writing_into_a_batch_changes_nothing(mapped):
    for u8 in (U8.copy(), mapped):
        images = ImageArrayUInt8ToFloat32(u8)
        for index in (0, slice(2), np.array([0, 1]), ...):
            images[index][...] = 9
        np.testing.assert_array_equal(images[...], as_float(U8))


@pytest.mark.parametrize(
    ("arr", "message"),
    [
        (np.zeros(3, np.int16), "arr must be an array of uint8, or array-like, got dtype int16"),
        ([1, 2], "arr must be an array of uint8, or array-like, got list"),
        (3, "arr must be an array of uint8, or array-like, got int"),
    ],
)
def test_other_types_are_refused(arr, message):
    with pytest.raises(TypeError, match=message):
        ImageArrayUInt8ToFloat32(arr)


@pytest.mark.parametrize("values", [(np.nan, 1.0), (0.0, np.inf)])
def test_values_that_are_not_finite_are_refused(values):
    with pytest.raises(ValueError, match="val_lower and val_upper must be finite, got "):
        ImageArrayUInt8ToFloat32(U8, *values)


VIEWS = [np.s_[...], np.s_[2:], np.s_[:2], np.s_[7:], np.s_[::2], np.s_[::-1], np.s_[1:5, 1, ::-1]]


@pytest.mark.parametrize("view", VIEWS, ids=str)
def test_pickle_by_path(mapped, view):
    big = ImageArrayUInt8ToFloat32(mapped[view], -1.0, 2.0)
    sent = pickle.dumps(big)
    assert len(sent) < 500
    assert b"x.npy" in sent
    for again in (pickle.loads(sent), pickle.loads(pickle.dumps(pickle.loads(sent)))):
        np.testing.assert_array_equal(again[...], big[...])
        assert (again.val_lower, again.val_upper) == (-1.0, 2.0)
        assert not again._u8.flags.writeable
        assert len(pickle.dumps(again)) < 500


def test_pickle_by_path_of_a_raw_file_with_an_offset(tmp_path):
    (tmp_path / "raw").write_bytes(b"header" + U8.tobytes())
    u8 = np.memmap(tmp_path / "raw", np.uint8, "r", offset=6, shape=U8.shape)
    again = pickle.loads(pickle.dumps(ImageArrayUInt8ToFloat32(u8[3:])))
    np.testing.assert_array_equal(again[...], as_float(U8[3:]))


@pytest.mark.parametrize("mode", ["memory", "copy on write"])
def test_pickle_by_content_where_the_file_does_not_have_it(tmp_path, mode):
    u8 = U8.copy()
    if mode == "copy on write":
        np.save(tmp_path / "x.npy", np.zeros_like(U8))
        u8 = np.load(tmp_path / "x.npy", mmap_mode="c")
        u8[...] = U8
    again = pickle.loads(pickle.dumps(ImageArrayUInt8ToFloat32(u8)))
    np.testing.assert_array_equal(again[...], as_float(U8))


def test_unpickling_without_the_file(mapped, tmp_path):
    sent = pickle.dumps(ImageArrayUInt8ToFloat32(mapped))
    (tmp_path / "x.npy").unlink()
    with pytest.raises(FileNotFoundError, match=r"x\.npy"):
        pickle.loads(sent)


def test_copy(mapped):
    for each in (copy.copy, copy.deepcopy):
        again = each(ImageArrayUInt8ToFloat32(mapped[2:]))
        np.testing.assert_array_equal(again[...], as_float(U8[2:]))


def test_a_batch_takes_little_more_memory_than_its_result():
    """The bytes gathered are a quarter of the floats made of them."""
    images = ImageArrayUInt8ToFloat32(np.zeros((1000, 3, 32, 32), np.uint8), -1.0, 1.0)
    index = np.random.default_rng(2).permutation(1000)[:64]
    images[index]
    tracemalloc.start()
    batch = images[index]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.3 * batch.nbytes


class Files:
    """Made on the fly, and all that it can do is to give samples."""

    def __init__(self, u8):
        self.u8 = u8

    def __len__(self):
        return len(self.u8)

    def __getitem__(self, index):
        return self.u8[index]


def test_anything_array_like():
    u8 = np.arange(60, dtype=np.uint8).reshape(5, 3, 4)
    whole = ImageArrayUInt8ToFloat32(u8, -1.0, 1.0)
    images = ImageArrayUInt8ToFloat32(Files(u8), -1.0, 1.0)
    assert len(images) == 5
    for index in (np.array([3, 1]), slice(1, 4), 2, [0, 0], slice(None)):
        found = images[index]
        np.testing.assert_array_equal(found, whole[index])
        assert found.dtype == np.float32
        found[...] = 0
    assert u8.max() == 59
    np.testing.assert_array_equal(np.asarray(images), np.asarray(whole))
    np.testing.assert_array_equal(list(images), list(whole))
    assert repr(images) == "ImageArrayUInt8ToFloat32(len=5, dtype=float32, values -1.0 to 1.0 from uint8)"
    for name in ("shape", "ndim", "size", "nbytes"):
        assert hasattr(whole, name)
        assert not hasattr(images, name)
    [batch] = next(ArrayDataSource([images]).batch_iterator(3, shuffle=5))
    np.testing.assert_array_equal(batch, next(ArrayDataSource([whole]).batch_iterator(3, shuffle=5))[0])
    again = pickle.loads(pickle.dumps(images))
    np.testing.assert_array_equal(again[:], whole[:])


def test_an_array_like_of_other_types_is_refused_when_it_is_read():
    with pytest.raises(TypeError, match="arr must give arrays of uint8, got int16"):
        ImageArrayUInt8ToFloat32(Files(np.zeros(3, np.int16)))[:]
    with pytest.raises(TypeError, match="arr must give arrays of uint8, got list"):
        ImageArrayUInt8ToFloat32(Files([[1], [2]]))[0]


def test_the_names_of_0_2_3():
    u8 = np.array([[0, 255]], np.uint8)
    images = ImageArrayUInt8ToFloat32(arr_u8=u8)
    assert images[0].tolist() == [0, 1]
    assert images.arr_u8 is u8 or images.arr_u8.base is u8
    for wrong in ({}, {"arr": u8, "arr_u8": u8}):
        with pytest.raises(TypeError, match="expected arr=, or arr_u8="):
            ImageArrayUInt8ToFloat32(**wrong)
