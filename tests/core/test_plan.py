"""The contract of a plan: a plan that says nothing but `items` is slow and right."""

import math
from itertools import chain, islice

import numpy as np
import pytest

from batchup import ops
from batchup.core import Kind, Part, Plan, PlanOver, Replay, Step, replay_of
from batchup.core.item import walk
from batchup.core.plan import SameItems, is_drawn, is_uneven, located, samples_of, trunk, without_work
from batchup.core.record import record
from batchup.testing import check_laws

PUBLIC_OF_A_PLAN, PUBLIC_OF_A_STEP = 12, 7


@pytest.mark.parametrize(("kind", "most"), [(Plan, PUBLIC_OF_A_PLAN), (Step, PUBLIC_OF_A_STEP)])
def test_the_contract_is_small(kind, most):
    members = {name for name in dir(kind) if not name.startswith("_")}
    assert len(members) == most, members


@record
class WithEnd(PlanOver):
    """The items, and one more at the end: started beyond the end it would give that again."""

    tag = "with_end"

    def items(self, pass_, k, draws):
        return chain(self.up.start(pass_, k, draws), [range(7)])


@record
class Doubled(PlanOver):
    """Each item twice."""

    tag = "doubled"

    def items(self, pass_, k, draws):
        items = self.up.start(pass_, k // 2, draws)
        return islice((item for item in items for _ in range(2)), k % 2, None)


def build(kind):
    return lambda stream, rng: stream.with_plan(kind)


def test_a_plan_that_says_nothing_is_never_asked_beyond_its_end():
    stream = (ops.indices(6) | ops.chunk(2)).with_plan(WithEnd)
    whole = list(stream)
    assert len(whole) == 4
    for k in range(9):
        assert list(stream | ops.skip(k)) == whole[k:]
    check_laws(lambda stream, rng: stream.with_plan(Doubled), members=1)


def test_items_that_nothing_is_said_of_are_checked_when_they_come():
    blocks = (ops.indices(6) | ops.chunk(2)).with_plan(WithEnd)
    assert blocks.plan.kind is Kind.BORROWED
    assert [batch.tolist() for (batch,) in blocks | ops.gather(np.arange(7) * 10)][-1] == [0, 10, 20, 30, 40, 50, 60]

    @record
    class Wrong(PlanOver):
        def items(self, pass_, k, draws):
            return (np.zeros(2) for _ in self.up.start(pass_, k, draws))

    with pytest.raises(TypeError, match="gather: item 0: expected an index block"):
        next(iter(blocks.with_plan(Wrong) | ops.gather(np.arange(7))))


def test_how_often_items_can_be_had_again_is_that_of_the_worst_part():
    rng = np.random.RandomState(0)
    keyed, drawn = ops.indices(6) | ops.shuffle(1), ops.indices(6) | ops.shuffle(rng)
    unkept = ops.indices(6) | ops.shuffle(np.random)
    assert [replay_of(stream.plan) for stream in (keyed, drawn, unkept)] == [Replay.KEYED, Replay.DRAWN, Replay.DRAWN]
    assert replay_of(ops.zip(keyed, drawn).plan) is Replay.DRAWN
    assert is_drawn(ops.zip(keyed, drawn).plan)
    assert not is_drawn(keyed.plan)


def test_the_parts_of_ranks():
    blocks = ops.indices(12) | ops.chunk(4) | ops.shard(1, 2)
    assert blocks.plan.shards == (Part(1, 2, equal=False),)
    assert is_uneven(blocks.plan)
    assert not is_uneven((ops.indices(12) | ops.chunk(4) | ops.merge(1, shard=(1, 2))).plan)
    cut = (ops.indices(12) | ops.chunk(4) | ops.shard(1, 2) | ops.chunk(2)).plan
    assert cut.shards == (Part(1, 2, equal=False, aligned=False),)
    assert (blocks | ops.take(2)).plan.shards == blocks.plan.shards


def test_counts_of_samples_without_their_places():
    reordered = (ops.indices(10) | ops.chunk(3) | ops.reorder(np.random.RandomState(0))).plan
    assert samples_of(reordered) == 10
    assert located(reordered) is None
    with pytest.raises(ValueError, match="expected indices below 9"):  # the bound is known
        (ops.indices(10) | ops.chunk(3) | ops.reorder(np.random.RandomState(0)) | ops.gather(np.arange(9)))


def test_a_refusal_is_asked_of_all_plans_below():
    rows = ops.pack([3, 4, 5], 8, 1) | ops.take(1)
    assert rows.plan.refusal("cut").startswith("has the samples of one row")
    assert rows.plan.refusal("epochs") == ""


def test_the_trunk_and_the_plan_without_work():
    stream = ops.indices(6) | ops.chunk(2) | ops.gather(np.arange(6)) | ops.rebatch(4) | ops.take(1)
    assert [plan.tag for plan in trunk(stream.plan)] == ["slice", "rebatch", "", "chunk", "indices"]
    items = list(without_work(stream.plan).items(0, 0, None))
    assert [item.made for item in items] == [False]


def test_walking_by_numbers_of_any_size():
    assert list(walk(iter("abc"), 1, 2)) == ["b"]
    assert list(walk(iter("abc"), 2**70)) == []
    assert list(walk(iter("abc"), 0, math.inf)) == ["a", "b", "c"]


def test_plans_that_give_the_same_items_keep_their_kind():
    @record
    class Same(SameItems):
        def items(self, pass_, k, draws):
            return self.up.start(pass_, k, draws)

    assert Same(ops.indices(3).plan).kind is Kind.VIEWS
    assert Kind.VIEWS.indexed
    assert Kind.BLOCKS.indexed
    assert not Kind.OWN.indexed
