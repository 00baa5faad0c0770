"""Dask and Ray: a real cluster of worker processes on this machine."""

import gc
import os
import signal
import threading
import warnings
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchup import data_source, ops, work_pool
from tests.conftest import eventually, traces
from tests.core.test_global_seeds import BATCHES, STREAMS, batch_drawn, lists
from tests.pipelines import build, recipes
from tests.work_pool.scripts import ROOT, start
from tests.work_pool.test_faults import ERRORS, UNREBUILDABLE, UNSENDABLE, at, blocks, check, received
from tests.work_pool.test_law_4 import some
from tests.work_pool.test_tracebacks import check_the_source_line
from tests.work_pool.test_work import check_changes_are_seen

X = np.arange(120_000, dtype=np.float32).reshape(300, 400)


@contextmanager
def _importable():
    """Let workers import the tests, as they import the modules of a user."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        yield


@pytest.fixture(scope="module")
def dask_pool():
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    import dask

    with _importable(), warnings.catch_warnings(), dask.config.set({"distributed.scheduler.allowed-failures": 3}):
        warnings.simplefilter("ignore")  # of Dask's own
        with (
            distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield work_pool.DaskPool(client)


@pytest.fixture(scope="module")
def ray_pool():
    pytest.importorskip("ray", reason="Ray is not installed")
    with _importable(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Ray's own
        with work_pool.RayPool(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False) as pool:
            list(range(4) | ops.map(abs) | ops.parallel(pool))
            yield pool


@pytest.fixture(scope="module", params=["dask_pool", "ray_pool"])
def pool(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(autouse=True)
def _nothing_is_left():
    """Of ours. The cluster, which is not, opens and closes connections and processes as it likes."""
    before = traces()["threads"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
    gc.collect()  # pools that are in a cycle with an exception's frames
    # Fewer, if a thread of the iteration that the fixture of a pool makes was about to end.
    assert eventually(lambda: traces()["threads"] <= before)


@settings(max_examples=8)
@given(recipe=recipes, buffer=st.integers(1, 40))
def test_law_4(pool, recipe, buffer):
    assert some(build(recipe) | ops.parallel(pool, buffer)) == some(build(recipe))


def test_batches_are_writable_and_ones_own(pool):
    stream = ops.indices(300) | ops.shuffle(1) | ops.chunk(64) | ops.gather(X)
    kept = []
    for (a,), (b,) in zip(stream, stream | ops.parallel(pool, 3), strict=True):
        np.testing.assert_array_equal(a, b)
        b[...] = -1
        kept.append(b)
    assert all((b == -1).all() for b in kept)
    assert X.min() == 0


@pytest.mark.parametrize("n", [6, 200_000])
def test_what_was_changed_before_an_iteration_begins_is_seen_by_it(pool, n):
    check_changes_are_seen(pool, n)


def test_the_work_goes_again_only_where_it_has_changed(pool):
    array = X.copy()
    stream = ops.indices(300) | ops.chunk(64) | ops.gather(array) | ops.parallel(pool, 3)
    sends = []
    for changed in (False, False, True, False):
        array[0] += changed
        for (a,), (b,) in zip(ops.indices(300) | ops.chunk(64) | ops.gather(array), stream, strict=True):
            np.testing.assert_array_equal(a, b)
        sends.append(stream.plan.workers.send)
    assert [send is sends[0] for send in sends] == [True, True, False, False]
    assert sends[2] is sends[3]


def test_parallel_data_source(pool):
    par = pool.parallel_data_source(data_source.ArrayDataSource([X]).map(np.negative), 4)
    [found] = par.batch_map_concat(lambda x: x, batch_size=64)
    np.testing.assert_array_equal(found, -X)


def test_work_stream(pool):
    assert list(pool.work_stream((pow, (n, 2)) for n in range(6)).retrieve_iter()) == [0, 1, 4, 9, 16, 25]


@pytest.mark.parametrize("fault", ERRORS)
def test_an_exception_comes_at_its_batch(pool, fault):
    happens, kind, says = ERRORS[fault]
    if fault in UNREBUILDABLE:
        kind, says = work_pool.WorkError, UNREBUILDABLE[fault]
    check(blocks(4, happens) | ops.parallel(pool, 3), 4, kind, says.lstrip("^"))


def test_the_source_comes_along_where_it_is_in_no_file(pool, tmp_path):
    check_the_source_line(pool, tmp_path)


@pytest.mark.parametrize("fault", UNSENDABLE)
def test_a_result_that_cannot_be_pickled_is_named(pool, fault):
    happens, says = UNSENDABLE[fault]
    check(blocks(4, happens) | ops.parallel(pool, 3), 4, TypeError, says)


def test_work_that_cannot_be_pickled_is_named_at_once(pool):
    lock = threading.Lock()
    with pytest.raises(TypeError, match=r"the stage map\(<lambda>\) can't be: "):
        ops.indices(4) | ops.chunk(2) | ops.map(lambda b: lock) | ops.parallel(pool)


@pytest.mark.parametrize("buffer", [1, 4])
def test_a_worker_that_is_killed_loses_and_repeats_nothing(pool, buffer, tmp_path):
    def dies_once(block):
        if block[0] == 10 and not (tmp_path / "died").exists():
            (tmp_path / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return block[0]

    stream = ops.indices(40) | ops.chunk(2) | ops.map(dies_once) | ops.parallel(pool, buffer)
    assert list(stream) == list(range(0, 40, 2))
    assert (tmp_path / "died").exists()


def test_a_timeout_names_the_batch(pool, tmp_path):
    def waits():
        while not (tmp_path / "go on").exists():
            threading.Event().wait(0.01)

    stream = blocks(2, waits) | ops.parallel(pool, 1, timeout=5)
    assert next(iter(stream)) == 0
    impatient = blocks(2, waits) | ops.skip(2) | ops.parallel(pool, 1, timeout=0.5)
    items, error = received(impatient)
    (tmp_path / "go on").touch()
    assert items == []
    assert type(error) is TimeoutError
    assert "at item 0 of " in error.__notes__[0]


def test_what_is_stuck_is_ended_by_force(ray_pool):
    stuck = ops.indices(8) | ops.map(lambda n: threading.Event().wait())
    items, error = received(stuck | ops.parallel(ray_pool, 8, timeout=1))
    assert items == []
    assert type(error) is TimeoutError
    assert list(range(3) | ops.map(abs) | ops.parallel(ray_pool)) == [0, 1, 2]


def test_break_cancels_what_was_not_begun(pool, tmp_path):
    def note(block):
        (tmp_path / str(block[0])).touch()
        while not (tmp_path / "go on").exists():
            threading.Event().wait(0.01)

    it = iter(ops.indices(40) | ops.chunk(2) | ops.map(note) | ops.parallel(pool, 15))
    assert eventually(lambda: os.listdir(tmp_path))
    it.close()
    if isinstance(pool, work_pool.DaskPool):  # which takes its time to tell its workers
        assert eventually(lambda: sum(map(len, pool.client.processing().values())) <= 2)
    (tmp_path / "go on").touch()
    assert list(blocks(-1, None) | ops.map(int) | ops.parallel(pool)) == [2 * n for n in range(9)]
    assert len(os.listdir(tmp_path)) < 15


BREAKS = """
import itertools
from batchup import ops, work_pool

