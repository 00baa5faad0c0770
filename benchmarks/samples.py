"""Measure functions of one sample at a time, beside a loop that does the same.

    python benchmarks/samples.py [--quick] [--rounds 7] [--json results.json]

Prints the microseconds a sample that `map_samples` takes more than a loop over the samples and `np.stack`, and what
seeding the global generators takes a sample and a batch; medians over the rounds, in which all take turns.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from arrays import conclude, machine, options
from more_itertools import ilen

from batchup import ops

with contextlib.suppress(ImportError):  # its generator is seeded, too
    import torch  # noqa: F401


def same(image: Any, label: Any) -> Any:
    return image, label


def same_with_rng(image: Any, label: Any, rng: Any) -> Any:
    return image, label


def by_hand(batch: Any) -> Any:
    images, labels = zip(*[same(image, label) for image, label in zip(*batch, strict=True)], strict=True)
    return np.stack(images), np.array(labels)


def microseconds(contenders: dict[str, Iterable[Any]], rounds: int) -> dict[str, float]:
    """The microseconds of a batch of each contender: medians of rounds in which all take turns."""
    seen: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, batches in contenders.items():
            start = perf_counter()
            count = ilen(batches)
            seen[name].append((perf_counter() - start) / count * 1e6)
    return {name: median(values) for name, values in seen.items()}


def main() -> None:
    arguments = options(__doc__, rounds=7).parse_args()
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    n = 256
    batch = np.random.default_rng(1).random((n, 8, 8)), np.arange(n)
    one = tuple(part[:1] for part in batch)
    stages = {
        "map_samples": (ops.map_samples(same), batch),
        "with rng": (ops.map_samples(same_with_rng, rng=7), batch),
        "seed_globals": (ops.map_samples(same, seed_globals=7), batch),
        "one sample": (ops.map_samples(same), one),
        "one sample, seed_globals": (ops.map_samples(same, seed_globals=7), one),
    }
    rounds, times = (1, 1) if arguments.quick else (arguments.rounds, 50)
    contenders: dict[str, Iterable[Any]] = {name: [given] * times | stage for name, (stage, given) in stages.items()}
    contenders["a loop"] = [batch] * times | ops.map(lambda *batch: by_hand(batch))
    took = microseconds(contenders, rounds)
    seeding = took["one sample, seed_globals"] - took["one sample"]
    found = {
        "map_samples, more than a loop, us a sample": (took["map_samples"] - took["a loop"]) / n,
        "with rng, more than a loop, us a sample": (took["with rng"] - took["a loop"]) / n,
        "seed_globals, us a sample": (took["seed_globals"] - took["map_samples"] - seeding) / (n - 1),
        "seed_globals, us a batch": seeding,
    }
    rows: list[dict[str, Any]] = [{"what": what, "us": round(us, 2)} for what, us in found.items()]
    for row in rows:
        print(f"  {row['what']:45} {row['us']:8.2f}")
    bounds = zip(found.items(), [2, 5, 40, 150], strict=True)
    targets = [{"what": what, "bound": bound, "holds": us <= bound} for (what, us), bound in bounds]
    conclude(arguments, rows, targets, lambda target: f"{target['what']}: at most {target['bound']}")


if __name__ == "__main__":
    main()
