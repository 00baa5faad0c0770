"""gather and map."""

import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from batchup import ops

N = 12
ARRAYS = {
    "C order": np.arange(N * 6).reshape(N, 2, 3),
    "F order": np.asfortranarray(np.arange(N * 4).reshape(N, 4)),
    "every other row": np.arange(2 * N * 3).reshape(2 * N, 3)[::2],
    "reversed": np.arange(N)[::-1],
    "a column": np.arange(N * 3).reshape(N, 3)[:, 1],
    "transposed": np.arange(N * 4).reshape(4, N).T,
    "broadcast": np.broadcast_to(np.arange(3), (N, 3)),
    "big endian": np.arange(N, dtype=">i4"),
    "bool": np.arange(N) % 3 == 0,
    "complex": np.arange(N) * 1j,
    "text": np.array([f"sample {n}" for n in range(N)]),
    "objects": np.array([{"n": n} for n in range(N)], dtype=object),
    "dates": np.arange(N).astype("datetime64[D]"),
    "structured": np.array([(n, n / 2) for n in range(N)], dtype=[("a", "i2"), ("b", "f8")]),
    "no columns": np.zeros((N, 0)),
    "read-only": np.arange(N * 2).reshape(N, 2),
    "masked": np.ma.masked_array(np.arange(N), np.arange(N) % 2 == 0),
}
ARRAYS["read-only"].setflags(write=False)


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("block", [[3, 3, 0, 11], [], [5], range(2, 7), range(0), range(N)])
def test_samples_of_every_kind_of_array(name, block):
    array = ARRAYS[name]
    before = array.copy()
    [(batch,)] = [block] | ops.gather(array)
    np.testing.assert_array_equal(batch, array[np.array(block, dtype=int)])
    assert batch.dtype == array.dtype
    assert type(batch) is type(array)
    assert batch.flags.writeable
    assert not np.shares_memory(batch, array)
    if batch.size and name != "objects":
        batch[...] = batch[::-1].copy()
        np.testing.assert_array_equal(array, before)


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


def test_memory_maps(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(20).reshape(10, 2))
    for mode in ("r", "r+", "c"):
        mapped = np.load(tmp_path / "x.npy", mmap_mode=mode)
        for block in ([4, 1], range(3, 5)):
            [(batch,)] = [block] | ops.gather(mapped)
            assert type(batch) is np.ndarray
            assert batch.tolist() == np.array(mapped)[list(block)].tolist()
            batch[...] = -1
        assert mapped[3, 0] == 6
        del mapped


def test_what_is_not_c_contiguous_is_not_copied_whole():
    array = np.zeros((64, 100_000), np.uint8).T
    stream = ops.indices(100_000) | ops.shuffle(1) | ops.chunk(16) | ops.take(3) | ops.gather(array)
    list(stream)
    tracemalloc.start()
    list(stream)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3_000_000  # the order is 0.8 MB, the array 6.4 MB


class Recorder:
    """An array-like that keeps what it is asked for."""

    def __init__(self, n):
        self.n, self.asked = n, []

    def __len__(self):
        return self.n

    def __getitem__(self, key):
        self.asked.append(key)
        return np.arange(self.n)[key] * 2


@pytest.mark.parametrize("block", [[4, 1], range(2, 5)])
def test_other_array_likes_get_integer_arrays(block):
    source = Recorder(9)
    [(batch,)] = [block] | ops.gather(source)
    assert batch.tolist() == [2 * i for i in block]
    if isinstance(block, range):  # which is read by slices, where it is found that these will do
        assert source.asked == [slice(0, 0), slice(2, 5)]
        return
    [asked] = source.asked
    assert type(asked) is np.ndarray
    assert asked.dtype == np.intp
    assert asked.tolist() == list(block)


def test_lists_of_numbers_and_of_arrays():
    rows = [np.full((2, 3), n) for n in range(5)]
    [(a, b, c, d)] = [[4, 0]] | ops.gather(
        [1.5, 2, 3, 4, 5], rows, [[n, n] for n in range(5)], range(5)
    )
    assert a.tolist() == [5.0, 1.5]
    assert b.shape == (2, 2, 3)
    assert b[:, 0, 0].tolist() == [4, 0]
    assert c.tolist() == [[4, 4], [0, 0]]
    assert d.tolist() == [4, 0]
    b[...] = -1
    assert rows[4].max() == 4
    [(nothing,)] = [[]] | ops.gather(rows)
    assert nothing.shape == (0, 2, 3)


