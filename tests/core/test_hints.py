"""Names that people know from other libraries: the errors say what to write."""

import inspect
import re

import numpy as np
import pytest

from batchup import data_source, ops
from batchup.core import hints
from batchup.data_source import (
    ArrayDataSource,
    BlendDataSource,
    ChoiceDataSource,
    SampleDataSource,
    batch_map_concat,
    batch_map_mean,
)

DS = ArrayDataSource([np.arange(4)])
STREAM = DS.stream(2)
CALLS = {
    "LOADER_HINTS": [STREAM.loader, lambda **given: DS.loader(2, **given)],
    "FUNCTION_HINTS": [
        lambda **given: ops.map(len, **given),
        lambda **given: ops.map_samples(len, **given),
        lambda **given: DS.map(len, **given),
        lambda **given: DS.map_samples(len, **given),
    ],
    "DATASET_HINTS": [lambda **given: ops.samples([1], **given), lambda **given: SampleDataSource([1], **given)],
    "WEIGHTS_HINTS": [lambda **given: ops.blend([4, 4], **given), lambda **given: ops.choose(STREAM, STREAM, **given)],
    "BLEND_HINTS": [
        lambda **given: BlendDataSource([DS, DS], **given),
        lambda **given: ChoiceDataSource([DS, DS], **given),
    ],
    "EPISODES_HINTS": [lambda **given: ops.episodes([0, 1], **given)],
    "SPLIT_HINTS": [lambda **given: DS.split(0.5, **given)],
    "WINDOWS_HINTS": [lambda **given: ops.windows(np.arange(9), **given)],
    "EVALUATION_HINTS": [
        lambda **given: batch_map_concat(len, STREAM, **given),
        lambda **given: batch_map_mean(len, STREAM, **given),
        lambda **given: DS.batch_map_concat(len, 2, **given),
        lambda **given: DS.batch_map_mean(len, 2, **given),
    ],
}


@pytest.mark.parametrize("table", CALLS)
def test_arguments_of_other_libraries_name_ours(table):
    for call in CALLS[table]:
        for name, hint in getattr(hints, table).items():
            with pytest.raises(TypeError, match=rf"^\w+: there is no argument {name}=; write {re.escape(hint)}$"):
                call(**{name: 1})


def test_other_arguments_get_the_most_similar_or_all():
    with pytest.raises(TypeError, match=r"^map_samples: there is no argument colate=; did you mean collate=\?$"):
        ops.map_samples(len, colate=1)
    with pytest.raises(TypeError, match=r"^SampleDataSource: there is no argument zzz=; it takes dataset, collate, "):
        SampleDataSource([1], zzz=1)
    with pytest.raises(TypeError, match=r"^chunk: there is no argument sizes=; write chunk\(\[32, 64\]\)"):
        ops.chunk(sizes=[1])


def test_every_name_in_a_hint_is_there():
    """A hint of another name would be worse than none."""
    loader = inspect.signature(STREAM.loader).parameters.keys() | {"shuffle", "batch_size"}
    for name, hint in (hints.LOADER_HINTS | hints.EVALUATION_HINTS).items():
        written = re.findall(r"(\w+)=", hint)
        assert {*written} <= loader | {"seed_globals", "n_batches", "func"}, name
    mixing = [ops.blend, ops.choose, DS.loader, BlendDataSource.__init__]
    tables = {
        "WEIGHTS": mixing,
        "BLEND": mixing,
        "EPISODES": [ops.episodes],
        "SPLIT": [DS.split],
        "WINDOWS": [ops.windows],
    }
    for table, functions in tables.items():
        known = {"shuffle"}.union(*[inspect.signature(function).parameters for function in functions])
        for hint in getattr(hints, f"{table}_HINTS").values():
            assert {*re.findall(r"(\w+)=", hint)} <= known, hint
    for name, hint in hints.METHOD_HINTS.items():
        called = re.match(r"\w+", hint)[0]
        assert hasattr(DS, called) or hasattr(data_source, called) or "when the source is made" in hint, name
    for name, hint in hints.STAGE_HINTS.items():
        stages = re.findall(r"(\w+)\(", hint)
        assert all(hasattr(ops, stage) or stage == "loader" for stage in stages), name
        assert name not in ops.__all__


@pytest.mark.parametrize("name", hints.METHOD_HINTS)
def test_methods_of_other_libraries_name_ours(name):
    with pytest.raises(AttributeError, match=rf"^'ArrayDataSource' object has no attribute '{name}'; write"):
        getattr(DS, name)


@pytest.mark.parametrize("name", hints.STAGE_HINTS)
def test_stages_of_other_libraries_name_ours(name):
    with pytest.raises(AttributeError, match=rf"^module 'batchup.ops' has no attribute '{name}'; write"):
        getattr(ops, name)


def test_other_names_are_missing_as_usual():
    with pytest.raises(AttributeError, match=r"^'ArrayDataSource' object has no attribute 'zzz'$"):
        DS.zzz  # noqa: B018
    with pytest.raises(AttributeError, match=r"^module 'batchup.ops' has no attribute 'zzz'$"):
        ops.zzz  # noqa: B018
    assert not hasattr(DS, "__array__")


def test_a_property_that_fails_shows_its_own_error():
    class Own(data_source.RandomAccessDataSource):
        def read(self, indices):
            return (indices,)

        @property
        def broken(self):
            return self.missing

    with pytest.raises(AttributeError, match="has no attribute 'missing'"):
        Own(3).broken  # noqa: B018
