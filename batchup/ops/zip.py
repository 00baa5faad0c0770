"""One item of each of several streams: `zip`."""

import builtins
import warnings
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from more_itertools import all_equal
from toolz import dissoc

from batchup.core.checks import call_text, listed
from batchup.core.draws import Draws
from batchup.core.errors import note, users_frame
from batchup.core.grid import Even, Grid
from batchup.core.item import Item, mapped, once
from batchup.core.joint import JointStep
from batchup.core.plan import Aligned, JointPlan, Plan
from batchup.core.record import Count, record, unnamed
from batchup.core.stream import Stream, members_of
from batchup.core.work import Split, Work, together
from batchup.ops.read.gather import Gather
from batchup.ops.read.plain import Read
from batchup.parts import has_samples, parts_of


def zip(*streams: Any, flatten: bool = True, trim: bool = True) -> Stream:
    """One item of each stream, as a tuple. It ends with the shortest stream.

    The joined stream does the work of its members.

    Parameters
    ----------
    *streams : Stream or iterable
        The members. An iterable must give its items anew each time.
    flatten : bool
        If True, the tuples of the members are joined into one: `(X, y)` and `(U,)` give `(X, y, U)`.
    trim : bool
        If True, batches are cut to the shortest of them, as for the last batch of an epoch: all arrays and lists, also
        inside of nested tuples and dicts; numbers and strings stay. There is a UserWarning if the regular batches of
        the members have different sizes.

    Returns
    -------
    Stream
        Tuples.

    Raises
    ------
    TypeError
        If an argument is neither a stream nor an iterable.
    ValueError
        Without streams; while iterating, with `trim`, for a batch of one member whose own arrays differ in length.

    Examples
    --------
    >>> from batchup import ops
    >>> labelled = ops.indices(3) | ops.chunk(2) | ops.gather(np.arange(3), np.arange(3) % 2)
    >>> unlabelled = ops.indices(9) | ops.chunk(2) | ops.gather(np.arange(9) * 10)
    >>> list(zip(labelled, unlabelled))
    [(array([0, 1]), array([0, 1]), array([ 0, 10])), (array([2]), array([0]), array([20]))]
    """
    plans, works, text = members_of(streams, "zip")
    step = Join(works, bool(flatten), bool(trim))
    if step.trim:
        _warn_of_sizes(plans, works)
    options = {"flatten": None if step.flatten else "False", "trim": None if step.trim else "False"}
    return Stream(Zip(plans, step.trim), (step,), call_text("zip", text, **options))


def _warn_of_sizes(plans: tuple[Plan, ...], works: tuple[Work, ...]) -> None:
    grids = [work.grid(plan) for plan, work in builtins.zip(plans, works, strict=True)]
    sizes = [grid.size for grid in grids if grid is not None and grid.size is not None]
    if not all_equal(sizes):
        warnings.warn(
            f"zip: the members have batches of {listed(map(str, sizes))} samples, and each is cut to {min(sizes)}: the "
            "other samples are lost. With trim=False they are not cut",
            stacklevel=users_frame(),
        )


@record
class Zip(Aligned, JointPlan):
    """Tuples of one item of each plan."""

    tag = "zip"

    trim: bool = unnamed()  # the step has it too

    @property
    def length(self) -> Count:
        lengths = [plan.length for plan in self.plans]
        return None if None in lengths else min(n for n in lengths if n is not None)

    @property
    def grid(self) -> Grid | None:
        """The grid of the shortest member, if the blocks of all are of one size."""
        even = [plan.grid for plan in self.plans if isinstance(plan.grid, Even)]
        alike = len(even) == len(self.plans) and len({grid.size for grid in even}) == 1
        counts = {grid.samples for grid in even}
        if not alike or not (self.trim or len(counts) == 1):
            return None
        return Even(min(counts), even[0].size, None)

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Any]:
        return once(builtins.zip(*[plan.start(pass_, k, draws) for plan in self.plans], strict=False))


@record
class Join(JointStep):
    """The step of `zip`: the work of all members, for one item of each."""

    tag = "join"

    flatten: bool
    trim: bool

    @cached_property
    def _reads(self) -> tuple[Read, ...]:
        """The functions that read the members, if each only reads arrays: as many samples as an index block has."""
        steps = [work.steps[0] for work in self.works if len(work.steps) == 1]
        reads = [step.run for step in steps if isinstance(step, Gather) and step.gives_tuples]
        return tuple(reads) if self.flatten and len(reads) == len(self.works) else ()

    def __getstate__(self) -> dict[str, Any]:
        return dict(dissoc(self.__dict__, "_reads"))

    def run(self, item: tuple[Any, ...]) -> tuple[Any, ...]:
        if self._reads:
            n, parts = len(item[0]), []
            try:
                for read, block in builtins.zip(self._reads, item, strict=True):
                    if len(block) != n or type(block) is Item:
                        break
                    parts += read(block)
                else:
                    return tuple(parts)  # nothing is to be cut
            except Exception as error:
                work = self.works[self._reads.index(read)]
                note(error, lambda: f"in the stage {work.steps[0]}")
                raise
        return joined(list(map(Work.run, self.works, item)), self.flatten, self.trim)

    def _split(self, item: tuple[Any, ...]) -> Split:
        works = builtins.zip(self.works, item, strict=True)
        splits = [work.split(part) for work, part in works]
        return together(splits, lambda batches: joined(batches, self.flatten, self.trim))

    def __str__(self) -> str:
        return f"zip(of {len(self.works)} streams)"


def joined(batches: Sequence[Any], flatten: bool, trim: bool) -> tuple[Any, ...]:
    """The joint batch of one batch of each member."""
    parts: list[Any] = []
    for batch in batches:
        parts.extend(batch) if isinstance(batch, tuple) else parts.append(batch)
    if trim:
        together = tuple(batches)
        lengths = {len(part) for part in parts_of(together) if has_samples(part)}
        if len(lengths) > 1:
            _check_lengths(together)
            n = min(lengths)
            return joined(mapped(together, lambda p: p[:n] if has_samples(p) else p, (tuple, dict)), flatten, False)
    return tuple(parts if flatten else batches)


def _check_lengths(batches: tuple[Any, ...]) -> None:
    """Raise ValueError for a member whose arrays differ in length: which of them are per sample is unknown."""
    for member, batch in enumerate(batches):
        own = [len(part) for part in parts_of(batch) if has_samples(part)]
        if not all_equal(own):
            wanted = f"trim: expected arrays of one length in a batch of member {member}, to cut them alike"
            got = f"they have {listed(map(str, own))}"
            raise ValueError(f"{wanted}; {got}. With trim=False nothing is cut")
