"""The envelope of an item, and the walk over the parts of a batch."""

from collections import namedtuple

from batchup.core.item import Item, Place, as_batch, mapped, planned_in, with_batch

Pair = namedtuple("Pair", "x y")


def test_an_envelope_keeps_what_is_known():
    place = Place(0, 3, True)
    placed = Item(range(3), place=place, cursors=((1, 2),))
    assert planned_in(placed) == range(3)
    assert planned_in(range(3)) == range(3)
    assert with_batch(placed, "batch") == Item(range(3), "batch", True, place, ((1, 2),))
    assert with_batch(range(3), None) == Item(range(3), None, True)


def test_the_walk_keeps_tuples_dicts_and_named_tuples():
    batch = {"a": (1, [2]), "b": Pair(3, {"c": 4})}
    assert mapped(batch, lambda x: -x) == {"a": (-1, [-2]), "b": Pair(-3, {"c": -4})}
    assert isinstance(mapped(batch, str)["b"], Pair)
    assert mapped((1, [2, 3]), str, (tuple,)) == ("1", "[2, 3]")


def test_a_list_is_the_parts_of_a_batch():
    assert as_batch([1, 2]) == (1, 2)
    assert as_batch((1, 2)) == (1, 2)
    assert as_batch("ab") == "ab"
