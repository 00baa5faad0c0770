"""A random map, and the numbers that it draws."""

import numpy as np

from batchup import ops

X = np.arange(20)


def draw(*batch, rng):
    assert type(rng) is np.random.Generator
    return (*batch, rng.integers(2**60, size=len(batch[0])))


def numbers(stream):
    return [tuple(item[-1].tolist()) for item in stream]


BASE = ops.indices(20) | ops.chunk(4) | ops.gather(X)
