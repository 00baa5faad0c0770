"""Stream, Stage and `|`."""

import functools
import operator
import pickle
import re
from functools import partial
from itertools import islice

import numpy as np
import pytest

from batchup import ops, work_pool
from batchup.data_source import ArrayDataSource, ChoiceDataSource


def increment(x):
    return x + 1


X, Y = np.zeros((60000, 1, 28, 28), np.uint8), np.zeros(60000, np.int64)


def test_a_repr_reads_as_the_expression_that_made_it():
    stream = ops.indices(60000) | ops.shuffle(12345) | ops.chunk(64) | ops.gather(X, Y) | ops.map(increment)
    assert repr(stream) == (
        "indices(60000) | shuffle(12345) | chunk(64) | gather(<60000x1x28x28 uint8>, <60000 int64>) | map(increment)"
    )


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (ops.chunk(3, drop_last=True), "chunk(3, drop_last=True)"),
        (ops.shuffle(None), "shuffle(None)"),
        (ops.shuffle(True), "shuffle(True)"),
        (ops.shuffle((1, 2)), "shuffle((1, 2))"),
        (ops.shuffle(np.random.RandomState(1)), "shuffle(RandomState(MT19937))"),
        (ops.shuffle(np.random.default_rng(1)), "shuffle(Generator(PCG64))"),
        (ops.repeat(-1) | ops.skip(2) | ops.take(3), "repeat(-1) | skip(2) | take(3)"),
        (ops.map(lambda x: x), "map(<lambda>)"),
        (ops.map(partial(increment, 1)), "map(partial(increment))"),
        (
            ops.gather(x=Y, y=[1, 2] * 30000, include_indices=True),
            "gather(x=<60000 int64>, y=<list of 60000>, include_indices=True)",
        ),
        (ops.indices([1, 2]) | ops.chunk(1), "indices(<2 int64>) | chunk(1)"),
        (ops.sample([1.0, 2.0], 7) | ops.chunk(2), "sample(<2 float64>, 7) | chunk(2)"),
        (
            ops.zip(ops.indices(2), ops.indices(3) | ops.chunk(1), flatten=False),
            "zip(indices(2), indices(3) | chunk(1), flatten=False)",
        ),
        (
            ops.choose(ops.indices(2), ops.indices(3), rng=1, stratified=True),
            "choose(indices(2), indices(3), rng=1, stratified=True)",
        ),
        ([np.arange(3)] | ops.skip(1), "[<3 int64>] | skip(1)"),
        (np.zeros((4, 2)) | ops.skip(1), "<4x2 float64> | skip(1)"),
    ],
)
def test_reprs(made, text):
    assert repr(made) == text


def test_a_stage_applies_to_lists_arrays_and_re_iterables_by_pipe_and_by_call():
    stage = ops.map(lambda x: x + 1)
    assert list([1, 2] | stage) == [2, 3]
    assert list(stage((1, 2))) == [2, 3]
    assert list(range(2) | stage) == [1, 2]
    assert list({5: "a"} | stage) == [6]
    assert list({7} | stage) == [8]
    rows = list(np.arange(6).reshape(3, 2) | stage)
    assert [row.tolist() for row in rows] == [[1, 2], [3, 4], [5, 6]]

    class Again:
        def __iter__(self):
            return iter([3, 4])

    stream = Again() | stage
    assert list(stream) == [4, 5]
    assert list(stream) == [4, 5]


def test_an_array_is_not_broadcast_over_a_stage():
    made = np.arange(3) | ops.map(increment)
    assert isinstance(made, ops.Stream)
    assert list(made) == [1, 2, 3]
    with pytest.raises(TypeError):
        np.arange(3) + ops.map(increment)


def test_the_users_list_is_not_written_into():
    mine = [np.arange(3), (np.arange(2), {"a": np.arange(1)}, [np.arange(2)])]

    def spoil(item):
        item[...] = -1
        return item

    assert [item.tolist() for item in mine[:1] | ops.map(spoil)] == [[-1, -1, -1]]
    [(first, second, third)] = mine[1:] | ops.take(1)
    first[...] = second["a"][...] = third[0][...] = -1
    assert mine[0].tolist() == [0, 1, 2]
    assert mine[1][0].tolist() == [0, 1]
    assert mine[1][1]["a"].tolist() == [0]
    assert mine[1][2][0].tolist() == [0, 1]