def test_tensors_and_other_libraries_arrays_read_as_array_likes():
    h5py = pytest.importorskip("h5py")
    file = h5py.File("nowhere", "w", driver="core", backing_store=False)
    data = np.arange(60).reshape(20, 3)
    for chunks in (None, (4, 3)):
        dataset = file.create_dataset(f"x{chunks}", data=data, chunks=chunks)
        for block in ([7, 3, 7, 19, 0], range(5, 9), []):
            [(batch,)] = [block] | ops.gather(dataset)
            assert batch.tolist() == data[np.array(block, dtype=int)].tolist()
    file.close()


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


@pytest.mark.parametrize(
    ("array", "error", "text"),
    [
        (
            5,
            TypeError,
            r"gather: array 0: expected an array, or anything with __len__ and __getitem__; got 5",
        ),
        ("text", TypeError, r"got 'text'"),
        (None, TypeError, r"got None"),
        ({"a": 1}, TypeError, r"got <dict of 1>"),
        (iter([1]), TypeError, r"got <list_iterator>"),
        ({1, 2}, TypeError, r"got <set of 2>"),
        (np.array(5), TypeError, r"one axis at least; got a single 5|one axis at least"),
        (
            [np.zeros(2), np.zeros(3)],
            ValueError,
            "expected arrays of one shape and dtype; got <2 float64>, <3 float64>",
        ),
        ([[1, 2], [3]], TypeError, r"expected numbers, or arrays of one shape"),
        ([object()], TypeError, r"expected numbers, or arrays of one shape; got <object>"),
    ],
)
def test_what_are_no_arrays(array, error, text):
    with pytest.raises(error, match=text):
        ops.gather(array)


def test_what_is_indexed_by_label_is_refused():
    class Frame:
        iloc = None

        def __len__(self):
            return 3

        def __getitem__(self, key):
            raise AssertionError("not to be asked")

    with pytest.raises(
        TypeError, match=r"indexed by position; got <Frame of 3>: pass its .to_numpy\(\)"
    ):
        ops.gather(Frame())


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
    with pytest.raises(
        ValueError, match=r"expected indices below 4, the length of the arrays; .* reaches 4"
    ):
        source | ops.gather(np.zeros(4))


def test_only_index_blocks_are_gathered():
    stream = ops.indices(3) | ops.gather(np.zeros(3))
    with pytest.raises(
        TypeError,
        match="gather: expected a stream of index blocks, before any gather, map, zip or choose",
    ):
        stream | ops.gather(np.zeros(3))


def test_a_gather_is_pickled_once_and_reads_as_before():
    step = (
        ops.gather(np.arange(5), y=None) if False else ops.gather(x=np.arange(5), include_indices=True)
    )
    assert repr(pickle.loads(pickle.dumps(step))) == repr(step)
    big = np.zeros(100_000)
    assert len(pickle.dumps(ops.indices(5) | ops.gather(big))) < big.nbytes * 1.1


def test_map_of_tuples_and_of_other_things():
    assert list([(1, 2), 3, [4, 5], {"a": 6}] | ops.map(lambda *args: args)) == [
        (1, 2),
        (3,),
        (4, 5),
        ({"a": 6},),
    ]


def test_map_wants_a_function():
    with pytest.raises(TypeError, match=r"map\(fn\): expected a function; got 5"):
        ops.map(5)


def test_an_augmentation_in_place_does_not_reach_the_training_data():
    X = np.ones((8, 2))

    def spoil(x):
        x *= -1
        return x

    for source in (ops.indices(8), ops.indices(8) | ops.shuffle(1), ops.indices([1, 2])):
        list(source | ops.chunk(3) | ops.gather(X) | ops.map(spoil))
        assert (X == 1).all()


def test_objects_that_are_arrays_are_copied_others_are_the_same_objects():
    samples = [np.arange(n) for n in range(1, 5)]
    other = object()
    column = np.empty(5, object)
    column[:4] = samples
    column[4] = other
    for blocks in ([[0, 4, 2]], [range(2, 5)]):
        [(batch,)] = blocks | ops.gather(column)
        assert batch[-1 if 4 in blocks[0][-1:] else 1] is other
        for sample in batch:
            if sample is not other:
                sample[...] = -1
    assert [sample.tolist() for sample in samples] == [list(range(n)) for n in range(1, 5)]
    assert column[4] is other
