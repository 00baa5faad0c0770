"""An augmentation of one image at a time, written in plain Python, in two processes.

    python examples/augment_processes.py

Python code runs in one thread at a time, but in several processes at once. The function may be a lambda or a closure, as
here. A random function takes `rng`, and gives the same for any number of processes, and something new in each epoch.
"""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.data_source import ArrayDataSource

Array = NDArray[Any]


def make_cutout(size: int) -> Callable[..., tuple[Array, int, int]]:
    """A function that blanks a square of an image, at a random place."""

    def cutout(image: Array, label: int, rng: np.random.Generator) -> tuple[Array, int, int]:
        top, left = rng.integers(0, 28 - size, 2)
        image[top : top + size, left : left + size] = 0
        return image, label, os.getpid()

    return cutout


def main() -> None:
    rng = np.random.default_rng(12345)
    X = rng.integers(1, 256, (2000, 28, 28), dtype=np.uint8)
    y = rng.integers(0, 10, 2000)
    source = ArrayDataSource([X, y]).map_samples(make_cutout(8), rng=12345)

    serial = source.loader(64, shuffle=12345)
    # One loader for all epochs: the workers live on, and have the arrays already.
    with source.loader(64, shuffle=12345, workers=2, buffer=8) as parallel:
        holes: list[Array] = []
        for epoch in range(2):
            workers: set[int] = set()
            augmented = X
            for (images, labels, _), (augmented, same_labels, where) in zip(serial, parallel, strict=True):
                assert (images == augmented).all()  # bit for bit
                assert (labels == same_labels).all()
                assert ((augmented == 0).sum(axis=(1, 2)) == 8 * 8).all()
                workers |= set(where.tolist())
            print(f"epoch {epoch}: {len(parallel)} batches by {len(workers)} other processes")
            assert os.getpid() not in workers
            holes.append(augmented[0] == 0)
    assert (holes[0] != holes[1]).any()
    print("the same batches as without processes, and other holes in each epoch")


if __name__ == "__main__":
    main()
