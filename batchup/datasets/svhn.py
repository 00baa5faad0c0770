"""SVHN: street view house numbers (Netzer et al. 2011), for non-commercial use.

The files (the data set's own page, "Format 2"): MATLAB v5 with `X` uint8 (h, w, c, n) and
`y` (n, 1), where the label 10 means the digit 0. Reading them takes SciPy: `batchup[svhn]`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from batchup.datasets.dataset import DownloadSourceFile
from batchup.datasets.errors import FormatError
from batchup.datasets.formats import check, checked_labels, reading, write_npy
from batchup.datasets.images import SplitImages
from batchup.datasets.standard import DataSet
from batchup.image.utils import ImageArrayUInt8ToFloat32

__all__ = ["SVHN", "SVHNExtra", "delete_cache"]

ROWS_AT_ONCE = 4096


def convert(source_paths: Sequence[Path], folder: Path, samples: Mapping[str, int]) -> None:
    """Write the arrays of each part, from one file each: `<part>_X` and `<part>_y`."""
    for (part, n), path in zip(samples.items(), source_paths, strict=True):
        images, labels = read_mat(path, n)
        blocks = (images[..., at : at + ROWS_AT_ONCE].transpose(3, 2, 0, 1) for at in range(0, n, ROWS_AT_ONCE))
        write_npy(folder / f"{part}_X.npy", (n, 3, 32, 32), np.uint8, blocks)
        write_npy(folder / f"{part}_y.npy", (n,), np.int32, [labels])


def read_mat(path: Path, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The images as stored (32, 32, 3, n), and the labels as digits: int32 (n,)."""
    from scipy.io import loadmat  # type: ignore[import-untyped]
    from scipy.io.matlab import MatReadError  # type: ignore[import-untyped]

    try:
        with reading(path):
            found = loadmat(path, variable_names=["X", "y"])
    except (MatReadError, ValueError, TypeError, NotImplementedError) as error:
        raise FormatError(f"{path}: {error}") from error
    for name, shape in (("X", (32, 32, 3, n)), ("y", (n, 1))):
        check(name in found, path, f"has no variable {name}")
        got = found[name].shape
        check(got == shape, path, f"{name} has shape {got}, expected {shape}")
    check(found["X"].dtype == np.uint8, path, f"X is {found['X'].dtype}, expected uint8")
    labels = checked_labels(found["y"][:, 0].astype(np.int64), 10, path, first=1) + 1
    return found["X"], labels % 10


def _files(**sizes_and_hashes: tuple[int, str]) -> tuple[DownloadSourceFile, ...]:
    # http, which is safe because the hash is pinned
    return tuple(
        DownloadSourceFile(
            f"{part}_32x32.mat", base_url="http://ufldl.stanford.edu/housenumbers/", size=size, sha256=sha256
        )
        for part, (size, sha256) in sizes_and_hashes.items()
    )


REQUIRES = ("scipy", "pip install 'batchup[svhn]'")

SET = DataSet(
    name="svhn",
    title="SVHN, house numbers 32x32",
    samples={"train": 73257, "test": 26032},
    terms="non-commercial use",
    cite="Netzer et al. 2011",
    sources=_files(
        train=(182040794, "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8"),
        test=(64275384, "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b"),
    ),
    convert=convert,
    requires=REQUIRES,
)

EXTRA = DataSet(
    name="svhn_extra",
    title="SVHN extra, easier house numbers 32x32",
    samples={"extra": 531131},
    terms="non-commercial use",
    cite="Netzer et al. 2011",
    sources=_files(extra=(1329278602, "a133a4beb38a00fcdda90c9489e0c04f900b660ce8a316a5e854838379a71eb3")),
    convert=convert,
    requires=REQUIRES,
)


class SVHN(SplitImages):
    """73257 digits to train with and 26032 to test, images (n, 3, 32, 32), fetched when they are first opened.

    `train_X`, `val_X` and `test_X` are float32 from `val_lower` to `val_upper`, converted when they are read.
    `train_X_u8`, `val_X_u8` and `test_X_u8` are the stored uint8. `train_y`, `val_y` and `test_y` are int32 labels from
    0. All but the float32 are read-only memory maps.

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
    ImportError
        If the set must be converted and SciPy is not installed.
    """

    dataset = SET


class SVHNExtra:
    """SVHN's 531131 extra samples, images (n, 3, 32, 32), fetched when they are first opened.

    `X` is float32, `X_u8` the stored uint8, and `y` int32.

    Parameters
    ----------
    val_lower : float
        The value of a pixel 0.
    val_upper : float
        The value of a pixel 255.

    Raises
    ------
    DatasetError
        If the set can't be fetched.
    ImportError
        If the set must be converted and SciPy is not installed.
    """

    dataset = EXTRA

    def __init__(self, val_lower: float = 0.0, val_upper: float = 1.0) -> None:
        arrays = self.dataset.arrays()
        self.X_u8, self.y = arrays["extra_X"], arrays["extra_y"]
        self.X = ImageArrayUInt8ToFloat32(self.X_u8, val_lower, val_upper)


def delete_cache() -> None:
    """Delete both sets and their downloads; the next `SVHN()` or `SVHNExtra()` fetches them again."""
    SET.delete()
    EXTRA.delete()
