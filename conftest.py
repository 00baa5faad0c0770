"""For the tests, the doctests and the README's blocks alike."""

import os

import numpy as np
import pytest
from hypothesis import settings
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

# No deadlines: how long an example takes says more of the machine than of the code. The same examples
# each time, so that a run says something of the change. `make fuzz` looks for new ones.
settings.register_profile("batchup", deadline=None, max_examples=60, derandomize=True)
settings.register_profile("few", settings.get_profile("batchup"), max_examples=40)
settings.register_profile("fuzz", deadline=None, max_examples=300, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "batchup"))

pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()], patterns=["README.md", "hosts.md"]
).pytest()


@pytest.fixture(autouse=True)
def _names_of_doctests(doctest_namespace):
    doctest_namespace["np"] = np


def pytest_unconfigure(config):
    """One last line with what was run."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    passed = [] if reporter is None else reporter.getreports("passed")
    if not passed:
        return
    kinds = {"doctests": "batchup/", "README blocks": "README.md", "examples": "tests/test_examples.py"}
    counts = {kind: sum(report.nodeid.startswith(start) for report in passed) for kind, start in kinds.items()}
    counts = {"tests": len(passed) - sum(counts.values()), **counts}
    print(f"ran {', '.join(f'{count} {kind}' for kind, count in counts.items())}")
    failed = sum(len(reporter.getreports(kind)) for kind in ("failed", "error"))
    print(f"{len(passed)} passed, {failed} failed, {len(reporter.getreports('skipped'))} skipped")
