"""Measure how long a pool takes to see that arrays have not changed, when an iteration begins.

    python benchmarks/changes.py [--quick] [--rounds 5] [--json results.json]

Prints the seconds a GB until `iter(stream)` returns, medians over the rounds. A process pool compares the arrays with
its copies, and copies those that differ. Shared arrays are neither compared nor copied. An executor of processes
computes a hash, and copies the arrays if it differs; Dask and Ray do the same.
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from arrays import conclude, machine, options

from batchup import ops, work_pool

GB = 10**9


def seconds_a_gb(pool: Any, array: np.ndarray, rounds: int) -> dict[str, float]:
    """Return the seconds a GB until an iteration begins: of an array that has not changed since the last one, and of one
    that has.
    """
    stream = ops.indices(len(array)) | ops.chunk(10) | ops.gather(array) | ops.parallel(pool, buffer=1)
    next(iter(stream))
    times: dict[str, list[float]] = {"unchanged": [], "changed": []}
    for _ in range(rounds):
        for kind, seen in times.items():
            array[-1] += kind == "changed"
            start = perf_counter()
            items = iter(stream)
            seen.append(perf_counter() - start)
            items.close()
    return {kind: median(seen) * GB / array.nbytes for kind, seen in times.items()}


def main() -> None:
    parser = options(__doc__, rounds=5)
    arguments = parser.parse_args()
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    array = np.ones((1000 if arguments.quick else 250_000, 1000), np.float32)
    rounds = 1 if arguments.quick else arguments.rounds
    rows: list[dict[str, Any]] = []
    with (
        work_pool.WorkerProcessPool(2) as processes,
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor,
    ):
        for name, pool, given in (
            ("WorkerProcessPool", processes, array),
            ("WorkerProcessPool, share(array)", processes, work_pool.share(array)),
            ("ExecutorPool", work_pool.ExecutorPool(executor), array),
        ):
            for kind, seconds in seconds_a_gb(pool, given, rounds).items():
                rows.append({"pool": name, "array": kind, "seconds_a_gb": round(seconds, 4)})
                print(f"  {name:32} {kind:10} {seconds:8.3f} s a GB", flush=True)
    conclude(arguments, rows, [], str)


if __name__ == "__main__":
    main()
