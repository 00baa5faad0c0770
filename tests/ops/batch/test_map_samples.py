"""map_samples: what a function gets of each sample, its random numbers, and what becomes of its results."""

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from batchup import ops
from batchup.core import Work
from batchup.data_source import ArrayDataSource, CompositeDataSource, SampleDataSource
from batchup.testing import plain
from batchup.work_pool import ExecutorPool, WorkerThreadPool

X, Y = np.arange(40.0).reshape(10, 4), np.arange(10)
BATCHES = ops.indices(10) | ops.shuffle(3) | ops.chunk(4) | ops.gather(X, Y)


def lists(stream):
    return [plain(batch) for batch in stream]


def crop(x, y, rng):
    """Two numbers of four."""
    start = rng.integers(3)
    return x[start : start + 2], y


def with_number(*sample, rng):
    return (*sample, float(rng.random()))


def test_it_gives_what_a_loop_over_the_samples_gives():
    mapped = BATCHES | ops.map_samples(lambda x, y: (x[::2] + y, y))
    for (x, y), (new, label) in zip(BATCHES, mapped, strict=True):
        assert np.array_equal(new, np.stack([a[::2] + b for a, b in zip(x, y, strict=True)]))
        assert label.dtype == y.dtype
        assert np.array_equal(label, y)


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        (np.arange(2), [(0,), (1,)]),
        ((np.arange(2), ["a", "b"]), [(0, "a"), (1, "b")]),
        ({"x": np.arange(2), "s": ["a", "b"]}, [({"x": 0, "s": "a"},), ({"x": 1, "s": "b"},)]),
        (({"x": np.arange(2)}, np.arange(2)), [({"x": 0}, 0), ({"x": 1}, 1)]),
        (((np.arange(2), np.arange(2)),), [((0, 0),), ((1, 1),)]),
        ([(0, "a"), (1, "b")], [(0, "a"), (1, "b")]),
        (["a", "b"], [("a",), ("b",)]),
        ([{"x": 1}], [({"x": 1},)]),
        ((ops.Ragged.of([[1], [2, 3]]),), [([1],), ([2, 3],)]),
    ],
)
def test_what_a_sample_is(batch, expected):
    got = []
    step = ops.map_samples(lambda *sample: got.append(plain(sample)) or 0).args[0]
    step.run(batch)
    assert got == expected


def test_results_are_put_together_as_samples_are():
    [batch] = [np.arange(3)] | ops.map_samples(lambda x: {"twice": 2 * x, "name": str(x), "pair": (x, [float(x)])})
    assert plain(batch) == {"twice": [0, 2, 4], "name": ["0", "1", "2"], "pair": ([0, 1, 2], [[0.0], [1.0], [2.0]])}
    [total] = [np.arange(3)] | ops.map_samples(lambda x: x, collate=sum)
    assert total == 3
    with pytest.raises(
        ValueError, match=r"map_samples: expected samples of one type.*Have the function give what fits"
    ):
        list([np.arange(3)] | ops.map_samples(lambda x: np.zeros(x)))


def test_an_array_and_a_sample_of_the_source_stay_as_they_are():
    x = X.copy()

    def overwrite(row):
        row[:] = 0
        return row

    assert not (ops.indices(10) | ops.gather(x) | ops.map_samples(overwrite))[0].any()
    assert np.array_equal(x, X)


def test_each_sample_has_random_numbers_of_its_own():
    stream = BATCHES | ops.map_samples(with_number, rng=7)
    numbers = [number for *_, drawn in stream for number in drawn]
    assert len(set(numbers)) == 10
    assert lists(stream) == lists(stream)
    assert plain(stream[2]) == plain(list(stream)[2])
    assert lists(stream | ops.skip(1)) == lists(stream)[1:]
    repeated = stream | ops.repeat(2)
    assert len({number for *_, drawn in repeated for number in drawn}) == 20
    other = BATCHES | ops.map_samples(with_number, rng=7) | ops.map_samples(with_number, rng=7)
    assert all(set(one) & set(two) == set() for *_, one, two in other)
    # The generator is the same object with another state: its numbers don't depend on how many were drawn before.
    few = BATCHES | ops.map_samples(lambda x, y, rng: (x, y, rng.random(int(y) + 1)[0]), rng=7)
    assert [drawn.tolist() for *_, drawn in few] == [drawn.tolist() for *_, drawn in stream]


