"""survey: its report is what the batches are."""

import numpy as np
import pytest
from numpy.random import RandomState

from batchup import ops, work_pool


def test_survey_is_what_the_batches_are():
    y = np.repeat(np.arange(14), 64 * 10)
    generator = RandomState(3)
    for rng in (7, generator):
        before = generator.get_state()[1].copy()
        windows = ops.indices(len(y)) | ops.mix(rng, 64, 70) | ops.gather(y)
        found = ops.survey(windows | ops.rebatch(64), labels=y)
        assert (generator.get_state()[1] == before).all()
        assert abs(found.measured - found.predicted) < 0.03
        assert found.full == pytest.approx(3.6525, abs=1e-3)
        assert found.window == 64 * 70
        assert found.bytes_held == found.window * 8
    batches = ops.indices(len(y)) | ops.mix(7, 64, 70) | ops.gather(y) | ops.rebatch(64)
    entropies = [_entropy(batch) for (batch,) in batches]
    same = ops.survey(batches, labels=y)
    assert same.measured == pytest.approx(np.mean(entropies))
    assert "2 windows" not in str(same)
    assert len(same.plot().axes[0].patches) == 40
    with work_pool.WorkerThreadPool(2) as pool:
        pooled = ops.indices(len(y)) | ops.mix(7, 64, 70) | ops.gather(y) | ops.parallel(pool, 3) | ops.rebatch(64)
        assert ops.survey(pooled).bytes_held == 4 * 64 * 70 * 8
    with pytest.raises(ValueError, match="expected labels"):
        ops.survey(batches).plot()
    with pytest.raises(TypeError, match="no zip or choose"):
        ops.survey(ops.zip(batches, batches))
    with pytest.raises(TypeError, match="known number"):
        ops.survey(ops.indices(3) | ops.repeat(-1))


def _entropy(labels):
    shares = np.bincount(labels) / len(labels)
    shares = shares[shares > 0]
    return -(shares * np.log2(shares)).sum()


S = np.arange(64)


def test_survey_wants_a_label_for_each_sample():
    windows = ops.indices(64) | ops.mix(1, 8, 2) | ops.gather(S)
    with pytest.raises(ValueError, match=r"labels: expected one for each sample .* at least 64; got 10"):
        ops.survey(windows | ops.rebatch(8), labels=np.zeros(10, int))
