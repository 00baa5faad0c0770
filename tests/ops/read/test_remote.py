"""Real clients of a real server: zarr over obstore and s3fs, Parquet over pyarrow.fs and fsspec, from S3 on loopback."""

import gc
import multiprocessing.resource_tracker

import fsspec.asyn
import numpy as np
import obstore.store
import pyarrow as pa
import pyarrow.dataset
import pyarrow.fs
import pyarrow.parquet
import pytest
import s3fs
import zarr
from moto.server import ThreadedMotoServer
from zarr.core.sync import sync

from batchup import ops, work_pool
from batchup.data_source import ArrayDataSource, TableDataSource
from batchup.ops.read.at_once import REMOTE
from batchup.testing import plain
from tests.conftest import eventually, more, traces

N, CHUNK = 120, 10
X = np.arange(N * 6, dtype=np.int16).reshape(N, 3, 2)
TABLE = pa.table({"x": np.arange(N) * 0.5, "y": np.arange(N) % 3})
KEYS = {"access_key_id": "key", "secret_access_key": "secret", "region": "us-east-1"}
# Starts what the clients keep to the end of the process.
zarr.array([0])[:]
fsspec.asyn.get_loop()
zarr.create_array(zarr.storage.ObjectStore(obstore.store.MemoryStore()), shape=(1,), dtype="u1")[:]
multiprocessing.resource_tracker.ensure_running()


@pytest.fixture(autouse=True)
def _nothing_is_left():
    """As for all tests; but the clients and the server keep connections open for a while."""
    before = traces()
    yield
    gc.collect()
    assert eventually(lambda: not more({**traces(), "open files": 0}, before))


@pytest.fixture(scope="module")
def endpoint():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    arrow_system(url).create_dir("bucket")
    made = zarr.create_array(of_obstore(url), shape=X.shape, chunks=(CHUNK, 3, 1), dtype=X.dtype)
    made[:] = X
    pyarrow.parquet.write_table(TABLE, "bucket/table.parquet", filesystem=arrow_system(url), row_group_size=CHUNK)
    yield url
    server.stop()


def of_obstore(url, prefix="x.zarr"):
    store = obstore.store.S3Store("bucket", prefix=prefix, endpoint=url, client_options={"allow_http": True}, **KEYS)
    return zarr.storage.ObjectStore(store)


def arrow_system(url):
    return pyarrow.fs.S3FileSystem(
        access_key="key", secret_key="secret", endpoint_override=url, region="us-east-1", allow_bucket_creation=True
    )


@pytest.fixture
def store(request, endpoint):
    """A store of zarr, over each client."""
    if request.param == "obstore":
        yield of_obstore(endpoint)
        return
    system = s3fs.S3FileSystem(asynchronous=True, **s3fs_options(endpoint))
    yield zarr.storage.FsspecStore(system, path="bucket/x.zarr", read_only=True)
    sync(system._s3.close())


@pytest.fixture
def system(request, endpoint):
    """A file system for Arrow, of each client."""
    if request.param == "pyarrow.fs":
        yield arrow_system(endpoint)
        return
    system = s3fs.S3FileSystem(**s3fs_options(endpoint))
    yield system
    fsspec.asyn.sync(system.loop, system._s3.close)


def s3fs_options(url):
    return {"key": "key", "secret": "secret", "endpoint_url": url, "skip_instance_cache": True}


WINDOWS = ops.indices(N) | ops.mix(7, chunks=CHUNK, window=4)
EXPECTED = list(map(plain, WINDOWS | ops.gather(X, np.arange(N)) | ops.rebatch(16)))


@pytest.mark.parametrize("store", ["obstore", "fsspec"], indirect=True)
def test_zarr(store):
    array = zarr.open_array(store, mode="r")
    windows = WINDOWS | ops.gather(array, np.arange(N))
    assert windows.steps[0].reader.columns[0].at_once.most == REMOTE
    assert list(map(plain, windows | ops.rebatch(16))) == EXPECTED
    ds = ArrayDataSource([array, np.arange(N)])
    assert len(list(ds.loader(16, shuffle=7, window=4))) == len(EXPECTED)
    with work_pool.WorkerThreadPool(2) as pool:
        assert list(map(plain, windows | ops.parallel(pool) | ops.rebatch(16))) == EXPECTED


@pytest.mark.parametrize("store", ["obstore", "fsspec"], indirect=True)
def test_zarr_in_worker_processes(store):
    array = zarr.open_array(store, mode="r")
    with work_pool.WorkerProcessPool(1) as pool:
        windows = WINDOWS | ops.gather(array, np.arange(N)) | ops.parallel(pool)
        assert list(map(plain, windows | ops.rebatch(16))) == EXPECTED


@pytest.mark.parametrize("system", ["pyarrow.fs", "fsspec"], indirect=True)
def test_parquet(system):
    dataset = pyarrow.dataset.dataset("bucket/table.parquet", filesystem=system)
    windows = WINDOWS | ops.gather(dataset)
    assert windows.steps[0].reader.columns[0].at_once.most == REMOTE
    expected = list(map(plain, WINDOWS | ops.gather(TABLE) | ops.rebatch(16)))
    assert list(map(plain, windows | ops.rebatch(16))) == expected
    batches = TableDataSource(dataset, reads=3).batch_iterator(16, shuffle=7, window=4)
    assert sorted(np.concatenate([batch["x"] for batch in batches])) == (np.arange(N) * 0.5).tolist()


def test_a_chunk_that_is_broken_is_named(endpoint):
    store = of_obstore(endpoint, "broken")
    made = zarr.create_array(store, shape=X.shape, chunks=(CHUNK, 3, 2), dtype=X.dtype)
    made[:] = X
    with arrow_system(endpoint).open_output_stream("bucket/broken/c/2/0/0") as file:
        file.write(b"no chunk of zarr")
    with pytest.raises(Exception, match=r".") as caught:
        list(WINDOWS | ops.gather(zarr.open_array(store, mode="r")))
    assert any("samples 20 to 29 of <120x3x2 int16> were read, from chunk 2 on" in n for n in caught.value.__notes__)


def test_a_store_in_memory_is_refused_by_worker_processes():
    store = zarr.storage.ObjectStore(obstore.store.MemoryStore())
    array = zarr.create_array(store, shape=X.shape, chunks=(CHUNK, 3, 2), dtype=X.dtype)
    with (
        work_pool.WorkerProcessPool(1) as pool,
        pytest.raises(TypeError, match=r"the stage gather.* can't be: cannot pickle 'MemoryStore' object"),
    ):
        WINDOWS | ops.gather(array) | ops.parallel(pool)
