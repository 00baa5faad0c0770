"""Measure what it costs to plan batches of mixtures and episodes, and to read windows.

    python benchmarks/mixtures.py [--quick] [--rounds 7] [--json results.json]

Prints the microseconds that the indices of a batch of 64 take, the milliseconds until a batch a billion samples on, and
how long a batch of windows takes beside NumPy's own view of all windows; medians over the rounds, in which all take turns.
"""

from __future__ import annotations

from itertools import cycle, islice
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from arrays import conclude, machine, options
from numpy.lib.stride_tricks import sliding_window_view
from samples import microseconds

from batchup import ops

SIZE = 64


def planned(n: int) -> dict[str, ops.Stream]:
    """Streams of the indices of batches, of members of n samples each."""
    y = np.random.default_rng(1).permutation(np.arange(n) % 100)
    members = [ops.indices(n) | ops.permute(m) | ops.repeat(-1) | ops.chunk(SIZE) for m in range(3)]
    weights = [0.7, 0.2, 0.1]
    return {
        "permute": members[0],
        "blend": ops.blend([n] * 3, 7, weights=weights) | ops.chunk(SIZE),
        "choose": ops.choose(*members, weights=weights),
        "choose, at random": ops.choose(*members, weights=weights, rng=7),
        "episodes": ops.episodes(y, 16, 4, 7),
    }


def main() -> None:
    arguments = options(__doc__, rounds=7).parse_args()
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    n, times, rounds = (10_000, 20, 1) if arguments.quick else (10**6, 5000, arguments.rounds)
    streams = planned(n)
    iterators = {name: iter(stream) for name, stream in streams.items()}
    for items in iterators.values():
        list(islice(items, 200))  # as later batches are
    seen: dict[str, list[float]] = {name: [] for name in iterators}
    for _ in range(rounds):
        for name, items in iterators.items():
            start = perf_counter()
            list(islice(items, times))
            seen[name].append((perf_counter() - start) / times * 1e6)
    took = {name: median(values) for name, values in seen.items()}
    far = []
    for k in range(5 * rounds):
        start = perf_counter()
        streams["blend"][10**9 // SIZE + k]
        far.append((perf_counter() - start) * 1e3)
    signal = np.random.default_rng(1).random(n, dtype=np.float32)
    views, ratios = {}, {}
    for size in (128, 1024):
        view, rng = sliding_window_view(signal, size), np.random.default_rng(1)
        blocks = [rng.integers(0, len(view), SIZE) for _ in range(50)]
        read = (blocks | ops.skip(0) | ops.gather(ops.windows(signal, size))).steps[-1].run
        contenders = {"view[indices]": _Calls(view.__getitem__, blocks, times), "windows": _Calls(read, blocks, times)}
        views[size] = microseconds(contenders, rounds)
        ratios[size] = views[size]["windows"] / views[size]["view[indices]"]
    rows: list[dict[str, Any]] = [
        *[{"what": f"the indices of a batch, {name}", "unit": "us", "value": us} for name, us in took.items()],
        {"what": "a batch a billion samples on, blend", "unit": "ms", "value": median(far)},
        *[
            {"what": f"a batch of windows of {size}, {name}", "unit": "us", "value": us}
            for size, found in views.items()
            for name, us in found.items()
        ],
    ]
    for row in rows:
        print(f"  {row['what']:50} {row['value']:8.2f} {row['unit']}")
    bounds = [
        ("the indices of a batch by blend, us", took["blend"], 10),
        ("the indices of a batch by choose, us", took["choose"], 5),
        ("the indices of a batch by episodes, us", took["episodes"], 25),
        ("a batch a billion samples on, ms", median(far), 10),
        *[(f"windows of {size}, beside NumPy's view", ratio, 1.1) for size, ratio in ratios.items()],
    ]
    targets = [{"what": what, "bound": bound, "holds": bool(value <= bound)} for what, value, bound in bounds]
    conclude(arguments, rows, targets, lambda target: f"{target['what']}: at most {target['bound']}")


class _Calls:
    """What a function returns for each of some blocks, again and again."""

    def __init__(self, function: Any, blocks: list[Any], times: int):
        self.function, self.blocks, self.times = function, blocks, times

    def __iter__(self) -> Any:
        return map(self.function, islice(cycle(self.blocks), self.times))


if __name__ == "__main__":
    main()
