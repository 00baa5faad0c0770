"""The laws of the design, each over generated pipelines of every stage."""

from itertools import islice, product

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from batchup import ops, testing
from batchup.core.draws import Replay
from batchup.core.plan import cursors_in, replay_of
from batchup.testing import SOME, plain
from batchup.testing.items import some
from tests.pipelines import (
    BUILD,
    DECLARED,
    DRAWING,
    DRAWS,
    INDEX_AT,
    JOINS,
    MODEL,
    NOISE,
    ROWS,
    SOURCES,
    STAGES,
    STATEFUL,
    TRUNK,
    WORK,
    block_recipes,
    build,
    buildable,
    divided_recipes,
    double,
    has,
    model,
    recipes,
    wild_recipes,
)

everything = recipes | wild_recipes
positions = st.lists(st.integers(0, SOME), min_size=1, max_size=3).map(sorted)


def making(recipe):
    return lambda rng=None: build(recipe, rng)


@given(everything)
def test_a_stream_gives_what_the_plain_python_model_gives(recipe):
    assume(not any(has(stage, recipe) for stage in NOISE))  # no model of ours has its generators
    assert some(build(recipe)) == some(model(recipe))


def test_the_table_has_every_stage():
    variants = {"subset", "blocks", "drawn", "stateful", "orders", "named", "random", "epoch"}
    variants |= {"records", "split", "redrawn", "stretch", "ranked", "resized", "ragged", "padded"}
    variants |= {"declared", "schedule", "steps", "random_samples", "seeded", "seeded_samples", "weighted"}
    elsewhere = {"to_jax", "to_torch"}  # held to the laws in tests/hosts, where these are
    elsewhere |= {"survey", "table"}  # which are none
    assert {*BUILD} - variants == {name for name in ops.__all__ if name.islower()} - elsewhere
    assert {*MODEL, *NOISE} == {*BUILD}
    tables = (SOURCES, STAGES, WORK, JOINS, DRAWS, NOISE, STATEFUL, TRUNK, ROWS, DECLARED)
    assert set().union(*tables) == {*BUILD}


# Was found: which batches are skipped, and so how many samples, is another matter in each pass.
SOME_BUCKETS = ("repeat", (("skip", (("padded", (), (0, 1, 4)),), (2,)),), (2,))


@given(everything)
@example(SOME_BUCKETS)
@example(("chunk", (SOME_BUCKETS,), (2, False)))
def test_law_1_length(recipe):
    testing.length(making(recipe))


@given(block_recipes)
def test_the_number_of_samples_of_index_blocks_is_known(recipe):
    stream = build(recipe)
    assume(stream.num_samples is not None)  # a list that was not looked at
    drawn = sum(map(len, islice(stream, SOME)))
    n = stream.num_samples
    assert drawn == n or (n > drawn and stream.plan.length > SOME)


@given(everything)
def test_nothing_is_asked_after_the_end(recipe):
    testing.ended(making(recipe))


@given(everything)
def test_law_2_again(recipe):
    testing.again(making(recipe))


# Was found, over a plan over several that is rewritten where there is no need.
CHOSEN_STRATA = ("choose", (("indices", (), (0,)), ("stratify", (), ([0], "stateful"))), ("stateful", False))


# Was found: that each item of a pool has one row is known by its work alone.
ROWS_OF_A_POOL = ("rebatch", (("parallel", (("fill", (), (1, 30, 0, 2)),), (8,)),), (1, False))


@given(everything)
@example(("repeat", (("choose", (ROWS_OF_A_POOL, ("fill", (), (7, 30, 0, 1))), (4, False)),), (3,)))
@example(("repeat", (CHOSEN_STRATA,), (-1,)))
@example(("chunk", (SOME_BUCKETS,), (2, False)))
def test_law_3_skipping(recipe):
    testing.skipping(making(recipe))


@given(recipes, st.data())
def test_law_3_holds_twice_over(recipe, data):
    whole = some(build(recipe))
    j, k = data.draw(st.integers(0, 6)), data.draw(st.integers(0, 6))
    skipped = some(build(recipe) | ops.skip(j) | ops.skip(k))
    assert skipped[: SOME - j - k] == whole[j + k :]


@given(everything)
def test_law_5_mapping(recipe):
    testing.mapping(making(recipe))


@given(everything)
def test_epochs(recipe):
    testing.epochs(making(recipe))


@given(block_recipes)
def test_law_6_sharding(recipe):
    testing.sharding(making(recipe))


def of_rank(recipe, rank):
    """The recipe as another rank has it."""
    stage, before, args = recipe
    if stage in INDEX_AT:
        at = INDEX_AT[stage]
        args = (*args[:at], rank, *args[at + 1 :])
    return (stage, tuple(of_rank(part, rank) for part in before), args)


def worlds(recipe):
    """The numbers of ranks of the stages that divide."""
    stage, before, args = recipe
    own = [args[INDEX_AT[stage] + 1]] if stage in INDEX_AT else []
    return [*own, *(world for part in before for world in worlds(part))]


