"""An augmentation written in plain Python, in two processes.

    python examples/augment_processes.py

Python code runs in one thread at a time, but in several processes at once. The function may be a lambda or a closure, as
here. A random function takes `rng`, and gives the same for any number of processes, and something new in each epoch.
"""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup import work_pool
from batchup.data_source import ArrayDataSource

Array = NDArray[Any]


def make_cutout(size: int) -> Callable[..., tuple[Array, ...]]:
    """A function that blanks a square of each image, at a place of its own."""

    def cutout(images: Array, labels: Array, rng: np.random.Generator) -> tuple[Array, ...]:
        images = images.copy()
        for image in images:  # plain Python: a loop over the samples
            top, left = rng.integers(0, 28 - size, 2)
            image[top : top + size, left : left + size] = 0
        return images, labels, np.full(len(labels), os.getpid())

    return cutout


def main() -> None:
    rng = np.random.default_rng(12345)
    X = rng.integers(1, 256, (2000, 28, 28), dtype=np.uint8)
    y = rng.integers(0, 10, 2000)
    source = ArrayDataSource([X, y]).map(make_cutout(8), rng=12345)

    with work_pool.WorkerProcessPool(processes=2) as pool:
        # One loader for all epochs: the workers live on, and have the arrays already.
        serial = source.loader(64, shuffle=12345)
        parallel = source.loader(64, shuffle=12345, pool=pool, buffer=8)
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
