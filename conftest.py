"""For the tests, the doctests and the README's blocks alike."""

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def _names_of_doctests(doctest_namespace):
    doctest_namespace["np"] = np