# Was found: to look for the first sample of parts of parts took a minute.
MERGED = ("merge", (("sample", (), ([0, 2, 0], 5)),), (5,))
PARTS_OF_PARTS = ("chunk", (("shard", (("shard", (MERGED,), (0, 4)),), (0, 4)),), (8, True))


@given(divided_recipes)
@example(PARTS_OF_PARTS)
def test_law_6_ranks(recipe):
    counts = set(worlds(recipe))
    assume(len(counts) == 1)  # ranks of one program; others have nothing to do with each other
    testing.ranks(lambda rank, rng: build(of_rank(recipe, rank), rng), counts.pop())


@given(everything, positions)
def test_law_7_checkpoints(recipe, positions):
    assume(replay_of(build(recipe).plan) <= Replay.DRAWN)
    testing.checkpoints(making(recipe), positions=positions)


@given(block_recipes, positions)
def test_law_7_ranks(recipe, positions):
    assume(replay_of(build(recipe).plan) <= Replay.DRAWN)
    testing.checkpoints_across_ranks(making(recipe), positions)


@given(everything)
def test_law_8_memory(recipe):
    testing.memory(making(recipe))


@given(everything)
def test_law_9_pickling(recipe):
    assume(not has("parallel", recipe) and not has("split", recipe))
    testing.pickling(making(recipe))


def ranks_of(recipe):
    return [(part.rank, part.world) for part in build(recipe).plan.shards]


# Lists of data count by their shapes in checkpoints.
identified = everything.filter(lambda recipe: not has("blocks", recipe) and build(recipe).pure)


@given(identified, identified)
def test_law_11_a_checkpoint_that_is_accepted_is_one_of_the_same_items(recipe, other):
    assume(ranks_of(recipe) == ranks_of(other))  # ranks don't count
    state = iter(build(recipe)).state_dict()
    try:
        iter(build(other)).load_state_dict(state)
    except ValueError:
        return
    assert some(build(recipe)) == some(build(other))


# Was found: with one sample more, the choice within it has no length that is known, so it can't be
# stratified.
STRATIFIED = (
    "choose",
    (("choose", (("blocks", (), ()), ("chunk", (("indices", (), (0,)),), (1, False))), (0, False)),),
    (None, True),
)


@given(everything)
@example(STRATIFIED)
def test_law_11_other_arguments_are_another_stream(recipe):
    assume(replay_of(build(recipe).plan) <= Replay.DRAWN)
    state = iter(build(recipe)).state_dict()
    changed = _changed(recipe)
    assume(changed is not None and changed != recipe and buildable(changed))
    # One more index that the mask leaves out is no other stream.
    assume(not has("where", recipe) or some(build(changed)) != some(build(recipe)))
    with pytest.raises(ValueError, match="expected a checkpoint of this stream"):
        iter(build(changed)).load_state_dict(state)


def _changed(recipe):
    """The recipe with another argument at its source or first stage that has one that counts."""
    stage, before, args = recipe
    if stage == "indices":
        return ("indices", (), (args[0] + 1,))
    if stage in ("shuffle", "permute", "random"):
        seed = args[0] if isinstance(args[0], tuple) else (args[0],)
        return (stage, before, ((*seed, 0),))
    for n, part in enumerate(before):
        if (changed := _changed(part)) is not None:
            return (stage, (*before[:n], changed, *before[n + 1 :]), args)
    return None


@given(everything)
def test_stages_composed_first_give_the_same(recipe):
    def spy(*batch):
        return batch

    assume(buildable(("skip", (recipe,), (1,))))
    one_by_one = build(recipe) | ops.skip(1) | ops.take(9) | ops.map(spy)
    composed = build(recipe) | (ops.skip(1) | (ops.take(9) | ops.map(spy)))
    assert some(composed) == some(one_by_one)
    assert repr(composed) == repr(one_by_one)


def _is_drawn_and_counted(recipe):
    plan = build(recipe).plan
    return replay_of(plan) is Replay.DRAWN and not cursors_in(plan)


drawn_recipes = wild_recipes.filter(lambda r: any(has(stage, r) for stage in DRAWING)).filter(_is_drawn_and_counted)


@given(drawn_recipes, st.sampled_from(["zip", "choose"]))
def test_a_plan_ahead_over_a_generator_is_refused_in_a_join(recipe, join):
    assume(not any(has(stage, recipe) for stage in ("seeded", "seeded_samples")))  # which threads refuse
    ahead = ("parallel", (recipe,), (3,))
    args = (True, True) if join == "zip" else (None, False)
    with pytest.raises(TypeError, match="expected no pool before this stage"):
        build((join, (ahead, ("indices", (), (3,))), args))


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
            stream, expected = build(recipe), list(model(recipe))
            assert len(stream) == len(expected), stream
            assert stream.num_samples in (None, sum(map(len, expected))), stream
            for k, item in enumerate(expected):
                assert plain(stream[k]) == item, f"item {k} of {stream}"
            assert list(stream | ops.skip(len(expected))) == []


def test_double_is_what_the_models_map_does():
    assert plain(double(np.array([1, 2]))) == ([2, 4],)
