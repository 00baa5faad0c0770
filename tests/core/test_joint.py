"""Steps over several streams, for joins of your own."""

import numpy as np

from batchup import ops
from batchup.core import Choice, Pick, Work, members_of

X = np.arange(6)


def test_a_choice_gets_the_work_of_its_member():
    streams = (ops.indices(6) | ops.chunk(2) | ops.gather(X), ops.indices(6) | ops.gather(X) | ops.map(np.negative))
    _, works, text = members_of(streams, "mine")
    step = Pick(works, "mine")
    assert str(step) == "mine(of 2 streams)"
    assert text == "indices(6) | chunk(2) | gather(<6 int64>), indices(6) | gather(<6 int64>) | map(negative)"
    assert step.run(Choice(0, range(2)))[0].tolist() == [0, 1]
    assert step.run(Choice(1, range(2))).tolist() == [0, -1]
    assert step.over(lambda work: work) is step
    assert [work.steps for work in step.over(lambda work: Work()).works] == [(), ()]


def test_a_join_splits_if_a_member_does():
    records = [{"x": n} for n in range(4)]
    _, works, _ = members_of((ops.indices(4) | ops.samples(records), ops.indices(4) | ops.gather(X)), "mine")
    step = Pick(works, "mine")
    calls, finish = step.split(Choice(0, range(2)))
    assert len(calls) == 2

    class Done:
        def __init__(self, call):
            self.result = call

    assert finish([Done(call) for call in calls])["x"].tolist() == [0, 1]
    assert Pick(works[1:], "mine").split is None
