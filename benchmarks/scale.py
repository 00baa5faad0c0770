"""Measure what grows with the number of samples, of workers and of ranks.

    python benchmarks/scale.py [--quick] [--rounds N] [--plot scale.svg] [--json results.json]

Samples are 16 bytes each, in a memory-mapped file that is a hole, so that it takes no room on the disk: 16 GB for 10**9
samples. Batches have 64 samples, read in a shuffled order, of `permute` or `shuffle`. Each measurement runs in a process
of its own, and prints

* the milliseconds from building the stream to its first batch,
* the microseconds a batch, over some hundreds after the first,
* the memory that the process, and its workers, took for it, in MB, without the pages of the file,
* the part of the microseconds that the plan takes, and those of `np.take` of other random samples: from a larger file
  fewer samples are in the caches.

The order of `shuffle` is drawn for the whole pass: 8 bytes a sample, which is why `permute` is there. Nothing else may grow
with the number of samples or ranks. More workers take memory for each, and gain nothing beyond the number of cores.
"""

from __future__ import annotations

import json
import mmap
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from arrays import conclude, machine, options, target, told

from batchup import ops
from batchup.work_pool import WorkerProcessPool

SAMPLES = [10**k for k in range(5, 10)]
SHUFFLED = [10**k for k in range(5, 9)]  # of 10**9 the order takes 8 GB
WORKERS = [1, 2, 4, 8, 16]
RANKS = [1, 4, 16, 64, 256, 1024]
BATCH = 64


# --- in the process that is measured


def memory() -> float:
    """The MB of private memory of this process and its children, without pages of files."""
    own = {os.getpid()}
    for file in Path("/proc/self/task").glob("*/children"):
        own |= set(map(int, file.read_text().split()))
    total = 0
    for pid in own:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        total += sum(int(line.split()[1]) for line in lines if line.startswith(("RssAnon", "RssShmem")))
    return total / 1024


