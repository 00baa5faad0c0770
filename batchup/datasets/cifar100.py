"""CIFAR-100: photographs of a hundred kinds (Krizhevsky 2009). For the format see `cifar`.

Each record has two labels, the coarse and then the fine one.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from batchup.datasets import cifar
from batchup.datasets.dataset import DownloadSourceFile
from batchup.datasets.formats import check, checked_labels, tar_members, write_lines, write_npy
from batchup.datasets.images import SplitImages
from batchup.datasets.standard import DataSet

__all__ = ["CIFAR100", "delete_cache"]

FOLDER = "cifar-100-binary"
NAMES = {"class_names": ("fine_label_names.txt", 100), "class_names_coarse": ("coarse_label_names.txt", 20)}

# fmt: off
COARSE_OF_FINE = np.array([
    4, 1, 14, 8, 0, 6, 7, 7, 18, 3, 3, 14, 9, 18, 7, 11, 3, 9, 7, 11,
    6, 11, 5, 10, 7, 6, 13, 15, 3, 15, 0, 11, 1, 10, 12, 14, 16, 9, 11, 5,
    5, 19, 8, 8, 15, 13, 14, 17, 18, 10, 16, 4, 17, 4, 2, 0, 17, 4, 18, 17,
    10, 3, 2, 12, 12, 16, 12, 1, 9, 19, 2, 10, 0, 1, 16, 12, 9, 13, 15, 13,
    16, 19, 2, 4, 6, 19, 5, 5, 8, 19, 18, 1, 2, 15, 6, 0, 17, 8, 14, 13,
])
# fmt: on


def convert(source_paths: Sequence[Path], folder: Path, samples: Mapping[str, int]) -> None:
    """Write `<part>_X`, `<part>_y`, `<part>_y_coarse` for train and test, and the names."""
    (path,) = source_paths
    sizes: dict[str, int | None] = {f"{FOLDER}/{file}": None for file, _ in NAMES.values()}
    sizes |= {f"{FOLDER}/{part}.bin": n * (2 + cifar.PIXELS) for part, n in samples.items()}
    data = {name: read() for name, read in tar_members(path, sizes)}
    for target, (file, classes) in NAMES.items():
        names = cifar.split_names(data[f"{FOLDER}/{file}"], classes, path)
        write_lines(folder / f"{target}.txt", names)
    for part, n in samples.items():
        images, labels = cifar.split_records(data[f"{FOLDER}/{part}.bin"], n, 2, path)
        coarse, fine = (checked_labels(labels[:, 0], 20, path), checked_labels(labels[:, 1], 100, path))
        # If pixels were read from one byte too early, every image would be shifted by one pixel, which is hard to see.
        # So the labels are checked: all classes have as many images.
        even = bool((np.bincount(fine, minlength=100) == n // 100).all())
        check(even, path, f"{part}.bin must have {n // 100} images of every fine class")
        agree = np.array_equal(COARSE_OF_FINE[fine], coarse)
        check(agree, path, f"{part}.bin has coarse labels that don't belong to the fine ones")
        write_npy(folder / f"{part}_X.npy", (n, 3, 32, 32), np.uint8, [images])
        write_npy(folder / f"{part}_y.npy", (n,), np.int32, [fine])
        write_npy(folder / f"{part}_y_coarse.npy", (n,), np.int32, [coarse])


SET = DataSet(
    name="cifar100",
    title="CIFAR-100, photographs 32x32",
    samples={"train": 50000, "test": 10000},
    terms="none stated",
    cite="Krizhevsky 2009",
    sources=(
        DownloadSourceFile(
            "cifar-100-binary.tar.gz",
            base_url=cifar.BASE_URLS,
            size=168513733,
            sha256="58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
        ),
    ),
    convert=convert,
)


class CIFAR100(SplitImages):
    """50000 images to train with and 10000 to test, (n, 3, 32, 32), fetched when they are first opened.

    `train_X`, `val_X` and `test_X` are float32 from `val_lower` to `val_upper`, converted when they are read.
    `train_X_u8`, `val_X_u8` and `test_X_u8` are the stored uint8. `train_y`, `val_y` and `test_y` are int32 labels from
    0. All but the float32 are read-only memory maps. `class_names` are the names of the labels. `train_y_coarse`,
    `val_y_coarse` and `test_y_coarse` are int32 labels of 20 coarse classes, each of five of the 100, and
    `class_names_coarse` their names.

    Parameters
    ----------
    n_val : int or None
        The number of validation samples, the last ones of the training set; 0 or None for none.
    val_lower : float
        The value of a pixel 0.
    val_upper : float
        The value of a pixel 255.

    Raises
    ------
    ValueError
        If `n_val` is negative or above the number of training samples.
    DatasetError
        If the set can't be fetched.
    """

    dataset = SET

    def __init__(self, n_val: int | None = 10000, val_lower: float = 0.0, val_upper: float = 1.0) -> None:
        super().__init__(n_val, val_lower, val_upper)
        arrays, at = self.dataset.arrays(), len(self.train_y)
        coarse = arrays["train_y_coarse"]
        self.train_y_coarse, self.val_y_coarse = coarse[:at], coarse[at:]
        self.test_y_coarse = arrays["test_y_coarse"]
        self.class_names_coarse = self.dataset.names("class_names_coarse")


delete_cache = SET.delete
