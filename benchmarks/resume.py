"""Measure how long it takes to go on from a checkpoint, and to get the first batch, beside PyTorch's loaders.

    python benchmarks/resume.py [--quick] [--json results.json]

1. Resume at 10, 50 and 99 % of an epoch of 1e7 samples in batches of 64: BatchUp with a seed, with a RandomState and
   with `permute`, from a fresh iterator to the next batch. Beside it: a bare permutation of as many samples, and
   torchdata's StatefulDataLoader. Seconds, the median of several runs.
2. From nothing to the first batch, and the peak memory, of a shuffled epoch of 1e7 and 1e9 samples, each in a process
   of its own with at most 12 GB, beside PyTorch's RandomSampler.

What isn't installed (torch, torchdata) is left out.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from batchup import ops

try:
    import torch
    from torch.utils import data as torch_data
except ImportError:
    torch = None
try:
    from torchdata.stateful_dataloader import StatefulDataLoader
except ImportError:
    StatefulDataLoader = None

SIZE = 64


class Numbers:
    """A dataset that costs nothing: sample i is i."""

    def __init__(self, n: int):
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: Any) -> Any:
        return index


def stream(kind: str, n: int) -> ops.Stream:
    order = {
        "seed": lambda: ops.shuffle(7),
        "RandomState": lambda: ops.shuffle(np.random.RandomState(7)),
        "permute": lambda: ops.permute(7),
    }[kind]()
    return ops.indices(n) | order | ops.chunk(SIZE) | ops.gather(Numbers(n))


# -- 1. Resume -------------------------------------------------------------------------------------


def resume_batchup(kind: str, n: int, position: int) -> float:
    items = iter(stream(kind, n))
    next(items)
    state = items.state_dict() | {"position": position}
    fresh = stream(kind, n)
    start = perf_counter()
    again = iter(fresh)
    again.load_state_dict(state)
    next(again)
    return perf_counter() - start


def bare_permutation(n: int) -> float:
    """Draw a permutation of n samples: the least that an order for a whole epoch costs."""
    start = perf_counter()
    np.random.default_rng(7).permutation(n)
    return perf_counter() - start


def resume_torchdata(n: int, position: int) -> float:
    def loader() -> Any:
        torch.manual_seed(7)
        return StatefulDataLoader(Numbers(n), batch_size=SIZE, shuffle=True)

    first = loader()
    items = iter(first)
    for _ in islice(items, position):
        pass
    state = first.state_dict()
    again = loader()
    start = perf_counter()
    again.load_state_dict(state)
    next(iter(again))
    return perf_counter() - start


def resume(n: int, rounds: int) -> dict[str, dict[str, float]]:
    contenders: dict[str, Callable[[int], float]] = {
        f"BatchUp, {kind}": lambda at, kind=kind: resume_batchup(kind, n, at)
        for kind in ("seed", "RandomState", "permute")
    }
    contenders["a bare permutation"] = lambda at: bare_permutation(n)
    if StatefulDataLoader is not None:
        contenders["StatefulDataLoader"] = lambda at: resume_torchdata(n, at)
    table: dict[str, dict[str, float]] = {name: {} for name in contenders}
    for percent in (10, 50, 99):
        position = n // SIZE * percent // 100
        for name, run in contenders.items():
            times = [run(position) for _ in range(rounds if name != "StatefulDataLoader" else 1)]
            table[name][f"{percent} %"] = median(times)
    return table


# -- 2. The first batch ----------------------------------------------------------------------------


def first_batch(kind: str, n: int) -> tuple[float, float]:
    """Return the seconds to the first batch, and by how many MB this process grew, 12 GB at most."""
    resource.setrlimit(resource.RLIMIT_AS, (12 * 2**30, 12 * 2**30))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = perf_counter()
    if kind == "RandomSampler":
        list(islice(torch_data.RandomSampler(range(n)), SIZE))
    else:
        next(iter(stream(kind, n)))
    seconds = perf_counter() - start
    return seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def first_batches(sizes: list[int]) -> dict[str, dict[str, Any]]:
    kinds = ["seed", "permute"] + (["RandomSampler"] if torch else [])
    table: dict[str, dict[str, Any]] = {kind: {} for kind in kinds}
    for kind in kinds:
        for n in sizes:
            command = [sys.executable, __file__, "--first", kind, str(n)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            result = json.loads(done.stdout) if done.returncode == 0 else ["failed", done.stderr[-200:]]
            table[kind][f"{n:.0e}"] = result
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--json", type=Path, help="where to write the results")
    parser.add_argument("--first", nargs=2, metavar=("KIND", "N"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.first:
        print(json.dumps(first_batch(args.first[0], int(args.first[1]))))
        return
    n = 10**5 if args.quick else 10**7
    resumed = resume(n, rounds=1 if args.quick else 5)
    print(f"resume, {n:.0e} samples, seconds to the next batch at")
    for name, times in resumed.items():
        print(f"  {name:24}" + "".join(f"{at:>6} {seconds:10.4f}" for at, seconds in times.items()))
    half = {name: times["50 %"] for name, times in resumed.items()}
    ratio = half["BatchUp, seed"] / half["a bare permutation"]
    verdict = "holds" if ratio <= 1.5 else "MISSED"
    print(f"  at 50 %, a seed takes {ratio:.2f} times a bare permutation (at most 1.5: {verdict})")
    firsts = first_batches([10**5] if args.quick else [10**7, 10**9])
    print("first batch: seconds, MB more")
    for kind, results in firsts.items():
        cells = [
            f"{n}: " + (f"{r[0]:9.4f} s {r[1]:7.0f} MB" if r[0] != "failed" else "more than 12 GB")
            for n, r in results.items()
        ]
        print(f"  {kind:24}" + "   ".join(cells))
    if args.json:
        args.json.write_text(json.dumps({"resume": resumed, "first": firsts}, indent=1))


if __name__ == "__main__":
    main()
