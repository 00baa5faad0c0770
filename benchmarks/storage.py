"""Measure what batches out of files with chunks cost, and how well windows mix their labels.

    python benchmarks/storage.py [--quick] [--rounds 5] [--json results.json]

1. Seconds for a pass over a Parquet file of 5 million rows of 20 float32 and a label, in row groups of 100,000: in shuffled
   windows of 8 row groups, batches of 4096, features as one array, beside an `IterableDataset` in PyTorch's DataLoader
   without workers that shuffles the same windows by hand; and the largest memory meanwhile, in windows.
2. Milliseconds a batch of 64 of 20000 x 3 x 64 x 64 uint8 in chunks of 64 samples, sorted by label: HDF5 without
   compression and with gzip, and zarr 3; in windows of 20 chunks, in order, and in a full shuffle. Beside them: slices
   by hand, item by item, PyTorch's DataLoader, and scDataset with the same file, window and chunk size. The contenders
   take turns; figures are medians over the rounds.
3. The label entropy of a batch of 64 of 14 classes in runs, for several windows, beside that of a full shuffle and the
   prediction of `ops.mix`; the last 1 % of the batches beside the others.
4. Microseconds a batch of 64 of `permute`, and the bytes of a checkpoint.

Needs h5py and pyarrow. What else isn't installed (zarr, torch, scdataset) is left out.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import h5py
import numpy as np
import pyarrow
from arrays import conclude, options, target, told
from pyarrow import parquet

from batchup import ops
from batchup.data_source import TableDataSource
from batchup.ops.index.mixing import entropy

try:
    import zarr
except ImportError:
    zarr = None
try:
    import torch
    from torch.utils.data import DataLoader

    torch.set_num_threads(1)
except ImportError:
    torch = None
try:
    import scdataset
except ImportError:
    scdataset = None

SIZE, CHUNK, WINDOW, CLASSES = 64, 64, 20, 14
warnings.filterwarnings("ignore", message=".*labels lie in runs")  # which is what is measured here


def files(folder: Path, n: int) -> dict[str, Any]:
    X = np.random.default_rng(0).integers(0, 64, (n, 3, 64, 64), dtype=np.uint8)
    chunks = (CHUNK, *X.shape[1:])
    with h5py.File(folder / "data.h5", "w") as file:
        file.create_dataset("plain", data=X, chunks=chunks)
        file.create_dataset("gzip", data=X[: max(n // 5, 2000)], chunks=chunks, compression="gzip", compression_opts=1)
    opened = h5py.File(folder / "data.h5", "r")
    arrays = {"HDF5": opened["plain"], "HDF5, gzip": opened["gzip"]}
    if zarr is not None:
        made = zarr.create_array(folder / "data.zarr", shape=X.shape, chunks=chunks, dtype=X.dtype)
        made[:] = X
        arrays["zarr"] = zarr.open_array(folder / "data.zarr", mode="r")
    return arrays


class Items:
    """A map-style dataset for PyTorch."""

    def __init__(self, X: Any, y: Any):
        self.X, self.y = X, y

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, i: int) -> Any:
        return self.X[i], int(self.y[i])


def contenders(X: Any, y: Any) -> dict[str, Callable[[], Iterable[Any]]]:
    n = len(y)
    order = np.random.default_rng(0).permutation(n)
    read = ops.gather(X, y)

    def slices() -> Iterator[Any]:
        for start in range(0, n, SIZE):
            yield X[start : start + SIZE], y[start : start + SIZE]

    def item_by_item() -> Iterator[Any]:
        for start in range(0, n, SIZE):
            block = order[start : start + SIZE]
            yield np.stack([X[int(i)] for i in block]), y[block]

    found: dict[str, Callable[[], Iterable[Any]]] = {
        "BatchUp, windows": lambda: ops.indices(n) | ops.mix(7, CHUNK, WINDOW) | read | ops.rebatch(SIZE),
        "BatchUp, in order": lambda: ops.indices(n) | ops.chunk(SIZE) | read,
        "slices by hand": slices,
        "BatchUp, full shuffle": lambda: ops.indices(n) | ops.shuffle(7) | ops.chunk(SIZE) | read,
        "item by item": item_by_item,
    }
    if torch is not None:
        found["DataLoader"] = lambda: DataLoader(Items(X, y), SIZE, shuffle=True)
    if scdataset is not None and torch is not None:
        found["scDataset, windows"] = lambda: scdataset.scDataset(
            Items(X, y),
            scdataset.BlockShuffling(block_size=CHUNK),
            batch_size=SIZE,
            fetch_factor=WINDOW,
            fetch_callback=fetched,
            seed=7,
        )
    return found


def fetched(items: Items, indices: Any) -> Any:
    """Read what scDataset asks for, indices in order, by slices: the fastest function that its users could write."""
    array = items.X
    indices = np.asarray(indices)
    wanted = np.sort(indices)
    runs = np.split(wanted, np.flatnonzero(np.diff(wanted) > 1) + 1)
    window = np.concatenate([array[int(run[0]) : int(run[-1]) + 1] for run in runs])
    return window[np.searchsorted(wanted, indices)]


def milliseconds(make: Callable[[], Iterable[Any]], batches: int) -> float:
    items = iter(make())
    start = perf_counter()
    count = sum(1 for _ in islice(items, batches))
    return (perf_counter() - start) / count * 1000


def reading(arguments: argparse.Namespace) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    targets: list[dict[str, Any]] = []
    n = 2000 if arguments.quick else 20_000
    with tempfile.TemporaryDirectory() as folder:
        arrays = files(Path(folder), n)
        for name, X in arrays.items():
            y = np.repeat(np.arange(CLASSES), -(-n // CLASSES))[: X.shape[0]]
            ways = contenders(X, y)
            times: dict[str, list[float]] = {way: [] for way in ways}
            for _ in range(arguments.rounds):
                for way, make in ways.items():
                    dear = way in ("item by item", "DataLoader", "BatchUp, full shuffle")
                    batches = 5 if arguments.quick else 30 if dear else 10**9
                    times[way].append(milliseconds(make, batches))
            own = {way: median(each) for way, each in times.items()}
            rows += [{"file": name, "contender": way, "ms_a_batch": value} for way, value in own.items()]
            full = "BatchUp, full shuffle"
            targets += [
                target(f"{name}, full shuffle, beside {other}", own[full] / own[other], 1.1)
                for other in ("item by item", "DataLoader")
                if other in own
            ]
            if "scDataset, windows" in own and name == "HDF5":
                value = own["BatchUp, windows"] / own["scDataset, windows"]
                targets.append(target(f"{name}, windows, beside scDataset", value, 1.0))
            if name == "HDF5":
                targets.append(target("HDF5, windows, ms a batch", own["BatchUp, windows"], 0.6))
        arrays["HDF5"].file.close()
    return rows, targets


FEATURES, ROWS_A_GROUP, GROUPS, ROWS = [f"f{k}" for k in range(20)], 100_000, 8, 4096


def windows_by_hand(path: Path, seed: int) -> Iterator[Any]:
    """Shuffled windows of row groups, as users write them without this library."""
    rng = np.random.default_rng(seed)
    with parquet.ParquetFile(path) as file:
        order = rng.permutation(file.num_row_groups)
        for start in range(0, len(order), GROUPS):
            table = file.read_row_groups(sorted(order[start : start + GROUPS].tolist()), columns=[*FEATURES, "label"])
            X = np.stack([table[name].to_numpy() for name in FEATURES], axis=1)
            y = table["label"].to_numpy()
            mixed = rng.permutation(len(y))
            X, y = X[mixed], y[mixed]
            for k in range(0, len(y), ROWS):
                yield X[k : k + ROWS], y[k : k + ROWS]


def by_dataloader(path: Path, seed: int) -> Iterable[Any]:
    if torch is None:
        return windows_by_hand(path, seed)

    class Windows(torch.utils.data.IterableDataset):  # type: ignore[misc]
        def __iter__(self) -> Iterator[Any]:
            return ((torch.from_numpy(X), torch.from_numpy(y)) for X, y in windows_by_hand(path, seed))

    return DataLoader(Windows(), batch_size=None)


def anonymous_memory() -> int:
    """The bytes of memory of this process that are not of files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) * 1024


