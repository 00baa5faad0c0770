"""The package as a whole: what importing it brings along."""

import subprocess
import sys

import pytest

LATER = ["tqdm", "toolz", "more_itertools", "numpy.random", "multiprocessing", "urllib.request", "h5py"]
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


def test_ops_imports_no_preset():
    """Imports point one way: with a bare package around it, `ops` brings in `core` alone, and that nothing."""
    code = """
import importlib.util, sys, types
package = types.ModuleType("batchup")
package.__path__ = importlib.util.find_spec("batchup").submodule_search_locations
sys.modules["batchup"] = package
import batchup.core.stream
print([name for name in sys.modules if name.startswith("batchup.") and ".core" not in name])
import batchup.ops
print([name for name in sys.modules if name.startswith("batchup.") and not (".ops" in name or ".core" in name)])
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["[]", "[]"]
