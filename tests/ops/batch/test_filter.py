"""filter: masks, refusals, and streams of which nothing is left."""

import numpy as np
import pytest

from batchup import ops


def test_filter_is_refused_where_ranks_would_differ():
    stream = ops.indices(20) | ops.chunk(10) | ops.shard(0, 2) | ops.gather(np.arange(20))
    with pytest.raises(TypeError, match=r"where\(mask\) before chunk"):
        stream | ops.filter(lambda x: x > 3)
    whole = ops.indices(20) | ops.chunk(10) | ops.gather(np.arange(20)) | ops.filter(lambda x: x % 3 > 0)
    ranks = [[b.tolist() for (b,) in whole | ops.rebatch(4, shard=(rank, 2))] for rank in range(2)]
    assert ranks == [[[1, 2], [7, 8], [13, 14], [19]], [[4, 5], [10, 11], [16, 17], []]]
    with pytest.raises(TypeError, match="depends on the data"):
        ops.zip(whole, whole)
    with pytest.raises(TypeError, match="expected the function to return True or False"):
        next(iter(whole | ops.filter(lambda x: x)))


def test_a_filter_that_leaves_nothing_of_a_stream_without_end_says_so():
    class EnoughError(Exception):
        pass

    calls = iter(range(3000))

    def none(x):
        if next(calls, None) is None:
            raise EnoughError
        return False

    endless = ops.indices(20) | ops.repeat(-1) | ops.chunk(10) | ops.gather(np.arange(20)) | ops.filter(none)
    with pytest.warns(UserWarning, match=r"none of 1000 batches in a row") as caught, pytest.raises(EnoughError):
        next(iter(endless))
    assert [warning.filename for warning in caught] == [__file__]


def test_a_mask_is_checked():
    with pytest.raises(ValueError, match="reaches 19; it has 5"):
        ops.indices(20) | ops.where([True] * 5)
    with pytest.raises(TypeError, match="a 1-D array of True and False"):
        ops.where([1, 0])
    with pytest.raises(ValueError, match="the mask selects none of"):
        next(iter(ops.indices(4) | ops.repeat(-1) | ops.where([False] * 4) | ops.chunk(2)))


def test_filter_gives_the_function_an_integer_array():
    blocks = ops.indices(6) | ops.chunk(4) | ops.filter(lambda block: block > 2)
    assert [block.tolist() for block in blocks] == [[3], [4, 5]]
    assert all(isinstance(block, np.ndarray) for block in blocks)
