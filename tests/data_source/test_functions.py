"""MapDataSource, CallableDataSource, IteratorDataSource and coerce_data_source."""

from itertools import islice

import numpy as np
import pytest

from batchup import data_source, ops
from batchup.data_source import (
    ArrayDataSource,
    CallableDataSource,
    CompositeDataSource,
    IteratorDataSource,
    MapDataSource,
    coerce_data_source,
)
from batchup.testing import plain
from tests.data_source.test_arrays import some
from tests.data_source.test_joint import OneByOne

X = np.arange(7)


def both(x):
    return x, x * x


@pytest.mark.parametrize("shuffle", [None, 4])
def test_law_10_a_map_is_its_composition(shuffle):
    source = ArrayDataSource([X], indices=[6, 2, 4])
    ds = source.map(both)
    assert isinstance(ds, MapDataSource)
    expected = some(source.stream(2, shuffle) | ops.map(both))
    assert some(ds.batch_iterator(2, shuffle)) == expected
    indices = ds.batch_indices_iterator(2, shuffle)
    assert [plain(ds.samples_by_indices_nomapping(batch)) for batch in indices] == expected
    assert plain(ds.samples_by_indices([0])) == ([6], [36])
    assert ds.num_samples() == 3
    assert ds.is_random_access
    assert repr(ds) == "ArrayDataSource([<7 int64>], sampler=SubsetSampler(<3 int64>, repeats=1)).map(both)"


def test_a_map_of_any_source():
    for source in (OneByOne(), CompositeDataSource([OneByOne()]), CallableDataSource(OneByOne().batch_iterator)):
        assert some(source.map(both).batch_iterator(3)) == [([0, 1, 2], [0, 1, 4]), ([3, 4], [9, 16])]
        assert not source.map(both).is_random_access
    once = IteratorDataSource(iter([(X,)])).map(both)
    assert some(once.batch_iterator(3)) == [(X.tolist(), (X * X).tolist())]
    with pytest.raises(TypeError, match="MapDataSource: expected data sources; number 0 is <7 int64>"):
        MapDataSource(X, both)


def test_maps_of_maps():
    twice = ArrayDataSource([X]).map(both).map(lambda x, xx: xx - x)
    assert [batch.tolist() for batch in twice.batch_iterator(10)] == [(X * X - X).tolist()]


def test_the_function_is_called_with_the_batch_size_and_the_keyword_arguments():
    calls = []

    def batches(*args, **kwargs):
        calls.append((args, kwargs))
        return iter([(X,)])

    ds = CallableDataSource(batches)
    assert some(ds.batch_iterator(5)) == [(X.tolist(),)]
    list(ds.batch_iterator(6, shuffle=3, mode="train"))
    list(ds.batch_iterator(7, shuffle=False))
    assert calls == [((5,), {}), ((6,), {"shuffle": 3, "mode": "train"}), ((7,), {"shuffle": False})]


def test_the_function_is_called_anew_for_every_epoch():
    ds = CallableDataSource(lambda size: iter([(X[:size],)]))
    stream = ds.stream(3)
    assert some(stream) == some(stream) == [([0, 1, 2],)]
    assert some(ds.stream(3) | ops.repeat(2)) == [([0, 1, 2],), ([0, 1, 2],)]


@pytest.mark.parametrize(
    ("given", "said"), [(None, None), (5, 5), (np.inf, np.inf), (np.int32(4), 4), (lambda: 3, 3), (lambda: None, None)]
)
def test_how_many_samples_a_function_gives(given, said):
    ds = CallableDataSource(lambda size: iter([]), given)
    assert ds.num_samples() == said
    if not callable(given):
        assert IteratorDataSource(iter([]), given).num_samples() == said


@pytest.mark.parametrize("count", [1.5, "5", [5], np.nan])
def test_what_is_no_number_of_samples(count):
    wanted = "expected a number of samples, np.inf, None for unknown, or a function"
    with pytest.raises(TypeError, match=wanted):
        CallableDataSource(lambda size: iter([]), count)
    with pytest.raises(TypeError, match=wanted):
        IteratorDataSource(iter([]), count)
    with pytest.raises(TypeError, match=f"what <lambda> returned: {wanted}"):
        CallableDataSource(lambda size: iter([]), lambda: count).num_samples()


def test_errors_when_it_is_built():
    with pytest.raises(TypeError, match="expected a function of the batch size that returns an iterator; got 5"):
        CallableDataSource(5)
    with pytest.raises(TypeError, match="IteratorDataSource: expected an iterator; got <list of 1>"):
        IteratorDataSource([X])
    with pytest.raises(TypeError, match="expected the function to return an iterator; got <list of 1>"):
        CallableDataSource(lambda size: [X]).batch_iterator(3)


def test_an_iterator_is_given_whatever_the_batch_size():
    batches = iter([(X,), (X[:2],)])
    ds = IteratorDataSource(batches, n_samples=9)
    assert plain(next(ds.batch_iterator(64, shuffle=True))) == (X.tolist(),)
    assert ds.num_samples() == 9
    assert some(ds.stream(1)) == [([0, 1],)]
    for again in (ds.batch_iterator(1), iter(ds.map(both).stream(1))):
        with pytest.raises(RuntimeError, match=r"IteratorDataSource\(<list_iterator>\): its iterator is used up"):
            next(again)
    with pytest.raises(TypeError, match="goes through a user's iterator, which has one epoch"):
        ds.loader(1)
    with pytest.raises(TypeError, match=r"drop_last: .* gives the batches of its iterator as they are"):
        ds.stream(1, drop_last=True)
    assert some(IteratorDataSource(iter([])).stream(1)) == []
    with pytest.raises(TypeError, match="is an iterator, which can be gone through only once"):
        ds.stream(1) | ops.repeat(2)


def test_batches_of_a_function_are_not_copied():
    """They are their maker's to give away, and its reader's to write into."""
    mine = np.zeros(3)
    [(batch,)] = CallableDataSource(lambda size: iter([(mine,)])).stream(3)
    assert batch is mine


def test_coerce():
    source = ArrayDataSource([X])
    assert coerce_data_source(source) is source
    for arrays in ([X, X], (X, X)):
        made = coerce_data_source(arrays)
        assert type(made) is ArrayDataSource
        assert len(made.data) == 2
    assert type(coerce_data_source(iter([]))) is IteratorDataSource
    assert type(coerce_data_source(lambda size: iter([]))) is CallableDataSource
    for empty in ([], ()):
        with pytest.raises(ValueError, match="expected one array at least"):
            coerce_data_source(empty)
    for other in (5, None, X, "text"):
        with pytest.raises(TypeError, match="coerce_data_source: expected a data source, a list or tuple"):
            coerce_data_source(other)
    with pytest.raises(TypeError, match="array 1: expected an array"):
        coerce_data_source([X, None])


def test_what_is_exported():
    assert sorted(data_source.__all__) == data_source.__all__
    for name in data_source.__all__:
        assert getattr(data_source, name).__doc__, name


def test_an_exception_in_a_source_comes_with_where_it_was():
    def broken(x):
        raise KeyError("label")

    with pytest.raises(KeyError) as caught:
        list(islice(ArrayDataSource([X]).map(broken).batch_iterator(3, shuffle=5), 1))
    assert caught.value.__notes__[0] == "in the stage map(broken)"
    assert "stream[0] makes it again" in caught.value.__notes__[1]
