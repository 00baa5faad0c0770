"""An augmentation written in plain Python, in two processes.

    python examples/augment_processes.py

Python code runs in one thread at a time; processes run it side by side. The function may be a lambda or
a closure, as here. A random one takes `rng`, and gives the same whatever the number of processes.
"""

import os

import numpy as np

from batchup import ops, work_pool


def make_cutout(size):
    """A function that blanks a square of each image, at a place of its own."""

    def cutout(images, labels, rng):
        images = images.copy()
        for image in images:  # plain Python: a loop over the samples
            top, left = rng.integers(0, 28 - size, 2)
            image[top : top + size, left : left + size] = 0
        return images, labels, np.full(len(labels), os.getpid())

    return cutout


def main():
    rng = np.random.default_rng(12345)
    X = rng.integers(1, 256, (2000, 28, 28), dtype=np.uint8)
    y = rng.integers(0, 10, 2000)
    batches = (
        ops.indices(len(X))
        | ops.shuffle(12345)
        | ops.chunk(64)
        | ops.gather(X, y)
        | ops.map(make_cutout(8), rng=12345)
    )

    with work_pool.WorkerProcessPool(processes=2) as pool:
        for epoch in range(2):  # the workers live on
            workers = set()
            parallel = batches | ops.parallel(pool, buffer=8)
            for (images, labels, _), (augmented, same_labels, where) in zip(
                batches, parallel, strict=True
            ):
                assert (images == augmented).all()  # bit for bit
                assert (labels == same_labels).all()
                assert ((augmented == 0).sum(axis=(1, 2)) == 8 * 8).all()
                workers |= set(where.tolist())
            print(f"epoch {epoch}: {len(batches)} batches by {len(workers)} other processes")
            assert os.getpid() not in workers
    print("the same batches as without processes")


if __name__ == "__main__":
    main()
