"""What CIFAR-10 and CIFAR-100 share: hosts, records and the lists of class names.

The format (https://www.cs.toronto.edu/~kriz/cifar.html, "Binary version"): records of one
label byte a labelling, then 3072 bytes of red, green and blue, each row by row. The binary
archive is used, and not the Python one, so that nothing is unpickled.
"""

from pathlib import Path

import numpy as np

from batchup.datasets.formats import check, reading

BASE_URLS = ("https://cave.cs.toronto.edu/kriz/", "https://www.cs.toronto.edu/~kriz/")
PIXELS = 3072


def split_records(data: bytes, n: int, labellings: int, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The images (n, 3, 32, 32) and labels (n, labellings) of n records, as uint8."""
    wanted = n * (labellings + PIXELS)
    check(len(data) == wanted, path, f"{len(data)} bytes of {n} records, expected {wanted}")
    records = np.frombuffer(data, np.uint8).reshape(n, labellings + PIXELS)
    return records[:, labellings:].reshape(n, 3, 32, 32), records[:, :labellings]


def split_names(data: bytes, classes: int, path: Path) -> list[str]:
    """The class names in a text file, a line each; it may end in blank lines."""
    with reading(path):
        names = [line.strip() for line in data.decode("utf-8").splitlines() if line.strip()]
    check(len(names) == classes, path, f"names {len(names)} classes, expected {classes}")
    return names
