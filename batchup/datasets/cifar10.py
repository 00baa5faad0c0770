"""CIFAR-10: photographs of ten kinds of things (Krizhevsky 2009). For the format see `cifar`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from batchup.datasets import cifar
from batchup.datasets.dataset import DownloadSourceFile
from batchup.datasets.formats import checked_labels, tar_members, write_lines, write_npy
from batchup.datasets.images import SplitImages
from batchup.datasets.standard import DataSet

__all__ = ["CIFAR10", "delete_cache"]

BATCHES = {
    "train": [f"cifar-10-batches-bin/data_batch_{i}.bin" for i in range(1, 6)],
    "test": ["cifar-10-batches-bin/test_batch.bin"],
}
NAMES = "cifar-10-batches-bin/batches.meta.txt"


def convert(source_paths: Sequence[Path], folder: Path, samples: Mapping[str, int]) -> None:
    """Write `train_X`, `train_y`, `test_X`, `test_y` and `class_names.txt`."""
    (path,) = source_paths
    in_each = {name: samples[part] // len(names) for part, names in BATCHES.items() for name in names}
    sizes = {name: n * (1 + cifar.PIXELS) for name, n in in_each.items()}
    # The archive is not in order.
    data = {name: read() for name, read in tar_members(path, {**sizes, NAMES: None})}
    write_lines(folder / "class_names.txt", cifar.split_names(data[NAMES], 10, path))
    for part, names in BATCHES.items():
        batches = [cifar.split_records(data[name], in_each[name], 1, path) for name in names]
        n = samples[part]
        write_npy(folder / f"{part}_X.npy", (n, 3, 32, 32), np.uint8, (X for X, _ in batches))
        labels = (checked_labels(y[:, 0], 10, path) for _, y in batches)
        write_npy(folder / f"{part}_y.npy", (n,), np.int32, labels)


SET = DataSet(
    name="cifar10",
    title="CIFAR-10, photographs 32x32",
    samples={"train": 50000, "test": 10000},
    terms="none stated",
    cite="Krizhevsky 2009",
    sources=(
        DownloadSourceFile(
            "cifar-10-binary.tar.gz",
            base_url=cifar.BASE_URLS,
            size=170052171,
            sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        ),
    ),
    convert=convert,
)


class CIFAR10(SplitImages):
    """50000 images to train with and 10000 to test, (n, 3, 32, 32), fetched when they are first opened.

    `train_X`, `val_X` and `test_X` are float32 from `val_lower` to `val_upper`, converted when they are read.
    `train_X_u8`, `val_X_u8` and `test_X_u8` are the stored uint8. `train_y`, `val_y` and `test_y` are int32 labels from
    0. All but the float32 are read-only memory maps. `class_names` are the names of the labels.

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


delete_cache = SET.delete
