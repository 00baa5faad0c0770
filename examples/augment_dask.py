"""The same pipeline, its work done on a Dask cluster.

    python examples/augment_dask.py

Needs `pip install batchup[dask]`. Here the cluster is two processes on this machine; give `Client` the
address of the scheduler for one that spans many.
"""

import os
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup import ops, work_pool

try:
    from distributed import Client, LocalCluster
except ImportError:
    sys.exit("This example needs Dask: pip install batchup[dask]")


def smooth(images: NDArray[Any], labels: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """Each image blurred by its neighbours, and the process that did it."""
    images = images.astype(np.float32)
    shifted = [np.roll(images, shift, axis) for shift in (-1, 1) for axis in (1, 2)]
    return np.mean(shifted, axis=0), labels, np.full(len(labels), os.getpid())


def main() -> None:
    rng = np.random.default_rng(12345)
    X = rng.integers(0, 256, (1000, 28, 28), dtype=np.uint8)
    y = rng.integers(0, 10, 1000)
    batches = ops.indices(len(X)) | ops.shuffle(12345) | ops.chunk(64) | ops.gather(X, y) | ops.map(smooth)

    # None means no dashboard; the type annotation of Dask doesn't allow it.
    options: dict[str, Any] = {"dashboard_address": None, "silence_logs": 50}
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, **options)
    with cluster, Client(cluster) as client:
        parallel = batches | ops.parallel(work_pool.DaskPool(client), buffer=8)
        workers: set[int] = set()
        for here, there in zip(batches, parallel, strict=True):
            assert (here[0] == there[0]).all()  # bit for bit
            assert (here[1] == there[1]).all()
            workers |= set(there[2].tolist())
        assert os.getpid() not in workers
        print(f"{len(batches)} batches by {len(workers)} workers of the cluster, the same as without it")


if __name__ == "__main__":
    main()
