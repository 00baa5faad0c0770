"""Measure what small things cost: short passes, means over batches, and importing the library.

    python benchmarks/overheads.py [--quick] [--rounds N] [--json results.json]

1. `ArrayDataSource([y], repeats=-1)` of 300 samples by 16, over a RandomState, beside a loop that draws an order for each
   pass and joins what is left over.
2. `batch_map_mean` of 20000 x 28 x 28 float32 by 256, for the mean image, beside a loop of slices and sums.
3. `from batchup import ops`, and everything but `datasets` and `hosts`, beyond NumPy, toolz and more-itertools, beside
   `import numpy`; in processes of their own, with compiled files.

The contenders take turns; figures are medians, and ratios medians of those within each round.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from itertools import islice
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from arrays import conclude, machine, options, target, told

from batchup.data_source import ArrayDataSource

IMPORTS = {
    "import batchup": "import batchup",
    "ops": "from batchup import ops",
    "ops, data_source, sampling, work_pool": "from batchup import ops, data_source, sampling, work_pool",
}


def timed(run: Callable[[], Any]) -> float:
    start = perf_counter()
    run()
    return perf_counter() - start


def taking_turns(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in ways}
    for run in ways.values():
        run()  # warms up
    for _ in range(rounds):
        for name, run in ways.items():
            times[name].append(timed(run))
    return times


def short_passes(count: int) -> dict[str, Callable[[], None]]:
    y = np.arange(300)
    endless, rng = ArrayDataSource([y], repeats=-1), np.random.RandomState(1)

    def ours() -> None:
        for _ in islice(endless.batch_iterator(16, shuffle=rng), count):
            pass

    def loop() -> None:
        order = np.empty(0, np.intp)
        for _ in range(count):
            if len(order) < 16:
                order = np.concatenate([order, rng.permutation(300)])
            block, order = order[:16], order[16:]
            np.take(y, block, axis=0)

    return {"loop": loop, "BatchUp": ours}


def means(n: int) -> dict[str, Callable[[], None]]:
    X = np.full((n, 28, 28), 7, np.float32)
    ds = ArrayDataSource([X])

    def loop() -> None:
        total = np.zeros((28, 28))
        for start in range(0, n, 256):
            total += X[start : start + 256].copy().sum(axis=0, dtype=np.float64)
        _ = total / n

    return {"loop": loop, "BatchUp": lambda: ds.batch_map_mean(lambda images: images, 256, sum_axis=0)}


def imports(folder: str) -> dict[str, Callable[[], float]]:
    env = {**os.environ, "PYTHONPYCACHEPREFIX": folder, "PYTHONDONTWRITEBYTECODE": ""}

    def seconds(before: str, statement: str) -> float:
        code = f"import time\n{before}\nstart = time.perf_counter()\n{statement}\nprint(time.perf_counter() - start)"
        return float(subprocess.run([sys.executable, "-c", code], env=env, check=True, capture_output=True).stdout)

    ways = {"import numpy": lambda: seconds("", "import numpy")}
    for name, statement in IMPORTS.items():
        ways[name] = lambda statement=statement: seconds("import numpy, toolz, more_itertools", statement)
    return ways


def main() -> None:
    arguments = options(__doc__, rounds=11).parse_args()
    rounds = 2 if arguments.quick else arguments.rounds
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    rows: list[dict[str, Any]] = []
    targets = []

    def shown(case: str, times: dict[str, list[float]], batches: int) -> dict[str, float]:
        first = next(iter(times.values()))
        found = {}
        for name, each in times.items():
            ratio = median(a / b for a, b in zip(each, first, strict=True))
            found[name] = ratio
            value = median(each) / batches * 1e6
            print(f"  {case:28} {name:40} {value:12.2f} us {ratio:8.3f} x")
            rows.append({"case": case, "contender": name, "us": value, "times_the_first": ratio})
        return found

    count, n = (200, 1000) if arguments.quick else (6250, 20000)
    times = taking_turns(short_passes(count), rounds)
    shown("300 samples by 16, endless", times, count)
    targets.append(target("300 samples by 16, us a batch", median(times["BatchUp"]) / count * 1e6, 2.5))
    found = shown("the mean of 28 x 28 by 256", taking_turns(means(n), rounds), -(-n // 256))
    targets.append(target("the mean of 28 x 28, times a loop", found["BatchUp"], 1.15))
    with tempfile.TemporaryDirectory() as folder:
        ways = imports(folder)
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(rounds + 1):
            for name, run in ways.items():
                own = run()
                if number:  # the first time, files are compiled
                    seconds[name].append(own)
    found = shown("import", seconds, 1)
    targets.append(target("import batchup, times import numpy", found["import batchup"], 0.40))
    conclude(arguments, rows, targets, told)


if __name__ == "__main__":
    main()