@pytest.mark.parametrize("source", [5, None, "text", object(), 1.5])
def test_what_is_no_source_is_refused(source):
    with pytest.raises(TypeError, match=r"chunk\(3\): expected a stream, a list, an array"):
        ops.chunk(3)(source)


def test_an_iterator_is_refused_as_it_can_be_gone_through_only_once():
    with pytest.raises(TypeError, match=r"gone through only once. Make it a list"):
        iter([1]) | ops.take(1)


def test_a_function_is_no_stage_and_the_error_says_map():
    with pytest.raises(TypeError, match=r"expected a stage; got increment.*write map\(function\)"):
        ops.indices(3) | increment
    with pytest.raises(TypeError, match="expected a stage; got increment"):
        ops.chunk(3) | increment


def test_a_stage_of_a_function_that_returns_no_stream():
    with pytest.raises(TypeError, match=r"half\(\): expected a function from stream to stream"):
        ops.indices(3) | ops.Stage(lambda stream: 5, text="half()")
    with pytest.raises(TypeError, match="Stage: expected a function; got 5"):
        ops.Stage(5)


def windowed(stream, size, seed):
    return stream | ops.chunk(size) | ops.shuffle(seed)


def test_a_stage_of_ones_own():
    mine = ops.indices(6) | ops.Stage(windowed, 3, 7) | ops.chunk(2)
    assert repr(mine) == "indices(6) | windowed(3, 7) | chunk(2)"
    same = ops.indices(6) | ops.chunk(3) | ops.shuffle(7) | ops.chunk(2)
    assert [b.tolist() for b in mine] == [b.tolist() for b in same]
    assert [b.tolist() for b in pickle.loads(pickle.dumps(mine))] == [b.tolist() for b in same]


def test_stages_are_picklable():
    stage = ops.shuffle(3) | ops.repeat(2) | ops.chunk(4) | ops.gather(np.arange(9)) | ops.map(increment)
    copy = pickle.loads(pickle.dumps(stage))
    assert repr(copy) == repr(stage)
    assert [b.tolist() for b in ops.indices(9) | copy] == [b.tolist() for b in ops.indices(9) | stage]


def test_items_by_number():
    stream = ops.indices(10) | ops.chunk(4)
    assert stream[-1] == range(8, 10)
    assert stream[np.int64(1)] == range(4, 8)
    for k in (3, -4):
        with pytest.raises(IndexError, match=rf"there is no item {k} in indices\(10\) \| chunk\(4\); it has 3"):
            stream[k]
    with pytest.raises(TypeError, match=r"stream\[k\]: expected an int; got <slice>.*skip\(start\)"):
        stream[1:2]
    with pytest.raises(TypeError, match="is endless"):
        (ops.indices(3) | ops.repeat(-1))[-1]


def test_a_stream_is_true_whatever_its_length():
    assert ops.indices(3) | ops.take(0)
    assert ops.indices(3) | ops.repeat(-1)


def test_a_stream_of_unknown_length_says_so():
    class Again:
        def __iter__(self):
            return iter([1, 2])

    with pytest.raises(TypeError, match="has no length that is known beforehand"):
        len(Again() | ops.map(increment))
    assert list(Again() | ops.map(increment)) == [2, 3]


def test_num_samples():
    assert (ops.indices(10) | ops.chunk(4, drop_last=True)).num_samples == 8
    assert (ops.indices(10) | ops.chunk(4) | ops.skip(1)).num_samples == 6
    assert (ops.indices(10) | ops.shuffle(np.random.RandomState(1)) | ops.chunk(4) | ops.take(1)).num_samples == 4
    assert (ops.indices(10) | ops.repeat(-1)).num_samples == np.inf
    assert ([1, 2] | ops.take(1)).num_samples is None
    assert (ops.indices(10) | ops.gather(np.arange(10)) | ops.map(increment)).num_samples == 10


class Unlucky:
    """A function that fails at one batch."""

    def __init__(self, sample, error):
        self.sample, self.error = sample, error

    def __call__(self, x):
        if self.sample in x:
            raise self.error
        return x


