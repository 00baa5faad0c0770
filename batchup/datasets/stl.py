"""STL-10: photographs for learning from few labels (Coates, Lee, Ng 2011).

The format (https://cs.stanford.edu/~acoates/stl10/): images uint8 (n, 3, 96, 96), each channel
column by column; labels uint8, 1 to 10; `fold_indices.txt` ten lines of 0-based indices.
"""

import operator
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from batchup.datasets.dataset import DownloadSourceFile
from batchup.datasets.errors import FormatError
from batchup.datasets.formats import Read, check, checked_labels, tar_members, write_npy
from batchup.datasets.standard import DataSet
from batchup.image.utils import ImageArrayUInt8ToFloat32

__all__ = ["STL", "delete_cache"]

FOLDER = "stl10_binary"
FOLDS = 10
DEFAULT_FOLDS = 1
IMAGE = 3 * 96 * 96
ROWS_AT_ONCE = 256


def convert(source_paths: Sequence[Path], folder: Path, samples: Mapping[str, int]) -> None:
    """Write the arrays of train, test and unlabeled, and `folds` (10, a fifth of train).

    `split_train_X` and `split_val_X` are the rows of `train_X` as they are split by default.
    """
    (path,) = source_paths
    images = {f"{FOLDER}/{part}_X.bin": part for part in samples}
    labels = {f"{FOLDER}/{part}_y.bin": part for part in ("train", "test")}
    sizes: dict[str, int | None] = {f"{FOLDER}/fold_indices.txt": None}
    sizes |= {name: samples[part] * IMAGE for name, part in images.items()}
    sizes |= {name: samples[part] for name, part in labels.items()}
    # In one pass: going back would unpack 3 GB again.
    for name, read in tar_members(path, sizes):
        if name in images:
            n = samples[images[name]]
            target = folder / f"{images[name]}_X.npy"
            write_npy(target, (n, 3, 96, 96), np.uint8, _read_images(read, n))
        elif name in labels:
            stored = np.frombuffer(read(), np.uint8)
            y = checked_labels(stored, 10, path, first=1)
            write_npy(folder / f"{labels[name]}_y.npy", y.shape, np.int32, [y])
        else:
            folds = _read_folds(read(), samples["train"], path)
            write_npy(folder / "folds.npy", folds.shape, np.int32, [folds])
    # The default split is stored too, since it is no slice of train_X.
    X, is_val = np.load(folder / "train_X.npy", mmap_mode="r"), in_last_folds(folds, DEFAULT_FOLDS)
    for part, rows in (("train", X[~is_val]), ("val", X[is_val])):
        write_npy(folder / f"split_{part}_X.npy", rows.shape, np.uint8, [rows])


def in_last_folds(folds: np.ndarray, count: int) -> np.ndarray:
    """A mask of the training rows that are in any of the last `count` folds. Each fold has a fifth of the rows.

    >>> in_last_folds(np.array([[0, 1], [1, 2], [4, 2]]), 2).tolist()
    [False, True, True, False, True, False, False, False, False, False]
    """
    mask = np.zeros(5 * folds.shape[1], dtype=bool)
    mask[folds[len(folds) - count :].ravel()] = True
    return mask


def _read_images(read: Read, n: int) -> Iterator[np.ndarray]:
    """The next `n` images as rows by columns, in blocks."""
    for at in range(0, n, ROWS_AT_ONCE):
        block = np.frombuffer(read(IMAGE * min(ROWS_AT_ONCE, n - at)), np.uint8)
        yield block.reshape(-1, 3, 96, 96).transpose(0, 1, 3, 2)


