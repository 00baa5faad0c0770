"""For the tests, the doctests and the blocks of code in the documentation alike."""

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import settings
from sybil import Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

# No deadlines: how long an example takes says more of the machine than of the code. The same examples
# each time, so that a run says something of the change. `make fuzz` looks for new ones.
settings.register_profile("batchup", deadline=None, max_examples=60, derandomize=True)
settings.register_profile("few", settings.get_profile("batchup"), max_examples=40)
settings.register_profile("fuzz", deadline=None, max_examples=300, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "batchup"))

ROOT = Path(__file__).resolve().parent


def run_shell_block(example):
    """Run the `python` commands of a block, elsewhere; of `make` and `pip install` check that there is such a target.

    What these two do is tested as a whole: `make check` calls the targets, and `make test-wheel` installs a wheel.
    """
    for line in example.parsed.splitlines():
        command, *arguments = shlex.split(line, comments=True) or [""]
        if command == "python":
            env = {**os.environ, "PYTHONPATH": str(ROOT)}
            with tempfile.TemporaryDirectory() as scratch:
                subprocess.run([sys.executable, *arguments], check=True, cwd=scratch, env=env, capture_output=True)
        elif command == "make":
            assert re.search(rf"^{arguments[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), line
        elif arguments[:1] == ["install"]:
            extra = re.search(r"\[(.*)\]", arguments[1])
            assert extra is None or f"\n{extra[1]} = [" in (ROOT / "pyproject.toml").read_text(), line
        else:
            assert not command, f"no test of this command: {line}"


def read_settings(example):
    """Read a block as `~/.batchup.cfg`, which must name a directory other than the default."""
    from batchup import config

    with tempfile.TemporaryDirectory() as home, patch.dict(os.environ, HOME=home):
        os.environ.pop("BATCHUP_HOME", None)
        default = config.find_data_dir()
        (Path(home) / ".batchup.cfg").write_text(example.parsed)
        assert config.find_data_dir() not in (default, None)


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), CodeBlockParser("sh", run_shell_block), CodeBlockParser("ini", read_settings)],
    patterns=["README.md", "CONTRIBUTING.md", "docs/*.md", "docs/*/*.md"],
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
    kinds = {
        "doctests": "batchup/",
        "blocks of pages": ("README.md", "CONTRIBUTING.md", "docs/"),
        "examples": "tests/test_examples.py",
    }
    counts = {kind: sum(report.nodeid.startswith(start) for report in passed) for kind, start in kinds.items()}
    counts = {"tests": len(passed) - sum(counts.values()), **counts}
    print(f"ran {', '.join(f'{count} {kind}' for kind, count in counts.items())}")
    failed = sum(len(reporter.getreports(kind)) for kind in ("failed", "error"))
    print(f"{len(passed)} passed, {failed} failed, {len(reporter.getreports('skipped'))} skipped")
