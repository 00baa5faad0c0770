"""For the tests, the doctests and the README's blocks alike."""

import numpy as np
import pytest
from hypothesis import settings

# No deadlines: how long an example takes says more of the machine than of the code.
settings.register_profile("batchup", deadline=None, max_examples=150)
settings.load_profile("batchup")


@pytest.fixture(autouse=True)
def _names_of_doctests(doctest_namespace):
    doctest_namespace["np"] = np