def test_an_exception_comes_as_it_was_raised_with_a_note_of_where():
    error = KeyError("cat")
    stream = ops.indices(100) | ops.shuffle(5) | ops.chunk(4) | ops.gather(np.arange(100)) | ops.map(Unlucky(42, error))
    position = next(k for k, block in enumerate(ops.indices(100) | ops.shuffle(5) | ops.chunk(4)) if 42 in block)
    seen = []
    with pytest.raises(KeyError) as caught:
        seen.extend(stream)
    assert caught.value is error
    stage, where = error.__notes__
    assert stage == "in the stage map(Unlucky)"
    block = (ops.indices(100) | ops.shuffle(5) | ops.chunk(4))[position]
    assert where == (
        f"at item {position} of {stream!r}, made of samples [{', '.join(map(str, block))}]; "
        f"stream[{position}] makes it again"
    )
    # and it does
    with pytest.raises(KeyError) as again:
        stream[position]
    assert again.value is error
    assert f"stream[{position}]" in again.value.__notes__[-1]


def test_the_batches_before_and_after_a_failure_can_be_had():
    stream = ops.indices(12) | ops.chunk(4) | ops.map(Unlucky(5, ValueError("bad")))
    seen = []
    with pytest.raises(ValueError, match="bad"):
        for item in stream:
            seen.append(item)
    assert [item.tolist() for item in seen] == [[0, 1, 2, 3]]
    assert [item.tolist() for item in stream | ops.skip(2)] == [[8, 9, 10, 11]]


def test_the_note_of_what_can_not_be_made_again_does_not_claim_it():
    rng = np.random.RandomState(1)
    stream = ops.indices(9) | ops.shuffle(rng) | ops.chunk(9) | ops.map(Unlucky(4, ValueError("bad")))
    with pytest.raises(ValueError, match="bad") as caught:
        list(stream)
    assert "made of samples [" in caught.value.__notes__[-1]
    assert ", ...]" in caught.value.__notes__[-1]
    assert "makes it again" not in caught.value.__notes__[-1]
    assert "load this iterator's state_dict() into a fresh one" in caught.value.__notes__[-1]


def test_the_note_of_joint_streams_names_the_stages_from_the_inside_out():
    bad = ops.indices(4) | ops.chunk(2) | ops.gather(np.arange(4)) | ops.map(Unlucky(2, ValueError("bad")))
    good = ops.indices(4) | ops.chunk(2)
    joint = ops.choose(ops.zip(good, ops.zip(bad, good)), good) | ops.map(lambda *batch: batch)
    with pytest.raises(ValueError, match="bad") as caught:
        list(joint)
    *stages, where = caught.value.__notes__
    assert stages == [
        "in the stage map(Unlucky)",
        "in the stage zip(of 2 streams)",
        "in the stage zip(of 2 streams)",
        "in the stage choose(of 2 streams)",
    ]
    assert where.startswith(f"at item 2 of {joint!r}, made of (0, (samples [2, 3], ")


def test_stop_iteration_from_a_function_does_not_end_the_stream_silently():
    def exhausted(x):
        return next(iter(()))

    with pytest.raises(RuntimeError) as caught:
        list(ops.indices(3) | ops.map(exhausted))
    assert isinstance(caught.value.__cause__, StopIteration)


def test_every_name_is_exported_and_in_the_table_of_stages():
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs" / "concepts" / "plan_and_work.md").read_text()
    assert sorted(ops.__all__) == ops.__all__
    for name in ops.__all__:
        assert getattr(ops, name).__doc__, name
        if name.islower():
            assert re.search(rf"^\| .*`ops\.{name}`.* \|", page, re.MULTILINE), f"{name} is not in the table of stages"


def test_an_item_by_its_number_is_refused_of_what_draws_anew_each_time():
    drawn = ops.indices(9) | ops.shuffle(np.random.RandomState(1)) | ops.chunk(3)
    with pytest.raises(
        TypeError, match=r"stream\[k\]: expected a stream that gives the same items each time.*give a seed"
    ):
        drawn[0]
    assert len((ops.indices(9) | ops.shuffle(1) | ops.chunk(3))[0]) == 3


