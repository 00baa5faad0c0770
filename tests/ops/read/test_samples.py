"""samples: what collate makes of the samples of a dataset."""

import enum
import threading
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from batchup import ops, work_pool
from batchup.data_source import ArrayDataSource, ChoiceDataSource, CompositeDataSource, SampleDataSource
from batchup.ops.read.collate import collated
from batchup.testing import plain

Pair = namedtuple("Pair", "image label")

IMAGES = np.arange(24, dtype=np.uint8).reshape(6, 2, 2)


class Pairs:
    """A dataset as PyTorch has them: of (image, label)."""

    def __len__(self):
        return 6

    def __getitem__(self, i):
        assert type(i) is int
        return IMAGES[i], i * 10


def batch_of(dataset, block=(0, 2), **options):
    [batch] = ops.indices(list(block)) | ops.samples(dataset, **options)
    return batch


def same(got, expected):
    assert plain(got) == plain(expected)
    assert type(got) is type(expected)
    if isinstance(expected, np.ndarray):
        assert got.dtype == expected.dtype
    elif isinstance(expected, tuple | list):
        assert len(got) == len(expected)
        for one, other in zip(got, expected, strict=True):
            same(one, other)
    elif isinstance(expected, dict):
        for key in expected:
            same(got[key], expected[key])


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([5, 6], np.array([5, 6])),
        ([0.5, 6.0], np.array([0.5, 6.0])),
        ([True, False], np.array([True, False])),
        ([np.float32(1), np.float32(2)], np.array([1, 2], np.float32)),
        (["a", "bc"], ["a", "bc"]),
        ([b"a\0", b""], [b"a\0", b""]),
        ([IMAGES[0], IMAGES[1]], IMAGES[:2]),
        ([(IMAGES[0], 1), (IMAGES[1], 2)], (IMAGES[:2], np.array([1, 2]))),
        ([[IMAGES[0], 1], [IMAGES[1], 2]], (IMAGES[:2], np.array([1, 2]))),
        ([Pair(IMAGES[0], 1), Pair(IMAGES[1], 2)], Pair(IMAGES[:2], np.array([1, 2]))),
        ([{"a": 1, "b": ("x", [1.5])}] * 2, {"a": np.array([1, 1]), "b": (["x", "x"], np.array([[1.5]] * 2))}),
        ([(), ()], ()),
        ([np.datetime64("2020-01-01")] * 2, np.array(["2020-01-01"] * 2, "M8[D]")),
    ],
)
def test_what_is_put_together(samples, expected):
    same(collated(samples), expected)
    batch = batch_of(samples, [0, 1])
    same(batch, expected)


def test_images_of_pillow():
    from PIL import Image

    same(batch_of([(Image.fromarray(image), 1) for image in IMAGES]), (IMAGES[[0, 2]], np.array([1, 1])))


def test_the_batch_belongs_to_its_receiver():
    dataset = [(image, "name") for image in IMAGES.copy()]
    for block in ([3], [3, 4]):
        images, names = batch_of(dataset, block)
        images[:] = 99
        names.append("another")
        same(batch_of(dataset, block), (IMAGES[block], ["name"] * len(block)))


@pytest.mark.parametrize(
    ("samples", "text"),
    [
        ([np.zeros(3), np.zeros(4)], "for a batch; got <3 float64>, <4 float64>. Have the dataset give"),
        ([(np.zeros(3), 1), (np.zeros(3, "f"), 1)], r"at sample\[0\]; got <3 float64>, <3 float32>"),
        ([1, 2.5], "got int, float"),
        ([1, None], "got int, NoneType"),
        ([{"a": 1}, {"b": 1}], "got a dict of 'a', a dict of 'b'"),
        ([{"a": {"ids": [1, 2]}}, {"a": {"ids": [1]}}], r"at sample\['a'\]\['ids'\]; got <2 int64>, <1 int64>"),
        ([(1, 2), (1, 2, 3)], "got <tuple of 2>, <tuple of 3>"),
        ([(1, 2), 5], "got <tuple of 2>, int"),
    ],
)
def test_what_does_not_go_together(samples, text):
    with pytest.raises(ValueError, match=f"samples: expected samples of one type, shape and dtype .*{text}"):
        batch_of(samples, [0, 1])


def test_what_is_no_part_of_a_sample():
    for sample in (None, object(), {"a": {1, 2}}):
        with pytest.raises(TypeError, match="samples: expected arrays, numbers, strings, tuples or dicts"):
            batch_of([sample, sample], [0, 1])


