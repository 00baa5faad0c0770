"""Measure what batches cost on their way into the training loops of other libraries.

    python benchmarks/hosts.py [--quick] [--rounds 11] [--json results.json]

Prints microseconds a batch of 100000 x 4 float32 by 16, shuffled, where the batches themselves cost next to nothing.
Beside each host stands the same host over a generator that loops over `np.take`. Then come tensors as sources, beside
the same NumPy arrays. The contenders take turns. Figures are medians over the rounds; differences and ratios are
medians of those within each round. Needs PyTorch and the packages of `requirements/hosts.txt`.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable, Iterator
from statistics import median
from time import perf_counter
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import jax.numpy as jnp
import numpy as np
import torch
from arrays import conclude, machine, options
from torch.utils.data import DataLoader, IterableDataset

from batchup import ops
from batchup.hosts import keras as hosts_keras
from batchup.hosts import lightning as hosts_lightning
from batchup.hosts import torch as hosts_torch

SIZE = 16
torch.set_num_threads(1)


class Bare(IterableDataset[Any]):
    def __init__(self, loop: Callable[[], Iterator[Any]]):
        self.loop = loop

    def __iter__(self) -> Iterator[Any]:
        return self.loop()


def contenders(n: int) -> dict[str, tuple[Callable[[], Iterable[Any]], Callable[[], Iterable[Any]]]]:
    """For each host: the batches of an epoch by BatchUp, and by a bare loop."""
    X, y = np.full((n, 4), 7, np.float32), np.arange(n)
    stream = ops.indices(n) | ops.shuffle(12345) | ops.chunk(SIZE) | ops.gather(X, y)
    loader = stream.loader()
    for_keras = hosts_keras.Batches(loader)
    order = np.random.default_rng(0).permutation(n)

    def loop() -> Iterator[Any]:
        for start in range(0, n, SIZE):
            block = order[start : start + SIZE]
            yield X.take(block, axis=0), y.take(block, axis=0)

    def through_keras() -> Iterator[Any]:
        batches = for_keras.num_batches or 0
        return (for_keras[i] for i in range(batches))

    ours = DataLoader(hosts_torch.Batches(stream), batch_size=None)
    of_loader = DataLoader(hosts_torch.Batches(loader), batch_size=None)
    bare = DataLoader(Bare(loop), batch_size=None)
    return {
        "DataLoader, of a stream": (ours.__iter__, bare.__iter__),
        "DataLoader, of a loader": (of_loader.__iter__, bare.__iter__),
        "Lightning": (hosts_lightning.Batches(loader).__iter__, loop),
        "Keras": (through_keras, loop),
        "none": (loader.__iter__, loop),
    }


def sources(n: int) -> dict[str, tuple[Callable[[], Iterable[Any]], Callable[[], Iterable[Any]]]]:
    """For each package: the batches of its arrays, and of NumPy's."""
    X, y = np.full((n, 4), 7, np.float32), np.arange(n, dtype=np.int32)

    def batches(*arrays: Any) -> Callable[[], Iterable[Any]]:
        return (ops.indices(n) | ops.shuffle(12345) | ops.chunk(SIZE) | ops.gather(*arrays)).__iter__

    return {
        "PyTorch": (batches(torch.from_numpy(X), torch.from_numpy(y)), batches(X, y)),
        "JAX": (batches(jnp.asarray(X), jnp.asarray(y)), batches(X, y)),
    }


def microseconds(epoch: Callable[[], Iterable[Any]]) -> float:
    gc.collect()
    n = 0
    start = perf_counter()
    for _ in epoch():
        n += 1
    return (perf_counter() - start) / n * 1e6


def main() -> None:
    arguments = options(__doc__, rounds=11).parse_args()
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    hosts = contenders(1600 if arguments.quick else 100_000)
    rounds = 1 if arguments.quick else arguments.rounds
    rows, targets = [], []
    for name, (ours, bare) in hosts.items():
        microseconds(ours), microseconds(bare)
        times = [(microseconds(ours), microseconds(bare)) for _ in range(rounds)]
        own, loop = (median(each) for each in zip(*times, strict=True))
        more = median(a - b for a, b in times)
        print(f"  {name:26} {own:8.2f} us a batch, a bare loop {loop:8.2f}: {more:+.2f}")
        rows.append({"host": name, "us_a_batch": round(own, 3), "bare": round(loop, 3)})
        targets.append({"case": name, "value": round(more, 3), "holds": more <= 10, "target": "at most 10 us more"})
    for name, (ours, plain) in sources(1600 if arguments.quick else 100_000).items():
        microseconds(ours), microseconds(plain)
        times = [(microseconds(ours), microseconds(plain)) for _ in range(rounds)]
        ratio = median(a / b for a, b in times)
        print(f"  {'arrays of ' + name:26} {ratio:8.2f} times NumPy's")
        rows.append({"source": name, "ratio": round(ratio, 3)})
        target = {"case": f"arrays of {name}", "value": round(ratio, 3), "holds": ratio <= 1.1}
        targets.append({**target, "target": "at most 1.1 times NumPy's"})
    conclude(arguments, rows, targets, lambda t: f"{t['case']}: {t['value']:+.2f}; {t['target']}")


if __name__ == "__main__":
    main()
