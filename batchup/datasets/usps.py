"""USPS: handwritten digits from envelopes (Hull 1994, PAMI 16(5)).

The format (LIBSVM's data page, "usps"): text in bz2, a sample a line, `label i:v i:v ...`:
label 1 to 10, i from 1 to 256, row by row, v from -1 to 1, 0 where absent.
"""

import bz2
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from batchup.datasets.dataset import DownloadSourceFile
from batchup.datasets.errors import FormatError
from batchup.datasets.formats import check, checked_labels, reading, write_npy
from batchup.datasets.images import validation_start
from batchup.datasets.standard import DataSet

__all__ = ["USPS", "delete_cache"]

PIXELS = 256
# The hosts give no sizes of files; these numbers show that no sample is missing.
PER_CLASS = {
    "train": (1194, 1005, 731, 658, 652, 556, 664, 645, 542, 644),
    "test": (359, 264, 198, 166, 200, 160, 170, 147, 166, 177),
}


def convert(
    source_paths: Sequence[Path],
    folder: Path,
    samples: Mapping[str, int],
    per_class: Mapping[str, Sequence[int]] = PER_CLASS,
) -> None:
    """Write the arrays of each part, from one file each: `<part>_X` float32 and `<part>_y`."""
    for (part, n), path in zip(samples.items(), source_paths, strict=True):
        values, labels = read_libsvm(path, n)
        y = checked_labels(labels, 10, path, first=1)
        found = np.bincount(y, minlength=10).tolist()
        expected = list(per_class[part])
        check(found == expected, path, f"{found} samples of the classes, expected {expected}")
        X = (values * np.float32(0.5) + np.float32(0.5)).reshape(n, 1, 16, 16)
        write_npy(folder / f"{part}_X.npy", X.shape, np.float32, [X])
        write_npy(folder / f"{part}_y.npy", (n,), np.int32, [y])


def read_libsvm(path: Path, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The values, float32 (n, 256) from -1 to 1, and the labels, int64 (n,), as in the file."""
    with reading(path), bz2.open(path, "rt", encoding="ascii") as file:
        lines = file.read().splitlines()
    check(len(lines) == n, path, f"{len(lines)} samples, expected {n}")
    values, labels = np.zeros((n, PIXELS), np.float32), np.zeros(n, np.int64)
    for row, line in enumerate(lines):
        try:
            label, *entries = line.split()
            labels[row] = int(label)
            pairs = [entry.split(":") for entry in entries]
            at = np.array([int(i) for i, _ in pairs], dtype=np.int64)
            given = np.array([float(v) for _, v in pairs])
        except ValueError as error:
            raise FormatError(f"{path}: line {row + 1}: {error}") from error
        inside = bool(((at >= 1) & (at <= PIXELS) & (abs(given) <= 1)).all())
        check(inside, path, f"line {row + 1}: needs i from 1 to {PIXELS} and v from -1 to 1")
        values[row, at - 1] = given
    return values, labels


BASE_URL = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/"

SET = DataSet(
    name="usps",
    title="USPS, handwritten digits 16x16",
    samples={"train": 7291, "test": 2007},
    terms="none stated",
    cite="Hull 1994, PAMI 16(5)",
    sources=(
        DownloadSourceFile(
            "usps.bz2", base_url=BASE_URL, sha256="3771e9dd6ba685185f89867b6e249233dd74652389f263963b3b741e994b034f"
        ),
        DownloadSourceFile(
            "usps.t.bz2", base_url=BASE_URL, sha256="a9c0164e797d60142a50604917f0baa604f326e9a689698763793fa5d12ffc4e"
        ),
    ),
    convert=convert,
    white=1.0,
)


class USPS:
    """USPS, handwritten digits, images float32 (n, 1, 16, 16) from 0 to 1, fetched when it is first opened.

    `train_X`, `val_X` and `test_X` are the images of 7291 training and 2007 test samples; `train_y`, `val_y` and
    `test_y` int32 labels from 0. All are read-only memory maps.

    Parameters
    ----------
    n_val : int or None
        The number of validation samples, the last ones of the training set; 0 or None for none.

    Raises
    ------
    ValueError
        If `n_val` is negative or above the number of training samples.
    DatasetError
        If the set can't be fetched.
    """

    dataset = SET

    def __init__(self, n_val: int | None = 729) -> None:
        at = validation_start(self.dataset.samples["train"], n_val)  # before any download
        arrays = self.dataset.arrays()
        self.train_X, self.val_X = arrays["train_X"][:at], arrays["train_X"][at:]
        self.train_y, self.val_y = arrays["train_y"][:at], arrays["train_y"][at:]
        self.test_X, self.test_y = arrays["test_X"], arrays["test_y"]


delete_cache = SET.delete
