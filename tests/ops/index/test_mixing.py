"""The warning of labels that lie in runs, and the law of windows."""

import warnings

import numpy as np
import pytest
from numpy.random import RandomState

from batchup import ops

# --- labels that lie in runs

RUNS = np.repeat(np.arange(14), 500)


@pytest.mark.parametrize(
    "order", [ops.chunk(256) | ops.shuffle(5), ops.mix(5, 64, 4), ops.chunk(256) | ops.shuffle(RandomState(5))]
)
def test_labels_in_runs_and_windows_that_are_too_small_are_said_once(order):
    blocks = ops.indices(len(RUNS)) | order
    stage = ops.gather(np.zeros(len(RUNS)), RUNS)
    with pytest.warns(UserWarning, match=r"of about [0-9.]+ bits, of 3\.(65|77) in a full shuffle.*survey") as caught:
        blocks | stage
    assert [warning.filename for warning in caught] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        blocks | stage  # it was said


@pytest.mark.parametrize(
    ("order", "labels"),
    [
        (ops.shuffle(5) | ops.chunk(64), RUNS),
        (ops.chunk(64), RUNS),
        (ops.mix(5, 64, 100), RUNS),
        (ops.chunk(256) | ops.shuffle(5), RandomState(0).permutation(RUNS)),
        (ops.chunk(256) | ops.shuffle(5), np.arange(7000)),
        (ops.chunk(256) | ops.shuffle(5), RUNS.astype(float)),
    ],
)
def test_nothing_is_said_where_all_is_well(order, labels):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ops.indices(len(RUNS)) | order | ops.gather(labels)


def test_the_law_of_windows():
    """K classes in runs: (K - 1) / (2 ln 2 W) bits less than a full shuffle."""
    K, W, C = 14, 64, 4096
    y = np.repeat(np.arange(K), -(-64 * C // K))[: 64 * C]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        batches = ops.indices(64 * C) | ops.mix(7, 64, W) | ops.gather(y) | ops.rebatch(64)
    found = ops.survey(batches, labels=y)
    assert abs(found.full - found.measured - (K - 1) / (2 * np.log(2) * W)) < 0.03
    last = found.entropies[-len(found.entropies) // 100 :].mean()
    assert abs(last - found.measured) < 0.05
