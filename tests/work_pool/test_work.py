"""What goes to worker processes: arrays, and what holds in the caller."""

import logging
import os
import warnings

import numpy as np
import pytest

from batchup import ops, work_pool
from tests.work_pool import scripts

X = np.arange(600_000, dtype=np.float32).reshape(1500, 400)


def test_what_can_not_have_changed_is_copied_once(monkeypatch):
    from batchup import data_source
    from batchup.work_pool.processes import arrays

    copies = []
    segment = arrays.Segment

    def counted(size, key):
        copies.append(size)
        return segment(size, key)

    monkeypatch.setattr(arrays, "Segment", counted)

    def epochs(pool, array):
        copies.clear()
        for _ in range(3):
            stream = ops.indices(len(array)) | ops.chunk(500) | ops.gather(array) | ops.parallel(pool)
            for (a,), b in zip(stream, (array[:500], array[500:1000], array[1000:]), strict=True):
                np.testing.assert_array_equal(a, b)
            ds = pool.parallel_data_source(data_source.ArrayDataSource([array]))
            assert sum(len(a) for (a,) in ds.batch_iterator(700)) == len(array)
        return len(copies)

    with work_pool.WorkerProcessPool(2) as pool:
        mine = X.copy()
        assert epochs(pool, mine) == 6
        frozen = X.copy()
        frozen.flags.writeable = False
        assert epochs(pool, frozen) == 1
        assert epochs(pool, frozen) == 0
        view = mine[:]  # read-only, but of what can be written to
        view.flags.writeable = False
        assert epochs(pool, view) == 6
        assert epochs(pool, np.frombuffer(X.tobytes(), X.dtype).reshape(X.shape)) == 1
        frozen.flags.writeable = True
        frozen[:] = -1
        assert epochs(pool, frozen) == 6
        assert epochs(pool, work_pool.share(X)) == 0


def test_record_arrays_there_and_back():
    program = """
import numpy as np
from batchup import ops, work_pool
records = np.zeros(9, "f4,i8").view(np.recarray)
records.f1 = range(9)
chars = np.char.chararray(4)
chars[:] = b"x"

def fields(block):
    taken = records[block]
    return taken, type(taken) is np.recarray, np.ma.masked_array([1, 2], [0, 1]), chars

with work_pool.WorkerProcessPool(1) as pool:
    for batch, same, masked, text in ops.indices(9) | ops.chunk(4) | ops.map(fields) | ops.parallel(pool):
        assert same and type(batch) is np.recarray and batch.f1[0] in (0, 4, 8)
        assert type(masked) is np.ma.MaskedArray and type(text) is type(chars)
"""
    assert scripts.run(program) == ""


# --- what holds in the caller holds in workers


def test_settings_of_the_caller(tmp_path, monkeypatch):
    (tmp_path / "later_added.py").write_text("def double(n):\n    return 2 * n\n")
    with work_pool.WorkerProcessPool(1) as pool:
        assert list(range(3) | ops.map(abs) | ops.parallel(pool)) == [0, 1, 2]
        monkeypatch.syspath_prepend(tmp_path)  # after the worker has started
        import later_added

        assert list(range(3) | ops.map(later_added.double) | ops.parallel(pool)) == [0, 2, 4]

        def warn(n):
            import warnings

            warnings.warn("of mine", UserWarning, stacklevel=1)
            return logging.getLogger().level

        with pytest.raises(UserWarning, match="of mine"):  # as in this process, all are errors here
            list([1] | ops.map(warn) | ops.parallel(pool))
        stream = [1] | ops.map(warn) | ops.parallel(pool)
        level = logging.getLogger().level
        with warnings.catch_warnings():  # as it is when the iteration begins
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", "of .*ours", UserWarning)
            logging.getLogger().setLevel(17)
            try:
                assert list(stream) == [17]
            finally:
                logging.getLogger().setLevel(level)
        with pytest.raises(UserWarning, match="of mine"):
            list(stream)


def test_the_options_of_the_interpreter():
    program = """
import subprocess, sys
program = '''
from batchup import ops, work_pool
import sys
def options(n):
    return sys.flags.optimize, sys.flags.dont_write_bytecode, sys._xoptions, sys.warnoptions
with work_pool.WorkerProcessPool(1) as pool:
    [there] = [1] | ops.map(options) | ops.parallel(pool)
assert there == options(1), there
print(there)
'''
print(subprocess.run([sys.executable, "-OO", "-B", "-Xutf8", "-Wignore::UserWarning", "-X", "importtime=0", "-c", program], check=True, stdout=-1, text=True).stdout)
"""
    assert "(2, 1, {" in scripts.run(program.replace(', "-X", "importtime=0"', ""))


def test_a_module_that_workers_can_not_import_is_named():
    program = """
import sys, types
from batchup import ops, work_pool
import numpy as np

source = "def helper(n): return n"
from pathlib import Path
import tempfile
with tempfile.TemporaryDirectory() as folder:
    Path(folder, "vanished.py").write_text(source)
    sys.path.insert(0, folder)
    import vanished
    stream = range(3) | ops.map(abs) | ops.map(vanished.helper)
sys.path.remove(folder)
from concurrent.futures import ProcessPoolExecutor
import multiprocessing
with work_pool.WorkerProcessPool(1) as pool, ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as ex:
    for workers in (pool, work_pool.ExecutorPool(ex)):
        try:
            list(stream | ops.parallel(workers))
        except ModuleNotFoundError as error:
            print(error)
            assert error.name == "vanished"
"""
    first, second = scripts.run(program).splitlines()
    assert first == second
    assert (
        "'vanished', which the stage map(helper) needs, they can't: No module named 'vanished'" in first
    )
    assert "cloudpickle.register_pickle_by_value(vanished)" in first


def test_threads_of_blas_in_workers(monkeypatch):
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    for name in names:
        monkeypatch.delenv(name, raising=False)

    def there(**options):
        with work_pool.WorkerProcessPool(2, **options) as pool:
            [found] = (
                [0] | ops.map(lambda _: [os.environ.get(name) for name in names]) | ops.parallel(pool)
            )
        return found

    from batchup.memory.limits import available_cpus

    part = str(max(1, available_cpus() // 2))
    assert there() == [part] * 4
    monkeypatch.setenv("MKL_NUM_THREADS", "5")
    assert there() == [part, part, "5", part]
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    assert there() == ["3,2", "3", "5", "3"]
    assert there(threads_per_worker=7) == ["7"] * 4
    with pytest.raises(ValueError, match="threads_per_worker: expected a whole number >= 1; got 0"):
        work_pool.WorkerProcessPool(1, threads_per_worker=0)


def test_threads_of_torch_in_workers(monkeypatch):
    pytest.importorskip("torch", reason="PyTorch is not installed")

    def threads(_):
        import torch

        return torch.get_num_threads()

    with work_pool.WorkerProcessPool(1, threads_per_worker=1) as pool:
        assert list([0] | ops.map(threads) | ops.parallel(pool)) == [1]
