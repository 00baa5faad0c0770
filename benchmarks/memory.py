"""Measure large batches, whose memory is used again, beside loops that take fresh memory for each.

    python benchmarks/memory.py [--quick] [--rounds N] [--json results.json]

Images of 3 x 224 x 224 uint8 with labels, shuffled, in batches of 4 to 256: `gather` and `gather | to_torch` in the
caller, and `gather` in a pool of two threads. Beside them a loop of `np.take`, and the fastest loop there is: `take` into
two arrays in turns, which must not be kept. Then images that are stored as bytes and read as float32, beside the same loop
with the arithmetic of NumPy. Each is a pass over 20,000 images, so that the memory of the first batches counts little.

Prints microseconds a batch, and ratios to the loop of `np.take`, as medians of those within each round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from arrays import conclude, machine, options, target, told

from batchup import ops
from batchup.image.utils import ImageArrayUInt8ToFloat32
from batchup.work_pool import WorkerThreadPool

try:
    import torch
except ImportError:
    torch = None

SHAPE = 3, 224, 224
SIZES = [4, 8, 16, 64, 256]
TAKE, BARE = "loop of np.take", "loop into two arrays"
# At most so many times the loop of np.take, by the size of a batch: alone, and in two threads.
BOUNDS = {64: (0.90, 0.80), 256: (0.50, 0.50)}


def take_loop(X: Any, y: Any, size: int, passes: int, convert: Any = None) -> Iterator[Any]:
    rng = np.random.default_rng(1)
    for _ in range(passes):
        order = rng.permutation(len(X))
        for start in range(0, len(X), size):
            block = order[start : start + size]
            batch = np.take(X, block, axis=0), np.take(y, block, axis=0)
            yield batch if convert is None else (convert(batch[0]), batch[1])


def loop_into_two(X: Any, y: Any, size: int, passes: int) -> Iterator[Any]:
    rng = np.random.default_rng(1)
    two = [np.empty((size, *X.shape[1:]), X.dtype) for _ in range(2)]
    for _ in range(passes):
        order = rng.permutation(len(X))
        for number, start in enumerate(range(0, len(X), size)):
            block = order[start : start + size]
            out = two[number % 2][: len(block)]
            yield np.take(X, block, axis=0, out=out, mode="clip"), np.take(y, block, axis=0)


def scaled(images: Any) -> Any:
    return images.astype(np.float32) * np.float32(1 / 255)


def microseconds(batches: Iterator[Any]) -> float:
    start = perf_counter()
    number = 0
    for _ in batches:  # the last batch is still there while the next is made, as in a training loop
        number += 1
    return (perf_counter() - start) / number * 1e6


def taking_turns(ways: dict[str, Callable[[], Iterator[Any]]], rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in reversed(ways) if number % 2 else ways:
            times[name].append(microseconds(ways[name]()))
    return times


def ratio(times: dict[str, list[float]], name: str, to: str) -> float:
    return median(a / b for a, b in zip(times[name], times[to], strict=True))


def main() -> None:
    arguments = options(__doc__, rounds=7).parse_args()
    rounds = 1 if arguments.quick else arguments.rounds
    n, passes = (300, 1) if arguments.quick else (4000, 5)
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    X, y = np.full((n, *SHAPE), 7, np.uint8), np.arange(n)
    rows, targets = [], []
    with WorkerThreadPool(2) as pool:
        for size in SIZES:
            order = ops.indices(n) | ops.shuffle(7) | ops.chunk(size) | ops.repeat(passes)
            gathered = order | ops.gather(X, y)
            ways: dict[str, Callable[[], Iterator[Any]]] = {
                TAKE: lambda size=size: take_loop(X, y, size, passes),
                BARE: lambda size=size: loop_into_two(X, y, size, passes),
                "gather": lambda gathered=gathered: iter(gathered),
                "gather, 2 threads": lambda gathered=gathered: iter(gathered | ops.parallel(pool, buffer=2)),
            }
            if torch is not None:
                ways["gather, to_torch"] = lambda gathered=gathered: iter(gathered | ops.to_torch())
            case = f"batches of {size * 0.150528:.1f} MB"
            times = taking_turns(ways, rounds)
            show(case, times, TAKE, rows)
            if size in BOUNDS:
                for name, bound in zip(("gather", "gather, 2 threads"), BOUNDS[size], strict=True):
                    targets.append(target(f"{name}, {case}, times {TAKE}", ratio(times, name, TAKE), bound))
        images = ops.indices(n) | ops.shuffle(7) | ops.chunk(64) | ops.gather(ImageArrayUInt8ToFloat32(X), y)
        floats = {
            "loop of NumPy": lambda: take_loop(X, y, 64, 1, scaled),
            "gather(images)": lambda: iter(images),
            "gather(images), 2 threads": lambda: iter(images | ops.parallel(pool, buffer=2)),
        }
        show("float32 of 64 images, 38.5 MB", taking_turns(floats, rounds), "loop of NumPy", rows)
    conclude(arguments, rows, targets, told)


def show(case: str, times: dict[str, list[float]], first: str, rows: list[dict[str, Any]]) -> None:
    print(f"\n{case}")
    for name, each in times.items():
        times_first = ratio(times, name, first)
        print(f"  {name:26} {median(each):10.1f} us {times_first:8.3f} x")
        rows.append({"case": case, "contender": name, "us_a_batch": median(each), "times_the_first": times_first})


if __name__ == "__main__":
    main()
