"""Handwritten digits, 1797 images of 8x8, that come with the package: no download.

They are the test set of *Optical Recognition of Handwritten Digits*, E. Alpaydin and C. Kaynak (1998),
UCI Machine Learning Repository, https://doi.org/10.24432/C50P49, licensed CC BY 4.0
(https://creativecommons.org/licenses/by/4.0/), as scikit-learn distributes it. Each pixel counts the
ink in a 4x4 square of a 32x32 bitmap, hence 0 to 16. `DIGITS.md`, beside this module, has the whole
citation and how `digits.npz` was made.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.core.checks import describe, whole_number
from batchup.datasets.standard import DataSet

__all__ = ["Digits"]

_MAX_PIXEL = 16

SET = DataSet(
    "digits",
    "Digits, handwritten digits 8x8",
    samples={"train": 1437, "test": 360},
    terms="CC BY 4.0",
    cite="Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits, doi 10.24432/C50P49",
    white=float(_MAX_PIXEL),
    packaged=Path(__file__).with_name("digits.npz"),
)


class Digits:
    """1797 handwritten digits, which come with the package.

    The last 360 are the test set. The samples are not shuffled: neighbours in the file are similar, and the test set is
    harder than the validation set.

    * `train_X`, `val_X`, `test_X`: float32 (n, 1, 8, 8), from `val_lower` to `val_upper`
    * `train_y`, `val_y`, `test_y`: int32 (n,), the digits 0 to 9
    * `train_X_u8`, `val_X_u8`, `test_X_u8`: uint8 (n, 1, 8, 8), the pixels as stored, 0 to 16

    Parameters
    ----------
    n_val : int or None
        The number of validation samples, the last ones of the training set; 0 or None for none.
    val_lower : float
        The value of paper.
    val_upper : float
        The value of ink.

    Raises
    ------
    ValueError
        If `n_val` is negative or more than there are, and for bounds that are not finite.
    TypeError
        If an argument is no number.

    Examples
    --------
    >>> digits = Digits()
    >>> digits.train_X.shape, digits.val_X.shape, digits.test_X.shape
    ((1140, 1, 8, 8), (297, 1, 8, 8), (360, 1, 8, 8))
    >>> int(digits.train_y[0]), digits.train_X_u8[0, 0, :3]
    (0, array([[ 0,  0,  5, 13,  9,  1,  0,  0],
           [ 0,  0, 13, 15, 10, 15,  5,  0],
           [ 0,  3, 15,  2,  0, 11,  8,  0]], dtype=uint8))
    >>> digits.train_X[0, 0, 0, :4]
    array([0.    , 0.    , 0.3125, 0.8125], dtype=float32)
    """

    train_X: NDArray[np.float32]
    val_X: NDArray[np.float32]
    test_X: NDArray[np.float32]
    train_y: NDArray[np.int32]
    val_y: NDArray[np.int32]
    test_y: NDArray[np.int32]
    train_X_u8: NDArray[np.uint8]
    val_X_u8: NDArray[np.uint8]
    test_X_u8: NDArray[np.uint8]

    def __init__(self, n_val: int | None = 297, val_lower: float = 0.0, val_upper: float = 1.0):
        n_val = 0 if n_val is None else whole_number(n_val, "Digits: n_val")
        lower = _finite(val_lower, "Digits: val_lower")
        upper = _finite(val_upper, "Digits: val_upper")
        stored = SET.arrays()
        images = np.concatenate([stored["train_X"], stored["test_X"]])
        labels = np.concatenate([stored["train_y"], stored["test_y"]]).astype(np.int32)
        n_others = len(stored["train_X"])
        if n_val > n_others:
            raise ValueError(
                f"Digits: n_val: expected at most {n_others}, as many images as there are beside the "
                f"{len(stored['test_X'])} of the test set; got {n_val}"
            )
        pixels = images.astype(np.float32)
        pixels *= np.float32((upper - lower) / _MAX_PIXEL)
        pixels += np.float32(lower)
        ends = [n_others - n_val, n_others]
        # Copies, so that each array owns its memory, and none keeps the others alive.
        self.train_X, self.val_X, self.test_X = map(np.copy, np.split(pixels, ends))
        self.train_y, self.val_y, self.test_y = map(np.copy, np.split(labels, ends))
        self.train_X_u8, self.val_X_u8, self.test_X_u8 = map(np.copy, np.split(images, ends))

    def __repr__(self) -> str:
        arrays = ("train_X", "val_X", "test_X")
        return f"Digits({', '.join(f'{name}={describe(getattr(self, name))}' for name in arrays)})"


def _finite(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{where}: expected a number; got {describe(value)}")
    if not math.isfinite(value):
        raise ValueError(f"{where}: expected a finite number; got {value}")
    return float(value)
