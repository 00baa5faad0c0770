"""Work: taken apart and put together."""

import numpy as np

from batchup import ops
from batchup.core.randomness import DIRECT
from batchup.core.work import Work
from batchup.ops.batch.map import Map
from batchup.testing import plain


def test_work_can_be_taken_apart_and_put_together():
    stream = ops.zip(
        ops.indices(4) | ops.gather(np.arange(4)) | ops.map(lambda x: x + 1),
        ops.indices(4) | ops.gather(np.arange(4) * 10),
    )
    [join] = stream.steps
    parts = join.parts()
    [item] = stream.plan.start(0, 0, DIRECT)
    each = [work.run(part) for work, part in zip(parts, item, strict=True)]
    assert [plain(part) for part in each] == [[1, 2, 3, 4], ([0, 10, 20, 30],)]
    doubled = join.over(lambda work: Work((*work.steps, Map(lambda x: x * 2))))
    assert [plain(part) for part in doubled.run(item)] == [[2, 4, 6, 8], [0, 20, 40, 60]]
    assert join.over(lambda work: work) is join
