"""End after a number of items: `take`."""

from functools import partial

from batchup.core.checks import whole_number
from batchup.core.stream import Stage, Stream
from batchup.ops.index.skip import sliced


def take(count: int) -> Stage:
    """End the stream after the first `count` items.

    Parameters
    ----------
    count : int
        The number of items, at least 0.

    Returns
    -------
    Stage
        Gives the first `count` items, or all if the stream has fewer.

    Raises
    ------
    ValueError
        If `count` is negative.

    Examples
    --------
    >>> from batchup import ops
    >>> list(ops.indices(10**12) | ops.chunk(64) | ops.skip(10**9) | take(1))
    [range(64000000000, 64000000064)]
    """
    count = whole_number(count, "take(count)")
    return Stage(Stream.with_plan, partial(sliced, stop=count), text=f"take({count})")
