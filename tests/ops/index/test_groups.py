"""Groups of samples by their lengths: what bucket and pack check alike."""

import numpy as np
import pytest

from batchup import ops
from batchup.core.plan import Kind
from batchup.ops.index.groups import Groups

SOURCES = [
    lambda lengths, **options: ops.bucket(lengths, 1, **options),
    lambda lengths, **options: ops.pack(lengths, 9, 1, **options),
]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    ("lengths", "error", "text"),
    [
        ([1.5], TypeError, "expected lengths, a 1-D array of whole numbers >= 0; got <list of 1>"),
        ([[1]], TypeError, "expected lengths"),
        ([1, -2], ValueError, "sample 1 has -2"),
    ],
)
def test_what_are_no_lengths(source, lengths, error, text):
    with pytest.raises(error, match=text):
        source(lengths)


@pytest.mark.parametrize("source", SOURCES)
def test_some_of_the_samples(source):
    blocks = source([3, 1, 2, 5], indices=[3, 0])
    assert sorted(i for block in blocks for i in block.tolist()) == [0, 3]
    with pytest.raises(ValueError, match="indices: expected some below 4; got 4"):
        source([3, 1, 2, 5], indices=[4])


def test_groups_are_views_of_one_array():
    plan = Groups(np.array([4, 2, 0, 1]), np.array([0, 1, 1, 4]))
    blocks = list(plan.start(0, 0, None))
    assert [block.tolist() for block in blocks] == [[4], [], [2, 0, 1]]
    assert all(np.shares_memory(block, plan.order) for block in blocks if len(block))
    assert (plan.length, plan.grid.samples, plan.grid.bound, plan.kind) == (3, 4, 5, Kind.VIEWS)
