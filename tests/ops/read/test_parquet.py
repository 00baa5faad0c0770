"""Tables in files, read by row groups."""

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from batchup import ops, work_pool
from batchup.testing import plain

N = 103

X = np.arange(N * 6).reshape(N, 3, 2)

BLOCKS = [
    [],
    [5],
    [5, 5, 2],
    range(103),
    range(10, 30),
    range(7, 8),
    range(3, 3),
    [102, 0, 50],
    [*range(40, 80)][::-1],
]


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "data.h5", "w") as made:
        made.create_dataset("plain", data=X, chunks=(10, 3, 2))
        made.create_dataset("gzip", data=X, chunks=(10, 3, 2), compression="gzip")
        made.create_dataset("tiles", data=X, chunks=(10, 2, 1))
        made.create_dataset("flat", data=X)
        made.create_dataset("bool", data=X % 2 == 0, chunks=(7, 3, 2))
        made.create_dataset("big", data=X.astype(">f4"), chunks=(7, 3, 2))
        some = made.create_dataset("some", X.shape, X.dtype, chunks=(10, 3, 2), fillvalue=-1)
        some[20:30] = X[20:30]
        made["nothing"] = X[:0]
        made["none"] = h5py.Empty("f")
        made["single"] = 5
        made["words"] = [f"word {i}" for i in range(N)]
    with h5py.File(tmp_path / "data.h5", "r") as opened:
        yield opened


def read(array, block, **options):
    stream = ([np.array(block, int)] if isinstance(block, list) else [block]) | ops.skip(0)
    [(batch,)] = stream | ops.gather(array, **options)
    return batch


def test_parquet_and_datasets_of_arrow(tmp_path):
    table = pa.table({"a": np.arange(N) * 2, "b": [f"word {i}" for i in range(N)]})
    pq.write_table(table, tmp_path / "one.parquet", row_group_size=10)
    pq.write_table(table.slice(0, 50), tmp_path / "part-0.parquet", row_group_size=20)
    pq.write_table(table.slice(50), tmp_path / "part-1.parquet", row_group_size=20)
    file = pq.ParquetFile(tmp_path / "one.parquet")
    parts = ds.dataset([tmp_path / "part-0.parquet", tmp_path / "part-1.parquet"])
    for block in BLOCKS:
        places = np.array(block, int)
        expected = {"a": (places * 2).tolist(), "b": [f"word {i}" for i in places]}
        assert plain(read(file, block)) == expected
        assert plain(read(parts, block, cache=1000)) == expected
    stream = (
        ops.indices(N) | ops.mix(3, [20, 20, 10, 20, 20, 13], 2) | ops.gather(parts) | ops.rebatch(16)
    )
    with work_pool.WorkerProcessPool(1) as pool:
        given = ops.indices(N) | ops.chunk(16) | ops.gather(parts)
        assert list(map(plain, given | ops.parallel(pool))) == list(map(plain, given))
        with pytest.raises(TypeError, match=r"pyarrow\.dataset\.dataset\(path\)"):
            ops.indices(N) | ops.gather(file) | ops.parallel(pool)
    assert sorted(np.concatenate([rows["a"] for (rows,) in stream])) == list(range(0, 2 * N, 2))