def test_golden_numbers():
    stream = ops.indices(3) | ops.chunk(2) | ops.map_samples(lambda i, rng: rng.integers(1000), rng=(5, 6))
    assert lists(stream) == GOLDEN


GOLDEN = [[281, 409], [269]]


def test_a_generator_by_position_or_by_name():
    def last(x, y, generator):
        return generator.random()

    named = [float(b) for batch in BATCHES | ops.map_samples(lambda x, y, *, rng: rng.random(), rng=7) for b in batch]
    assert [float(b) for batch in BATCHES | ops.map_samples(last, 7) for b in batch] == named
    again = pickle.loads(pickle.dumps(BATCHES | ops.map_samples(with_number, 7, name="numbers")))
    assert [float(b) for *_, batch in again for b in batch] == named
    with pytest.raises(TypeError, match="does not implement spawning"):
        list(BATCHES | ops.map_samples(lambda x, y, rng: rng.spawn(1), rng=7))
    assert len(list(BATCHES | ops.map_samples(np.add))) == 3  # without a signature


@pytest.mark.parametrize("before", [(), (ops.map(lambda x, y: (x, y)),)])
def test_split_in_threads_gives_the_same(before):
    stream = BATCHES
    for stage in before:
        stream = stream | stage
    read = ops.indices(10) | ops.chunk(4) | ops.samples(list(zip(X, Y, strict=True)))
    joint = ops.zip(stream | ops.map_samples(crop, 7), read | ops.map_samples(crop, 8), [(X, Y), (X[:1], Y[:1])])
    with WorkerThreadPool(2) as pool, ThreadPoolExecutor(2) as executor:
        for each in (
            stream | ops.map_samples(crop, 7),
            read | ops.map_samples(with_number, 7) | ops.map(lambda *b: b),
            joint,
        ):
            expected = lists(each)
            for workers in (pool, ExecutorPool(executor)):
                for buffer in (1, 5):
                    assert lists(each | ops.parallel(workers, buffer, split=True)) == expected
        assert (
            len(list(ops.indices(0) | ops.gather(X) | ops.map_samples(lambda x: x) | ops.parallel(pool, split=True)))
            == 1
        )


def test_split_calls_run_at_once():
    meeting = threading.Barrier(4)

    def meet(x, y):
        meeting.wait(20)
        return y

    with WorkerThreadPool(4) as pool:
        batches = list(BATCHES | ops.take(2) | ops.map_samples(meet) | ops.parallel(pool, buffer=1, split=True))
    assert [len(batch) for batch in batches] == [4, 4]


def test_an_error_says_which_sample():
    def bad(x, y):
        if y == 9:
            raise ValueError("nine")
        return y

    place = next((k, n) for k, (_, y) in enumerate(BATCHES) for n, label in enumerate(y) if label == 9)
    stream = BATCHES | ops.map_samples(bad, name="bad")
    with WorkerThreadPool(2) as pool:
        for each in (stream, stream | ops.parallel(pool), stream | ops.parallel(pool, split=True)):
            with pytest.raises(ValueError, match="nine") as caught:
                list(each)
            notes = caught.value.__notes__
            assert notes[:2] == [f"in sample {place[1]} of the batch", "in the stage map_samples(bad)"]
            assert f"at item {place[0]} of" in notes[2]


def test_what_has_no_samples_is_refused():
    with pytest.raises(TypeError, match="map_samples: expected batches of arrays or lists"):
        list([(np.arange(3), 5)] | ops.map_samples(lambda *sample: sample))
    with pytest.raises(ValueError, match="map_samples: expected parts with the same number of samples"):
        list([(np.arange(3), np.arange(4))] | ops.map_samples(lambda *sample: sample))
    pool = WorkerThreadPool(1)
    with pytest.raises(ValueError, match="map_samples: expected parts with the same number of samples"):
        list([(np.arange(3), np.arange(4))] | ops.map_samples(lambda *s: s) | ops.parallel(pool, split=True))
    pool.close()


