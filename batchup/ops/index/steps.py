"""Passes of a given number of items, each of which goes on where the one before it stopped: `loader(steps=)`."""

import math

from batchup.core.checks import whole_number
from batchup.core.cursors import why_not_behind
from batchup.core.draws import Replay
from batchup.core.epoch import Steps
from batchup.core.plan import replay_of
from batchup.core.stream import Stage, Stream
from batchup.ops.index.repeat import repeat


def steps(count: int) -> Stage:
    """Cut the stream, repeated without end, into passes of `count` items."""
    count = whole_number(count, "loader: steps", least=1)
    return Stage(_steps, count, text=f"steps({count})")


def _steps(stream: Stream, count: int) -> Stream:
    plan = stream.plan
    why = plan.refusal("epochs")
    if why_not_behind(plan):
        why = (
            "has a number of batches that depends on the data (of filter, or of rebatch behind a map that resizes). Leave "
            "steps= out, or select the samples before they are read, by ops.where(mask)"
        )
    if replay_of(plan) is Replay.SINGLE_PASS:
        why = "goes through a user's iterator, which can't be repeated: make it a list"
    if why:
        raise TypeError(f"loader: steps: {stream!r} {why}")
    if plan.length != math.inf:
        stream |= repeat(-1)
    return stream.with_plan(lambda plan: Steps(plan, count))
