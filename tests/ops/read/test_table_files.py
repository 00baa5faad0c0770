"""Tables in files, read by row groups."""

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from batchup import ops, work_pool
from batchup.testing import plain
from tests.ops.read.stored import BLOCKS, N, read


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
    stream = ops.indices(N) | ops.mix(3, [20, 20, 10, 20, 20, 13], 2) | ops.gather(parts) | ops.rebatch(16)
    with work_pool.WorkerProcessPool(1) as pool:
        given = ops.indices(N) | ops.chunk(16) | ops.gather(parts)
        assert list(map(plain, given | ops.parallel(pool))) == list(map(plain, given))
        with pytest.raises(TypeError, match=r"TableDataSource\(path\), .* ops.table\(path\)"):
            ops.indices(N) | ops.gather(file) | ops.parallel(pool)
    assert sorted(np.concatenate([rows["a"] for (rows,) in stream])) == list(range(0, 2 * N, 2))
