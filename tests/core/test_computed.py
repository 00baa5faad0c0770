"""Plans whose items have their batches: the caller's, and those of pools."""

import numpy as np
import pytest

from batchup import ops, work_pool
from batchup.core.computed import Computed, below_pool, draws_ahead_below, has_pool, without_pools
from batchup.core.plan import trunk
from batchup.core.work import Work

BATCHES = ops.indices(6) | ops.chunk(2) | ops.gather(np.arange(6) * 10)


def test_the_items_have_their_batches():
    plan = Computed(BATCHES.plan, BATCHES.work, BATCHES.text)
    items = list(plan.start(0, 1, None))
    assert [(item.planned, item.made) for item in items] == [(range(2, 4), True), (range(4, 6), True)]
    assert [item.batch[0].tolist() for item in items] == [[20, 30], [40, 50]]


def test_an_error_says_at_which_item():
    def fails(x):
        raise OSError("unreadable")

    bad = BATCHES | ops.map(fails)
    with pytest.raises(OSError, match="unreadable") as caught:
        next(Computed(bad.plan, bad.work, bad.text).start(0, 2, None))
    assert caught.value.__notes__[-1].startswith("at item 2 of indices(6) | chunk(2)")


def test_plans_change_below_a_pool_and_without_it():
    with work_pool.WorkerThreadPool(1) as pool:
        stream = BATCHES | ops.parallel(pool, 2)
        assert has_pool(stream.plan)
        assert not has_pool(without_pools(stream.plan))
        assert not has_pool(BATCHES.plan)
        taken = below_pool(stream.plan, lambda plan: (ops.Stream(plan) | ops.take(1)).plan)
        assert [type(plan).__name__ for plan in trunk(taken)][:2] == ["Parallel", "Between"]
        rng = np.random.RandomState(0)
        drawn = ops.indices(6) | ops.shuffle(rng) | ops.chunk(2) | ops.gather(np.arange(6))
        assert not draws_ahead_below((drawn | ops.parallel(pool)).plan)
        with pytest.raises(TypeError, match="expected no pool before this stage over a generator"):
            ops.zip(drawn | ops.parallel(pool), BATCHES)


def test_sizes_that_the_work_changes():
    assert Computed(BATCHES.plan, BATCHES.work, "").grid.samples == 6
    resized = BATCHES | ops.map(lambda x: x[:1], resizes=True)
    assert Computed(resized.plan, resized.work, "").grid is None
    assert Computed(BATCHES.plan, Work(), "").grid.samples == 6