def test_work_is_not_done_for_what_is_left_out_before_a_pool():
    """Also where the plan draws from a generator, and has to go through what is left out."""
    for rng in (1, np.random.RandomState(1)):
        done = []
        with work_pool.WorkerThreadPool(2) as pool:
            stream = ops.indices(40) | ops.shuffle(rng) | ops.chunk(2) | ops.map(done.append)
            assert len(list(stream | ops.parallel(pool) | ops.skip(8) | ops.take(1))) == 1
            assert len(done) == 1
            assert len(list(stream | ops.parallel(pool) | ops.take(2) | ops.repeat(2))) == 4
            assert len(done) == 5


def test_going_on_with_a_choice_does_no_work_of_what_was_before():
    done = []

    def made(block):
        done.append(block)
        return block

    def choices(*stage):
        members = [ops.indices(60) | ops.shuffle(n) | ops.chunk(2) | ops.map(made) for n in range(3)]
        for one in stage:
            members = [member | one for member in members]
        return ops.choose(*members, rng=5)

    items = iter(choices())
    list(islice(items, 9))
    state = items.state_dict()
    done.clear()
    with work_pool.WorkerThreadPool(2) as pool:
        items = iter(choices(ops.parallel(pool, 1)) | ops.skip(9))
        next(items)
        items.close()
    assert len(done) <= 4  # one ahead in each member, and one more
    done.clear()
    with work_pool.WorkerThreadPool(2) as pool:
        items = iter(choices(ops.parallel(pool, 1)))
        items.load_state_dict(state)
        next(items)
        items.close()
    assert len(done) <= 3 + 4  # what iter() has begun, too


def test_what_is_no_stage_is_told_what_to_write():
    with pytest.raises(TypeError, match=r"got the function shuffle: call it, as in shuffle\(\.\.\.\)"):
        ops.indices(3) | ops.shuffle
    with pytest.raises(TypeError, match=r"call it, as in chunk\(\.\.\.\)"):
        ops.shuffle(1) | ops.chunk
    with pytest.raises(TypeError, match=r"got <function>: call it, as in indices\(\.\.\.\)"):
        ops.indices | ops.chunk(3)
    with pytest.raises(TypeError, match=r"write map\(function\)"):
        ops.indices(3) | abs


def test_the_names_of_ops_are_the_stages():
    assert dir(ops) == sorted(ops.__all__)


def test_anything_may_be_given_by_mistake():
    assert [].append.__module__ is None
    for wrong in ([].append, ops.chunk(3).function, ops.gather(np.arange(3)).args[0]):
        with pytest.raises(TypeError, match="expected a stage; got"):
            ops.indices(3) | wrong


def test_where_the_samples_lie_is_looked_at_once():
    plan = ops.indices([3, 1, 2]).plan
    assert plan.grid is plan.grid


def _many(n=200):
    return [ops.indices(np.arange(k, k + 9)) | ops.shuffle([7, k]) | ops.chunk(4) for k in range(n)]


@pytest.mark.parametrize(
    "make",
    [
        lambda: ops.choose([1], *_many(), rng=7) | ops.merge(8),
        lambda: ops.zip(*_many()) | ops.chunk(2),
        lambda: next(iter([{f"column {k}": k for k in range(999)}] | ops.pad())),
        lambda: next(iter([tuple(np.arange(k) for k in range(999))] | ops.rebatch(3))),
        lambda: ops.indices(9) | ops.gather(*[np.arange(k + 3) for k in range(99)]),
        lambda: next(iter(ops.zip([tuple(np.arange(k) for k in range(999))], [np.arange(3)]))),
        lambda: iter(ops.zip(*_many())).load_state_dict(iter(ops.choose(*_many())).state_dict()),
        lambda: ChoiceDataSource([ArrayDataSource([np.arange(3)])] * 200) | ops.take(1),
        lambda: functools.reduce(operator.or_, [ops.skip(k) for k in range(200)])(5),
        lambda: ops.indices(2) | ops.chunk(1) | ops.gather(np.zeros(1, [(f"field {k}", int) for k in range(300)])),
    ],
)
def test_errors_stay_short(make):
    """And so do their notes, and reprs."""
    with pytest.raises((TypeError, ValueError)) as caught:
        make()
    assert all(len(text) < 600 for text in [str(caught.value), *getattr(caught.value, "__notes__", [])])
    for stream in (ops.zip(*_many()), ops.choose(*_many(), rng=3)):
        assert len(repr(stream)) <= 240
        assert len(repr(iter(stream))) <= 400