def planned(case: dict[str, Any], n: int) -> Any:
    """The stream of index blocks."""
    stage = ops.permute(7) if case["order"] == "permute" else ops.shuffle(7)
    stream = ops.indices(n) | stage | ops.chunk(BATCH * case["ranks"])
    return stream if case["ranks"] == 1 else stream | ops.shard(case["ranks"] // 2, case["ranks"])


def microseconds(batches: Iterator[Any], most: int) -> float:
    start = perf_counter()
    number = sum(1 for _ in islice(batches, most))
    return (perf_counter() - start) / max(1, number) * 1e6


def measure(case: dict[str, Any]) -> dict[str, float]:
    X = np.memmap(case["file"], np.uint8, "r", shape=(case["samples"], 16))
    X._mmap.madvise(mmap.MADV_RANDOM)  # otherwise the system reads 128 KB of the file for each sample
    reading = ops.gather(X)
    list(ops.indices(1000) | ops.permute(7) | ops.chunk(BATCH) | reading)  # imports what it needs
    pool = WorkerProcessPool(case["workers"]) if case["workers"] else None
    if pool is not None:
        reading |= ops.parallel(pool)
        list(ops.indices(1000) | ops.chunk(1) | reading)  # starts the workers
    before = memory()
    start = perf_counter()
    batches = iter(planned(case, len(X)) | reading)
    next(batches)
    found = {"ms to the first batch": (perf_counter() - start) * 1e3}
    found["us a batch"] = microseconds(batches, case["batches"])
    found["MB"] = memory() - before
    del batches
    blocks = iter(planned(case, len(X)))
    next(blocks)
    found["us to plan it"] = microseconds(blocks, case["batches"])
    rng, plain = np.random.default_rng(1), X.view(np.ndarray)
    others = [rng.integers(0, len(X), BATCH) for _ in range(case["batches"])]
    found["us by np.take"] = microseconds((plain.take(block, 0) for block in others), len(others))
    if pool is not None:
        pool.close()
    return found


# --- in the process that shows the results


def measured(case: dict[str, Any], rounds: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", json.dumps(case)]
    found = [json.loads(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(rounds)]
    return {name: median(one[name] for one in found) for name in found[0]}


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(measure(json.loads(sys.argv[2]))))
        return
    parser = options(__doc__, rounds=3)
    parser.add_argument("--plot", type=Path, help="also draw the results into this file")
    parser.add_argument("--of", type=Path, help="draw these results, of --json, and measure nothing")
    arguments = parser.parse_args()
    if arguments.of:
        plot(json.loads(arguments.of.read_text())["rows"], arguments.plot)
        return
    rounds = 1 if arguments.quick else arguments.rounds
    samples, shuffled = (SAMPLES[:2], SHUFFLED[:2]) if arguments.quick else (SAMPLES, SHUFFLED)
    workers, ranks = (WORKERS[:2], RANKS[:2]) if arguments.quick else (WORKERS, RANKS)
    most = samples[-1]
    cases = [("samples", n, {"samples": n}) for n in samples]
    cases += [("samples, shuffle", n, {"samples": n, "order": "shuffle"}) for n in shuffled]
    cases += [("workers", count, {"workers": count}) for count in workers]
    cases += [("ranks", count, {"ranks": count, "samples": most}) for count in ranks]
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "samples"
        with file.open("wb") as opened:
            opened.truncate(16 * most)
        for name, count, own in cases:
            plain = {"samples": samples[-2], "order": "permute", "workers": 0, "ranks": 1, "batches": 500}
            found = measured({"file": str(file), **plain, **own}, rounds)
            rows.append({"case": name, "count": count, **found})
            shown = ", ".join(f"{value:10.2f} {what}" for what, value in found.items())
            print(f"  {name:18} {count:12,}: {shown}")
    if arguments.plot:
        plot(rows, arguments.plot)
    conclude(arguments, rows, targets_of(rows), told)


def targets_of(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Nothing grows with samples or ranks: but for what the file takes."""
    targets = []
    for name in ("samples", "ranks"):
        few, *_, many = [row for row in rows if row["case"] == name]
        text = f"ms to the first batch, of {many['count']:,} {name}"
        targets.append(target(text, many["ms to the first batch"], 20.0))
        text = f"us to plan a batch, of {many['count']:,} {name} more than of {few['count']:,}"
        targets.append(target(text, many["us to plan it"] - few["us to plan it"], 100.0 if name == "ranks" else 5.0))
        targets.append(target(f"MB of {many['count']:,} {name}", many["MB"], 10.0))
    return targets


def plot(rows: list[dict[str, Any]], file: Path) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.fonttype"] = "none"
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots(3, 3, sharex="col", sharey="row")
    kinds = {"ms to the first batch": (0.1, 1e4), "us a batch": (1, 1e3), "MB": (0.1, 1e3)}
    names = {"permute": ["samples", "workers", "ranks"], "shuffle": ["samples, shuffle"]}
    for order, color in (("permute", "tab:blue"), ("shuffle", "tab:orange")):
        for column, name in enumerate(names[order]):
            own = [row for row in rows if row["case"] == name]
            for axis, (what, limits) in zip(axes[:, column], kinds.items(), strict=True):
                values = [max(row[what], limits[0]) for row in own]
                axis.plot([row["count"] for row in own], values, "o-", color=color, label=order)
                axis.set(xscale="log", yscale="log", ylim=limits)
                axis.grid(visible=True, alpha=0.3)
    for axis, what in zip(axes[:, 0], kinds, strict=True):
        axis.set_ylabel(what.replace("us", "µs"))
    for axis, name in zip(axes[2], ("samples", "worker processes", "ranks"), strict=True):
        axis.set_xlabel(name)
    axes[0, 0].legend()
    figure.savefig(file)


if __name__ == "__main__":
    main()
