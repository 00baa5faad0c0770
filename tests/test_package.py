"""The package as a whole: what importing it brings along."""

import subprocess
import sys

import pytest

LATER = ["tqdm", "numpy.random", "multiprocessing", "urllib.request", "h5py"]
LATER += [
    "torch",
    "keras",
    "lightning",
    "concurrent.futures",
    "ctypes",
    "cloudpickle",
    "dask",
    "distributed",
    "ray",
]


@pytest.mark.parametrize("name", LATER)
def test_slow_imports_wait_until_they_are_used(name):
    code = (
        "import sys, numpy; before = set(sys.modules); import batchup;"
        f"sys.exit({name!r} in set(sys.modules) - before)"
    )
    assert subprocess.run([sys.executable, "-W", "error", "-c", code], check=False).returncode == 0


def test_the_rooms_are_there_after_one_import():
    import batchup

    assert batchup.ops.indices(3).num_samples == 3
    assert batchup.data_source.ArrayDataSource
    assert batchup.sampling.StandardSampler
    assert batchup.work_pool.WorkerThreadPool
    assert {"keras", "lightning", "torch"} <= set(dir(batchup.hosts))
    with pytest.raises(AttributeError, match=r"batchup.hosts.* has no attribute 'tensorflow'"):
        _ = batchup.hosts.tensorflow