def test_a_function_of_ones_own():
    def lengths(words):
        return np.array(list(map(len, words)))

    stream = ops.indices(3) | ops.chunk(2) | ops.samples(["a", "bcd", "ef"], lengths)
    assert repr(stream) == "indices(3) | chunk(2) | samples(<list of 3>, collate=lengths)"
    assert [plain(batch) for batch in stream] == [[1, 3], [2]]
    with pytest.raises(ValueError, match="expected a checkpoint of this stream"):
        iter(ops.indices(3) | ops.chunk(2) | ops.samples(["a", "bcd", "ef"])).load_state_dict(iter(stream).state_dict())


def test_indices_come_first():
    block = [4, 1]
    same(batch_of(Pairs(), block, include_indices=True)[0], np.array(block))
    same(batch_of([1, 2, 3, 4, 5], block, include_indices=True), (np.array(block), np.array([5, 2])))
    same(
        batch_of([{"a": n} for n in range(5)], block, include_indices=True),
        {"indices": np.array(block), "a": np.array(block)},
    )


def test_a_part_without_samples_is_like_the_others():
    blocks = ops.indices(3) | ops.chunk(3) | ops.shard(3, 4)
    for dataset in (Pairs(), [{"a": n, "b": "x"} for n in range(5)], [IMAGES[0]] * 5):
        [empty], [full] = blocks | ops.samples(dataset), ops.indices(3) | ops.samples(dataset)
        parts = (full, empty) if isinstance(full, tuple) else ((full,), (empty,))
        for one, other in zip(*parts, strict=True):
            if isinstance(one, dict):
                assert {key: len(value) for key, value in other.items()} == dict.fromkeys(one, 0)
            else:
                assert (len(other), other.shape[1:], other.dtype) == (0, one.shape[1:], one.dtype)
    assert list(ops.indices(0) | ops.chunk(2) | ops.samples([])) == []


def test_several_samples_at_once():
    class Several(Pairs):
        asked = ()

        def __getitems__(self, indices):
            self.asked += (indices,)
            return [self[i] for i in indices]

    dataset = Several()
    same(batch_of(dataset, [4, 1]), (IMAGES[[4, 1]], np.array([40, 10])))
    assert dataset.asked == ([4, 1],)
    dataset.__class__.__getitems__ = lambda self, indices: [1]
    with pytest.raises(ValueError, match="expected __getitems__ to give one sample for each of 2 indices"):
        batch_of(dataset)


@pytest.mark.parametrize(
    ("dataset", "text"),
    [
        (5, "got 5"),
        ("abc", "got 'abc'"),
        (iter([1]), "got <list_iterator>"),
        ({"train": [1], "test": [2]}, r"got <dict of 2>: give one of its parts, dataset\['train'\]"),
        (type("Endless", (), {"__getitem__": lambda self, i: i})(), "<Endless> has no length"),
    ],
)
def test_what_is_no_dataset(dataset, text):
    with pytest.raises(TypeError, match=f"^samples: expected a dataset with __len__ and __getitem__.*{text}"):
        ops.samples(dataset)
    with pytest.raises(TypeError, match=r"^SampleDataSource: expected a dataset with __len__"):
        SampleDataSource(dataset)


def test_what_is_refused_when_it_is_built():
    with pytest.raises(ValueError, match=r"expected indices below 6, the length of the dataset; .* reaches 6"):
        ops.indices(7) | ops.samples(Pairs())
    with pytest.raises(TypeError, match="samples: collate: expected a function of a list of samples; got 5"):
        ops.samples(Pairs(), 5)
    with pytest.raises(TypeError, match="samples: expected a stream of index blocks"):
        ops.indices(3) | ops.samples(Pairs()) | ops.samples(Pairs())
    with pytest.raises(ValueError, match="SampleDataSource: expected indices below its 6 samples"):
        SampleDataSource(Pairs(), indices=[6])


def test_an_exception_says_which_sample_it_was():
    class Broken(Pairs):
        def __getitem__(self, i):
            if i == 4:
                raise OSError("unreadable")
            return super().__getitem__(i)

    stream = ops.indices(6) | ops.chunk(3) | ops.samples(Broken()) | ops.map(lambda *b: b)
    with work_pool.WorkerThreadPool(2) as pool:
        notes = []
        for each in (stream, stream | ops.parallel(pool), stream | ops.parallel(pool, split=True)):
            items = iter(each)
            next(items)
            with pytest.raises(OSError, match="unreadable") as caught:
                next(items)
            notes.append(caught.value.__notes__)
    sample, stage, place = notes[0]
    assert sample == "while sample 4 of <Broken of 6> was read"
    assert stage == "in the stage samples(<Broken of 6>)"
    assert "made of samples [3, 4, 5]" in place
    assert [each[:2] for each in notes[1:]] == [[sample, stage]] * 2


