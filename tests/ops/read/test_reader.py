"""How arrays are read: by slices, and without a further copy."""

import numpy as np
import pytest

from batchup import ops
from batchup.image.utils import ImageArrayUInt8ToFloat32
from batchup.testing import plain
from tests.ops.read.stored import N, X, read


class Slices:
    """Files that are read one after another, say: takes slices, and integer arrays."""

    def __init__(self):
        self.asked = []

    def __len__(self):
        return N

    def __getitem__(self, part):
        self.asked.append(part)
        return X[part]


def test_in_order_whatever_takes_slices_is_read_by_slices():
    source = Slices()
    batches = [batch for (batch,) in ops.indices(N) | ops.chunk(10) | ops.gather(source)]
    assert np.array_equal(np.concatenate(batches), X)
    assert all(isinstance(part, slice) for part in source.asked)
    batches[0][:] = -1
    assert X.min() == 0  # a slice of ours was a view of the array
    assert plain(read(source, [3, 1])) == X[[3, 1]].tolist()


def test_what_an_array_like_gives_is_copied_even_where_it_seems_to_have_no_other_owner():
    class Reusing:
        """Gives arrays that own their memory, and writes into the last one again."""

        def __init__(self):
            self.held = []

        def __len__(self):
            return 12

        def __getitem__(self, some):
            if not isinstance(some, slice):
                return np.arange(12.0)[some]
            if some.start == some.stop:
                return np.empty(0)
            fresh = np.arange(12.0)[some].copy()
            self.held.append(memoryview(fresh))  # a buffer, which no count of references shows
            return fresh

    source = Reusing()
    batches = [batch for (batch,) in ops.indices(12) | ops.chunk(4) | ops.gather(source)]
    for view in source.held:
        np.asarray(view)[:] = -1
    assert np.concatenate(batches).tolist() == list(range(12))


@pytest.mark.parametrize("block", [range(3), np.array([2, 0, 1])])
def test_images_are_read_without_a_further_copy(block):
    images = ImageArrayUInt8ToFloat32(np.arange(12, dtype=np.uint8).reshape(3, 4))
    [(batch,)] = [block] | ops.gather(images)
    assert batch.base is None or batch.base.base is None  # memory that is used again
    batch[:] = -1
    assert images[0][0] == 0
