"""`parallel_data_source` and `work_stream`, on threads and processes."""

import threading

import numpy as np
import pytest

from batchup import data_source, ops, sampling, work_pool
from batchup.testing import plain
from tests.conftest import eventually

X = np.arange(200).reshape(100, 2)
Y = np.arange(100) + 1000


@pytest.fixture(scope="module", params=[work_pool.WorkerThreadPool, work_pool.WorkerProcessPool])
def pool(request):
    with request.param(processes=2) as pool:
        list(range(9) | ops.map(abs) | ops.parallel(pool))
        yield pool


def swap(x, y):
    return y, x


ARRAYS = data_source.ArrayDataSource([X, Y])
SUBSET = data_source.ArrayDataSource([X, Y], indices=np.arange(50, 90), repeats=2, include_indices=True)
SOURCES = {
    "arrays": ARRAYS,
    "subset": SUBSET,
    "mapped": ARRAYS.map(swap),
    "weighted": data_source.ArrayDataSource([X], sampler=sampling.WeightedSampler(np.arange(100.0))),
    "composite": data_source.CompositeDataSource([ARRAYS.map(swap), SUBSET]),
    "choice": data_source.ChoiceDataSource([ARRAYS, data_source.ArrayDataSource([-X, -Y])]),
    "nested": data_source.CompositeDataSource(
        [data_source.ChoiceDataSource([ARRAYS, ARRAYS]), ARRAYS.map(swap)], flatten=False
    ),
}


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("seed", [None, 7])
def test_a_parallel_data_source_gives_what_the_source_gives(pool, name, seed):
    source = SOURCES[name]
    parallel = pool.parallel_data_source(source, batch_buffer_size=5)

    def batches(ds):
        rng = np.random.RandomState(seed if seed is not None else 0)
        shuffle = rng if seed is not None or name == "weighted" else None
        return [plain(batch) for batch, _ in zip(ds.batch_iterator(8, shuffle=shuffle), range(30), strict=False)]

    assert batches(parallel) == batches(source)
    assert parallel.num_samples() == source.num_samples()
    assert parallel.is_random_access
    if seed is None and name in ("arrays", "subset", "mapped", "composite"):
        indices = [plain(i) for i in source.batch_indices_iterator(8)]
        assert [plain(i) for i in parallel.batch_indices_iterator(8)] == indices
        for given in source.batch_indices_iterator(8):
            expected = plain(source.samples_by_indices_nomapping(given))
            assert plain(parallel.samples_by_indices_nomapping(given)) == expected
    assert repr(parallel) == f"{pool!r}.parallel_data_source({source!r}, batch_buffer_size=5)"


def test_everything_else_that_a_source_does(pool):
    parallel = pool.parallel_data_source(ARRAYS)
    [found] = parallel.batch_map_concat(lambda x, y: x * 2, batch_size=7)
    np.testing.assert_array_equal(found, X * 2)
    [mean] = parallel.batch_map_mean(lambda x, y: y.sum(), batch_size=7)
    assert mean == Y.mean()
    assert [plain(b) for b in parallel.map(swap).batch_iterator(9)] == [
        plain(b) for b in ARRAYS.map(swap).batch_iterator(9)
    ]
    both = data_source.CompositeDataSource([parallel, ARRAYS])
    assert len(next(both.batch_iterator(5))) == 4
    assert plain(parallel.samples_by_indices(np.array([3, 1]))) == plain(ARRAYS.samples_by_indices(np.array([3, 1])))
    assert len(parallel.stream(8) | ops.skip(3)) == 10


def test_its_iterator_fills_at_once():
    calls = []

    def count(x, y):
        calls.append(len(x))
        return x

    with work_pool.WorkerThreadPool(2) as pool:
        it = pool.parallel_data_source(ARRAYS.map(count), batch_buffer_size=3).batch_iterator(10)
        assert eventually(lambda: calls == [10] * 3)
        next(it)
        assert eventually(lambda: calls == [10] * 4)


