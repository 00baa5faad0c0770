"""Parts and samples of batches."""

import numpy as np
import pytest

from batchup.core.item import Item
from batchup.parts import Piece, chosen, parts_of, planned_piece, planned_together, put_together, samples_in
from batchup.ragged import Ragged
from batchup.testing import plain

X, Y = np.arange(8).reshape(4, 2), np.arange(4)
BATCH = ({"x": X, "words": ["a", "b", "c", "d"]}, (Y, Ragged.of([[1], [2, 3], [], [4]])))


def test_samples_are_counted_in_all_parts():
    assert [type(part).__name__ for part in parts_of(BATCH)] == ["ndarray", "list", "ndarray", "Ragged"]
    assert samples_in(BATCH, "here") == 4
    with pytest.raises(ValueError, match="here: expected parts with the same number of samples"):
        samples_in((X, Y[:3]), "here")
    with pytest.raises(TypeError, match="got 5 as a part of one"):
        samples_in((X, 5), "here")


def test_pieces_are_joined_part_by_part():
    both = put_together([Piece(BATCH, 3, 4), Piece(BATCH, 0, 2)], "here")
    assert plain(both) == ({"x": [[6, 7], [0, 1], [2, 3]], "words": ["d", "a", "b"]}, ([3, 0, 1], [[4], [1], [2, 3]]))
    assert not np.shares_memory(both[0]["x"], X)


@pytest.mark.parametrize(
    ("other", "text"),
    [
        ((X,), "expected batches with the same parts"),
        ((X.astype(float), Y), "expected samples of one dtype and shape"),
        ((X[:, :1], Y), "expected samples of one dtype and shape"),
    ],
)
def test_pieces_of_different_kinds_are_refused(other, text):
    with pytest.raises(ValueError, match=text):
        put_together([Piece((X, Y), 0, 1), Piece(other, 0, 1)], "here")


def test_a_mask_chooses_samples_of_all_parts():
    some = chosen(BATCH, np.array([True, False, True, False]))
    assert plain(some) == ({"x": [[0, 1], [4, 5]], "words": ["a", "c"]}, ([0, 2], [[1], []]))


def test_what_was_planned_for_pieces():
    item = Item(np.array([7, 3, 5]), "batch", True)
    assert planned_piece(item, 3, slice(1, 3)).tolist() == [3, 5]
    assert planned_piece(item, 3, np.array([True, False, True])).tolist() == [7, 5]
    assert planned_piece("other", 3, slice(1, 3)) == ("other", 1, 3)
    assert planned_together([np.array([7]), range(2)]).tolist() == [7, 0, 1]
    assert planned_together(["a", "b"]) == ("a", "b")
