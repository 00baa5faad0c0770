"""Mini-batches for training neural networks, as a toolkit of iterator combinators.

`batchup.ops` has the sources and stages, which are composed with `|`. `batchup.data_source` and `batchup.sampling` have
names for the usual compositions. `batchup.work_pool` has pools of workers, `batchup.datasets` standard data sets, and
`batchup.hosts` adapters for the training loops of other libraries.
"""

from batchup import data_source, hosts, ops, sampling, work_pool

__version__ = "1.0.0.dev0"

__all__ = ["__version__", "data_source", "hosts", "ops", "sampling", "work_pool"]


def __dir__() -> list[str]:
    return __all__