def seconds_and_memory(batches: Iterable[Any], rows: int) -> tuple[float, int]:
    """The seconds of a pass, and the largest memory above that of the beginning."""
    before, most, ended = anonymous_memory(), 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not ended.wait(0.002):
            most = max(most, anonymous_memory() - before)

    watching = threading.Thread(target=watch)
    watching.start()
    start = perf_counter()
    assert sum(len(y) for _, y in batches) == rows
    seconds = perf_counter() - start
    ended.set()
    watching.join()
    return seconds, most


def tables(arguments: argparse.Namespace) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    n = 10 * ROWS_A_GROUP if arguments.quick else 50 * ROWS_A_GROUP
    rng = np.random.default_rng(0)
    columns = {name: rng.random(n, dtype=np.float32) for name in FEATURES} | {"label": rng.integers(0, 10, n)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "table.parquet")
        parquet.write_table(pyarrow.table(columns), path, row_group_size=ROWS_A_GROUP)
        del columns
        ds = TableDataSource(path, features=FEATURES, target="label")
        to_tensors = ops.map(_as_it_is) if torch is None else ops.to_torch()
        ways: dict[str, Callable[[int], Iterable[Any]]] = {
            "BatchUp, windows": lambda seed: ds.stream(ROWS, shuffle=seed, window=GROUPS) | to_tensors,
            "DataLoader, by hand": lambda seed: by_dataloader(path, seed),
        }
        found: dict[str, list[tuple[float, int]]] = {way: [] for way in ways}
        for seed in range(arguments.rounds):
            for way, make in ways.items():
                found[way].append(seconds_and_memory(make(seed), n))
    window = GROUPS * ROWS_A_GROUP * (len(FEATURES) * 4 + 8)
    rows = [
        {
            "file": "Parquet",
            "contender": way,
            "seconds": median(s for s, _ in each),
            "windows": median(m for _, m in each) / window,
        }
        for way, each in found.items()
    ]
    ours, by_hand = rows
    return rows, [
        target("Parquet, features, beside DataLoader by hand", ours["seconds"] / by_hand["seconds"], 1 / 1.1),
        target("Parquet, features, memory in windows", ours["windows"], 2.6),
    ]


