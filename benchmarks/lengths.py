"""Measure how fast samples of different lengths are read, padded and packed, beside what users would use instead.

    python benchmarks/lengths.py [--quick] [--rounds 5] [--json results.json]

The lengths are lognormal with a mean of 512 (sigma 0.8, at most 4096); rows have 4096 tokens.

1. `gather(ragged)`: microseconds a batch of 64. Beside it: `np.take` on rows of the mean length, the fastest loop over
   slices that we know of, and `np.concatenate` of the slices.
2. How full the rows of `pack` are, in windows of 10000 samples and of the whole pass; how much `bucket` pads, beside
   plain batches; the seconds and the memory that planning a million lengths takes.
3. Tokens a second of `pack | gather`, beside TRL's pack_dataset(strategy="bfd") and Grain's BestFitPackIterDataset,
   each from lists in memory to packed rows.

What isn't installed (trl, grain) is left out. The contenders take turns; figures are medians over the rounds.
"""

from __future__ import annotations

import argparse
import os
import tracemalloc
from collections.abc import Callable
from itertools import islice
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from arrays import conclude, options, target, told

from batchup import ops

os.environ.setdefault("HF_HUB_OFFLINE", "1")
try:
    import datasets
    import trl
except ImportError:
    trl = None
try:
    import grain
except ImportError:
    grain = None

SIZE, MEAN, SIGMA, CAPACITY = 64, 512, 0.8, 4096


def drawn(n: int) -> Any:
    lengths = np.random.default_rng(0).lognormal(np.log(MEAN) - SIGMA**2 / 2, SIGMA, n)
    return lengths.astype(np.int64).clip(1, CAPACITY)


def ragged(lengths: Any, dtype: Any) -> ops.Ragged:
    return ops.Ragged(np.arange(lengths.sum()).astype(dtype), np.append(0, lengths.cumsum()))


