"""map: what a function gets, and what becomes of its result."""

import numpy as np
import pytest

from batchup import ops, work_pool
from batchup.data_source import (
    ArrayDataSource,
    CallableDataSource,
    CompositeDataSource,
    RandomAccessDataSource,
    batch_map_concat,
    batch_map_mean,
)
from batchup.testing import plain
from tests.noisy import BASE, X, draw, numbers


def test_presets_take_it():
    ds = ArrayDataSource([X]).map(draw, rng=7)
    assert numbers(ds.batch_iterator(4)) == numbers(BASE | ops.map(draw, rng=7))
    pair = CompositeDataSource([ds, ds])
    assert all(a.tolist() != b.tolist() for _, a, _, b in pair.batch_iterator(4))
    one, two = ds.samples_by_indices([1, 2]), ds.samples_by_indices([1, 2])
    assert one[1].tolist() == two[1].tolist()
    assert one[1].tolist() != ds.samples_by_indices([1, 3])[1].tolist()


def test_a_preset_shows_what_it_was_made_of():
    ds = ArrayDataSource([X])
    mapped = ds.map(draw, rng=7, resizes=True)
    assert (mapped.source, mapped.fn, mapped.rng, mapped.resizes) == (ds, draw, 7, True)
    mapped = ds.map_samples(draw, rng=(7, 8))
    assert (mapped.source, mapped.fn, mapped.rng, mapped.resizes) == (ds, draw, (7, 8), False)


@pytest.mark.parametrize("rng", [1.5, "7", np.random.RandomState(1), True, [1.0]])
def test_it_wants_a_seed(rng):
    with pytest.raises(TypeError, match=r"map\(fn, rng\): expected a seed"):
        ops.map(draw, rng=rng)


@pytest.mark.parametrize("before", [(), (ops.shuffle(1),), (ops.shuffle(np.random.RandomState(1)),)])
def test_a_function_of_index_blocks_always_gets_an_array(before):
    def kind(block):
        return type(block), block.dtype, block.flags.writeable

    stream = ops.indices(6)
    for stage in (*before, ops.chunk(4)):
        stream = stream | stage
    expected = [(np.ndarray, np.dtype(np.intp), True)] * 2
    assert list(stream | ops.map(kind)) == expected
    assert list(ops.zip(stream) | ops.map(kind)) == expected
    assert list(ops.choose(stream) | ops.map(kind)) == expected
    assert list(stream | ops.map(lambda block, rng: kind(block), rng=1)) == expected


def test_the_note_of_a_random_map_reads_like_the_others():
    def bad(block, rng):
        raise ValueError("bad")

    stream = ops.indices(9) | ops.chunk(3) | ops.skip(1) | ops.map(bad, rng=5)
    with pytest.raises(ValueError, match="bad") as caught:
        list(stream)
    assert caught.value.__notes__ == [
        "in the stage map(bad, rng=5)",
        f"at item 0 of {stream!r}, made of samples [3, 4, 5]; stream[0] makes it again",
    ]


class _Parts:
    """A sequence, and a re-iterable, of batches that are lists."""

    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return iter([[np.arange(3) + k, np.arange(3) * k] for k in range(self.n)])


@pytest.mark.parametrize("source", ["map", "random map", "iterable", "list", "callable", "samples"])
def test_a_list_is_a_list_of_the_parts_of_a_batch(source):
    def parts(x):
        return [x, x * 2]

    def noisy(x, rng):
        return [x, x * 2]

    def batches(batch_size):
        return iter(_Parts(4))

    class Own(RandomAccessDataSource):
        def read(self, indices):
            return [indices, indices * 2]

    stream = {
        "map": lambda: BASE | ops.map(parts),
        "random map": lambda: BASE | ops.map(noisy, rng=1),
        "iterable": lambda: _Parts(4) | ops.skip(0),
        "list": lambda: list(_Parts(4)) | ops.skip(0),
        "callable": lambda: CallableDataSource(batches).stream(3),
        "samples": lambda: Own(12).stream(3),
    }[source]()
    assert all(isinstance(batch, tuple) and len(batch) == 2 for batch in stream)
    assert plain(next(iter(stream | ops.map(lambda a, b: a + b)))) == plain(sum(next(iter(stream))))
    [one, two, _three] = next(iter(ops.zip(stream, [7] * 9)))
    assert plain((one, two)) == plain(next(iter(stream)))
    [mean, _] = batch_map_mean(lambda a, b: (a.sum(), b.sum()), stream)
    assert mean > 0
    with work_pool.WorkerThreadPool(1) as pool:
        assert list(map(plain, stream | ops.parallel(pool))) == list(map(plain, stream))


def test_results_of_lists_that_users_give():
    assert batch_map_concat(lambda a, b: a, [[np.arange(2), 1], [np.arange(1), 2]])[0].tolist() == [0, 1, 0]
    own = CompositeDataSource([ArrayDataSource([X, X]).map(lambda a, b: [a, b]), ArrayDataSource([X])])
    assert [len(part) for part in next(own.batch_iterator(4))] == [4, 4, 4]


def test_what_collate_makes_stays_one_part():
    images = [np.zeros((n, 2)) for n in (1, 2, 3)]
    stream = ops.indices(3) | ops.chunk(2) | ops.samples(images, collate=list)
    assert [len(batch) for batch in stream] == [2, 1]
    assert list(stream | ops.map(len)) == [2, 1]
    assert [len(batch) for batch in stream | ops.rebatch(3)] == [3]
    assert [len(a) for a, _ in ops.zip(stream, [7, 8], trim=False)] == [2, 1]


def test_results_are_copied_as_the_function_may_write_into_them_again():
    out = np.empty(5)
    [got] = ArrayDataSource([X]).batch_map_concat(lambda x: np.multiply(x, 2, out=out[: len(x)]), 5)
    assert got.tolist() == (2 * X).tolist()


def test_map_of_tuples_and_of_other_things():
    assert list([(1, 2), 3, [4, 5], {"a": 6}] | ops.map(lambda *args: args)) == [(1, 2), (3,), (4, 5), ({"a": 6},)]


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
