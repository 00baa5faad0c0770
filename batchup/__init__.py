"""Mini-batches for training neural networks, as a toolkit of iterator combinators.

`batchup.ops` has the sources and stages, which are composed with `|`. `batchup.data_source` and `batchup.sampling` have
names for the usual compositions. `batchup.work_pool` has pools of workers, `batchup.datasets` standard data sets, and
`batchup.hosts` adapters for the training loops of other libraries. Each is imported when it is first used.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchup import core, data_source, datasets, hosts, memory, ops, sampling, testing, work_pool

__version__ = "1.0.0.dev0"

__all__ = [
    "__version__",
    "core",
    "data_source",
    "datasets",
    "hosts",
    "memory",
    "ops",
    "sampling",
    "testing",
    "work_pool",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return import_module(f"batchup.{name}")
    raise AttributeError(f"module 'batchup' has no attribute {name!r}")
