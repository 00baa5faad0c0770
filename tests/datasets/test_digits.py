import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from batchup.datasets.digits import Digits

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("train", "val", "test")

# As UCI's description of optdigits.tes counts them.
PER_CLASS = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]

FIRST_IMAGE = [  # a nought
    [0, 0, 5, 13, 9, 1, 0, 0],
    [0, 0, 13, 15, 10, 15, 5, 0],
    [0, 3, 15, 2, 0, 11, 8, 0],
    [0, 4, 12, 0, 0, 8, 8, 0],
    [0, 5, 8, 0, 0, 9, 8, 0],
    [0, 4, 11, 0, 1, 12, 7, 0],
    [0, 2, 14, 5, 10, 12, 0, 0],
    [0, 0, 6, 13, 10, 0, 0, 0],
]


@pytest.fixture(scope="module")
def whole():
    """All images and labels, in the order of the file."""
    digits = Digits()
    return (
        np.concatenate([getattr(digits, f"{part}_X_u8") for part in PARTS]),
        np.concatenate([getattr(digits, f"{part}_y") for part in PARTS]),
    )


def test_the_data_are_those_that_uci_describes(whole):
    images, labels = whole
    assert images.shape == (1797, 1, 8, 8)
    assert (images.min(), images.max()) == (0, 16)
    assert np.bincount(labels).tolist() == PER_CLASS
    assert images[0, 0].tolist() == FIRST_IMAGE
    assert labels[:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert labels[-3:].tolist() == [8, 9, 8]


@pytest.mark.parametrize(
    ("n_val", "sizes"),
    [
        (297, (1140, 297, 360)),
        (0, (1437, 0, 360)),
        (None, (1437, 0, 360)),
        (1, (1436, 1, 360)),
        (np.int64(437), (1000, 437, 360)),
        (1437, (0, 1437, 360)),
    ],
)
def test_splits_are_by_position(whole, n_val, sizes):
    images, labels = whole
    digits = Digits(n_val)
    start = 0
    for part, n in zip(PARTS, sizes, strict=True):
        X, X_u8, y = (getattr(digits, f"{part}_{name}") for name in ("X", "X_u8", "y"))
        assert (X.shape, X.dtype) == ((n, 1, 8, 8), np.float32)
        assert (X_u8.shape, X_u8.dtype) == ((n, 1, 8, 8), np.uint8)
        assert (y.shape, y.dtype) == ((n,), np.int32)
        np.testing.assert_array_equal(X_u8, images[start : start + n])
        np.testing.assert_array_equal(y, labels[start : start + n])
        np.testing.assert_array_equal(X, X_u8 / np.float32(16))
        start += n


def test_the_default_is_297_for_validation():
    assert Digits().val_y.tolist() == Digits(n_val=297).val_y.tolist()


@pytest.mark.parametrize(("lower", "upper"), [(-1.0, 1.0), (0, 255), (0.1, 0.3), (1, 0)])
def test_the_floats_go_from_lower_to_upper(lower, upper):
    digits = Digits(val_lower=lower, val_upper=upper)
    for part in PARTS:
        X, X_u8 = getattr(digits, f"{part}_X"), getattr(digits, f"{part}_X_u8")
        scale = np.float32((upper - lower) / 16)
        np.testing.assert_array_equal(X, X_u8.astype(np.float32) * scale + np.float32(lower))
        assert X.dtype == np.float32
        assert X[X_u8 == 0][0] == np.float32(lower)
        assert X[X_u8 == 16][0] == pytest.approx(upper, abs=1e-6)


def test_arrays_are_writable_and_share_no_memory():
    digits, other = Digits(), Digits()
    arrays = [getattr(digits, f"{part}_{name}") for part in PARTS for name in ("X", "X_u8", "y")]
    assert all(array.base is None and array.flags.writeable for array in arrays)
    digits.train_X[:] = -1
    assert other.train_X.min() == 0


def test_too_many_for_validation_says_how_many_there_are():
    with pytest.raises(ValueError, match=r"n_val: expected at most 1437, .*; got 1438"):
        Digits(1438)


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"n_val": -1}, ValueError, r"Digits: n_val: expected a whole number >= 0; got -1"),
        ({"n_val": 10.0}, TypeError, r"Digits: n_val: expected a whole number >= 0; got 10\.0"),
        ({"n_val": True}, TypeError, r"Digits: n_val: .* got True"),
        ({"val_lower": np.nan}, ValueError, r"Digits: val_lower: expected a finite number; got nan"),
        ({"val_upper": np.inf}, ValueError, r"Digits: val_upper: expected a finite number; got inf"),
        ({"val_upper": "1"}, TypeError, r"Digits: val_upper: expected a number; got '1'"),
    ],
)
def test_errors(kwargs, error, message):
    with pytest.raises(error, match=message):
        Digits(**kwargs)


def test_repr():
    assert repr(Digits(0)) == (
        "Digits(train_X=<1437x1x8x8 float32>, val_X=<0x1x8x8 float32>, test_X=<360x1x8x8 float32>)"
    )


def test_importing_batchup_does_not_load_the_digits():
    code = "import sys, batchup.data_source; sys.exit('batchup.datasets.digits' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_the_wheel_has_the_data_and_their_licence(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", tmp_path]
    subprocess.run(build, check=True, cwd=ROOT, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        stored = archive.read("batchup/datasets/digits.npz")
    assert "batchup/datasets/DIGITS.md" in names
    assert stored == (ROOT / "batchup/datasets/digits.npz").read_bytes()
