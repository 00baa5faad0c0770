"""The arrays of image sets: training, validation and test."""

import operator
from typing import ClassVar

from batchup.datasets.standard import DataSet
from batchup.image.utils import ImageArrayUInt8ToFloat32


def validation_start(n: int, n_val: int | None) -> int:
    """The first row for validation, which has the last `n_val` of `n` rows; None means 0.

    Raises `ValueError` if `n_val` is negative or above `n`.

    >>> validation_start(60000, 10000), validation_start(60000, None)
    (50000, 60000)
    >>> validation_start(60000, 60001)
    Traceback (most recent call last):
    ...
    ValueError: n_val must be from 0 to 60000, the number of training samples, got 60001
    """
    count = 0 if n_val is None else operator.index(n_val)
    if not 0 <= count <= n:
        raise ValueError(f"n_val must be from 0 to {n}, the number of training samples, got {n_val}")
    return n - count


class SplitImages:
    """Images in training, validation and test parts, `(n, c, h, w)`.

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

    dataset: ClassVar[DataSet]

    def __init__(self, n_val: int | None = 10000, val_lower: float = 0.0, val_upper: float = 1.0) -> None:
        at = validation_start(self.dataset.samples["train"], n_val)  # before any download
        arrays = self.dataset.arrays()
        self.train_X_u8, self.val_X_u8 = arrays["train_X"][:at], arrays["train_X"][at:]
        self.train_y, self.val_y = arrays["train_y"][:at], arrays["train_y"][at:]
        self.test_X_u8, self.test_y = arrays["test_X"], arrays["test_y"]
        self.train_X = ImageArrayUInt8ToFloat32(self.train_X_u8, val_lower, val_upper)
        self.val_X = ImageArrayUInt8ToFloat32(self.val_X_u8, val_lower, val_upper)
        self.test_X = ImageArrayUInt8ToFloat32(self.test_X_u8, val_lower, val_upper)
        self.class_names = self.dataset.names()
