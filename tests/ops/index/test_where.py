"""where: the indices that a mask selects."""

from itertools import islice

import numpy as np
import pytest

from batchup import ops

MASK = np.arange(10) % 3 == 0


def test_right_behind_indices_the_length_is_known():
    kept = ops.indices(10) | ops.where(MASK)
    assert kept.num_samples == 4
    assert [block.tolist() for block in kept | ops.chunk(3)] == [[0, 3, 6], [9]]
    assert (ops.indices([9, 1, 0]) | ops.where(MASK)).num_samples == 2


def test_behind_other_stages_it_is_not():
    kept = ops.indices(10) | ops.shuffle(1) | ops.where(MASK)
    assert kept.num_samples is None
    assert sorted(i for block in kept | ops.chunk(3) for i in block.tolist()) == [0, 3, 6, 9]


def test_what_is_no_mask_is_refused():
    with pytest.raises(TypeError, match="expected a 1-D array of True and False; got <3 int64>"):
        ops.where([0, 1, 0])
    with pytest.raises(ValueError, match="which reaches 10; it has 10"):
        ops.indices(11) | ops.where(MASK)


def test_an_endless_stream_of_which_nothing_is_left():
    endless = ops.indices(10) | ops.repeat(-1) | ops.chunk(5)
    with pytest.raises(ValueError, match="the mask selects none of the samples"):
        endless | ops.where(np.zeros(10, bool))
    never = ops.sample([1.0, 0.0], 1) | ops.chunk(5) | ops.where([False, True])
    with pytest.raises(ValueError, match="the mask selects no sample of 1001 blocks in a row"):
        list(islice(never, 2000))


def test_a_later_write_into_the_mask_changes_nothing():
    mask = MASK.copy()
    kept = ops.indices(10) | ops.shuffle(1) | ops.where(mask)
    mask[:] = False
    assert sum(map(len, kept)) == 4
