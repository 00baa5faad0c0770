"""Pools of workers for `ops.parallel`: threads, processes, any executor, a Dask or a Ray cluster.

>>> from batchup import data_source, work_pool
>>> ds = data_source.ArrayDataSource([np.arange(5), np.arange(5) ** 2])
>>> with work_pool.WorkerThreadPool(processes=2) as pool:
...     loader = ds.loader(batch_size=3, shuffle=12345, pool=pool)
...     for batch_X, batch_y in loader:
...         print(batch_X, batch_y)
[1 3 2] [1 9 4]
[0 4] [ 0 16]
"""

from batchup.data_source.parallel import ParallelDataSource
from batchup.memory.shared import share
from batchup.work_pool.base import WorkerPool
from batchup.work_pool.dask import DaskPool
from batchup.work_pool.errors import RemoteTraceback, WorkerDied, WorkError
from batchup.work_pool.executors import ExecutorPool
from batchup.work_pool.processes.pool import WorkerProcessPool
from batchup.work_pool.ray import RayPool
from batchup.work_pool.tasks import WorkStream
from batchup.work_pool.threads import WorkerThreadPool

AbstractWorkerPool = WorkerPool

__all__ = [
    "AbstractWorkerPool",  # the name of WorkerPool in 0.2.3
    "DaskPool",  # a Dask cluster that runs already
    "ExecutorPool",  # any concurrent.futures.Executor
    "ParallelDataSource",  # the result of parallel_data_source
    "RayPool",  # a Ray cluster that runs already, or one on this machine
    "RemoteTraceback",  # the cause of an exception that comes from a worker: its traceback there
    "WorkError",  # raised in place of an exception that can't be pickled
    "WorkStream",  # the result of work_stream
    "WorkerDied",  # raised if a worker process ended
    "WorkerPool",  # the base class of pools
    "WorkerProcessPool",  # processes on this machine, and shared memory
    "WorkerThreadPool",  # threads
    "share",  # puts an array into shared memory, so that pools need no copy
]


def __dir__() -> list[str]:
    return __all__
