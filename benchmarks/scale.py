"""Measure what grows with the number of samples, of workers and of ranks.

    python benchmarks/scale.py [--quick] [--rounds N] [--plot scale.svg] [--json results.json]

Samples are 16 bytes each, in a memory-mapped file that is a hole, so that it takes no room on the disk: 16 GB for 10**9
samples. Batches have 64 samples, read in a shuffled order, of `permute` or `shuffle`. Each measurement runs in a process
of its own, and prints

* the milliseconds from building the stream to its first batch,
* the microseconds a batch, over some hundreds after the first; beside it those of `np.take` of other random samples,
  without any plan, since reading from a larger file takes longer,
* the memory that the process, and its workers, took beyond what it had before, in MB, without the pages of the file.

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


def stream_of(case: dict[str, Any], X: Any, pool: Any) -> Any:
    stage = ops.permute(7) if case["order"] == "permute" else ops.shuffle(7)
    stream = ops.indices(len(X)) | stage | ops.chunk(BATCH * case["ranks"])
    if case["ranks"] > 1:
        stream |= ops.shard(case["ranks"] // 2, case["ranks"])
    stream |= ops.gather(X)
    return stream if pool is None else stream | ops.parallel(pool)


def measure(case: dict[str, Any]) -> dict[str, float]:
    X = np.memmap(case["file"], np.uint8, "r", shape=(case["samples"], 16))
    X._mmap.madvise(mmap.MADV_RANDOM)  # otherwise the system reads 128 KB of the file for each sample
    plain = X.view(np.ndarray)
    for _ in stream_of({**case, "ranks": 1}, X[:1000], None):  # imports what it needs
        pass
    pool = WorkerProcessPool(case["workers"]) if case["workers"] else None
    if pool is not None:
        list(ops.indices(64) | ops.chunk(1) | ops.gather(np.arange(64)) | ops.parallel(pool))
    before = memory()
    start = perf_counter()
    batches: Iterator[Any] = iter(stream_of(case, X, pool))
    next(batches)
    first = perf_counter() - start
    number = 0
    start = perf_counter()
    for _ in islice(batches, case["batches"]):
        number += 1
    each = (perf_counter() - start) / max(1, number)
    took = memory() - before
    rng = np.random.default_rng(1)
    blocks = [rng.integers(0, len(X), BATCH) for _ in range(case["batches"])]
    start = perf_counter()
    for block in blocks:
        np.take(plain, block, axis=0)
    bare = (perf_counter() - start) / len(blocks)
    found = {"ms to the first batch": first * 1e3, "us a batch": each * 1e6, "us by np.take": bare * 1e6, "MB": took}
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
    arguments = parser.parse_args()
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
        beyond = [row["us a batch"] - row["us by np.take"] for row in (few, many)]
        text = f"us a batch beyond np.take, of {many['count']:,} {name} more than of {few['count']:,}"
        targets.append(target(text, beyond[1] - beyond[0], 10.0))
        targets.append(target(f"MB of {many['count']:,} {name}", many["MB"], 10.0))
    return targets


def plot(rows: list[dict[str, Any]], file: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots(3, 3, sharex="col")
    names = {"permute": ["samples", "workers", "ranks"], "shuffle": ["samples, shuffle"]}
    for order, color in (("permute", "tab:blue"), ("shuffle", "tab:orange")):
        for column, name in enumerate(names[order]):
            own = [row for row in rows if row["case"] == name]
            for axis, what in zip(axes[:, column], ("ms to the first batch", "us a batch", "MB"), strict=True):
                axis.plot(
                    [row["count"] for row in own], [max(row[what], 0.01) for row in own], "o-", color=color, label=order
                )
                axis.set_xscale("log")
                axis.set_yscale("log")
                axis.grid(visible=True, alpha=0.3)
                axis.set_ylim(bottom=min(1.0, axis.get_ylim()[0]))
    for axis, what in zip(axes[:, 0], ("ms to the first batch", "µs a batch", "MB"), strict=True):
        axis.set_ylabel(what)
    for axis, name in zip(axes[2], ("samples", "worker processes", "ranks"), strict=True):
        axis.set_xlabel(name)
    axes[0, 0].legend()
    figure.savefig(file)


if __name__ == "__main__":
    main()
