"""Measure how fast windows are read from storage that takes long for each request.

    python benchmarks/remote.py [--quick] [--rounds N] [--json results.json]

19200 x 3 x 64 x 64 uint8 in a zarr store on disk, in chunks of 32, whose requests take 30 and 5 ms each by
`zarr.testing.store.LatencyStore`; in windows of 20 chunks and batches of 64. Prints samples a second: of one request at a
time, as it was without `reads`; of all of a window at once; and of the same in a pool of two threads. Beside them
insitubatch with 32 requests in flight, which reads the same windows of chunks, in an order of its own.

Needs zarr. insitubatch, which needs Python 3.12, is left out if it isn't installed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import zarr
from arrays import conclude, machine, options, target, told
from zarr.storage import LocalStore
from zarr.testing.store import LatencyStore

from batchup import ops
from batchup.work_pool import WorkerThreadPool

try:
    import insitubatch
except ImportError:
    insitubatch = None

CHUNK, WINDOW, BATCH = 32, 20, 64


def slow_store(folder: str, latency: float) -> Any:
    return LatencyStore(LocalStore(folder, read_only=True), get_latency=latency)


def others(store: Any) -> Iterator[Any]:
    geometries = insitubatch.open_geometries(store, variables=["X"])
    whole = insitubatch.split_by_chunk(geometries["X"], fractions=(1.0, 0.0, 0.0))
    source = insitubatch.InSituDataset(
        store, whole, geometries=geometries, batch_size=BATCH, block_chunks=WINDOW, max_inflight=32
    )
    for batch in source.train:
        yield (batch.arrays["X"],)


def batches(array: Any, reads: int | None = None, pool: Any = None) -> Iterator[Any]:
    windows = ops.indices(array.shape[0]) | ops.mix(7, chunks=CHUNK, window=WINDOW) | ops.gather(array, reads=reads)
    if pool is not None:
        windows |= ops.parallel(pool, buffer=2)
    return iter(windows | ops.rebatch(BATCH))


def rate(make: Callable[[], Iterator[Any]]) -> float:
    start = perf_counter()
    samples = sum(len(batch) for (batch,) in make())
    return samples / (perf_counter() - start)


def main() -> None:
    arguments = options(__doc__, rounds=5).parse_args()
    rounds = 1 if arguments.quick else arguments.rounds
    n = 1280 if arguments.quick else 19200
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    rows, targets = [], []
    with tempfile.TemporaryDirectory() as folder, WorkerThreadPool(2) as pool:
        zarr.create_group(folder)
        made = zarr.create_array(folder, name="X", shape=(n, 3, 64, 64), chunks=(CHUNK, 3, 64, 64), dtype="uint8")
        made[:] = np.random.default_rng(0).integers(0, 256, made.shape, np.uint8)
        for ms, bound in ((30, 10.0), (5, 3.0)):
            store = slow_store(folder, ms / 1e3)
            array = zarr.open_array(store, path="X", mode="r")
            ways = {
                "one request at a time": lambda array=array: batches(array, reads=1),
                "BatchUp": lambda array=array: batches(array),
                "BatchUp, 2 threads": lambda array=array: batches(array, pool=pool),
            }
            if insitubatch is not None:
                ways["insitubatch, 32 requests"] = lambda store=store: others(store)
            found: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(rounds):
                for name, make in ways.items():
                    found[name].append(rate(make))
            for name, each in found.items():
                print(f"  {ms:3} ms  {name:24} {median(each):10.0f} samples a second")
                rows.append({"case": f"{ms} ms", "contender": name, "samples_a_second": median(each)})
            gains = [a / b for a, b in zip(found["BatchUp"], found["one request at a time"], strict=True)]
            targets.append(target(f"{ms} ms, times one request at a time", median(gains), bound, least=True))
            if ms == 30:
                with_threads = median(found["BatchUp, 2 threads"])
                targets.append(target("30 ms, 2 threads, samples a second", with_threads, 18_000, least=True))
    conclude(arguments, rows, targets, told)


if __name__ == "__main__":
    main()
