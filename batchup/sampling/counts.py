"""The number of batches of a source that says how many samples it has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from batchup import ops
from batchup.core.checks import whole_number
from batchup.core.draws import Draws
from batchup.core.plan import SameSamples, samples_of
from batchup.core.record import Count, record
from batchup.ops.index.chunk import one_size

_END = object()


def num_batches(n: Count, batch_size: int) -> Count:
    """The number of batches that n samples make. The last may be shorter.

    Parameters
    ----------
    n : int, np.inf or None
        The number of samples; None for unknown.
    batch_size : int
        The number of samples in a batch.

    Returns
    -------
    int, np.inf or None
        The number of batches; `np.inf` and None stay.

    Examples
    --------
    >>> num_batches(10, 4), num_batches(np.inf, 4), num_batches(None, 4)
    (3, inf, None)
    """
    batch_size = one_size(batch_size, "num_batches: batch_size")
    if n is None or n == np.inf:
        return n
    return -(-whole_number(n, "num_batches: n") // batch_size)


def counted(stream: ops.Stream, batch_size: int) -> ops.Stream:
    """The stream of a source that says how many samples it has, with the length that follows."""
    batches = num_batches(stream.num_samples, batch_size)
    if not isinstance(batches, int):
        return stream
    return stream.with_plan(lambda plan: Counted(plan, batches))


@record
class Counted(SameSamples):
    """A plan whose source says how many batches it has. Raises ValueError if it gives another number."""

    tag = "counted"

    length: int = 0

    def start(self, pass_: int, k: int, draws: Draws) -> Iterator[Any]:
        items = self.up.start(pass_, k, draws)
        if self.length == 0 and next(items, _END) is not _END:
            raise self._broken("more")  # now, since no item will be asked for
        return self._checked(items, k)

    items = start

    def _checked(self, items: Iterator[Any], k: int) -> Iterator[Any]:
        for n in range(k, self.length):
            item = next(items, _END)
            if item is _END:
                raise self._broken(f"only {n}")
            if n + 1 == self.length and next(items, _END) is not _END:
                raise self._broken("more")
            yield item

    def _broken(self, given: str) -> ValueError:
        said = f"it has {samples_of(self)} samples, which are {self.length} batches"
        return ValueError(f"a source said that {said}; it gave {given}")
