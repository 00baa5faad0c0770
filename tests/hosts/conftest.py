"""What frameworks warn of is their affair; what we do is ours. And what they leave running to the end."""

from multiprocessing import resource_tracker

# Of multiprocessing's own, which lives to the end of this process: it is there before the first test then.
resource_tracker.ensure_running()


def pytest_configure(config):
    for line in ("default", "error:::batchup"):
        config.addinivalue_line("filterwarnings", line)