def test_bad_arguments():
    with pytest.raises(TypeError, match=r"map_samples\(fn\): expected a function; got 3"):
        ops.map_samples(3)
    with pytest.raises(TypeError, match="map_samples: collate: expected a function of a list of samples; got 3"):
        ops.map_samples(crop, collate=3)
    with pytest.raises(TypeError, match=r"map_samples\(fn, rng\): expected a seed"):
        ops.map_samples(crop, rng=np.random.default_rng(1))
    with pytest.raises(ValueError, match=r"map_samples: expected rng=.*or seed_globals=.*got both"):
        ops.map_samples(crop, rng=1, seed_globals=2)
    with pytest.raises(TypeError, match=r"map_samples: there is no argument seed=; write rng=, .* or seed_globals="):
        ops.map_samples(crop, seed=1)
    with pytest.raises(TypeError, match="map: there is no argument nane=; did you mean name="):
        ops.map(crop, nane=1)


def test_sizes_are_known_unless_collate_changes_them():
    assert (BATCHES | ops.map_samples(crop, 7)).num_samples == 10
    some = BATCHES | ops.map_samples(lambda x, y: y, collate=lambda labels: np.array(labels)[:1]) | ops.rebatch(2)
    with pytest.raises(ValueError, match=r"map_samples\(fn, collate=..., resizes=True\)"):
        list(some)
    resized = ops.map_samples(lambda x, y: y, collate=lambda labels: np.array(labels)[:1], resizes=True)
    assert [len(batch) for batch in BATCHES | resized | ops.rebatch(2)] == [2, 1]


def test_the_preset_is_its_composition():
    ds = ArrayDataSource([X, Y])
    mapped = ds.map_samples(with_number, rng=7)
    assert lists(mapped.batch_iterator(4, 3)) == lists(BATCHES | ops.map_samples(with_number, rng=7))
    assert repr(mapped) == "ArrayDataSource([<10x4 float64>, <10 int64>]).map_samples(with_number)"
    assert mapped.num_samples() == 10
    one, same, alone = (mapped.samples_by_indices(i) for i in ([3], [3], 3))
    assert plain(one) == plain(same)
    assert plain(alone) == plain(tuple(part[0] for part in one))
    assert mapped.samples_by_indices([3, 4])[2][0] != one[2][0]
    twice = mapped.map_samples(with_number, rng=7).samples_by_indices([3])
    assert twice[2] != twice[3]
    pair = CompositeDataSource([mapped, mapped])
    assert plain(pair.samples_by_indices(([3], [4]))[:3]) == plain(one)
    cropped = ds.map_samples(lambda x, y: x[:2], collate=np.array)
    assert cropped.batch_map_concat(lambda x: x, 4)[0].shape == (10, 2)


def test_it_reads_dicts():
    ds = ArrayDataSource({"x": X, "y": Y})
    assert plain(ds.map_samples(lambda sample: sample["y"] * 2).samples_by_indices([1, 2])) == [2, 4]
    assert plain(ds.samples_by_indices(3)) == {"x": X[3].tolist(), "y": 3}
    assert plain(SampleDataSource([{"x": 1}, {"x": 2}]).map_samples(dict).stream(2)[0]) == {"x": [1, 2]}


def test_a_step_by_itself():
    step = ops.map_samples(lambda x: x + 1).args[0]
    assert Work((step,)).run(np.arange(3)).tolist() == [1, 2, 3]


def test_an_executor_that_is_shut_down_between_two_parts_is_an_error():
    executor = ThreadPoolExecutor(1)

    def end(x, y):
        executor.shutdown(wait=False)
        return x, y

    batches = BATCHES | ops.map(end) | ops.map_samples(crop, 7) | ops.parallel(ExecutorPool(executor), 1, split=True)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        list(batches)
