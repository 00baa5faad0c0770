"""batch_map_concat and batch_map_mean, as methods and as functions."""

import threading
from functools import partial

import numpy as np
import pytest
from tqdm import tqdm

from batchup.data_source import (
    ArrayDataSource,
    CallableDataSource,
    CompositeDataSource,
    IteratorDataSource,
    batch_map_concat,
    batch_map_mean,
)
from batchup.ops import Ragged
from batchup.work_pool import WorkerThreadPool

X = np.arange(10.0).reshape(5, 2)
Y = np.arange(5)
DS = ArrayDataSource([X, Y])


class Tensor:
    """What other libraries return: not an array, but with one."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return np.array(self.array, dtype=dtype)


@pytest.mark.parametrize(
    ("func", "expected"),
    [
        (lambda x, y: None, None),
        (lambda x, y: y * 2, (Y * 2,)),
        (lambda x, y: (y, x), (Y, X)),
        (lambda x, y: [y, x], (Y, X)),
        (lambda x, y: Tensor(x), (X,)),
        (lambda x, y: (Tensor(y), x), (Y, X)),
        (lambda x, y: (), ()),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 5, 9])
def test_concat(func, expected, size):
    for found in (
        DS.batch_map_concat(func, size),
        batch_map_concat(func, DS.batch_iterator(size)),
        batch_map_concat(func, DS.stream(size)),
        DS.map(lambda *batch: batch).batch_map_concat(func, batch_size=size),
    ):
        if expected is None:
            assert found is None
            continue
        assert type(found) is tuple
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b)
            assert type(a) is np.ndarray


@pytest.mark.parametrize(
    ("func", "axis", "expected"),
    [
        (lambda x, y: float(x.sum()), None, (9.0,)),
        (lambda x, y: int(y.sum()), None, (2.0,)),
        (lambda x, y: y.sum(), None, (2.0,)),
        (lambda x, y: x.sum(axis=0), None, (X.mean(axis=0),)),
        (lambda x, y: (x.sum(), y.sum()), None, (9.0, 2.0)),
        (lambda x, y: [float(x.sum()), y.sum()], None, (9.0, 2.0)),
        (lambda x, y: Tensor(y.sum()), None, (2.0,)),
        (lambda x, y: [Tensor(y.sum()), 5 * len(y)], None, (2.0, 5.0)),
        (lambda x, y: y, 0, (2.0,)),
        (lambda x, y: [y, x], 0, (2.0, X.mean(axis=0))),
        (lambda x, y: x, (0, 1), (9.0,)),
        (lambda x, y: (y > 1).sum(), None, (0.6,)),
        (lambda x, y: (1j * y).sum(), None, (2j,)),
        (lambda x, y: np.float32(y.sum()), None, (2.0,)),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 5, 9])
def test_mean(func, axis, expected, size):
    for found in (
        DS.batch_map_mean(func, size, sum_axis=axis),
        batch_map_mean(func, DS.batch_iterator(size), sum_axis=axis),
    ):
        assert type(found) is tuple
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b)
            assert np.asarray(a).dtype in (np.float64, np.complex128)


def test_a_mean_of_many_float32_keeps_its_precision():
    ones = ArrayDataSource([np.full(3_000_000, 0.1, np.float32)])
    (mean,) = ones.batch_map_mean(lambda x: x.sum(dtype=np.float64), 1000)
    assert abs(mean - np.float64(np.float32(0.1))) < 1e-12


def test_the_functions_own_arrays_are_not_added_into():
    kept = []

    def sums(x, y):
        kept.append(x.sum(axis=0))
        return kept[-1]

    DS.batch_map_mean(sums, 2)
    np.testing.assert_array_equal(kept[0], X[:2].sum(axis=0))


def test_arguments_before_the_batch_and_those_of_the_iterator():
    (found,) = DS.batch_map_concat(lambda a, b, x, y: y + a * b, 2, prepend_args=(10, 3), shuffle=7)
    order = np.concatenate([y for _, y in DS.batch_iterator(2, shuffle=7)])
    np.testing.assert_array_equal(found, order + 30)
    (mean,) = DS.batch_map_mean(lambda a, x, y: a * len(y), 2, prepend_args=[4])
    assert mean == 4


def test_how_many_batches():
    (found,) = DS.batch_map_concat(lambda x, y: y, 2, n_batches=2)
    assert found.tolist() == [0, 1, 2, 3]
    endless = ArrayDataSource([Y], repeats=-1)
    (found,) = endless.batch_map_concat(lambda y: y, 3, n_batches=3)
    assert found.tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3]
    (mean,) = endless.batch_map_mean(lambda y: y.sum(), 5, n_batches=2)
    assert mean == 2
    assert batch_map_concat(lambda y: y, endless.batch_iterator(3), n_batches=0) == ()


def test_no_more_batches_are_taken_than_asked_for():
    batches = iter([(Y,)] * 5)
    batch_map_concat(lambda y: y, batches, n_batches=2)
    assert len(list(batches)) == 3


@pytest.mark.parametrize("method", ["batch_map_concat", "batch_map_mean"])
def test_an_endless_source_without_a_number_is_an_error_before_anything_runs(method):
    def batches(size):
        raise AssertionError("not to be called")

    for endless in (
        ArrayDataSource([Y], repeats=-1),
        CallableDataSource(batches, np.inf),
        CompositeDataSource([ArrayDataSource([Y], repeats=-1), CallableDataSource(batches, np.inf)]),
        IteratorDataSource(iter([]), np.inf),
    ):
        with pytest.raises(ValueError, match="is endless: expected n_batches="):
            getattr(endless, method)(lambda *batch: None, 3)


def test_progress_is_called_as_tqdm_is():
    calls = []

    def progress(batches, total, leave):
        calls.append((total, leave))
        return batches

    DS.batch_map_concat(lambda x, y: y, 2, progress_iter_func=progress)
    DS.batch_map_mean(lambda x, y: 0, 2, progress_iter_func=progress, n_batches=2)
    CallableDataSource(lambda size: iter([])).batch_map_concat(len, 2, progress)
    CallableDataSource(lambda size: iter([(Y,)]), 5).batch_map_concat(lambda y: y, 2, progress)
    batch_map_concat(lambda x, y: y, DS.batch_iterator(2), progress, n_batches=1)
    batch_map_concat(lambda x, y: y, list(DS.batch_iterator(2)), progress)
    batch_map_mean(lambda x, y: 0, iter([(X, Y)]), progress)
    assert calls == [(3, False), (2, False), (None, False), (3, False), (1, False), (3, False), (None, False)]


def test_tqdm_itself(capsys):
    (found,) = DS.batch_map_concat(lambda x, y: y, 2, progress_iter_func=tqdm)
    assert found.tolist() == Y.tolist()
    assert "0/3" in capsys.readouterr().err


@pytest.mark.parametrize("function", [batch_map_concat, batch_map_mean])
def test_results_that_are_none(function):
    name = function.__name__
    with pytest.raises(TypeError, match=f"^{name}: .*for batch 0 the result has 'text' in it"):
        function(lambda y: "text", iter([(Y,)]))
    with pytest.raises(TypeError, match=f"^{name}: .*for batch 0 the result has <dict of 0> in it"):
        function(lambda y: (y, {}), iter([(Y,)]))
    with pytest.raises(ValueError, match=f"^{name}: expected 1 results of each batch; batch 1 gave 2"):
        results = iter([(Y,), (Y, Y)])
        function(lambda y: next(results), iter([(Y,), (Y,)]))
    with pytest.raises(TypeError, match=f"^{name}: expected a function; got 5"):
        function(5, iter([]))


def test_a_number_can_not_be_concatenated():
    with pytest.raises(TypeError, match=r"expected arrays of shape \(samples, ...\); got the number 3"):
        batch_map_concat(lambda y: 3, iter([(Y,)]))


def test_the_mean_of_no_samples():
    with pytest.raises(ValueError, match="got no samples, so no mean"):
        batch_map_mean(lambda y: 0, iter([]))


def test_samples_are_counted_in_nested_batches_and_dicts():
    for batch in ({"x": X}, ((X, Y), Y), [X], X):
        (mean,) = batch_map_mean(lambda *parts: 10, [batch])
        assert mean == 2


def test_a_function_that_returns_nothing():
    seen = []
    assert batch_map_concat(seen.append, iter([(X,), (Y,)])) is None
    assert batch_map_mean(seen.append, iter([(X,), (Y,)])) is None
    assert DS.batch_map_concat(lambda x, y: seen.append(x), 2) is None
    assert DS.batch_map_mean(lambda x, y: seen.append(x), 2) is None
    assert len(seen) > 4


@pytest.mark.parametrize("function", [batch_map_concat, batch_map_mean])
def test_a_function_that_returns_nothing_now_and_then(function):
    results = iter([Y, None])
    with pytest.raises(ValueError, match="expected 1 results of each batch; batch 1 gave 0"):
        function(lambda y: next(results), iter([(Y,), (Y,)]))


# --- means of batches in place of sums


def test_means_of_batches_are_weighted_by_their_samples():
    (mean,) = DS.batch_map_mean(lambda x, y: y.mean(), 2, per="batch")
    assert mean == Y.mean()
    both = batch_map_mean(lambda x: (x.mean(axis=0), x.max()), [(X[:2],), (X[2:3],)], per="batch", n_batches=2)
    np.testing.assert_allclose(both[0], X[:3].mean(axis=0))
    np.testing.assert_allclose(both[1], (2 * X[:2].max() + X[2].max()) / 3)
    with pytest.raises(ValueError, match="per: expected 'sample' or 'batch'; got 'mean'"):
        DS.batch_map_mean(len, 2, per="mean")
    with pytest.raises(ValueError, match="expected per='batch', or sum_axis for values a sample"):
        DS.batch_map_mean(len, 2, per="batch", sum_axis=0)


def test_tqdm_by_its_name(capsys):
    (found,) = DS.batch_map_concat(lambda x, y: y, 2, progress=True)
    assert found.tolist() == Y.tolist()
    DS.batch_map_mean(lambda x, y: y.sum(), 2, progress=True)
    batch_map_mean(lambda x, y: y.sum(), DS.batch_iterator(2), progress=True)
    batch_map_concat(lambda x, y: y, DS.loader(2), progress=True)
    assert capsys.readouterr().err.count("0/3") == 4
    with pytest.raises(ValueError, match="expected progress=True, which is tqdm, or progress_iter_func"):
        DS.batch_map_mean(len, 2, tqdm, progress=True)


def test_a_masked_result_has_no_mean():
    """The mean would divide by all samples, those that are masked, too."""
    with pytest.raises(
        TypeError, match=r"batch_map_mean: batch 0: expected a plain NumPy array; .* whose mask would be lost"
    ):
        ArrayDataSource([np.arange(4.0)]).batch_map_mean(lambda x: np.ma.masked_greater(x, 2), 2, sum_axis=0)


# --- with workers


def halved(x, y):
    return x / 2, y


HALVED = DS.map(halved)


@pytest.mark.parametrize("given", [{"workers": 1}, {"threads": 2}, {"pool": True}])
def test_workers_make_the_batches(given):
    with WorkerThreadPool(1) as pool:
        given = {"pool": pool} if "pool" in given else given
        here = []
        stream = HALVED.stream(2)
        for concat, mean in (
            (partial(HALVED.batch_map_concat, batch_size=2), partial(HALVED.batch_map_mean, batch_size=2)),
            (partial(batch_map_concat, batch_iter=stream), partial(batch_map_mean, batch_iter=stream)),
        ):
            [first] = concat(func=lambda x, y: here.append(threading.get_ident()) or x, **given)
            assert np.array_equal(first, X / 2)
            assert set(here) == {threading.get_ident()}
            assert mean(func=lambda x, y: y.sum(), **given)[0] == 2
            assert len(concat(func=lambda x, y: x, n_batches=1, **given)[0]) == 2
            with pytest.raises(ValueError, match="bad"):
                concat(func=_bad, **given)


def _bad(x, y):
    raise ValueError("bad")


def test_workers_are_for_what_they_can_make():
    for method in (batch_map_concat, batch_map_mean):
        with pytest.raises(
            TypeError, match=rf"{method.__name__}: workers: expected a stream or a data source.*<list of 1>"
        ):
            method(halved, [(X, Y)], workers=1)
        with pytest.raises(TypeError, match=r"got <Loader of 3>: give workers= to the loader"):
            method(halved, HALVED.loader(2), threads=1)
        with pytest.raises(ValueError, match="expected one of workers=, for processes, threads= and pool="):
            method(halved, HALVED.stream(2), threads=1, workers=1)
    with pytest.warns(UserWarning, match="batch_map_mean: threads=1: .* only reads arrays in memory"):
        DS.batch_map_mean(lambda x, y: y.sum(), 2, threads=1)


def test_a_loader_has_them():
    loader = HALVED.loader(2, shuffle=7)
    epochs = [list(HALVED.stream(2, shuffle=7).epoch(e)) for e in range(2)]
    [concatenated] = loader.batch_map_concat(lambda x, y: y)
    assert concatenated.tolist() == [label for _, y in epochs[0] for label in y]
    [mean] = loader.batch_map_mean(lambda x, y: y.sum())
    assert mean == 2
    assert loader.epoch == 2
    with HALVED.loader(2, threads=1) as loader:
        assert np.array_equal(loader.batch_map_concat(lambda x, y: x)[0], X / 2)
        assert len(loader.batch_map_concat(lambda x, y: x, n_batches=1)[0]) == 2
        assert loader.batch_map_mean(lambda x, y: y.mean(), per="batch", progress=True)[0] == 2


def test_ragged_results_are_put_together():
    words = [[1, 2], [3], [], [4, 5, 6], [7]]
    [got, lengths] = DS.batch_map_concat(lambda x, y: (Ragged.of([words[i] for i in y]), y), 2)
    assert got.tolist() == words
    assert np.array_equal(lengths, Y)
    with pytest.raises(ValueError, match="expected arrays of one shape but for the samples"):
        DS.batch_map_concat(lambda x, y: Ragged.of([[1]] * len(y)) if y[0] else y, 2)
    with pytest.raises(TypeError, match="batch_map_mean: expected sums, numbers or arrays; for batch 0 got a Ragged"):
        DS.batch_map_mean(lambda x, y: Ragged.of([[1]]), 2)


def test_results_that_require_grad_are_detached():
    torch = pytest.importorskip("torch")
    weights = torch.ones(2, dtype=torch.float64, requires_grad=True)
    [got] = DS.batch_map_concat(lambda x, y: torch.from_numpy(x) @ weights, 2)
    assert np.array_equal(got, X.sum(1))
    [mean] = DS.batch_map_mean(lambda x, y: (torch.from_numpy(x) @ weights).sum(), 2)
    assert mean == X.sum(1).mean()
