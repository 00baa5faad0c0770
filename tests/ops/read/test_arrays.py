"""The kinds of array that gather reads."""

import h5py
import numpy as np
import pytest
import scipy.sparse

from batchup import ops, work_pool
from batchup.data_source import ArrayDataSource
from batchup.testing import plain
from batchup.work_pool import share

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
    [(a, b, c, d)] = [[4, 0]] | ops.gather([1.5, 2.0, 3.0, 4.0, 5.0], rows, [[n, n] for n in range(5)], range(5))
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


@pytest.mark.parametrize(
    ("array", "error", "text"),
    [
        (5, TypeError, r"gather: array 0: expected an array, or anything with __len__ and __getitem__; got 5"),
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
        ([[1, 2], [3]], TypeError, r"expected numbers, or lists and arrays of one shape; .*ops\.Ragged\.of\(samples\)"),
        ([object()], TypeError, r"expected numbers, strings, or arrays of one shape; got <object>"),
        ([1, 2.5], TypeError, r"expected values of one type; got int64, float64 in the list"),
        ([1, None], ValueError, r"expected no missing values; there is a None in the list"),
        ([2**63], TypeError, r"expected numbers that int64 can hold"),
        ([np.ma.masked_array([1], [True])], TypeError, r"MaskedArray, whose mask would be lost"),
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

    with pytest.raises(TypeError, match=r"indexed by position; got <Frame of 3>: pass its .to_numpy\(\)"):
        ops.gather(Frame())


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


class Metres(np.ndarray):
    """A class of arrays of another package."""


SUBCLASSES = {
    "masked": np.ma.masked_greater(np.arange(8.0), 5),
    "records": np.rec.array([(n, n / 2) for n in range(8)], dtype=[("a", "i2"), ("b", "f8")]),
    "matrix": np.arange(16).reshape(8, 2).view(np.matrix),
    "others": np.arange(8.0).view(Metres),
}


@pytest.mark.parametrize("name", SUBCLASSES)
def test_classes_of_arrays_are_kept_by_stages_and_pools_or_refused(name):
    X = SUBCLASSES[name]
    stream = ops.indices(8) | ops.shuffle(1) | ops.chunk(3) | ops.gather(X)
    kept = [stream, stream | ops.filter(lambda x: np.arange(len(x)) % 2 == 0), stream | ops.rebatch(4)]
    with work_pool.WorkerProcessPool(1) as pool:
        kept += [one | ops.parallel(pool) for one in kept]
        for one in kept:
            batches = [batch for (batch,) in one]
            assert {type(batch) for batch in batches} == {type(X)}
            if name == "masked":
                assert sum(int(np.ma.getmaskarray(batch).sum()) for batch in batches) >= 1
    for refused in (share, lambda x: ops.gather([x, x]), ops.where, lambda x: ops.Ragged(x, [0, 8])):
        with pytest.raises(TypeError, match="expected a plain NumPy array"):
            refused(X)


def test_rows_of_sparse_matrices():
    matrix = scipy.sparse.random(20, 5, 0.3, format="csr", random_state=1)
    for source in (matrix, scipy.sparse.csr_array(matrix)):
        for block in ([3, 0, 3], [], range(5, 9)):
            [(batch,)] = [block] | ops.gather(source)
            assert np.array_equal(batch, matrix.toarray()[np.array(block, int)])
            assert batch.dtype == matrix.dtype
            assert batch.flags.writeable
    with pytest.raises(TypeError, match=r"in the format coo. Write matrix.tocsr\(\)"):
        ops.gather(matrix.tocoo())

    class Rows:
        def __len__(self):
            return 20

        def __getitem__(self, block):
            return matrix[block]

    with pytest.raises(
        TypeError, match=r"gather: array 0: expected <Rows of 20> to give dense arrays.*rows.toarray\(\)"
    ):
        list([[1]] | ops.gather(Rows()))
    with pytest.raises(TypeError, match=r"got a group of h5py: give one of its arrays, group\['X'\]"):
        ops.gather(h5py.File("nowhere", "w", driver="core", backing_store=False))


def test_tuples_and_dicts_of_arrays():
    X, y = np.arange(8).reshape(4, 2), np.arange(4)
    for data in ([X, y], (X, y)):
        assert plain(next(ArrayDataSource(data).batch_iterator(2))) == ([[0, 1], [2, 3]], [0, 1])
    source = ArrayDataSource({"image": X, "label": y}, include_indices=True)
    assert plain(next(source.batch_iterator(2, shuffle=5))) == plain(
        next(iter(ops.indices(4) | ops.shuffle(5) | ops.chunk(2) | ops.gather(image=X, label=y, include_indices=True)))
    )
    assert plain(source.samples_by_indices([3])) == {"indices": [3], "image": [[6, 7]], "label": [3]}
    assert repr(source) == "ArrayDataSource({'image': <4x2 int64>, 'label': <4 int64>}, include_indices=True)"
    with work_pool.WorkerProcessPool(1) as pool:
        assert list(map(plain, source.loader(2, pool=pool))) == list(map(plain, source.batch_iterator(2)))
    with pytest.raises(ValueError, match="array label has 3"):
        ArrayDataSource({"image": X, "label": y[:3]})