def test_what_is_no_random_access_data_source(pool):
    wanted = "parallel_data_source: expected a random-access data source"
    for wrong in (
        data_source.IteratorDataSource(iter([(X,)])),
        data_source.CallableDataSource(lambda batch_size: iter([(X,)])),
        data_source.CompositeDataSource([ARRAYS, data_source.IteratorDataSource(iter([(X,)]))]),
        [X, Y],
        None,
    ):
        with pytest.raises(TypeError, match=wanted):
            pool.parallel_data_source(wrong)
    with pytest.raises(ValueError, match="parallel_data_source: batch_buffer_size"):
        pool.parallel_data_source(ARRAYS, 0)


def test_a_source_that_cannot_be_pickled_is_named_at_once():
    lock = threading.Lock()
    locked = ARRAYS.map(lambda x, y: lock)
    with (
        work_pool.WorkerProcessPool(1) as pool,
        pytest.raises(TypeError, match=r"parallel_data_source: expected work that can be pickled.*lock"),
    ):
        pool.parallel_data_source(locked)


def test_checkpoints_of_a_parallel_source(pool):
    rng = np.random.RandomState(5)
    stream = pool.parallel_data_source(ARRAYS, 6).stream(8, rng)
    it = iter(stream)
    for _ in range(4):
        next(it)
    state = it.state_dict()
    rest = [plain(batch) for batch in it]
    other = iter(ARRAYS.stream(8, np.random.RandomState(0)))  # serial, and in another order so far
    other.load_state_dict(state)
    assert [plain(batch) for batch in other] == rest


# --- work_stream


def test_results_come_in_order_then_none(pool):
    results = pool.work_stream(((pow, (n, 2)) for n in range(7)), task_buffer_size=3)
    assert [results.retrieve() for _ in range(4)] == [0, 1, 4, 9]
    assert list(results.retrieve_iter()) == [16, 25, 36]
    assert results.retrieve() is None
    assert list(results.retrieve_iter()) == []


def test_all_forms_of_a_task(pool):
    tasks = [(int,), (pow, (2, 5)), [pow, [2]], (dict, (), {"a": 1}), (sorted, ([2, 1],), {"reverse": True})]
    tasks[2] = (abs, [-3])
    assert list(pool.work_stream(tasks).retrieve_iter()) == [0, 32, 3, {"a": 1}, [2, 1]]


def test_tasks_that_give_none_are_results_too(pool):
    assert list(pool.work_stream([(list.sort, ([],)), (int,)]).retrieve_iter()) == [None, 0]


def test_closures_are_tasks_too(pool):
    k = 3
    assert list(pool.work_stream((lambda n: n * k, (n,)) for n in range(3)).retrieve_iter()) == [0, 3, 6]


def test_what_is_no_task_is_told_at_its_place(pool):
    results = pool.work_stream([(int,), (3,)])
    assert results.retrieve() == 0
    with pytest.raises(TypeError, match=r"work_stream: expected tasks \(fn,\).*; task 1 is <tuple of 1>"):
        results.retrieve()
    with pytest.raises(TypeError, match="work_stream: expected an iterable of tasks"):
        pool.work_stream(3)
    with pytest.raises(ValueError, match="work_stream: task_buffer_size"):
        pool.work_stream([], 0)


def test_an_exception_of_a_task_comes_at_its_place(pool):
    results = pool.work_stream((lambda n: 1 / n, (n,)) for n in (2, 1, 0))
    assert [results.retrieve(), results.retrieve()] == [0.5, 1.0]
    with pytest.raises(ZeroDivisionError) as caught:
        results.retrieve()
    assert "at item 2 of tasks" in caught.value.__notes__[-1]


def test_tasks_are_taken_no_further_than_the_buffer(pool):
    taken = []

    def tasks():
        for n in range(20):
            taken.append(n)
            yield abs, (-n,)

    results = pool.work_stream(tasks(), 4)
    assert len(taken) == 4
    results.retrieve()
    assert len(taken) == 5
