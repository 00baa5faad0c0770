"""What frameworks say that is no affair of ours, and what they leave running to the end."""

from multiprocessing import resource_tracker

# Of multiprocessing's own, which lives to the end of this process: it is there before the first test then.
resource_tracker.ensure_running()

SAID_BY_OTHERS = [
    "ignore:'set_vital' is deprecated",  # torchdata's StatefulDataLoader, of PyTorch
]


def pytest_configure(config):
    for line in SAID_BY_OTHERS:
        config.addinivalue_line("filterwarnings", line)
