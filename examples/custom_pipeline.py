"""Compose pipelines of your own with `|`.

    python examples/custom_pipeline.py

A stream is a plan and its work. The plan is cheap, and says which samples make up each batch. The work is done for a batch
when it is asked for, and nothing is read before. A stage makes one stream of another.
"""

from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup import ops

X = np.arange(10_000).reshape(1000, 10)  # 1000 samples, each of 10 consecutive numbers
y = np.arange(1000) % 3


def main() -> None:
    usual_epochs()
    windowed_shuffle()
    weighted_draws()
    two_streams()
    parts_of_a_stream()
    a_stage_of_stages()


def usual_epochs() -> None:
    heading("Three epochs, each in an order of its own")
    batches = ops.indices(1000) | ops.shuffle(12345) | ops.repeat(3) | ops.chunk(64) | ops.gather(X, y)
    print(batches)  # a stream reads as the expression that made it
    print(f"{len(batches)} batches, {batches.num_samples} samples")
    seen = np.concatenate([batch_y for _, batch_y in batches])
    assert len(seen) == batches.num_samples == 3000
    assert (np.bincount(seen) == 3 * np.bincount(y)).all()


def windowed_shuffle() -> None:
    heading("Shuffled within windows of 100, so that a disk is read nearly in order")
    # `shuffle` permutes within blocks and `chunk` cuts them anew: a window needs no option.
    windows = ops.indices(1000) | ops.chunk(100) | ops.shuffle(12345)
    batches = windows | ops.chunk(20) | ops.gather(np.arange(1000))
    for number, (samples,) in enumerate(batches):
        window = samples // 100
        assert (window == number * 20 // 100).all()  # five batches to a window
        if number < 2:
            print(samples)


def weighted_draws() -> None:
    heading("Draws by weight: class 2 as often as the others together")
    weights = np.where(y == 2, 2.0, 1.0)
    batches = ops.sample(weights, rng=12345) | ops.chunk(100) | ops.gather(y)
    assert batches.num_samples == np.inf  # endless, hence the `take`
    labels = np.concatenate([labels for (labels,) in batches | ops.take(100)])
    share = np.bincount(labels) / len(labels)
    print(f"share of each class in {len(labels)} draws: {np.round(share, 3)}")
    assert np.allclose(share, [0.25, 0.25, 0.5], atol=0.02)


def two_streams() -> None:
    heading("A batch of each of two streams; the short one is repeated")
    labelled = ops.indices(100) | ops.shuffle(1) | ops.repeat(-1) | ops.chunk(64)
    unlabelled = ops.indices(900) | ops.shuffle(2) | ops.chunk(64)
    both = ops.zip(labelled | ops.gather(X[:100], y[:100]), unlabelled | ops.gather(X[100:]))
    last = 0
    for batch_X, batch_y, batch_U in both:  # the tuples of the members, joined
        assert len(batch_X) == len(batch_y) == len(batch_U)  # trimmed to the shortest, the last one
        last = len(batch_X)
    print(f"{len(both)} joint batches; the last has {last} samples of each")
    assert (len(both), last) == (15, 900 % 64)


def parts_of_a_stream() -> None:
    heading("Parts of a stream, without the work for the rest")
    read: list[NDArray[Any]] = []

    def spy(batch_X: NDArray[Any], batch_y: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        read.append(batch_y)
        return batch_X, batch_y

    batches = ops.indices(1000) | ops.shuffle(12345) | ops.chunk(64) | ops.gather(X, y) | ops.map(spy)
    bad_X, _ = batches[7]  # one batch alone: to look at the one that made the loss NaN, say
    assert len(read) == 1

    rest = list(batches | ops.skip(7))  # from there on: to go on where a run was interrupted
    assert len(rest) == len(batches) - 7 == 9
    assert (rest[0][0] == bad_X).all()  # the order comes from a seed, so it is the same every time

    few = batches | ops.skip(2) | ops.take(3)
    print(few)
    assert sum(1 for _ in few) == 3

    # To start at a late position costs nothing, even of 10**12 samples.
    huge = ops.indices(10**12) | ops.chunk(64) | ops.skip(10**10) | ops.take(2)
    print(list(huge))
    assert [block[0] for block in huge] == [64 * 10**10, 64 * 10**10 + 64]


def a_stage_of_stages() -> None:
    heading("Stages compose before there is a stream")
    batched = ops.shuffle(12345) | ops.chunk(64)
    print(batched)
    training = ops.indices(1000) | batched | ops.gather(X, y)
    thirds = ops.indices(np.flatnonzero(y == 1)) | batched | ops.gather(X, y)
    print(f"{training.num_samples} samples, and {thirds.num_samples} of a subset, by the same stage")
    for _, batch_y in islice(thirds, 2):
        assert (batch_y == 1).all()


def heading(text: str) -> None:
    print(f"\n-- {text}")


if __name__ == "__main__":
    main()
