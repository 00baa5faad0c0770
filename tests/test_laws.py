"""The laws of the design, each over generated pipelines of every stage."""

import json
import pickle
from itertools import islice, product

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.random import RandomState

from batchup import ops
from batchup.core.plan import Kind
from tests.pipelines import (
    BUILD,
    DRAWS,
    JOINS,
    MODEL,
    NOISE,
    SOURCES,
    STAGES,
    WORK,
    WORKERS,
    arrays_in,
    build,
    double,
    has_pool,
    model,
    plain,
    recipes,
    wild_recipes,
)

SOME = 25  # how much of an endless stream is looked at


def some(stream):
    return [plain(item) for item in islice(stream, SOME)]


@given(recipes)
def test_a_stream_gives_what_the_plain_python_model_gives(recipe):
    assert some(build(recipe)) == model(recipe)[:SOME]


def test_the_table_has_every_stage():
    in_table = {*BUILD} - {"subset", "blocks", "drawn", "stateful", "orders", "named", "random"}
    assert in_table == {name for name in ops.__all__ if name.islower()}
    assert {*MODEL, *DRAWS, *NOISE} | {"stateful"} == {*BUILD}
    tables = {*SOURCES, *STAGES, *WORK, *WORKERS, *JOINS, *DRAWS, *NOISE}
    assert tables | {"stateful"} == {*BUILD}


@given(recipes | wild_recipes)
def test_law_1_the_length_is_that_of_the_list_or_a_type_error(recipe):
    stream = build(recipe)
    length = stream.plan.length
    if length is None or length == np.inf:
        with pytest.raises(TypeError):
            len(stream)
        if length == np.inf:
            assert len(list(islice(stream, SOME))) == SOME
    else:
        assert len(stream) == len(list(stream))


@given(recipes | wild_recipes)
def test_the_number_of_samples_of_index_blocks_is_their_sum(recipe):
    stream = build(recipe)
    if stream.plan.kind is Kind.BLOCKS and not stream.steps:
        n = stream.num_samples
        drawn = sum(map(len, islice(stream, SOME)))
        assert drawn == n or (n is not None and n > drawn and stream.plan.length > SOME)


@given(recipes | wild_recipes)
def test_law_2_a_pure_stream_gives_the_same_again(recipe):
    stream = build(recipe)
    once = some(stream)
    if stream.pure:
        assert some(stream) == once
    else:
        assert some(build(recipe)) == once


class Spy:
    """A map that notes what it was called with."""

    def __init__(self):
        self.calls = 0

    def __call__(self, *batch):
        self.calls += 1
        return batch


@given(recipes | wild_recipes, st.integers(0, 12))
def test_law_3_skip_starts_there_and_does_no_work_before(recipe, k):
    everything = some(build(recipe))
    spy = Spy()
    skipped = list(islice(build(recipe) | ops.map(spy) | ops.skip(k), max(0, SOME - k)))
    assert spy.calls == len(skipped)
    assert some(build(recipe) | ops.skip(k))[: max(0, SOME - k)] == everything[k:]


@given(recipes | wild_recipes, st.integers(0, 12))
def test_law_3_an_item_by_its_number_does_its_own_work_alone(recipe, k):
    everything = some(build(recipe))
    spy = Spy()
    stream = build(recipe)
    assume(stream.pure)
    if k < len(everything):
        assert plain(stream[k]) == everything[k]
        (build(recipe) | ops.map(spy))[k]
        assert spy.calls == 1
    else:
        with pytest.raises(IndexError):
            stream[k]


@given(recipes, st.data())
def test_law_3_holds_twice_over(recipe, data):
    everything = some(build(recipe))
    j, k = data.draw(st.integers(0, 6)), data.draw(st.integers(0, 6))
    skipped = some(build(recipe) | ops.skip(j) | ops.skip(k))
    assert skipped[: SOME - j - k] == everything[j + k :]


