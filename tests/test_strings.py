"""Lists of strings in two arrays."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchup import ops, work_pool
from batchup.data_source import ArrayDataSource, SampleDataSource
from batchup.strings import Strings, packed

LISTS = st.lists(st.text()) | st.lists(st.binary())


@given(LISTS, st.slices(8))
def test_strings_are_a_sequence(values, some):
    strings = Strings.of(values)
    assert strings == values
    assert list(strings) == values
    assert len(strings) == len(values)
    assert list(strings[some]) == values[some]
    for i in range(-len(values), len(values)):
        assert strings[i] == values[i]
    for outside in (len(values), -len(values) - 1):
        with pytest.raises(IndexError):
            strings[outside]
    assert pickle.loads(pickle.dumps(strings[some])) == values[some]
    places = np.arange(len(values))[::-1]
    assert strings[places].tolist() == values[::-1]
    assert strings.copy().dtype == object


def test_names_of_files_that_are_no_text():
    names = [b"\xff\xfe".decode("utf-8", "surrogateescape"), "\ud800", "a\0", ""]
    assert list(Strings.of(names)) == names
    [(batch,)] = [[1, 3]] | ops.gather(names)
    assert batch.tolist() == ["\ud800", ""]


def test_only_lists_of_strings_are_packed():
    for values in (["a", 1], ["a", b"b"], [], "text", [1], {"a": 1}, [["a"]]):
        assert packed(values) is values
    assert isinstance(packed(["a"]), Strings)
    assert isinstance(packed((b"a",)), Strings)


def length_and_kind(path):
    return len(path), type(path).__name__


class Paths:
    def __init__(self, paths):
        self.paths = paths

    def __call__(self, samples):
        return np.array([len(sample) for sample in samples])


def test_workers_share_a_list_of_strings():
    paths = [f"images/{i:07d}.jpg" for i in range(50_000)]
    size = sum(map(len, paths)) + 8 * (len(paths) + 1)
    sources = {"gather": ArrayDataSource([paths]), "samples": SampleDataSource(paths)}
    with work_pool.WorkerProcessPool(2) as pool:
        for name, source in sources.items():
            expected = list(source.stream(5000, shuffle=1))
            parallel = source.stream(5000, shuffle=1) | ops.parallel(pool)
            job = parallel.plan.workers.job
            assert len(job.packed) < 20_000, name
            assert size <= sum(segment.size for segment in job.segments) < size + 1000
            for one, other in zip(expected, parallel, strict=True):
                assert list(one[0]) == list(other[0])
                assert {type(value) for value in other[0]} == {str}
