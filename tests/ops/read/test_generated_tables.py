"""Tables of all types at random, in every kind of source: as their libraries say, or refused when built."""

import pytest

from tests.tables import check


@pytest.mark.parametrize("first", range(0, 200, 25))
def test_tables_are_read_as_their_libraries_say(first, tmp_path):
    read = refused = 0
    for seed in range(first, first + 25):
        counts = check(seed, tmp_path)
        read, refused = read + counts[0], refused + counts[1]
    assert read > refused > 0
