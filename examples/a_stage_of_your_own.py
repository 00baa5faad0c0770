"""Three stages of your own, written with public names alone, and checked by the laws.

Most stages need none of this: they are compositions, `ops.Stage(function, ...)`. A stage that decides which samples
come, in which order or how many, is a *plan*: a frozen record with a method `items`, which gives the items of a pass
from any position on, and a `tag`, its name in checkpoints. That is all that these three say. Whatever else a plan may
say of itself, such as its `length` or its `kind`, only makes it faster.

    python examples/a_stage_of_your_own.py
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

from batchup import ops, work_pool
from batchup.core import (
    Choice,
    Draws,
    Itemwise,
    JointPlan,
    Pick,
    PlanOver,
    Stage,
    Stream,
    block_array,
    members_of,
    record,
    whole_number,
)
from batchup.testing import check_laws

# -- 1. A plan with one item for each item before it: `Itemwise`.


def pad_blocks(size: int) -> Stage:
    """Fill each index block up to `size` by repeating its last sample; an empty block stays empty."""
    size = whole_number(size, "pad_blocks(size)", least=1)  # errors come when the stage is built
    return Stage(_pad_blocks, size, text=f"pad_blocks({size})")


def _pad_blocks(stream: Stream, size: int) -> Stream:
    return Stream(PaddedBlocks(stream.index_plan("pad_blocks"), size))


@record
class PaddedBlocks(Itemwise):
    tag = "pad_blocks"

    size: int
    # It doesn't say that its items are index blocks (`kind`), so `gather` and `chunk` check each one. It doesn't say where
    # the samples lie (`grid`), so a `chunk` behind it goes through all blocks to find its own first sample.

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Any]:
        return map(self.padded, self.up.start(pass_, k, draws))

    def padded(self, block: Any) -> Any:
        missing = self.size - len(block)
        if not len(block) or missing <= 0:
            return block
        return np.append(block_array(block), [block[-1]] * missing)


# -- 2. A plan over another, with fewer items: item k begins at the item before it that it needs.


def every(n: int) -> Stage:
    """Each n-th item, from the first on."""
    n = whole_number(n, "every(n)", least=1)
    return Stage(_every, n, text=f"every({n})")


def _every(stream: Stream, n: int) -> Stream:
    # `with_plan`, and not a new Stream: the work stays as it is, and a pool makes no more than these items.
    return stream.with_plan(lambda plan: Every(plan, n))


@record
class Every(PlanOver):
    tag = "every"

    n: int

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Any]:
        # Item k - 1 was received, and what it needed was drawn; what lies between it and item k was not.
        start = (k - 1) * self.n + 1 if k else 0
        return islice(self.up.start(pass_, start, draws), k * self.n - start, None, self.n)


# -- 3. A plan over several: a source. An item says which member it comes from, since each has its own work.


def interleave(a: Any, b: Any) -> Stream:
    """An item of one and an item of the other in turns, until the one whose turn it is has ended."""
    plans, works, text = members_of((a, b), "interleave")
    return Stream(Interleaved(plans), (Pick(works, "interleave"),), f"interleave({text})")


@record
class Interleaved(JointPlan):
    tag = "interleave"

    def items(self, pass_: int, k: int, draws: Draws) -> Iterator[Choice]:
        a, b = self.plans
        members = [a.start(pass_, (k + 1) // 2, draws), b.start(pass_, k // 2, draws)]
        return self._in_turns(members, k % 2)

    def _in_turns(self, members: list[Iterator[Any]], turn: int) -> Iterator[Choice]:
        while True:
            try:
                item = next(members[turn])
            except StopIteration:
                return
            yield Choice(turn, item)
            turn = 1 - turn


# -- What they give


def main() -> None:
    X = np.arange(10) * 10
    batches = ops.indices(10) | ops.shuffle(7) | ops.chunk(4) | pad_blocks(4) | ops.gather(X)
    print([len(batch) for (batch,) in batches], "samples a batch, all of one shape")
    print(list(batches | every(2)))
    print(list(interleave(["a", "b", "c"], ["x", "y"])))

    with work_pool.WorkerThreadPool(2) as pool:
        check_laws(build_padded, members=1, model=padded, pools=[pool])
        check_laws(build_every, members=1, model=every_third, pools=[pool])
        check_laws(build_interleaved, members=2, model=interleaved)
        check_laws(build_larger, members=1)
    print("All laws hold.")


# How each is built, of streams and a generator, and what it must give, in plain Python.


def build_padded(stream: Stream, rng: Any) -> Stream:
    return stream | pad_blocks(4)


def padded(blocks: list[list[int]]) -> list[list[int]]:
    return [block + block[-1:] * (4 - len(block)) for block in blocks]


def build_every(stream: Stream, rng: Any) -> Stream:
    return stream | every(3)


def every_third(items: list[Any]) -> list[Any]:
    return items[::3]


def build_interleaved(a: Stream, b: Stream, rng: Any) -> Stream:
    return interleave(a, b)


def interleaved(a: list[Any], b: list[Any]) -> list[Any]:
    items: list[Any] = []
    for n in range(len(a) + len(b)):
        member = (a, b)[n % 2]
        if n // 2 >= len(member):
            break
        items.append(member[n // 2])
    return items


def build_larger(stream: Stream, rng: Any) -> Stream:
    """As part of a larger stream, over plans that draw from a generator and have no known length."""
    others = ops.indices(9) | ops.shuffle(rng) | ops.chunk(2) | pad_blocks(3)
    return interleave(stream | every(2), ops.choose(others, [1], rng=5)) | ops.repeat(2)


if __name__ == "__main__":
    main()