# --- the preset


@pytest.mark.parametrize("shuffle", [None, 7])
def test_law_10_a_sample_source_is_its_composition(shuffle):
    ds = SampleDataSource(Pairs(), indices=[5, 1, 3, 2, 0], repeats=2)
    order = ops.indices([5, 1, 3, 2, 0]) | ops.shuffle(shuffle) | ops.repeat(2) | ops.chunk(4)
    assert [plain(b) for b in ds.batch_iterator(4, shuffle)] == [plain(b) for b in order | ops.samples(Pairs())]
    for block in ds.batch_indices_iterator(4, shuffle):
        same(ds.samples_by_indices_nomapping(block), (IMAGES[block], block * 10))
    same(ds.samples_by_indices([0, 2]), (IMAGES[[5, 3]], np.array([50, 30])))
    same(ds.samples_by_indices(1)[0], IMAGES[1])
    assert (ds.num_samples(), ds.is_random_access) == (10, True)
    assert repr(ds) == "SampleDataSource(<Pairs of 6>, sampler=SubsetSampler(<5 int64>, repeats=2))"


def test_sample_sources_beside_others():
    arrays = ArrayDataSource([np.arange(6) * 100])
    both = CompositeDataSource([SampleDataSource(Pairs()), arrays])
    images, labels, hundreds = next(both.batch_iterator(4, shuffle=3))
    assert images.shape == (4, 2, 2)
    assert set(labels) != set(hundreds // 10)  # an order each
    mapped = SampleDataSource(Pairs()).map(lambda images, labels: (labels,))
    assert len(list(ChoiceDataSource([mapped, arrays]).batch_iterator(3))) == 4
    ds = SampleDataSource(Pairs(), include_indices=True)
    indices, images, labels = next(ds.batch_iterator(4, shuffle=3))
    assert (labels == indices * 10).all()
    same(ds.samples_by_indices_nomapping(indices), (indices, images, labels))


# --- several threads for one batch


class Together:
    """A dataset of which two samples are read at the same time, or none."""

    def __init__(self, n=6):
        self.n = n
        self.barrier = threading.Barrier(2, timeout=60)

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        self.barrier.wait()
        return IMAGES[i], i * 10


@pytest.mark.parametrize("kind", ["threads", "executor"])
def test_two_threads_read_one_batch(kind):
    expected = [plain(b) for b in ops.indices(6) | ops.chunk(2) | ops.samples(Pairs())]
    with ThreadPoolExecutor(2) as executor, work_pool.WorkerThreadPool(2) as threads:
        pool = threads if kind == "threads" else work_pool.ExecutorPool(executor)
        stream = ops.indices(6) | ops.chunk(2) | ops.samples(Together())
        split = stream | ops.parallel(pool, buffer=1, split=True)
        assert repr(split).endswith("buffer=1, split=True)")
        assert [plain(b) for b in split] == expected
        assert [plain(b) for b in SampleDataSource(Together()).loader(2, pool=pool, buffer=1, split=True)] == (expected)


def test_what_stands_behind_and_beside_is_done_once_a_batch():
    done = []

    def labels(images, labels, *others, rng):
        done.append(threading.current_thread())
        return labels + rng.integers(10**9, size=len(labels)), *others

    def stream():
        pairs = ops.indices(6) | ops.shuffle(3) | ops.chunk(4)
        both = ops.zip(pairs | ops.samples(Pairs()), pairs | ops.gather(np.arange(6)))
        chosen = ops.choose(pairs | ops.samples(Pairs()), pairs | ops.gather(np.arange(6), np.arange(6)))
        return ops.zip(both, chosen, ops.indices(6) | ops.chunk(4)) | ops.map(labels, rng=7)

    expected = [plain(b) for b in stream()]
    with work_pool.WorkerThreadPool(2) as pool:
        done.clear()
        got = stream() | ops.parallel(pool, split=True)
        assert [plain(b) for b in got] == expected
        assert len(done) == len(expected)
        assert threading.main_thread() not in done
        again = ops.choose(got, stream()) | ops.take(3)
        assert len(list(again)) == 3


def test_what_can_not_be_split_is_refused():
    gathered = ops.indices(6) | ops.chunk(2) | ops.gather(np.arange(6))
    sampled = ops.indices(6) | ops.chunk(2) | ops.samples(Pairs())
    with work_pool.WorkerThreadPool(1) as pool, work_pool.WorkerProcessPool(1) as processes:
        with pytest.raises(TypeError, match=r"split: expected samples\(dataset\) or map_samples\(fn\) before it"):
            gathered | ops.parallel(pool, split=True)
        with pytest.raises(TypeError, match=r"split: expected a pool of threads.*got WorkerProcessPool"):
            sampled | ops.parallel(processes, split=True)
        assert len(list(sampled | ops.parallel(processes))) == 3


def test_a_split_batch_that_is_not_wanted_is_not_read_on():
    read, go = [], threading.Event()

    class Slow(Pairs):
        def __getitem__(self, i):
            read.append(i)
            go.wait()
            return super().__getitem__(i)

    with work_pool.WorkerThreadPool(1) as pool:
        items = iter(ops.indices(6) | ops.chunk(6) | ops.samples(Slow()) | ops.parallel(pool, split=True))
        while not read:
            pass
        items.close()
        go.set()
        pool.close()
        assert read == [0]
        with pytest.raises(RuntimeError, match="expected an open pool"):
            iter(ops.indices(6) | ops.samples(Slow()) | ops.parallel(pool, split=True))


def test_closing_the_pool_ends_split_batches():
    begun, go = threading.Event(), threading.Event()

    class Slow(Pairs):
        def __getitem__(self, i):
            begun.set()
            go.wait()
            return super().__getitem__(i)

    pool = work_pool.WorkerThreadPool(1)
    items = iter(ops.indices(6) | ops.chunk(6) | ops.samples(Slow()) | ops.parallel(pool, split=True))
    begun.wait()
    pool._end()
    go.set()
    with pytest.raises(RuntimeError, match="the pool was closed"):
        next(items)
    pool.close()


def test_an_executor_that_is_shut_down_ends_its_batches():
    begun, go = threading.Event(), threading.Event()

    def wait(block):
        begun.set()
        go.wait()
        return block

    executor = ThreadPoolExecutor(1)
    items = iter(ops.indices(6) | ops.chunk(1) | ops.map(wait) | ops.parallel(work_pool.ExecutorPool(executor)))
    begun.wait()
    executor.shutdown(wait=False, cancel_futures=True)
    go.set()
    assert next(items) == 0
    from concurrent.futures import CancelledError

    with pytest.raises(CancelledError, match="the executor was shut down"):
        next(items)
    executor.shutdown()


class _Broken:
    """A dataset some of whose files can't be read."""

    def __len__(self):
        return 10

    def __getitem__(self, i):
        return None if i % 3 == 0 else i


def _readable(samples):
    return np.array([sample for sample in samples if sample is not None], np.intp)


def test_collate_may_leave_samples_out_and_says_so():
    blocks = ops.indices(10) | ops.chunk(3)
    for stream, remedy in (
        (blocks | ops.samples(_Broken(), _readable), r"samples\(dataset, collate, resizes=True\)"),
        (
            SampleDataSource(_Broken(), collate=_readable).stream(3),
            r"SampleDataSource\(dataset, collate, resizes=True\)",
        ),
    ):
        with pytest.raises(ValueError, match=rf"it has 2. .* write {remedy}\n"):
            next(iter(stream | ops.rebatch(3)))
    for stream in (
        blocks | ops.samples(_Broken(), _readable, resizes=True),
        SampleDataSource(_Broken(), collate=_readable, resizes=True).stream(3),
    ):
        assert [batch.tolist() for batch in stream | ops.rebatch(3)] == [[1, 2, 4], [5, 7, 8]]
        assert stream.num_samples is None
    both = blocks | ops.samples(range(10), list) | ops.map(lambda batch: (batch[:1],))
    with pytest.raises(ValueError, match=r"samples\(dataset, collate, resizes=True\) or map\(fn, resizes=True\)"):
        next(iter(both | ops.rebatch(3)))


def test_a_part_named_indices_is_not_overwritten():
    records = [{"indices": 7, "x": 1}, {"indices": 8, "x": 2}]
    stream = ops.indices(2) | ops.samples(records, include_indices=True)
    with pytest.raises(ValueError, match=r'a part of the name "indices" already. Leave include_indices out'):
        next(iter(stream))
    assert next(iter(ops.indices(2) | ops.samples(records)))["indices"].tolist() == [7, 8]


def test_numbers_of_an_enumeration_are_numbers():
    class Label(enum.IntEnum):
        CAT = 3
        DOG = 5

    [batch] = ops.indices(2) | ops.samples([Label.CAT, Label.DOG])
    assert (batch.dtype, batch.tolist()) == (np.int64, [3, 5])
