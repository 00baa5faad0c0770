"""What streams are made of, and all that a stage of your own needs. Names no stage.

A stream is a plan, which says what makes up each item, and the work for each item. Most stages of your own are
compositions, which need none of this: see `ops.Stage`. For others, `examples/a_stage_of_your_own.py` writes three and
checks them with `batchup.testing.check_laws`.
"""

from batchup.core.blocks import Block, LazyBlock, as_block, block_array, joined
from batchup.core.checks import describe, whole_number
from batchup.core.draws import Draw, Draws, Replay
from batchup.core.grid import Even, Grid, Listed, Total
from batchup.core.item import Item, as_batch, mapped, walk
from batchup.core.iteration import StreamIterator
from batchup.core.joint import Choice, JointStep, Pick
from batchup.core.loader import Loader
from batchup.core.noise import Noise
from batchup.core.plan import (
    EndlessSource,
    Itemwise,
    JointPlan,
    Kind,
    Part,
    Plan,
    PlanOver,
    SameItems,
    SameSamples,
    located,
    parts_in,
    replay_of,
    samples_of,
)
from batchup.core.randomness import Rng, Seed, ShuffleLike, as_rng, as_seed
from batchup.core.record import Count, data, record, unnamed
from batchup.core.stream import Stage, Stream, as_stream, members_of
from batchup.core.work import SAME, UNKNOWN, Sizes, Split, Step, Work

__all__ = [
    "SAME",
    "UNKNOWN",
    "Block",
    "Choice",
    "Count",
    "Draw",
    "Draws",
    "EndlessSource",
    "Even",
    "Grid",
    "Item",
    "Itemwise",
    "JointPlan",
    "JointStep",
    "Kind",
    "LazyBlock",
    "Listed",
    "Loader",
    "Noise",
    "Part",
    "Pick",
    "Plan",
    "PlanOver",
    "Replay",
    "Rng",
    "SameItems",
    "SameSamples",
    "Seed",
    "ShuffleLike",
    "Sizes",
    "Split",
    "Stage",
    "Step",
    "Stream",
    "StreamIterator",
    "Total",
    "Work",
    "as_batch",
    "as_block",
    "as_rng",
    "as_seed",
    "as_stream",
    "block_array",
    "data",
    "describe",
    "joined",
    "located",
    "mapped",
    "members_of",
    "parts_in",
    "record",
    "replay_of",
    "samples_of",
    "unnamed",
    "walk",
    "whole_number",
]


def __dir__() -> list[str]:
    return __all__