with work_pool.RayPool(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False) as pool:
    stream = ops.indices(400) | ops.chunk(2) | ops.map(len) | ops.parallel(pool, 16)
    for n in range(600):
        assert list(itertools.islice(stream, n % 7)) == [2] * (n % 7)
    print("done")
"""


def test_break_while_tasks_complete():
    """Ray fails a check of its own, which ends the process silently, where a task that completes is cancelled."""
    pytest.importorskip("ray", reason="Ray is not installed")
    with start(BREAKS, warnings="ignore") as process:  # those are Ray's own
        out, err = process.communicate()
    assert (process.returncode, out) == (0, "done\n"), err


CLOSES = """
import threading
from batchup import ops, work_pool

for close in [lambda: pool.close(), lambda: threading.Thread(target=pool.close).start()]:
    pool = work_pool.RayPool(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    stream = range(9) | ops.map(lambda n: n and threading.Event().wait()) | ops.parallel(pool, 9)
    it = iter(stream)
    next(it)
    close()
    for attempt in [lambda: list(it), lambda: next(iter(stream)), lambda: range(3) | ops.parallel(pool)]:
        try:
            attempt()
        except RuntimeError as error:
            print(error)
"""


def test_a_closed_ray_pool_says_so():
    pytest.importorskip("ray", reason="Ray is not installed")
    with start(CLOSES, warnings="ignore") as process:
        out, err = process.communicate()
    no = "expected an open pool to iterate; this one is closed"
    assert out.splitlines() == ["the pool was closed", no, no] * 2, err


SENDS_TOO_LATE = """
import signal
import ray
from batchup import work_pool
from batchup.core import Work

pool = work_pool.RayPool(num_cpus=1, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
workers = pool.employ(Work(()), "the stream")
signal.signal(signal.SIGTERM, lambda *_: pool.close())
with pool._connected():  # a call of Ray, which the handler interrupts
    signal.raise_signal(signal.SIGTERM)
try:
    workers.send([b""])
except RuntimeError as error:
    print(error)
print(ray.is_initialized())
"""


def test_a_closed_ray_pool_starts_no_other_cluster():
    """Ray starts one at any call without a connection, or waits a minute for one that is just ending."""
    pytest.importorskip("ray", reason="Ray is not installed")
    with start(SENDS_TOO_LATE, warnings="ignore") as process:
        out, err = process.communicate()
    assert out.splitlines() == ["the pool was closed", "False"], err


LOSES_A_NODE = """
import numpy as np
import ray
from ray.cluster_utils import Cluster

from batchup import ops, work_pool

X = np.arange(120_000, dtype=np.float32).reshape(300, 400)


def sorted_often(batch):
    for _ in range(300):  # so that all nodes take part
        np.sort(batch, axis=None)
    return batch * 2, ray.get_runtime_context().get_node_id()


cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
# This process connects to the first node, and one of the others is lost.
ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False)
lost, _ = [cluster.add_node(num_cpus=1) for _ in range(2)]
cluster.wait_for_nodes()
blocks = ops.indices(300) | ops.shuffle(1) | ops.chunk(4)
received, nodes = [], []
with work_pool.RayPool() as pool:
    for batch, node in blocks | ops.gather(X) | ops.map(sorted_often) | ops.parallel(pool, 16):
        received.append(batch)
        nodes.append(node)
        if len(received) == 20:
            cluster.remove_node(lost)
for batch, block in zip(received, blocks, strict=True):
    np.testing.assert_array_equal(batch, X[block] * 2)
print(len(set(nodes[:20])), len(set(nodes)), len(set(nodes[-20:])) < 3)
ray.shutdown()
cluster.shutdown()
"""


def test_a_node_of_three_is_removed_in_mid_epoch():
    """Ray makes the batches of the lost node again: each comes once, in order."""
    pytest.importorskip("ray", reason="Ray is not installed")
    with start(LOSES_A_NODE, warnings="ignore") as process:
        out, err = process.communicate()
    assert out.splitlines()[-1:] == ["3 3 True"], err  # after what Ray says of the lost node


def test_they_read_as_they_are_written(pool):
    assert repr(pool) in ("DaskPool(<Client>)", "RayPool()")
    assert at(1, None)([0]) == 0


def test_global_generators_are_seeded(pool):
    for stream in STREAMS.values():
        assert lists(stream | ops.parallel(pool)) == lists(stream)


def test_draws_without_a_seed_are_told(pool):
    with pytest.warns(UserWarning, match=r"map\(batch_drawn\): it draws from a global generator"):
        list(BATCHES | ops.map(batch_drawn) | ops.parallel(pool))


def test_a_cluster_in_this_process_refuses_to_seed():
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Dask's own
        with (
            distributed.LocalCluster(processes=False, dashboard_address=None, silence_logs=50) as cluster,
            distributed.Client(cluster) as client,
        ):
            pool = work_pool.DaskPool(client)
            with pytest.raises(TypeError, match="seed_globals: expected a pool of processes; got DaskPool"):
                STREAMS["map"] | ops.parallel(pool)
            warnings.filterwarnings("error", "map")
            assert len(list(BATCHES | ops.map(batch_drawn) | ops.parallel(pool))) == 3


def test_what_is_no_cluster(request):
    with pytest.raises(TypeError, match=r"DaskPool: expected a distributed.Client; got 3"):
        work_pool.DaskPool(3)


def test_ray_that_runs_already_takes_no_options_and_goes_on(ray_pool):
    import ray

    with pytest.raises(ValueError, match="RayPool: expected no options"):
        work_pool.RayPool(num_cpus=1)
    with work_pool.RayPool() as other:
        assert list(range(3) | ops.map(abs) | ops.parallel(other)) == [0, 1, 2]
    assert ray.is_initialized()
