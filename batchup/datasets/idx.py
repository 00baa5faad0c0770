"""IDX files, and the sets that are made of four of them: MNIST and Fashion-MNIST.

The format (MNIST's own page, "File formats"): big-endian; for images the magic 0x00000803,
the count, rows and columns as 32-bit integers and then the bytes row by row; for labels the
magic 0x00000801, the count and then the bytes.
"""

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from batchup.datasets.dataset import DownloadSourceFile
from batchup.datasets.formats import check, checked_labels, reading, write_npy

FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


def sources(base_urls: Sequence[str], sizes_and_hashes: Sequence[tuple[int, str]]) -> tuple[DownloadSourceFile, ...]:
    """The four files, with these sizes and hashes, in the order of `FILES`."""
    return tuple(
        DownloadSourceFile(name, base_url=base_urls, size=size, sha256=sha256)
        for name, (size, sha256) in zip(FILES, sizes_and_hashes, strict=True)
    )


def read_idx(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The uint8 array in a gzipped IDX file. Raises `FormatError` if it has another shape."""
    with reading(path), gzip.open(path, "rb") as file:
        data = file.read()
    header = 4 * (1 + len(shape))
    check(len(data) >= header, path, f"{len(data)} bytes are too few for a header of {header}")
    magic, *found = np.frombuffer(data, ">u4", 1 + len(shape)).tolist()
    expected = 0x0800 + len(shape)
    check(magic == expected, path, f"magic is {magic:#010x}, expected {expected:#010x}")
    check(tuple(found) == shape, path, f"shape is {tuple(found)}, expected {shape}")
    wanted = header + int(np.prod(shape))
    check(len(data) == wanted, path, f"{len(data)} bytes unpacked, expected {wanted}")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def convert(source_paths: Sequence[Path], folder: Path, samples: Mapping[str, int]) -> None:
    """Write `train_X`, `train_y`, `test_X`, `test_y` from the files in the order of `FILES`."""
    train_images, train_labels, test_images, test_labels = source_paths
    parts = {"train": (train_images, train_labels), "test": (test_images, test_labels)}
    for part, (images, labels) in parts.items():
        n = samples[part]
        X = read_idx(images, (n, 28, 28))
        y = checked_labels(read_idx(labels, (n,)), 10, labels)
        write_npy(folder / f"{part}_X.npy", (n, 1, 28, 28), np.uint8, [X[:, None]])
        write_npy(folder / f"{part}_y.npy", (n,), np.int32, [y])
