"""Frozen records, and what checkpoints make of their fields."""

import copy
import dataclasses
import inspect
import pickle

import pytest

from batchup import ops
from batchup.core.plan import Plan
from batchup.core.record import data, in_whole_parts, is_data, is_named, over_each, parts_of_size, record, unnamed


@record
class Pool(Plan):
    tag = "pool"

    rng: object
    sizes: tuple = ()
    where: str = unnamed(default="here")
    values: object = data(default=None)

    def items(self, pass_, k, draws):
        return iter(())


def test_a_field_has_no_default_of_a_base_class():
    with pytest.raises(TypeError, match="rng"):
        Pool()
    assert Pool(None).where == "here"


def test_records_are_frozen_and_compared_by_identity():
    one = Pool(None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.sizes = (1,)
    assert one != Pool(None)


def test_which_fields_checkpoints_name():
    fields = {f.name: f for f in dataclasses.fields(Pool)}
    assert [name for name, f in fields.items() if is_named(f)] == ["rng", "sizes", "values"]
    assert [name for name, f in fields.items() if is_data(f)] == ["values"]
    assert iter(ops.Stream(Pool(None, (2,), "there", [1, 2]))).state_dict()["stream"] == [
        "pool(None, sizes=(2), values=<list of 2>: 1, 2)"
    ]


def test_a_record_is_the_same_where_nothing_changes():
    one = Pool(None, (1, 2))
    assert over_each(one, "sizes", lambda n: n) is one
    assert over_each(one, "sizes", lambda n: n + 1).sizes == (2, 3)


def test_counts():
    assert [parts_of_size(n, 4) for n in (0, 8, 9, None)] == [0, 2, 3, None]
    assert [in_whole_parts(n, 4) for n in (0, 8, 9, None)] == [0, 8, 8, None]


@record
class Named:
    put: int
    self_: int = 1
    made: list = dataclasses.field(default_factory=list)

    def __post_init__(self):
        self.made.append(self.put)


class Derived(Named):
    """No record itself."""


@record
class Further(Named):
    more: str = "more"


def test_what_a_record_is_made_of():
    assert Named(2).made == [2]
    assert Named(2, made=[1]).made == [1, 2]
    assert Named(2).made is not Named(2).made
    assert (Derived(3).put, Further(3, 4, more="x").more, Further(5).put) == (3, "x", 5)
    assert str(inspect.signature(Further)).startswith("(put: int, self_: int = 1, made: list = ")
    assert dataclasses.replace(Further(3), more="y").more == "y"
    with pytest.raises(TypeError, match=r"Named.__init__\(\) missing 1 required positional argument: 'put'"):
        Named()
    with pytest.raises(dataclasses.FrozenInstanceError, match=r"a Named is frozen: expected no change of 'put'"):
        Named(1).put = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        del Named(1).put
    for one in (copy.copy(Further(3)), copy.deepcopy(Further(3)), pickle.loads(pickle.dumps(Further(3)))):
        assert (one.put, one.more) == (3, "more")
