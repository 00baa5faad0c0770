"""ConcatDataSource and BlendDataSource: several data sources as one set of samples."""

import h5py
import numpy as np
import pytest

from batchup import ops
from batchup.data_source import (
    ArrayDataSource,
    BlendDataSource,
    CallableDataSource,
    ChoiceDataSource,
    CompositeDataSource,
    ConcatDataSource,
    SampleDataSource,
)
from batchup.sampling import WeightedSampler
from batchup.testing import plain
from batchup.work_pool import WorkerProcessPool

X = np.arange(40.0).reshape(20, 2)
Y = np.arange(20)


def parts():
    return [ArrayDataSource([X[:8], Y[:8]]), ArrayDataSource([X[8:9], Y[8:9]]), ArrayDataSource([X[9:], Y[9:]])]


def batches(ds, *args, **kwargs):
    return [plain(batch) for batch in ds.batch_iterator(*args, **kwargs)]


@pytest.mark.parametrize("options", [{}, {"shuffle": 7}, {"shuffle": 7, "shard": (1, 3)}, {"shuffle": 3, "epoch": 2}])
def test_it_is_the_source_of_the_arrays_put_together(options):
    whole, joint = ArrayDataSource([X, Y], include_indices=True), ConcatDataSource(parts(), include_indices=True)
    assert batches(joint, 6, **options) == batches(whole, 6, **options)
    assert [plain(b) for b in joint.batch_indices_iterator(6, **options)] == [
        plain(b) for b in whole.batch_indices_iterator(6, **options)
    ]
    for some in ([19, 0, 8, 8], slice(5, 12), 9, []):
        assert plain(joint.samples_by_indices(some)) == plain(whole.samples_by_indices(some))
    assert joint.num_samples() == 20


def test_it_is_the_composition_of_its_docstring():
    joint = ConcatDataSource(parts())
    arrays = ops.concat(X[:8], X[8:9], X[9:]), ops.concat(Y[:8], Y[8:9], Y[9:])
    composed = ops.indices(20) | ops.shuffle(7) | ops.chunk(6) | ops.gather(*arrays)
    assert batches(joint, 6, shuffle=7) == [plain(batch) for batch in composed]
    blended = ops.blend([8, 1, 11], 7, [4, 1, 5], block=10) | ops.chunk(6) | ops.gather(*arrays) | ops.take(9)
    ds = BlendDataSource(parts(), [4, 1, 5], block=10)
    assert [plain(batch) for batch in ds.stream(6, shuffle=7) | ops.take(9)] == [plain(batch) for batch in blended]


def test_subsets_of_members_and_of_all():
    members = [ArrayDataSource([X, Y], indices=[7, 3]), ArrayDataSource([X, Y], indices=Y > 16)]
    assert [part for _, part in batches(ConcatDataSource(members), 9)] == [[7, 3, 17, 18, 19]]
    assert [part for _, part in batches(ConcatDataSource(members, indices=[4, 0]), 9)] == [[19, 7]]
    assert [part for _, part in batches(ConcatDataSource(members, indices=np.arange(5) % 2 == 1, repeats=2), 9)] == [
        [3, 18, 3, 18]
    ]


def test_maps_samples_and_nested_members():
    words = SampleDataSource([{"x": np.array([i]), "word": str(i)} for i in range(4)])
    doubled = words.map(lambda batch: {"x": batch["x"] * 2, "word": batch["word"]})
    nested = ConcatDataSource([words, ConcatDataSource([doubled, words])])
    assert batches(nested, 12) == [
        {"x": [[i] for i in [0, 1, 2, 3, 0, 2, 4, 6, 0, 1, 2, 3]], "word": list("012301230123")}
    ]
    assert batches(nested, 3, shuffle=5)[0]["word"] == [
        str(i % 4) for i in next(nested.batch_indices_iterator(3, shuffle=5))
    ]


def test_it_resumes_and_is_made_in_processes():
    with ConcatDataSource(parts()).loader(3, shuffle=7) as loader, WorkerProcessPool(processes=2) as pool:
        it = iter(loader)
        next(it), next(it)
        state = loader.state_dict()
        rest = [plain(batch) for batch in it]
        other = ConcatDataSource(parts()).loader(3, shuffle=7, pool=pool)
        other.load_state_dict(state)
        assert [plain(batch) for batch in other] == rest
    blend = BlendDataSource(parts(), [4, 1, 5], block=10)
    loader = blend.loader(3, shuffle=7, steps=5)
    epochs = [[plain(batch) for batch in loader] for _ in range(2)]
    assert epochs[0] + epochs[1] == [plain(batch) for batch in blend.stream(3, shuffle=7) | ops.take(10)]


