"""One rank's part of every block, for data-parallel training: `shard`."""

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from batchup.core.blocks import Block
from batchup.core.checks import whole_number
from batchup.core.draws import Draws
from batchup.core.grid import Grid, Sharded
from batchup.core.plan import Itemwise, Kind, Part, Plan, located, parts_in
from batchup.core.record import record, unnamed
from batchup.core.stream import Stage, Stream

# The variables for rank and world size of torchrun, Open MPI and SLURM.
_ENVIRONMENTS = (
    ("RANK", "WORLD_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("SLURM_PROCID", "SLURM_NTASKS"),
)


def shard(index: int | None = None, count: int | None = None) -> Stage:
    """Take part `index` of `count` of every index block, for training on several processes.

    Each part has consecutive samples of the block. If a block can't be divided equally, the first parts have one sample
    more; a block of fewer than `count` samples has empty parts. All ranks take the same number of steps, together they
    see each sample once, and step t has the same samples for any number of ranks. Put `chunk` before this stage, with
    the batch size of all ranks together.

    Without arguments, rank and world size come from environment variables. The first of these pairs that is set counts:
    RANK and WORLD_SIZE (torchrun), OMPI_COMM_WORLD_RANK and OMPI_COMM_WORLD_SIZE (Open MPI), SLURM_PROCID and
    SLURM_NTASKS (SLURM).

    Parameters
    ----------
    index : int or None
        The rank of this process, from 0 to `count` - 1.
    count : int or None
        The number of ranks.

    Returns
    -------
    Stage
        Gives one part of every block.

    Raises
    ------
    ValueError
        If `index` is not below `count`, or if both are None and no environment variable is set.
    TypeError
        If the stream before it is not of index blocks.

    Examples
    --------
    >>> from batchup import ops
    >>> [list(ops.indices(7) | ops.chunk(5) | shard(rank, 2)) for rank in range(2)]
    [[range(0, 3), range(5, 6)], [range(3, 5), range(6, 7)]]
    """
    source = ""
    if index is None and count is None:
        index, count, source = _from_environment()
    index, count = _checked(index, count)
    return Stage(_shard, index, count, text=f"shard({index}, {count}{source})")


# The argument `shard=`: an index and a count, () for those of the environment, None for all samples.
ShardLike = tuple[int, int] | tuple[()] | None


def as_shard(shard: ShardLike, where: str) -> tuple[int, int]:
    """What a user wrote for `shard=`, as an index and a count. All samples are part 0 of 1."""
    if shard is None:
        return 0, 1
    if not isinstance(shard, tuple) or len(shard) not in (0, 2):
        raise TypeError(
            f"{where}shard: expected (index, count), or () for those that the environment names; got {shard!r}"
        )
    return _checked(*shard) if shard else _from_environment()[:2]


def _checked(index: Any, count: Any) -> tuple[int, int]:
    count = whole_number(count, "shard: count", least=1)
    index = whole_number(index, "shard: index")
    if index >= count:
        raise ValueError(f"shard: expected an index below the count, {count}; got {index}")
    return index, count


def shown_shard(index: int, count: int) -> str | None:
    """The value of `shard=` in the text of a stage; None for all samples."""
    return f"({index}, {count})" if count > 1 else None


def part_of(n: int, index: int, count: int) -> slice:
    """The place of part `index` of `count` of n samples: the first parts may have one sample more."""
    size, more = divmod(n, count)
    start = index * size + min(index, more)
    return slice(start, start + size + (index < more))


def _from_environment() -> tuple[int, int, str]:
    for names in _ENVIRONMENTS:
        values = [os.environ.get(name) for name in names]
        if None in values:
            continue
        try:
            rank, world = [int(value or "") for value in values]
        except ValueError:
            wanted = f"shard: expected whole numbers in {names[0]} and {names[1]}"
            raise ValueError(f"{wanted}; got {values}") from None
        return rank, world, f" from {names[0]}"
    raise ValueError(
        "shard: expected an index and a count, or one of these pairs of environment variables: "
        f"{'; '.join(', '.join(names) for names in _ENVIRONMENTS)}. None is set"
    )


def _shard(stream: Stream, index: int, count: int) -> Stream:
    plan = stream.index_plan("shard")
    if why := plan.refusal("cut"):
        raise TypeError(f"shard({index}, {count}): {stream!r} {why}")
    return replace(stream, plan=Shard(plan, index, count))


def of_outer_ranks(plan: Plan) -> tuple[Plan, Plan]:
    """The plan of the first rank, which has the most samples, and that of the last."""
    return _of_rank(plan, 0), _of_rank(plan, -1)


def _of_rank(plan: Plan, index: int) -> Plan:
    plan = plan.over(lambda up: _of_rank(up, index))
    return replace(plan, index=index % plan.count) if isinstance(plan, Shard) else plan


@record
class Shard(Itemwise):
    """The plan of `shard`."""

    tag = "shard"

    # A position means the same for all parts, so a checkpoint of one part is one of all.
    index: int = unnamed()
    count: int = unnamed()

    @property
    def grid(self) -> Grid | None:
        of = located(self.up)
        return None if of is None else Sharded(of, self.up.length, self._size)

    @property
    def shards(self) -> tuple[Part, ...]:
        return (*parts_in(self), Part(self.index, self.count, equal=False))

    @property
    def kind(self) -> Kind:
        return self.up.kind

    def part(self, block: Block) -> Block:
        return block[part_of(len(block), self.index, self.count)]

    def _size(self, n: int) -> int:
        return len(self.part(range(n)))

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Block]:
        return map(self.part, self.up.start(pass_, k, draws))
