"""What goes to worker processes: arrays, and what holds in the caller."""

import logging
import os
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from batchup import data_source, ops, work_pool
from tests.work_pool import scripts

X = np.arange(600_000, dtype=np.float32).reshape(1500, 400)


def test_an_array_is_copied_again_only_where_it_differs_from_its_copy(monkeypatch):
    from batchup.work_pool.processes import arrays

    copies = []
    segment = arrays.Segment

    def counted(size, key):
        copies.append(size)
        return segment(size, key)

    monkeypatch.setattr(arrays, "Segment", counted)

    with work_pool.WorkerProcessPool(2) as pool:
        for array in (X.copy(), np.asfortranarray(X), X.copy()[::2, ::-1]):
            copies.clear()
            source = data_source.ArrayDataSource([array])
            streams = [
                ops.indices(len(array)) | ops.chunk(500) | ops.gather(array) | ops.parallel(pool),
                source.loader(500, pool=pool),
                pool.parallel_data_source(source).loader(500),
            ]

            def check(array=array, streams=streams):
                for stream in streams:
                    for n, (batch,) in enumerate(stream):
                        np.testing.assert_array_equal(batch, array[500 * n : 500 * (n + 1)])

            check()
            check()
            assert len(copies) == 1
            array[-1, -1] = -1
            check()
            check()
            assert len(copies) == 2
            array.flags.writeable = False
            check()
            array.flags.writeable = True
            array[0, 0] = float("nan")
            array.flags.writeable = False
            check()
            check()
            assert len(copies) == 3
        copies.clear()
        shared = work_pool.share(X)
        for _ in range(2):
            list(ops.indices(len(X)) | ops.chunk(500) | ops.gather(shared) | ops.parallel(pool))
        assert not copies


def test_a_copy_lives_as_long_as_a_stream_has_it():
    array = X.copy()
    with work_pool.WorkerProcessPool(1) as pool:
        stream = ops.indices(len(array)) | ops.chunk(500) | ops.gather(array) | ops.parallel(pool)
        list(stream)
        job = stream.plan.workers.job
        [gone] = [weakref.ref(segment) for segment in job.segments]
        array += 1
        list(stream)
        del job
        assert gone() is None
        [gone] = [weakref.ref(segment) for segment in stream.plan.workers.job.segments]
        del stream
        assert gone() is None


class _Changing:
    """A data set whose state, and one of whose arrays, is changed between epochs."""

    def __init__(self, n):
        self.stage, self.array = 0, np.zeros(n, np.int32)

    def __len__(self):
        return 6

    def __getitem__(self, i):
        return np.array([self.stage, self.array[i], len(self.array)])


POOLS = {
    "none": lambda: None,
    "threads": lambda: work_pool.WorkerThreadPool(2),
    "processes": lambda: work_pool.WorkerProcessPool(2),
    "executor of threads": lambda: work_pool.ExecutorPool(ThreadPoolExecutor(1)),
}


@pytest.mark.parametrize("kind", POOLS)
@pytest.mark.parametrize("n", [6, 200_000])
def test_what_was_changed_before_an_iteration_begins_is_seen_by_it(kind, n):
    pool = POOLS[kind]()
    try:
        check_changes_are_seen(pool, n)
    finally:
        if isinstance(pool, work_pool.ExecutorPool):
            pool.executor.shutdown()
        elif pool is not None:
            pool.close()


def check_changes_are_seen(pool, n):
    dataset = _Changing(n)
    loader = data_source.SampleDataSource(dataset).loader(3, pool=pool, buffer=pool and 2)
    dataset.stage = 5  # between the building of the loader and its first iteration
    for epoch in range(1, 5):
        batches = np.concatenate(list(loader))
        assert batches[:, 0].tolist() == [dataset.stage] * 6
        assert batches[:, 1].tolist() == dataset.array[:6].tolist()
        assert set(batches[:, 2]) == {n}
        if epoch % 2:
            dataset.stage += 1
        dataset.array[:6] = np.arange(6) * epoch


@pytest.mark.parametrize("n", [10, 20_000, 200_000])
def test_shared_arrays_are_seen_live_whatever_their_size(n):
    labels = work_pool.share(np.zeros(n, np.int32))
    with work_pool.WorkerProcessPool(1) as pool:
        stream = ops.indices(10) | ops.chunk(1) | ops.gather(labels) | ops.parallel(pool, 1)
        items = iter(stream)
        assert next(items)[0][0] == 0
        next(items)  # the third is under way, or done
        labels[:] = 1
        assert [int(batch[0]) for (batch,) in items][1:] == [1] * 7


def test_record_arrays_there_and_back():
    program = """
import warnings
import numpy as np
from batchup import ops, work_pool
records = np.zeros(9, "f4,i8").view(np.recarray)
records.f1 = range(9)
warnings.filterwarnings("ignore", "The chararray class")  # newer versions of NumPy deprecate it
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
    assert "'vanished', which the stage map(helper) needs, they can't: No module named 'vanished'" in first
    assert "cloudpickle.register_pickle_by_value(vanished)" in first


def test_threads_of_blas_in_workers(monkeypatch):
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    for name in names:
        monkeypatch.delenv(name, raising=False)

    def there(**options):
        with work_pool.WorkerProcessPool(2, **options) as pool:
            [found] = [0] | ops.map(lambda _: [os.environ.get(name) for name in names]) | ops.parallel(pool)
        return list(found)

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