def _as_it_is(*batch: Any) -> Any:
    return batch


class Counting:
    """A store that counts the chunks it decodes."""

    def __init__(self, y: Any):
        self.y, self.shape, self.dtype, self.chunks = y, y.shape, y.dtype, (CHUNK,)
        self.decoded: Counter[int] = Counter()

    def __getitem__(self, part: slice) -> Any:
        self.decoded.update(range(part.start // CHUNK, -(-part.stop // CHUNK)))
        return self.y[part]


def mixing(arguments: argparse.Namespace) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    rows, targets = [], []
    chunks = 2048 if arguments.quick else 16_384
    y = np.repeat(np.arange(CLASSES), -(-chunks * CHUNK // CLASSES))[: chunks * CHUNK]
    for window in (20, 64, 256, 1024):
        store = Counting(y)
        batches = ops.indices(len(y)) | ops.mix(7, CHUNK, window) | ops.gather(store) | ops.rebatch(SIZE)
        found = ops.survey(batches, labels=y)
        assert found.full is not None
        each = np.array([entropy(batch) for (batch,) in batches])
        last = max(1, len(each) // 100)
        law = (CLASSES - 1) / (2 * math.log(2) * window)
        own = {
            "window": window,
            "full": found.full,
            "predicted": found.predicted,
            "measured": float(each.mean()),
            "law": found.full - law,
            "last 1 %": float(each[-last:].mean()),
        }
        rows.append(own)
        if window == 1024:
            targets.append(target("window 1024, bits below a full shuffle", found.full - own["measured"], 0.015))
        if window == 64:
            targets.append(target("window 64, bits from the law", abs(own["measured"] - own["law"]), 0.03))
            gap = abs(own["last 1 %"] - float(each[:-last].mean()))
            targets.append(target("window 64, the last 1 % from the others", gap, 0.05))
        decoded = max(store.decoded.values()) if len(store.decoded) == chunks else math.inf
        targets.append(target(f"window {window}, times a chunk is decoded", decoded, 1))
    return rows, targets


def small(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    n = 10**5 if arguments.quick else 10**7
    permuted = ops.indices(n) | ops.permute(7) | ops.chunk(SIZE)
    times = [milliseconds(lambda: permuted, 5000) * 1000 for _ in range(arguments.rounds)]
    windows = ops.indices(n) | ops.mix(7, CHUNK, WINDOW) | ops.gather(np.zeros(n, np.int8)) | ops.rebatch(SIZE)
    items = iter(windows)
    next(items)
    return [
        target("permute, us a batch", median(times), 8.0),
        target("a checkpoint of windows, bytes", len(json.dumps(items.state_dict())), 1000),
    ]


def main() -> None:
    arguments = options(__doc__, rounds=5).parse_args()
    if arguments.quick:
        arguments.rounds = 1
    rows, targets = tables(arguments)
    print("a pass over a Parquet file: seconds, and memory in windows")
    for row in rows:
        print(f"  {row['contender']:24} {row['seconds']:8.2f} {row['windows']:8.2f}")
    files_read, further = reading(arguments)
    rows, targets = rows + files_read, targets + further
    print("ms a batch of 64")
    for row in files_read:
        print(f"  {row['file']:12} {row['contender']:24} {row['ms_a_batch']:8.3f}")
    entropies, further = mixing(arguments)
    print("bits a batch, 14 classes in runs")
    for own in entropies:
        print("  " + "  ".join(f"{name} {value:.4g}" for name, value in own.items()))
    targets += [*further, *small(arguments)]
    conclude(arguments, rows + entropies, targets, told)


if __name__ == "__main__":
    main()
