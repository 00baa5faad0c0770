"""Epochs by themselves: of streams that have none, and of joins."""

import numpy as np
import pytest

from batchup import ops
from batchup.core.draws import Replay
from batchup.core.epoch import pass_of, why_no_epochs, why_no_loader
from batchup.core.randomness import Users
from batchup.core.sources import Iterated
from batchup.testing import plain

BLOCKS = ops.indices(6) | ops.shuffle(7) | ops.chunk(4)


@pytest.mark.parametrize(
    ("stream", "no_loader", "no_epochs"),
    [
        (BLOCKS, "", ""),
        (BLOCKS | ops.repeat(-1), "is endless", "is endless"),
        (ops.indices(6) | ops.shuffle(np.random.RandomState(1)), "", "draws from a generator"),
        (
            ops.Stream(Iterated(lambda: iter(()), rng=Users(Replay.SINGLE_PASS))),
            "one epoch: make it a list",
            "one epoch",
        ),
        (ops.Stream(Iterated(lambda: iter(()), alike="has one order")), "has one order", "has one order"),
    ],
    ids=range(5),
)
def test_what_has_no_epochs_says_why(stream, no_loader, no_epochs):
    assert no_loader in why_no_loader(stream.plan)
    assert no_epochs in why_no_epochs(stream.plan)
    assert bool(why_no_epochs(stream.plan)) == bool(no_epochs)


def test_an_epoch_is_frozen():
    epochs = [list(map(plain, BLOCKS.epoch(e))) for e in range(3)]
    assert epochs[0] == list(map(plain, BLOCKS))
    assert epochs[0] != epochs[1] != epochs[2]
    assert list(map(plain, BLOCKS.epoch(2) | ops.repeat(2))) == epochs[2] * 2
    assert list(map(plain, BLOCKS | ops.repeat(3))) == [*epochs[0], *epochs[1], *epochs[2]]


def test_the_numbers_of_passes_for_noise():
    assert pass_of(BLOCKS.plan, 3) == 3
    assert pass_of(BLOCKS.epoch(5).plan, 3) == 5
    assert pass_of(ops.zip(BLOCKS, BLOCKS.epoch(5)).plan, 3) == (3, 5)
    assert pass_of((BLOCKS.epoch(5) | ops.shuffle(1)).plan, 3) == (5, 3)
