"""What the tests of stored arrays read, and how."""

import numpy as np

from batchup import ops

N = 103

X = np.arange(N * 6).reshape(N, 3, 2)

BLOCKS = [[], [5], [5, 5, 2], range(103), range(10, 30), range(7, 8), range(3, 3), [102, 0, 50], [*range(40, 80)][::-1]]


def read(array, block, **options):
    stream = ([np.array(block, int)] if isinstance(block, list) else [block]) | ops.skip(0)
    [(batch,)] = stream | ops.gather(array, **options)
    return batch
