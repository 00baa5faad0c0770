"""A home directory of its own for every test, and a web site that can misbehave."""

import pytest

from tests.datasets.site_under_test import Site


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """The data directory, not there yet; the real home is out of reach."""
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("BATCHUP_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("BATCHUP_MIRROR", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "home" / "data"


@pytest.fixture
def site():
    """A real HTTP server on loopback."""
    with Site() as site:
        yield site


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    """The seconds for which a download paused; it does not wait for them."""
    seconds = []
    monkeypatch.setattr("batchup.datasets.download.sleep", seconds.append)
    return seconds
