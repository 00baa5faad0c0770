"""Measure how fast batches come from a pool: BatchUp beside bare executors and PyTorch's DataLoader, in one run.

    python benchmarks/pools.py [--quick] [--cases jpegs python ...] [--json results.json]

Prints a table of milliseconds a batch, and for each target whether it is met. All have two workers that live on from
epoch to epoch. The contenders take turns, in rounds, so that other work on the machine affects all of them. Times are
medians over the rounds; ratios are medians of those within each round. PyTorch's DataLoader takes part if torch is
installed. Needs Pillow for the JPEGs, which it makes in a temporary directory.
"""

from __future__ import annotations

import gc
import multiprocessing
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from arrays import conclude, machine, options

from batchup import ops, work_pool

try:
    import torch
    from torch.utils.data import DataLoader, Dataset

    torch.set_num_threads(1)
except ImportError:
    torch, Dataset = None, object

WORKERS = 2
Epoch = Callable[[], Iterable[Any]]

# -- The work: of samples for DataLoader, of batches for the others -----------------------------------


def read_image(path: str) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as image:
        return np.array(image.convert("RGB").resize((224, 224)))


def read_images(paths: list[str], block: Any) -> np.ndarray:
    return np.stack([read_image(paths[i]) for i in block])


def transform(sample: int) -> int:
    """Run about half a millisecond of Python."""
    total = sample
    for k in range(8000):
        total = (total * 31 + k) % 65521
    return total


def transform_all(block: Any) -> np.ndarray:
    return np.array([transform(int(i)) for i in block])


def large_batch(number: int) -> np.ndarray:
    """Make a batch of 38 MB, cheaply."""
    return np.full((64, 3, 224, 224), number, np.float32)


class Samples(Dataset):
    """A dataset: sample i is `function(i)`."""

    def __init__(self, make: Callable[[Any], Any], items: Any):
        self.make = make
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, i: int) -> Any:
        return self.make(self.items[i])


def itself(item: Any) -> Any:
    return item


# -- The cases: each gives its contenders, as functions that return the batches of an epoch -----------


