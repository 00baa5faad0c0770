"""Data sources: documented names for the usual pipelines. Presets over `batchup.ops`.

>>> import numpy as np
>>> from batchup.data_source import ArrayDataSource
>>> X, y = np.arange(10.0).reshape(5, 2), np.arange(5)
>>> for batch_X, batch_y in ArrayDataSource([X, y]).batch_iterator(batch_size=3, shuffle=12345):
...     print(batch_X.shape, batch_y)
(3, 2) [1 3 2]
(2, 2) [0 4]
"""

from batchup.data_source.arrays import ArrayDataSource, RandomAccessDataSource
from batchup.data_source.base import AbstractDataSource
from batchup.data_source.concat import BlendDataSource, ConcatDataSource
from batchup.data_source.functions import CallableDataSource, IteratorDataSource, coerce_data_source
from batchup.data_source.joint import ChoiceBatch, ChoiceDataSource, CompositeDataSource
from batchup.data_source.maps import MapDataSource, MapSamplesDataSource
from batchup.data_source.parallel import ParallelDataSource
from batchup.data_source.results import batch_map_concat, batch_map_mean
from batchup.data_source.samples import SampleDataSource
from batchup.data_source.table import TableDataSource

__all__ = [
    "AbstractDataSource",
    "ArrayDataSource",
    "BlendDataSource",
    "CallableDataSource",
    "ChoiceBatch",
    "ChoiceDataSource",
    "CompositeDataSource",
    "ConcatDataSource",
    "IteratorDataSource",
    "MapDataSource",
    "MapSamplesDataSource",
    "ParallelDataSource",
    "RandomAccessDataSource",
    "SampleDataSource",
    "TableDataSource",
    "batch_map_concat",
    "batch_map_mean",
    "coerce_data_source",
]


def __dir__() -> list[str]:
    return __all__