def _read_folds(text: bytes, n: int, path: Path) -> np.ndarray:
    try:
        lines = [[int(i) for i in line.split()] for line in text.splitlines() if line.strip()]
    except ValueError as error:
        raise FormatError(f"{path}: fold_indices.txt: {error}") from error
    lengths = [len(line) for line in lines]
    expected = [n // 5] * FOLDS
    check(lengths == expected, path, f"folds have {lengths} indices, expected {expected}")
    folds = np.array(lines, dtype=np.int32)
    inside = bool((folds >= 0).all() and (folds < n).all())
    check(inside, path, f"fold indices must be 0 to {n - 1}")
    return folds


SET = DataSet(
    name="stl",
    title="STL-10, photographs 96x96",
    samples={"train": 5000, "test": 8000, "unlabeled": 100000},
    terms="none stated",
    cite="Coates, Lee, Ng 2011",
    sources=(
        DownloadSourceFile(
            "stl10_binary.tar.gz",
            base_url=("https://cs.stanford.edu/~acoates/stl10/", "http://ai.stanford.edu/~acoates/stl10/"),
            size=2640397119,
            sha256="f31fd99273a1acb8609c8db427cebb1de3f71de77758cdc0e22956e1289b9866",
        ),
    ),
    convert=convert,
    class_names=("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"),
)


class STL:
    """STL-10, images (n, 3, 96, 96), fetched when it is first opened.

    There are 5000 training and 8000 test samples, with the arrays of `MNIST`; 100000 images without labels, `unl_X_u8`
    uint8; `tr_folds` int32 (10, 1000), the ten folds, which overlap, as row numbers of the 5000; and `class_names`.

    Parameters
    ----------
    n_val_folds : int or None
        The rows in any of the last folds, this many, are for validation, the others for training, both in the order of
        the file; 0 or None for no validation. With 2 folds or more these are read into memory, 138 MB, since they are
        no slices of a file.
    val_lower : float
        The value of a pixel 0.
    val_upper : float
        The value of a pixel 255.

    Raises
    ------
    ValueError
        If `n_val_folds` is negative or more than there are.
    DatasetError
        If the set can't be fetched.
    """

    dataset = SET

    def __init__(self, n_val_folds: int | None = DEFAULT_FOLDS, val_lower: float = 0.0, val_upper: float = 1.0) -> None:
        last = fold_count(n_val_folds)  # before any download
        arrays = self.dataset.arrays()
        self.tr_folds = arrays["folds"]
        self.class_names = self.dataset.names()
        X, y, is_val = arrays["train_X"], arrays["train_y"], in_last_folds(self.tr_folds, last)
        if last == DEFAULT_FOLDS:
            self.train_X_u8, self.val_X_u8 = arrays["split_train_X"], arrays["split_val_X"]
        else:
            self.train_X_u8, self.val_X_u8 = _rows(X, ~is_val), _rows(X, is_val)
        self.train_y, self.val_y = _rows(y, ~is_val), _rows(y, is_val)
        self.test_X_u8, self.test_y = arrays["test_X"], arrays["test_y"]
        self.unl_X_u8 = arrays["unlabeled_X"]
        self.train_X = ImageArrayUInt8ToFloat32(self.train_X_u8, val_lower, val_upper)
        self.val_X = ImageArrayUInt8ToFloat32(self.val_X_u8, val_lower, val_upper)
        self.test_X = ImageArrayUInt8ToFloat32(self.test_X_u8, val_lower, val_upper)


def fold_count(n_val_folds: int | None) -> int:
    """`n_val_folds` as a number; None means 0. Raises `ValueError` if there are fewer folds.

    >>> fold_count(None)
    0
    """
    count = 0 if n_val_folds is None else operator.index(n_val_folds)
    if not 0 <= count <= FOLDS:
        raise ValueError(f"n_val_folds must be from 0 to {FOLDS}, got {n_val_folds}")
    return count


def _rows(array: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The rows that `mask` selects, read-only. If these are all or none, nothing is read."""
    if mask.all() or not mask.any():
        return array if mask.any() else array[:0]
    chosen: np.ndarray = array[mask]
    chosen.flags.writeable = False
    return chosen


delete_cache = SET.delete