def taking_turns(ways: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, run in ways.items():
            times[way].append(run())
    return {way: median(each) for way, each in times.items()}


def reading(arguments: argparse.Namespace) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    rows, targets = [], []
    lengths = drawn(2000 if arguments.quick else 100_000)
    for dtype in (np.int32, np.int64):
        words = ragged(lengths, dtype)
        table = np.arange(len(lengths) * int(lengths.mean())).astype(dtype).reshape(len(lengths), -1)
        ends = words.offsets
        for size in (SIZE, 1024):
            blocks = [
                np.random.default_rng(n).integers(0, len(lengths), size) for n in range(20 if arguments.quick else 200)
            ]
            values, memory = words.values, words.values.view(np.uint8).data
            width = values.itemsize

            def slices(block: Any, memory: Any = memory, ends: Any = ends, width: int = width) -> Any:
                runs = map(slice, (ends[block] * width).tolist(), (ends[block + 1] * width).tolist())
                return np.frombuffer(bytearray().join(map(memory.__getitem__, runs)), np.uint8)

            def concatenated(block: Any, values: Any = values, ends: Any = ends) -> Any:
                return np.concatenate([values[i:j] for i, j in zip(ends[block], ends[block + 1], strict=True)])

            def timed(read: Callable[[Any], Any], blocks: Any = blocks) -> Callable[[], float]:
                def run() -> float:
                    start = perf_counter()
                    for block in blocks:
                        read(block)
                    return (perf_counter() - start) / len(blocks) * 1e6

                return run

            step = (ops.indices(len(lengths)) | ops.gather(words)).steps[0]
            found = taking_turns(
                {
                    "BatchUp": timed(step.run),
                    "np.take of rows": timed(lambda block, table=table: table.take(block, axis=0)),
                    "bare slices": timed(slices),
                    "np.concatenate": timed(concatenated),
                },
                arguments.rounds,
            )
            name = f"{np.dtype(dtype).name} by {size}"
            rows += [{"case": name, "contender": way, "us_a_batch": value} for way, value in found.items()]
            targets.append(target(f"{name}, beside bare slices", found["BatchUp"] / found["bare slices"], 1.05))
    return rows, targets


def planning(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    lengths = drawn(10_000 if arguments.quick else 10**6)
    found = []
    for name, window in (("10000", 10_000), ("the whole pass", len(lengths))):
        times, peak, packs = [], 0, None
        for _ in range(arguments.rounds):
            start = perf_counter()
            packs = ops.pack(lengths, CAPACITY, 7, window)
            times.append(perf_counter() - start)
        tracemalloc.start()
        ops.pack(lengths, CAPACITY, 7, window)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert packs is not None
        full = lengths.sum() / (len(packs) * CAPACITY)
        least = 0.98 if window == 10_000 else 0.995
        found.append(target(f"pack in windows of {name}, how full rows are", float(full), least, least=True))
        found.append(target(f"pack in windows of {name}, seconds to plan {len(lengths)}", median(times), 1.0))
        found.append(target(f"pack in windows of {name}, MB to plan", peak / 1e6, 500))
        rows = min(len(packs), 2000)
        start = perf_counter()
        consumed = sum(1 for _ in islice(packs, rows))
        each = (perf_counter() - start) / consumed * 1e6
        found.append(target(f"pack in windows of {name}, us a row", each, 20))
    plain = ops.indices(len(lengths)) | ops.shuffle(7) | ops.chunk(SIZE)
    found.append(target("bucket, share of padding", padding(lengths, ops.bucket(lengths, 7)), 0.05))
    found.append(target("plain batches, share of padding", padding(lengths, plain), 1.0))
    return found


def padding(lengths: Any, blocks: Any) -> float:
    padded = sum(int(lengths[block].max()) * len(block) for block in map(np.asarray, blocks))
    return float(1 - lengths.sum() / padded)


def packing(arguments: argparse.Namespace) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    lengths = drawn(2000 if arguments.quick else 50_000)
    words = ragged(lengths, np.int32)
    total = int(lengths.sum())

    def ours() -> float:
        start = perf_counter()
        rows = ops.pack(lengths, CAPACITY, 7) | ops.gather(words)
        tokens = sum(len(row.values) for (row,) in rows)
        assert tokens == total
        return total / (perf_counter() - start)

    ways: dict[str, Callable[[], float]] = {"BatchUp": ours}
    if trl is not None:
        given = datasets.Dataset.from_dict({"input_ids": words.to_arrow()})

        def of_trl() -> float:
            start = perf_counter()
            packed = trl.pack_dataset(given, seq_length=CAPACITY, strategy="bfd")
            for row in packed.with_format("numpy").iter(1):
                assert row
            return total / (perf_counter() - start)

        ways["TRL"] = of_trl
    if grain is not None:
        samples = [{"tokens": sample} for sample in words]

        def of_grain() -> float:
            start = perf_counter()
            packed = grain.experimental.BestFitPackIterDataset(
                grain.MapDataset.source(samples).to_iter_dataset(),
                length_struct={"tokens": CAPACITY},
                num_packing_bins=64,
            )
            for row in packed:
                assert row
            return total / (perf_counter() - start)

        ways["Grain"] = of_grain
    found = taking_turns(ways, arguments.rounds)
    rows = [{"case": "pack | gather", "contender": way, "tokens_a_second": value} for way, value in found.items()]
    targets = [
        target(f"pack | gather, tokens a second beside {way}", found["BatchUp"] / value, 1.0, least=True)
        for way, value in found.items()
        if way != "BatchUp"
    ]
    return rows, targets


def main() -> None:
    arguments = options(__doc__, rounds=5).parse_args()
    if arguments.quick:
        arguments.rounds = 1
    rows, targets = reading(arguments)
    targets += planning(arguments)
    packed, further = packing(arguments)
    for row in rows:
        print(f"  {row['case']:14} {row['contender']:18} {row['us_a_batch']:9.1f} us a batch")
    for row in packed:
        print(f"  {row['case']:14} {row['contender']:18} {row['tokens_a_second'] / 1e6:9.1f} M tokens a second")
    conclude(arguments, rows + packed, targets + further, told)


if __name__ == "__main__":
    main()
