"""gather: what the laws don't check."""

import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from batchup import ops


@given(
    hnp.arrays(
        st.one_of(hnp.integer_dtypes(), hnp.floating_dtypes(), hnp.array_dtypes(max_size=2)),
        hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=6),
    ),
    st.data(),
)
def test_a_gather_is_fancy_indexing(array, data):
    axes = data.draw(st.permutations(range(array.ndim)))
    array = array.transpose(axes)
    block = data.draw(st.lists(st.integers(0, len(array) - 1), max_size=9))
    [(batch,)] = [block] | ops.gather(array)
    assert batch.shape == (len(block), *array.shape[1:])
    assert batch.tobytes() == array[np.array(block, dtype=int)].tobytes()


def test_what_is_not_c_contiguous_is_not_copied_whole():
    array = np.zeros((64, 100_000), np.uint8).T
    stream = ops.indices(100_000) | ops.shuffle(1) | ops.chunk(16) | ops.take(3) | ops.gather(array)
    list(stream)
    tracemalloc.start()
    list(stream)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3_000_000  # the order is 0.8 MB, the array 6.4 MB


def test_dicts_and_indices():
    X, y = np.arange(10) * 10, np.arange(10) * 100
    stream = ops.indices(4) | ops.shuffle(1) | ops.chunk(3)
    for block, (i, a), d, e in zip(
        stream,
        stream | ops.gather(X, include_indices=True),
        stream | ops.gather(image=X, label=y),
        stream | ops.gather(image=X, include_indices=True),
        strict=True,
    ):
        assert i.tolist() == block.tolist()
        assert a.tolist() == (block * 10).tolist()
        assert {key: part.tolist() for key, part in d.items()} == {
            "image": (block * 10).tolist(),
            "label": (block * 100).tolist(),
        }
        assert list(e) == ["indices", "image"]
    [(i, a)] = ops.indices(3) | ops.gather(X, include_indices=True)
    assert type(i) is np.ndarray
    assert i.dtype == np.intp


def test_included_indices_are_the_callers_own():
    subset = ops.indices([3, 1, 2]) | ops.gather(np.arange(4), include_indices=True)
    [(indices, _)] = subset
    indices[...] = 0
    assert subset[0][0].tolist() == [3, 1, 2]


def test_arrays_of_different_lengths():
    with pytest.raises(ValueError, match="expected arrays of one length; array 0 has 3, array 1 has 4"):
        ops.gather(np.zeros(3), np.zeros(4))
    with pytest.raises(ValueError, match="array image has 3, array label has 4"):
        ops.gather(image=np.zeros(3), label=[1, 2, 3, 4])


def test_nothing_to_gather_or_both_ways():
    with pytest.raises(TypeError, match="expected one array at least; got none"):
        ops.gather()
    with pytest.raises(TypeError, match="by position, for tuples, or by name; got both"):
        ops.gather(np.zeros(3), y=np.zeros(3))


@pytest.mark.parametrize(
    "source",
    [
        ops.indices(5),
        ops.indices([0, 4]),
        ops.indices(range(3, 5)),
        [np.array([1]), np.array([4])] | ops.chunk(1),
        ops.sample([1] * 5, 1),
        ops.sample([1], 1, indices=[4]),
        ops.indices(5) | ops.shuffle(1) | ops.repeat(-1) | ops.chunk(2) | ops.skip(1),
    ],
)
def test_an_index_outside_is_refused_when_it_is_built(source):
    source | ops.gather(np.zeros(5))
    with pytest.raises(ValueError, match=r"expected indices below 4, the length of the arrays; .* reaches 4"):
        source | ops.gather(np.zeros(4))


def test_only_index_blocks_are_gathered():
    stream = ops.indices(3) | ops.gather(np.zeros(3))
    with pytest.raises(
        TypeError, match="gather: expected a stream of index blocks, before any gather, map, zip or choose"
    ):
        stream | ops.gather(np.zeros(3))


@pytest.mark.parametrize("name", ["name", "self", "args", "where", "reader", "cls"])
def test_an_array_may_have_any_name(name):
    stream = ops.indices(3) | ops.gather(**{name: np.arange(3)})
    assert repr(stream) == f"indices(3) | gather({name}=<3 int64>)"
    assert stream[0][name].tolist() == [0, 1, 2]


def test_a_gather_is_pickled_once_and_reads_as_before():
    step = ops.gather(x=np.arange(5), include_indices=True)
    assert repr(pickle.loads(pickle.dumps(step))) == repr(step)
    big = np.zeros(100_000)
    assert len(pickle.dumps(ops.indices(5) | ops.gather(big))) < big.nbytes * 1.1