def test_windows_of_chunked_storage(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for n, part in enumerate((X[:8], X[8:])):
            file.create_dataset(str(n), data=part, chunks=(3, 2), compression="gzip")
    file = h5py.File(tmp_path / "a.h5")
    ds = ConcatDataSource([ArrayDataSource([file["0"], Y[:8]]), ArrayDataSource([file["1"], Y[8:]])])
    for window in (2, "200 B"):
        seen = [
            (x, y)
            for batch_x, batch_y in batches(ds, 4, shuffle=7, window=window)
            for x, y in zip(batch_x, batch_y, strict=True)
        ]
        assert sorted(y for _, y in seen) == Y.tolist()
        assert all(x == X[y].tolist() for x, y in seen)
    subset = ConcatDataSource([ArrayDataSource([file["0"]], indices=[1, 2]), ArrayDataSource([file["1"]])])
    with pytest.raises(TypeError, match="window: expected an ArrayDataSource of arrays with chunks"):
        subset.batch_iterator(4, shuffle=7, window=2)


def test_blend_data_source():
    ds = BlendDataSource(parts(), weights=[6, 1, 3], block=10, include_indices=True)
    assert "weights=[6, 1, 3], block=10, include_indices=True)" in repr(ds)
    assert ds.num_samples() == np.inf
    drawn = [indices for indices, _, _ in ds.stream(10, shuffle=7) | ops.take(30)]
    for block in drawn:
        assert np.histogram(block, [0, 8, 9, 20])[0].tolist() == [6, 1, 3]
    assert all(y.tolist() == indices.tolist() for indices, _, y in ds.stream(7, shuffle=7) | ops.take(9))
    staged = BlendDataSource(parts(), weights=[(0, [1, 0, 0]), (10, [0, 1, 1])], block=10)
    [(_, first), (_, second)] = staged.stream(10, shuffle=7) | ops.take(2)
    assert (max(first), min(second)) == (7, 8)
    assert "weights=[334, 333, 333]" in repr(BlendDataSource(parts(), temperature=np.inf))
    with pytest.raises(NotImplementedError, match="draws at random and has no order; give shuffle= a seed"):
        ds.batch_iterator(6)
    with pytest.raises(ValueError, match="BlendDataSource: expected weights or a temperature"):
        BlendDataSource(parts(), weights=[1, 1, 1], temperature=2)
    with pytest.raises(ValueError, match="BlendDataSource: weights: expected 3 weights"):
        BlendDataSource(parts(), weights=[1, 1])


def noise(x, y, rng):
    return x + rng.random(), y


@pytest.mark.parametrize(
    ("members", "error", "match"),
    [
        (list, ValueError, "expected one data source at least; got an empty list"),
        (lambda: X, TypeError, "expected a list of data sources"),
        (lambda: [X], TypeError, "expected data sources; number 0 is <20x2 float64>"),
        (
            lambda: [CallableDataSource(lambda batch_size: iter([]), num_samples_fn=3)],
            TypeError,
            "number 0: expected a data source whose samples are read by one index each",
        ),
        (lambda: [*parts(), CompositeDataSource(parts())], TypeError, "number 3: expected .* one index each"),
        (lambda: [ChoiceDataSource(parts())], TypeError, "number 0: expected .* one index each"),
        (
            lambda: [ArrayDataSource([X, Y], repeats=2)],
            ValueError,
            "number 0: expected one pass; got repeats=2. Give it to the joint source",
        ),
        (
            lambda: [ArrayDataSource([X], sampler=WeightedSampler(np.ones(20)))],
            TypeError,
            "number 0: expected all samples, or indices= of some; WeightedSampler",
        ),
        (
            lambda: [parts()[0].map(noise, rng=3).map(lambda x, y: (x, y))],
            TypeError,
            "number 0: expected no random numbers before samples are put together",
        ),
        (
            lambda: [SampleDataSource([1, 2], seed_globals=3)],
            TypeError,
            "number 0: expected no random numbers before samples are put together",
        ),
        (
            lambda: [parts()[0].map(lambda x, y: (x[::2], y[::2]), resizes=True)],
            TypeError,
            "number 0: expected a known number of samples; .* has None",
        ),
    ],
)
@pytest.mark.parametrize("kind", [ConcatDataSource, BlendDataSource])
def test_wrong_members(kind, members, error, match):
    with pytest.raises(error, match=f"{kind.__name__}: {match}"):
        kind(members())


@pytest.mark.parametrize("other", [[X.astype("f4")], [X[:, :1]], [X, Y], {"x": X}])
def test_arrays_of_different_kinds_are_refused(other):
    with pytest.raises(
        ValueError, match="ConcatDataSource: expected members with the same arrays, of one dtype and shape"
    ):
        ConcatDataSource([ArrayDataSource([X]), ArrayDataSource(other)])


def test_maps_of_different_kinds_are_told_at_the_first_batch_that_has_both():
    ds = ConcatDataSource([ArrayDataSource([X]), ArrayDataSource([X]).map(lambda x: (x.astype("f4"),))])
    with pytest.raises(ValueError, match="ConcatDataSource: expected samples of one dtype and shape"):
        ds.samples_by_indices([0, 20])
    names = ConcatDataSource(
        [ArrayDataSource({"x": X}), ArrayDataSource({"x": X}).map(lambda batch: {"z": batch["x"]})]
    )
    with pytest.raises(ValueError, match="expected batches with the same parts; one has 'x', another 'z'"):
        names.samples_by_indices([0, 20])
