"""The program of the guide on photos: killed in the middle of an epoch, it goes on to the same weights."""

import os
import signal
import subprocess
import sys

import numpy as np
import torch
from PIL import Image

from tests.conftest import eventually
from tests.pages import ROOT, blocks_of
from tests.work_pool.scripts import is_gone

# Ends the process, as SIGKILL from outside would, after so many batches.
KILL = """
import signal
left = int(os.environ["BATCHES"])
replace = os.replace
def replaced(*paths):
    global left
    replace(*paths)
    left -= 1
    if not left:
        print(*[worker.pid for worker in loader._pool._supervisor.workers], flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
os.replace = replaced
"""


def program():
    setup, recipe = [text for language, text in blocks_of(ROOT / "docs/guides/photos.md") if "torch" in text][:2]
    return setup + KILL + recipe + "print(loader.epoch, *[p.sum().item() for p in model.parameters()])"


def run(folder, batches):
    environment = {**os.environ, "BATCHES": str(batches), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program()], cwd=folder, env=environment, capture_output=True, text=True
    )


def test_a_run_that_is_killed_goes_on_to_the_same_weights(tmp_path):
    rng = np.random.default_rng(1)
    for name, count in (("cat", 12), ("dog", 5)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(count):
            size = (*rng.integers(20, 40, 2), 3)
            Image.fromarray(rng.integers(0, 256, size, np.uint8)).save(tmp_path / f"photos/{name}/{number}.jpg")
    whole = run(tmp_path, -1)
    assert whole.returncode == 0, whole.stderr
    weights = torch.load(tmp_path / "last.pt")[0]
    (tmp_path / "last.pt").unlink()
    for batches in (2, 6):  # in the first epoch, and in the second
        killed = run(tmp_path, batches)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        workers = list(map(int, killed.stdout.split()))
        assert len(workers) == 2
        assert eventually(lambda workers=workers: all(map(is_gone, workers)))
    assert torch.load(tmp_path / "last.pt")[2]["epoch"] == 1
    resumed = run(tmp_path, -1)
    assert resumed.stdout == whole.stdout, resumed.stderr
    again = torch.load(tmp_path / "last.pt")[0]
    assert all(torch.equal(again[name], weights[name]) for name in weights)