def made_jpegs(folder: str, n: int) -> list[str]:
    from PIL import Image

    paths = [f"{folder}/{i:04}.jpg" for i in range(n)]
    rng = np.random.default_rng(0)
    for path in paths:
        coarse = rng.integers(0, 256, (15, 20, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((400, 300)).save(path)
    return paths


@contextmanager
def first(quick: bool) -> Iterator[dict[str, Epoch]]:
    with ExitStack() as stack:
        paths = made_jpegs(stack.enter_context(tempfile.TemporaryDirectory()), 32)
        pool = stack.enter_context(work_pool.WorkerThreadPool(WORKERS))
        executor = stack.enter_context(ThreadPoolExecutor(WORKERS))
        serial = ops.indices(32) | ops.chunk(32) | ops.samples(Samples(read_image, paths))
        yield {
            "BatchUp, threads, split": (serial | ops.parallel(pool, split=True)).__iter__,
            "ThreadPoolExecutor.map": lambda: [np.stack(list(executor.map(read_image, paths)))],
            "BatchUp, threads": (serial | ops.parallel(pool)).__iter__,
            "BatchUp, serial": serial.__iter__,
        }


@contextmanager
def jpegs(quick: bool) -> Iterator[dict[str, Epoch]]:
    n, size = (64 if quick else 1000), 32
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        paths = made_jpegs(folder, n)
        read = partial(read_images, paths)
        serial = ops.indices(n) | ops.shuffle(0) | ops.chunk(size) | ops.map(read)
        blocks = list(ops.indices(n) | ops.shuffle(0) | ops.chunk(size))
        pool = stack.enter_context(work_pool.WorkerThreadPool(WORKERS))
        executor = stack.enter_context(ThreadPoolExecutor(WORKERS))
        yield {
            "BatchUp, threads": (serial | ops.parallel(pool)).__iter__,
            "ThreadPoolExecutor.map": lambda: executor.map(read, blocks),
            "BatchUp, serial": serial.__iter__,
            **data_loader(Samples(read_image, paths), size),
        }


@contextmanager
def python(quick: bool) -> Iterator[dict[str, Epoch]]:
    n, size = (256 if quick else 4096), 32
    serial = ops.indices(n) | ops.chunk(size) | ops.map(transform_all)
    blocks = [np.arange(k, k + size) for k in range(0, n, size)]
    with work_pool.WorkerProcessPool(WORKERS) as pool, process_executor() as executor:
        yield {
            "BatchUp, processes": (serial | ops.parallel(pool)).__iter__,
            "ProcessPoolExecutor.map": lambda: executor.map(transform_all, blocks),
            "BatchUp, serial": serial.__iter__,
            **data_loader(Samples(transform, range(n)), size),
        }


@contextmanager
def large(quick: bool) -> Iterator[dict[str, Epoch]]:
    n = 8 if quick else 200
    with work_pool.WorkerProcessPool(WORKERS) as pool, process_executor() as executor:
        yield {
            "BatchUp, processes": (range(n) | ops.map(large_batch) | ops.parallel(pool)).__iter__,
            # Some at a time: otherwise it would hold all results at once.
            "ProcessPoolExecutor.map": lambda: (
                batch for k in range(0, n, 8) for batch in executor.map(large_batch, range(k, min(n, k + 8)))
            ),
            **data_loader(Samples(large_batch, range(n)), None),
        }


@contextmanager
def memory(quick: bool) -> Iterator[dict[str, Epoch]]:
    n = 256 if quick else 4000
    X = np.full((n, 3, 224, 224), 7, np.uint8)
    serial = ops.indices(n) | ops.shuffle(0) | ops.chunk(64) | ops.gather(X)
    blocks = list(ops.indices(n) | ops.shuffle(0) | ops.chunk(64))
    own = [np.empty((64, *X.shape[1:]), X.dtype) for _ in range(WORKERS)]

    def copy(worker: int) -> list[Any]:
        for block in blocks[worker::WORKERS]:
            X.take(block, axis=0, out=own[worker][: len(block)], mode="clip")
        return blocks[worker::WORKERS]

    def bare() -> list[Any]:
        """Copy to the same place again and again: the most that the memory of the machine can do."""
        return [block for copied in executor.map(copy, range(WORKERS)) for block in copied]

    with work_pool.WorkerThreadPool(WORKERS) as pool, ThreadPoolExecutor(WORKERS) as executor:
        yield {
            "BatchUp, threads": (serial | ops.parallel(pool)).__iter__,
            "BatchUp, serial": serial.__iter__,
            "two threads, bare copies": bare,
        }


@contextmanager
def small(quick: bool) -> Iterator[dict[str, Epoch]]:
    n = 1600 if quick else 100_000
    X = np.full((n, 4), 7, np.float32)
    serial = ops.indices(n) | ops.shuffle(0) | ops.chunk(16) | ops.gather(X)
    with work_pool.WorkerThreadPool(WORKERS) as threads, work_pool.WorkerProcessPool(WORKERS) as pool:
        yield {
            "BatchUp, threads": (serial | ops.parallel(threads)).__iter__,
            "BatchUp, processes": (serial | ops.parallel(pool)).__iter__,
            "BatchUp, serial": serial.__iter__,
            **data_loader(Samples(itself, X), 16),
        }


def process_executor() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(WORKERS, mp_context=multiprocessing.get_context("forkserver"))


def data_loader(samples: Samples, batch_size: int | None) -> dict[str, Epoch]:
    if torch is None:
        return {}
    loader = DataLoader(
        samples,
        batch_size=batch_size,
        num_workers=WORKERS,
        persistent_workers=True,
        multiprocessing_context="forkserver",
    )
    return {"DataLoader": loader.__iter__}


CASES = {
    "first": (first, "the first 32 JPEGs, until they are there"),
    "jpegs": (jpegs, "1000 JPEGs, decoded and resized, by 32"),
    "python": (python, "0.5 ms of Python a sample, by 32"),
    "large": (large, "200 batches of 38 MB"),
    "memory": (memory, "4000 x 3 x 224 x 224 uint8 in memory, shuffled, by 64"),
    "small": (small, "100000 x 4 float32, by 16"),
}

# -- The targets: case, contender, and at least how many times the rate of which other ----------------


@dataclass(frozen=True)
class Target:
    case: str
    ours: str
    least: float
    than: str

    def judged(self, times: dict[str, list[float]]) -> dict[str, Any] | None:
        if self.than not in times:
            return None
        rates = [b / a for a, b in zip(times[self.ours], times[self.than], strict=True)]
        value = median(rates)
        return {
            "case": self.case,
            "target": f"{self.ours}: at least {self.least:.3g} times the rate of {self.than}",
            "value": round(value, 3),
            "holds": value >= self.least,
        }


TARGETS = [
    Target("first", "BatchUp, threads, split", 1 / 0.6, "BatchUp, serial"),
    Target("jpegs", "BatchUp, threads", 0.97, "ThreadPoolExecutor.map"),
    Target("jpegs", "BatchUp, threads", 1.0, "DataLoader"),
    Target("python", "BatchUp, processes", 0.97, "ProcessPoolExecutor.map"),
    Target("large", "BatchUp, processes", 2.5, "DataLoader"),
    Target("large", "BatchUp, processes", 6.0, "ProcessPoolExecutor.map"),
    Target("memory", "BatchUp, threads", 1.7, "BatchUp, serial"),
    Target("small", "BatchUp, threads", 3.0, "DataLoader"),
    Target("small", "BatchUp, processes", 3.0, "DataLoader"),
]

# -- Measuring and showing ----------------------------------------------------------------------------


def milliseconds_a_batch(epoch: Epoch) -> float:
    gc.collect()
    n = 0
    start = perf_counter()
    for _ in epoch():
        n += 1
    return (perf_counter() - start) / n * 1e3


def measure(epochs: dict[str, Epoch], rounds: int) -> dict[str, list[float]]:
    """Return the milliseconds a batch of each contender in each round, after an epoch to warm up."""
    times: dict[str, list[float]] = {name: [] for name in epochs}
    for name in epochs:
        milliseconds_a_batch(epochs[name])
    for number in range(rounds):
        # Every other round is backwards, so that no contender always follows the same one.
        for name in reversed(epochs) if number % 2 else epochs:
            times[name].append(milliseconds_a_batch(epochs[name]))
    return times


def main() -> None:
    parser = options(__doc__, rounds=5)
    parser.add_argument("--cases", nargs="+", choices=CASES, metavar="CASE", default=list(CASES))
    arguments = parser.parse_args()

    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    rows, targets = [], []
    for case in arguments.cases:
        make, what = CASES[case]
        with make(arguments.quick) as epochs:
            times = measure(epochs, 1 if arguments.quick else arguments.rounds)
        print(f"\n{case}: {what}")
        for name, each in times.items():
            print(f"  {name:26} {median(each):10.3f} ms a batch")
            rows.append({"case": case, "contender": name, "ms_a_batch": round(median(each), 4)})
        judged = [target.judged(times) for target in TARGETS if target.case == case]
        targets += [verdict for verdict in judged if verdict is not None]

    conclude(arguments, rows, targets, lambda t: f"{t['case']}: {t['value']:.2f}; {t['target']}")


if __name__ == "__main__":
    main()
