"""Measure how long an epoch of arrays in memory takes: BatchUp beside what users would write or use instead.

    python benchmarks/arrays.py [--quick] [--cases rows images ...] [--json results.json]

Prints a table of microseconds a batch, and for each target whether it is met. Every source has labels. The contenders
take turns, in rounds, so that other work on the machine affects all of them. Times are medians over the rounds; ratios
and differences are medians of those within each round.

PyTorch's DataLoader takes part if torch is installed. If an epoch of it would take long, a part of an epoch is
measured, from its second batch on, so that drawing the order is not counted. All run in one thread: copies this small
gain nothing from a second one, and on a busy machine the threads of PyTorch wait for each other, for milliseconds a
batch.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from batchup.data_source import ArrayDataSource, CompositeDataSource
from batchup.sampling import WeightedSampler

try:
    import torch
    from torch.utils import data as torch_data

    torch.set_num_threads(1)
except ImportError:
    torch = None

SEED = 12345

# -- The cases -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Target:
    """At most `limit` times the contender `than`, or "us" microseconds a batch more than it. If `than` is None: at most so
    many microseconds.
    """

    limit: float
    unit: str
    than: str | None = None

    def value(self, times: dict[str, list[float]]) -> float:
        ours = times["BatchUp"]
        if self.than is None:
            return median(ours)
        pairs = zip(ours, times[self.than], strict=True)
        return median(a / b if self.unit == "times" else a - b for a, b in pairs)

    def __str__(self) -> str:
        if self.than is None:
            return f"at most {self.limit} {self.unit} a batch"
        more = "times" if self.unit == "times" else "us a batch more than"
        return f"at most {self.limit} {more} {self.than}"


@dataclass(frozen=True)
class Case:
    """`members` sources of `shape`, each with labels, read in batches of `size`."""

    key: str
    shape: tuple[int, ...]
    dtype: str
    size: int
    shuffled: Target
    in_order: Target | None = None
    members: int = 1

    @property
    def n_batches(self) -> int:
        return -(-self.shape[0] // self.size)

    def __str__(self) -> str:
        shape = " x ".join(map(str, self.shape))
        return f"{self.key}: {'2 of ' * (self.members == 2)}{shape} {self.dtype} by {self.size}"

    def sources(self) -> list[tuple[np.ndarray, np.ndarray]]:
        # Filled: memory pages that were never written to are all the same page of zeros.
        n = self.shape[0]
        return [(np.full(self.shape, 7, self.dtype), np.arange(n)) for _ in range(self.members)]


TAKE, PARTS = "take loop", "its parts"
COPIES = Target(1.15, "times", TAKE)  # in order: a loop of slice copies
JOINT = Target(1.0, "us", PARTS)

CASES = [
    Case("rows", (1_000_000, 32), "float32", 256, Target(1.10, "times", TAKE), COPIES),
    Case("mnist", (60_000, 1, 28, 28), "uint8", 128, Target(1.10, "times", TAKE), COPIES),
    Case("images", (4000, 3, 224, 224), "uint8", 64, Target(1.03, "times", TAKE), COPIES),
    Case("small", (100_000, 4), "float32", 16, Target(1.5, "us", TAKE), COPIES),
    Case("composite", (100_000, 4), "float32", 16, JOINT, JOINT, members=2),
    Case("weighted", (1_000_000,), "float64", 64, Target(60.0, "us")),
]

# -- The contenders --------------------------------------------------------------------------------
# Each makes a function without arguments from the sources of a case, which goes through an epoch. A contender that is too
# slow for whole epochs makes a function that returns the iterator, and `part` is the number of batches that are timed.


@dataclass(frozen=True)
class Contender:
    name: str
    make: Callable[[Case, Any, bool], Callable[[], Any]]
    part: int | None = None


def take_loop(case: Case, sources: Any, shuffled: bool) -> Callable[[], None]:
    rng, size = np.random.RandomState(SEED), case.size

    def shuffled_epoch() -> None:
        for X, y in sources:
            n = len(X)
            take = np.take
            order = rng.permutation(n)
            for start in range(0, n, size):
                block = order[start : start + size]
                batch = take(X, block, axis=0), take(y, block, axis=0)  # noqa: F841

    def in_order_epoch() -> None:
        for X, y in sources:
            for start in range(0, len(X), size):
                end = start + size
                batch = X[start:end].copy(), y[start:end].copy()  # noqa: F841

    return shuffled_epoch if shuffled else in_order_epoch


def fancy_index_loop(case: Case, sources: Any, shuffled: bool) -> Callable[[], None]:
    rng, size = np.random.RandomState(SEED), case.size

    def epoch() -> None:
        for X, y in sources:
            n = len(X)
            order = rng.permutation(n) if shuffled else np.arange(n)
            for start in range(0, n, size):
                block = order[start : start + size]
                batch = X[block], y[block]  # noqa: F841

    return epoch


def batchup(case: Case, sources: Any, shuffled: bool) -> Callable[[], None]:
    members = [ArrayDataSource([X, y]) for X, y in sources]
    source = members[0] if len(members) == 1 else CompositeDataSource(members)
    rng = np.random.RandomState(SEED) if shuffled else None
    return lambda: consume(source.batch_iterator(case.size, shuffle=rng))


def batchup_parts(case: Case, sources: Any, shuffled: bool) -> Callable[[], None]:
    epochs = [batchup(case, [source], shuffled) for source in sources]
    return lambda: consume(epoch() for epoch in epochs)


def data_loader(case: Case, sources: Any, shuffled: bool) -> Callable[[], Iterator[Any]]:
    loaders = [torch_data.DataLoader(tensors(source), batch_size=case.size, shuffle=shuffled) for source in sources]
    return lambda: zip(*loaders, strict=True)


def data_loader_of_batches(case: Case, sources: Any, shuffled: bool) -> Callable[[], Iterator[Any]]:
    kind = torch_data.RandomSampler if shuffled else torch_data.SequentialSampler
    loaders = []
    for source in sources:
        dataset = tensors(source)
        sampler = torch_data.BatchSampler(kind(dataset), case.size, drop_last=False)
        loaders.append(torch_data.DataLoader(dataset, sampler=sampler, batch_size=None))
    return lambda: zip(*loaders, strict=True)


def tensors(source: Any) -> Any:
    return torch_data.TensorDataset(*map(torch.from_numpy, source))


ARRAYS = [
    Contender("take loop", take_loop),
    Contender("fancy-index loop", fancy_index_loop),
    Contender("BatchUp", batchup),
]
COMPOSITE = [*ARRAYS, Contender("its parts", batchup_parts)]
TORCH = [
    Contender("DataLoader", data_loader, part=100),
    Contender("DataLoader, batch sampler", data_loader_of_batches, part=200),
]

# Weighted draws: only the indices.


def weights_of(case: Case) -> np.ndarray:
    weights = np.random.RandomState(SEED).random_sample(case.shape)
    return weights / weights.sum()


def choice_loop(case: Case, weights: Any, shuffled: bool) -> Callable[[], Iterator[Any]]:
    rng, n, size = np.random.RandomState(SEED), len(weights), case.size
    return lambda: (rng.choice(n, size, p=weights) for _ in range(case.n_batches))


def search_loop(case: Case, weights: Any, shuffled: bool) -> Callable[[], None]:
    rng, size = np.random.RandomState(SEED), case.size
    cumulative = weights.cumsum()

    def epoch() -> None:
        for _ in range(case.n_batches):
            cumulative.searchsorted(rng.random_sample(size), side="right")

    return epoch


def batchup_draws(case: Case, weights: Any, shuffled: bool) -> Callable[[], None]:
    rng, sampler = np.random.RandomState(SEED), WeightedSampler(weights)
    return lambda: consume(islice(sampler.shuffled_indices_batch_iterator(case.size, rng), case.n_batches))


def torch_draws(case: Case, weights: Any, shuffled: bool) -> Callable[[], None]:
    draws = torch_data.WeightedRandomSampler(weights, num_samples=len(weights))
    return lambda: consume(torch_data.BatchSampler(draws, case.size, drop_last=False))


WEIGHTED = [
    Contender("searchsorted loop", search_loop),
    Contender("BatchUp", batchup_draws),
    Contender("choice(p=weights) loop", choice_loop, part=20),
]
TORCH_WEIGHTED = [Contender("WeightedRandomSampler", torch_draws)]


def contenders_of(case: Case) -> list[Contender]:
    if case.key == "weighted":
        return WEIGHTED + (TORCH_WEIGHTED if torch else [])
    own = COMPOSITE if case.members > 1 else ARRAYS
    return own + (TORCH if torch else [])


# -- Measuring -------------------------------------------------------------------------------------


def consume(batches: Any) -> None:
    for _ in batches:
        pass


def seconds_a_batch(epoch: Callable[[], Any], part: int | None, n_batches: int) -> float:
    gc.collect()
    gc.disable()
    try:
        if part is None:
            epoch()  # warms up: another contender ran before
            start = perf_counter()
            epoch()
            return (perf_counter() - start) / n_batches
        batches = epoch()
        next(batches)
        part = max(1, min(part, n_batches - 1))
        start = perf_counter()
        consume(islice(batches, part))
        return (perf_counter() - start) / part
    finally:
        gc.enable()


def measure(case: Case, sources: Any, shuffled: bool, rounds: int) -> dict[str, list[float]]:
    """Return the microseconds a batch of each contender in each round."""
    contenders = contenders_of(case)
    epochs = {c.name: c.make(case, sources, shuffled) for c in contenders}
    times: dict[str, list[float]] = {c.name: [] for c in contenders}
    for number in range(rounds):
        # Every other round is backwards, so that no contender always follows the same one.
        for c in reversed(contenders) if number % 2 else contenders:
            seconds = seconds_a_batch(epochs[c.name], c.part, case.n_batches)
            times[c.name].append(seconds * 1e6)
    return times


def judged(case: Case, order: str, times: dict[str, list[float]]) -> list[dict[str, Any]]:
    """Return whether the target of the case and order is met, if there is one."""
    target = case.shuffled if order == "shuffled" else case.in_order
    if target is None:
        return []
    value = target.value(times)
    names = {"case": case.key, "order": order, "target": str(target)}
    return [{**names, "value": round(value, 3), "holds": value <= target.limit}]


# -- Showing ---------------------------------------------------------------------------------------


def machine() -> dict[str, Any]:
    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.split(": ")[1] for line in lines if line.startswith("model name")), cpu)
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__ if torch else None,
    }


def reported(case: Case, order: str, times: dict[str, list[float]]) -> list[dict[str, Any]]:
    """Print and return a row for each contender; ratios are to the first one."""
    first = next(iter(times.values()))
    rows = []
    print(f"\n{case}, {order}")
    for name, each in times.items():
        ratio = median(a / b for a, b in zip(each, first, strict=True))
        print(f"  {name:26} {median(each):12.2f} us {ratio:9.2f} x")
        numbers = {"us_a_batch": round(median(each), 3), "times_the_first": round(ratio, 3)}
        rows.append({"case": case.key, "what": str(case), "order": order, "contender": name, **numbers})
    return rows


def conclude(
    arguments: argparse.Namespace,
    rows: list[dict[str, Any]],
    targets: list[dict[str, Any]],
    told: Callable[[dict[str, Any]], str],
) -> None:
    """Print the verdicts, each as `told`, and write all results to a file if one was given."""
    print("\nTargets" + (" (of so little data, they mean nothing)" if arguments.quick else ""))
    for target in targets:
        print(f"  {'holds' if target['holds'] else 'MISSED':6} {told(target)}")
    if arguments.json:
        results = {"machine": machine(), "quick": arguments.quick, "rows": rows, "targets": targets}
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


def target(what: str, value: float, bound: float, least: bool = False) -> dict[str, Any]:
    """A target: a value is at most `limit`, or at least `least`."""
    holds = value >= bound if least else value <= bound
    return {"what": what, "value": value, "bound": bound, "least": least, "holds": holds}


def told(own: dict[str, Any]) -> str:
    """A target in words."""
    limit = f"at {'least' if own['least'] else 'most'} {own['bound']}"
    return f"{own['what']}: {own['value']:.4g} ({limit})"


def options(of: str | None, rounds: int) -> argparse.ArgumentParser:
    """The command-line options of all benchmarks; `of` is the docstring of one."""
    parser = argparse.ArgumentParser(description=(of or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="little data, few rounds: does it run?")
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    return parser


def main() -> None:
    parser = options(__doc__, rounds=15)
    parser.add_argument("--cases", nargs="+", choices=[c.key for c in CASES], metavar="CASE")
    arguments = parser.parse_args()

    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    rows, targets = [], []
    for case in CASES:
        if arguments.cases and case.key not in arguments.cases:
            continue
        if arguments.quick:
            case = replace(case, shape=(math.ceil(case.shape[0] / 100), *case.shape[1:]))
        sources = weights_of(case) if case.key == "weighted" else case.sources()
        for order in ["shuffled"] if case.key == "weighted" else ["shuffled", "in order"]:
            rounds = 2 if arguments.quick else arguments.rounds
            times = measure(case, sources, order == "shuffled", rounds)
            rows += reported(case, order, times)
            targets += judged(case, order, times)

    conclude(arguments, rows, targets, lambda t: f"{t['case']}, {t['order']}: {t['value']:.2f}; {t['target']}")


if __name__ == "__main__":
    main()
