"""Measure how much a batch costs on a cluster: Dask and Ray on this machine, with two workers.

    python benchmarks/clusters.py [--quick] [--engines dask ray] [--json results.json]

Prints milliseconds a batch, medians over the rounds. Batches of 0.8 MB come from sources of two sizes, since the cost
must not depend on the source. Tiny batches show what handing them over costs. Beside each stands the bare engine: one
task a batch, of a function that returns the batch.

While the other contender is measured, Dask drops all copies of a source but one, as its policy ReduceReplicas does
after two seconds, and sends them again. That takes half a second for 480 MB, and is included.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import numpy as np
from arrays import conclude, machine, options
from pools import milliseconds_a_batch

from batchup import ops, work_pool

WORKERS = 2
AHEAD = 32

# Case: (rows of 800 bytes in the source, rows in a batch), for all and with --quick.
CASES = {
    "0.8 MB, of 96 MB": ((120_000, 1000), (4000, 1000)),
    "0.8 MB, of 480 MB": ((600_000, 1000), (8000, 1000)),
    "tiny": ((120_000, 2), (4000, 2)),
}
# Targets: at most so many milliseconds a batch.
TARGETS = {"0.8 MB, of 96 MB": 3.0, "0.8 MB, of 480 MB": 3.0, "tiny": 1.0}

Submit = Callable[..., Callable[[], Any]]


def made(rows: int) -> np.ndarray:
    """Return the batch of a bare task."""
    return np.zeros((rows, 200), np.float32)


@contextmanager
def dask() -> Iterator[tuple[work_pool.WorkerPool, Submit]]:
    import distributed

    with (
        distributed.LocalCluster(
            n_workers=WORKERS, threads_per_worker=1, dashboard_address=None, silence_logs=50
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield work_pool.DaskPool(client), lambda *task: client.submit(*task, pure=False).result


@contextmanager
def ray() -> Iterator[tuple[work_pool.WorkerPool, Submit]]:
    options: dict[str, Any] = {
        "num_cpus": WORKERS,
        "include_dashboard": False,
        "logging_level": "ERROR",
        "log_to_driver": False,
    }
    with work_pool.RayPool(**options) as pool:
        import ray as engine

        remote = engine.remote(made)
        yield pool, lambda _, *task: remote.remote(*task).future().result


ENGINES = {"dask": dask, "ray": ray}


def bare(submit: Submit, batches: int, rows: int) -> Iterator[Any]:
    """Run one task a batch, as many ahead as BatchUp does."""
    waiting: deque[Callable[[], Any]] = deque()
    for _ in range(batches):
        waiting.append(submit(made, rows))
        if len(waiting) == AHEAD:
            yield waiting.popleft()()
    while waiting:
        yield waiting.popleft()()


def main() -> None:
    parser = options(__doc__, rounds=5)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, metavar="ENGINE", default=list(ENGINES))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # warnings of the engines

    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    rows, targets = [], []
    for engine in arguments.engines:
        with ENGINES[engine]() as (pool, submit):
            print(f"\n{engine}")
            for case, sizes in CASES.items():
                n, size = sizes[arguments.quick]
                batches = 8 if arguments.quick else 1000
                blocks = ops.indices(n) | ops.repeat(-1) | ops.chunk(size) | ops.take(batches)
                stream = blocks | ops.gather(np.zeros((n, 200), np.float32)) | ops.parallel(pool, AHEAD)
                contenders: dict[str, Callable[[], Iterable[Any]]] = {
                    "BatchUp": stream.__iter__,
                    "bare": lambda batches=batches, size=size: bare(submit, batches, size),
                }
                times: dict[str, list[float]] = {name: [] for name in contenders}
                for name in contenders:
                    milliseconds_a_batch(contenders[name])
                for _ in range(1 if arguments.quick else arguments.rounds):
                    for name in contenders:
                        times[name].append(milliseconds_a_batch(contenders[name]))
                for name, each in times.items():
                    print(f"  {case:18} {name:8} {median(each):8.3f} ms a batch")
                    row = {"engine": engine, "case": case, "contender": name}
                    rows.append(row | {"ms_a_batch": round(median(each), 4)})
                value = median(times["BatchUp"])
                verdict = {"engine": engine, "case": case, "at_most": TARGETS[case], "value": round(value, 3)}
                targets.append(verdict | {"holds": value <= TARGETS[case]})

    conclude(
        arguments, rows, targets, lambda t: f"{t['engine']}, {t['case']}: {t['value']:.2f} ms, at most {t['at_most']}"
    )


if __name__ == "__main__":
    main()
