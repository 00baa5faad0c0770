"""zip, and what it has in common with choose."""

from itertools import islice, product

import numpy as np
import pytest

from batchup import ops
from batchup.core.randomness import DIRECT
from batchup.data_source import ArrayDataSource, CompositeDataSource
from batchup.testing import plain


def numbers(n, start=0):
    return [start + i for i in range(n)]


def rows(n, size, columns=1):
    arrays = [np.arange(n) + 100 * c for c in range(columns)]
    return ops.indices(n) | ops.chunk(size) | ops.gather(*arrays)


def test_zip_ends_with_the_shortest():
    for a, b, c in product(range(4), repeat=3):
        stream = ops.zip(numbers(a), numbers(b), numbers(c))
        assert len(stream) == min(a, b, c)
        assert list(stream) == [(i, i, i) for i in range(min(a, b, c))]


def test_zip_flattens_the_members_tuples_and_trims_to_the_shortest():
    [*_, last] = ops.zip(rows(5, 3, columns=2), rows(9, 3))
    assert plain(last) == ([3, 4], [103, 104], [3, 4])
    [*_, last] = ops.zip(rows(5, 3, columns=2), rows(9, 3), trim=False)
    assert plain(last) == ([3, 4], [103, 104], [3, 4, 5])
    [*_, last] = ops.zip(rows(5, 3, columns=2), rows(9, 3), flatten=False)
    assert plain(last) == (([3, 4], [103, 104]), ([3, 4],))


def test_zip_trims_inside_nested_tuples_dicts_and_leaves_numbers_alone():
    inner = ops.zip(rows(9, 3), rows(9, 3, columns=2), flatten=False)
    named = ops.indices(9) | ops.chunk(3) | ops.gather(x=np.arange(9))
    labels = [7, 8]
    short = [([1, 2],), ([3],)]
    *_, last = ops.zip(inner, named, labels, short, flatten=False)
    assert plain(last[0]) == (([3],), ([3], [103]))
    assert plain(last[1]) == {"x": [3]}
    assert last[2] == 8
    assert last[3] == ([3],)


def test_zip_refuses_to_cut_a_batch_whose_arrays_differ_in_length():
    def mixup(x, rng):
        return x, rng.beta(1, 1, size=1)

    member = rows(8, 4) | ops.map(mixup, rng=1)
    with pytest.raises(ValueError, match=r"arrays of one length in a batch of member 1, .* have 4, 1. With trim=False"):
        next(iter(ops.zip(rows(8, 4), member)))
    assert [len(part) for part in next(iter(ops.zip(rows(8, 4), member, trim=False)))] == [4, 4, 1]
    sources = [ArrayDataSource([np.arange(8)]), ArrayDataSource([np.arange(8)]).map(mixup, rng=1)]
    with pytest.raises(ValueError, match="member 1"):
        next(CompositeDataSource(sources).batch_iterator(4))
    assert len(next(CompositeDataSource(sources, trim=False).batch_iterator(4))) == 3


@pytest.mark.parametrize("sizes", [(10, 5, 1), (16, 112)])
def test_zip_warns_of_batches_of_different_sizes(sizes):
    members = [rows(200, size) for size in sizes]
    told = rf"batches of {', '.join(map(str, sizes))} samples, .* cut to {min(sizes)}.* trim=False"
    with pytest.warns(UserWarning, match=told) as caught:
        ops.zip(*members)
    assert caught[0].filename == __file__
    assert [len(part) for part in next(iter(ops.zip(*members, trim=False)))] == list(sizes)
    ops.zip(rows(3, 4), rows(200, 4))  # short batches at an end are what trim is for
    packed = ops.indices(6) | ops.chunk(2) | ops.gather(ops.Ragged.of([[1]] * 6)) | ops.fill(4)
    ops.zip(packed, rows(6, 1))  # rows of one, whatever the blocks below them are


def test_flatten_joins_one_level_only():
    inner = ops.zip(rows(2, 2), rows(2, 2), flatten=False)
    [batch] = ops.zip(inner, rows(2, 2))
    assert plain(batch) == (([0, 1],), ([0, 1],), [0, 1])


def test_members_that_share_a_generator_draw_in_the_order_in_which_they_are_asked():
    rng = np.random.RandomState(4)
    a = ops.indices(4) | ops.shuffle(rng) | ops.repeat(-1) | ops.chunk(4)
    b = ops.indices(6) | ops.shuffle(rng) | ops.repeat(-1) | ops.chunk(3)
    drawn = [plain(item) for item in islice(ops.zip(a, b, trim=False), 4)]
    beside = np.random.RandomState(4)
    a0, b0, a1, a2, b1, a3 = (beside.permutation(n).tolist() for n in (4, 6, 4, 4, 6, 4))
    assert drawn == [(a0, b0[:3]), (a1, b0[3:]), (a2, b1[:3]), (a3, b1[3:])]


@pytest.mark.parametrize("join", [ops.zip, ops.choose])
def test_no_members_or_no_streams(join):
    with pytest.raises(ValueError, match="expected one stream at least; got none"):
        join()
    with pytest.raises(TypeError, match=rf"{join.__name__}: stream 1: expected a stream, a list"):
        join([1], 5)
    with pytest.raises(TypeError, match="gone through only once"):
        join(iter([1]))


def test_numbers_of_samples():
    a, b = ops.indices(10) | ops.chunk(3), ops.indices(7) | ops.chunk(3)
    assert ops.zip(a, b).num_samples == 7
    assert ops.zip(a, b, trim=False).num_samples is None  # one has 9, the other 7
    assert ops.zip(a, b | ops.repeat(-1)).num_samples is None  # the second has another seam
    assert ops.choose(a, b).num_samples == 17  # b ends at its turn after the last of a
    assert ops.choose(b, a).num_samples is None  # b ends before a does
    assert ops.choose(a, a).num_samples == 20
    assert ops.choose(a, b, stratified=True).num_samples == 17
    assert ops.choose(a, b, rng=3).num_samples is None
    assert ops.zip(a, [1, 2]).num_samples is None
    assert ops.choose(a, [1, 2]).num_samples is None
    assert ops.zip([1]).num_samples is None
    assert ops.choose(a | ops.repeat(-1), b | ops.repeat(-1)).num_samples == np.inf


def test_work_is_owed_by_the_joint_items_nested_to_any_depth():
    """What a stage needs that runs the work elsewhere: one plan, and one work for all of its items."""
    calls = []

    def spy(x):
        calls.append(x.tolist())
        return (x,)

    leaf = rows(4, 2) | ops.map(spy)
    stream = ops.choose(ops.zip(leaf, ops.zip(leaf, leaf)), leaf) | ops.map(lambda *batch: batch)
    planned = list(stream.plan.start(0, 0, DIRECT))
    assert calls == []
    assert [plain(stream.work.run(item)) for item in planned] == [plain(item) for item in stream]
