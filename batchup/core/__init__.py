"""What a stream is, and what a stage of your own is written with; names no stage.

A stream is a plan, which says what each item is made of, and the work that each item owes. Most stages of
your own are compositions, which need none of this: see `Stage`. `examples/a_stage_of_your_own.py` writes
three that do, and checks them with `batchup.testing.check_laws`.
"""

from batchup.core.checks import block_array, whole_number
from batchup.core.computed import clamped
from batchup.core.grid import Even, Grid, Listed
from batchup.core.iteration import StreamIterator
from batchup.core.joint import Choice, Pick
from batchup.core.plan import (
    Again,
    Count,
    Draws,
    Itemwise,
    JointPlan,
    Kind,
    Plan,
    PlanOver,
    SameSamples,
    record,
    walk,
)
from batchup.core.stream import Stage, Stream, as_stream, members_of
from batchup.core.work import Step, Work

__all__ = [
    "Again",  # how the items of a plan can be had again
    "Choice",  # an item of one of several plans
    "Count",  # an int, math.inf, or None for unknown
    "Draws",  # where plans get what they draw
    "Even",  # the grid of blocks of one size
    "Grid",  # where the samples lie in the items
    "Itemwise",  # a plan with one item for each of another
    "JointPlan",  # a plan over several
    "Kind",  # what the items are, and whose
    "Listed",  # the grid of blocks of given sizes
    "Pick",  # the step for items that are each from one of several
    "Plan",  # which samples make up each item
    "PlanOver",  # a plan over one other
    "SameSamples",  # a plan whose items are of the same samples as another's
    "Stage",  # a pure function from stream to stream
    "Step",  # one piece of work
    "Stream",  # a plan and the work it owes
    "StreamIterator",  # going through a stream, with checkpoints
    "Work",  # the steps, one after another
    "as_stream",  # a list, an array or any re-iterable as a stream
    "block_array",  # an index block as an array
    "clamped",  # a position, or that of the end
    "members_of",  # the plans and works of several streams
    "record",  # a frozen dataclass, compared by identity
    "walk",  # the items from a position on, past those before it
    "whole_number",  # an argument, checked
]
