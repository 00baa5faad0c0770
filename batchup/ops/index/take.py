"""End after a number of items: `take`."""

from functools import partial

from batchup.core.checks import whole_number
from batchup.core.stream import Stage, Stream
from batchup.ops.index.skip import sliced


def take(count: int) -> Stage:
    """Give only the first `count` items.

    >>> from batchup import ops
    >>> list(ops.indices(10**12) | ops.chunk(64) | ops.skip(10**9) | take(1))
    [range(64000000000, 64000000064)]
    """
    count = whole_number(count, "take(count)")
    return Stage(Stream.with_plan, partial(sliced, stop=count), text=f"take({count})")
