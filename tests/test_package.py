"""The package as a whole: what importing it brings along."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

LATER = ["tqdm", "numpy.random", "multiprocessing", "urllib.request", "h5py"]
LATER += ["torch", "keras", "lightning", "concurrent.futures", "ctypes", "cloudpickle", "dask", "distributed", "ray"]


def test_slow_imports_wait_until_they_are_used():
    code = (
        "import sys, numpy; before = set(sys.modules); import batchup;"
        f"print(*({set(LATER)!r} & (set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []


def test_the_rooms_are_there_after_one_import():
    import batchup

    assert batchup.ops.indices(3).num_samples == 3
    assert batchup.data_source.ArrayDataSource
    assert batchup.sampling.StandardSampler
    assert batchup.work_pool.WorkerThreadPool
    assert set(batchup.__all__) == set(dir(batchup))
    assert all(hasattr(batchup, name) for name in batchup.__all__)
    with pytest.raises(AttributeError, match="module 'batchup' has no attribute 'nothing'"):
        _ = batchup.nothing
    assert {"keras", "lightning", "torch"} <= set(dir(batchup.hosts))
    with pytest.raises(AttributeError, match=r"batchup.hosts.* has no attribute 'tensorflow'"):
        _ = batchup.hosts.tensorflow


def test_the_version_is_the_same_everywhere():
    import yaml

    import batchup

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors", "version"} <= set(citation)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert citation["version"] == project["version"] == batchup.__version__
