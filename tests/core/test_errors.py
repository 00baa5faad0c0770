"""Notes on exceptions: where in the stream they were raised."""

import warnings

import numpy as np
import pytest

from batchup import ops
from batchup.core.draws import Replay
from batchup.core.errors import glance, has_item_note, item_note, no_stop_iteration, note, users_frame
from batchup.core.item import Item
from batchup.core.randomness import Seed
from batchup.ops.index.permutation import PermutedBlock, round_keys


def test_a_note_never_hides_the_exception():
    error = OSError("unreadable")
    note(error, lambda: 1 / 0)
    note(error, lambda: "at a stage")
    assert error.__notes__ == ["at a stage"]
    interrupt = KeyboardInterrupt()
    note(interrupt, lambda: "at a stage")
    assert not hasattr(interrupt, "__notes__")


def test_a_stop_iteration_becomes_a_runtime_error():
    stop = StopIteration()
    other = no_stop_iteration(stop)
    assert isinstance(other, RuntimeError)
    assert other.__cause__ is stop
    error = OSError()
    assert no_stop_iteration(error) is error


@pytest.mark.parametrize(
    ("replay", "text"),
    [
        (Replay.KEYED, "; stream[3] makes it again"),
        (Replay.DRAWN, "; to make it again, load this iterator's state_dict() into a fresh one"),
        (Replay.SINGLE_PASS, "samples [4, 5]"),
    ],
)
def test_the_note_of_an_item_says_how_to_have_it_again(replay, text):
    assert item_note("stream", replay, 3, range(4, 6)).endswith(text)


def test_a_note_of_the_users_is_not_taken_for_ours():
    error = OSError()
    error.add_note("at item 3 of my list")
    assert not has_item_note(error)
    error.add_note(item_note("stream", Replay.KEYED, 3, range(2)))
    assert has_item_note(error)


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (range(2), "samples [0, 1]"),
        (np.arange(9), "samples [0, 1, 2, 3, 4, ...]"),
        (PermutedBlock(range(3), round_keys(Seed((1,)), 0)), "samples ["),
        (Item(range(1), "batch", True), "samples [0]"),
        ((range(1), "x"), "(samples [0], 'x')"),
    ],
)
def test_what_an_item_is_made_of(item, text):
    assert glance(item).startswith(text)


def test_a_warning_points_at_the_users_line():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ops.zip(ops.indices(9) | ops.chunk(2), ops.indices(9) | ops.chunk(3))
    assert caught[0].filename == __file__
    assert users_frame() == 1