@given(recipes | wild_recipes)
def test_law_5_two_maps_are_one_of_both(recipe):
    def last(*batch):
        return (*batch, len(batch))

    def both(*batch):
        return last(*tuple(batch))

    def keep(*batch):
        return batch

    two = build(recipe) | ops.map(keep) | ops.map(last)
    one = build(recipe) | ops.map(both)
    assert [i[-1] for i in islice(two, SOME)] == [i[-1] for i in islice(one, SOME)]
    assert [plain(i[:-1]) for i in islice(two, SOME)] == [plain(i[:-1]) for i in islice(one, SOME)]


def through_json(state):
    return json.loads(json.dumps(state))


@given(recipes | wild_recipes, st.integers(0, 12), st.integers(0, 12))
def test_law_7_a_checkpoint_gives_exactly_the_rest_twice_in_a_row(recipe, first, second):
    items = iter(build(recipe))
    list(islice(items, first))
    state = through_json(items.state_dict())
    again = iter(build(recipe, RandomState(99)))
    again.load_state_dict(state)
    assert through_json(again.state_dict()) == state
    assert [plain(i) for i in islice(again, second)] == [plain(i) for i in islice(items, second)]
    state = through_json(again.state_dict())
    assert state == through_json(items.state_dict())
    third = iter(build(recipe, RandomState(98)))
    third.load_state_dict(state)
    assert [plain(i) for i in islice(third, SOME)] == [plain(i) for i in islice(items, SOME)]


@given(recipes)
def test_law_7_the_checkpoint_of_a_pure_stream_is_its_name_and_the_position(recipe):
    items = iter(build(recipe))
    taken = len(list(islice(items, 3)))
    assert items.state_dict().keys() == {"version", "stream", "position"}
    assert items.state_dict()["position"] == taken
    assert len(json.dumps(items.state_dict())) < 1000


@given(recipes | wild_recipes)
def test_law_8_writing_into_a_batch_changes_nothing_else(recipe):
    untouched = some(build(recipe))
    stream = build(recipe)
    seen = []
    for item in islice(stream, SOME):
        seen.append(plain(item))
        for array in arrays_in(item):
            assert array.flags.writeable
            array[...] = -1
    assert seen == untouched
    if stream.pure:
        assert some(stream) == untouched


@given(recipes | wild_recipes)
def test_law_8_batches_share_no_memory(recipe):
    arrays = [array for item in islice(build(recipe), 6) for array in arrays_in(item)]
    for n, array in enumerate(arrays):
        assert not any(np.shares_memory(array, other) for other in arrays[:n])


@given(recipes | wild_recipes)
def test_law_9_what_is_made_of_picklable_parts_is_picklable(recipe):
    assume(not has_pool(recipe))
    stream = build(recipe)
    copy = pickle.loads(pickle.dumps(stream))
    assert some(copy) == some(build(recipe))
    assert repr(copy) == repr(stream)


@given(recipes | wild_recipes)
def test_stages_composed_first_give_the_same(recipe):
    one_by_one = build(recipe) | ops.skip(1) | ops.take(9) | ops.map(Spy())
    composed = build(recipe) | (ops.skip(1) | (ops.take(9) | ops.map(Spy())))
    assert some(composed) == some(one_by_one)
    assert repr(composed) == repr(one_by_one)


def test_every_item_of_every_short_chain():
    """All chains of up to four of these stages, in any order, entered at every position."""
    stages = [
        ("shuffle", (3,)),
        ("repeat", (2,)),
        ("chunk", (2, False)),
        ("chunk", (3, True)),
        ("skip", (1,)),
        ("take", (3,)),
    ]
    sources = [("indices", (), (5,)), ("blocks", (), ([4, 2, 0], [], [9], [7, 7]))]
    for source, length in product(sources, range(5)):
        for chain in product(stages, repeat=length):
            recipe = source
            for stage, args in chain:
                recipe = (stage, (recipe,), args)
            stream, expected = build(recipe), model(recipe)
            assert len(stream) == len(expected), stream
            assert stream.num_samples in (None, sum(map(len, expected))), stream
            for k, item in enumerate(expected):
                assert plain(stream[k]) == item, f"item {k} of {stream}"
            assert list(stream | ops.skip(len(expected))) == []


def test_double_is_what_the_models_map_does():
    assert plain(double(np.array([1, 2]))) == ([2, 4],)
