"""Accelerate, and Hugging Face's Trainer, on one and on two processes (gloo)."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hosts.train_with_accelerate import STEPS, N, source

ROOT = Path(__file__).resolve().parents[2]
EPOCHS = 3


def train(how, world, folder, stop=None):
    """What each process saw: of each step the numbers of the samples, and the sum of all that came."""
    folder.mkdir(exist_ok=True)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(world)]
    script = [ROOT / "tests/hosts/train_with_accelerate.py", how, folder, str(EPOCHS)]
    command = [sys.executable, *(launch if world > 1 else []), *script, *([str(stop)] if stop else [])]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            out, err = process.communicate(timeout=240)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # the launcher, and all that it has launched
            raise
    assert process.returncode == 0, out + err
    return [json.loads((folder / f"seen-{stop}-{rank}.json").read_text()) for rank in range(world)]


def expected(rank=0, world=1):
    stream = source(rank, world)
    return [[batch["number"].tolist(), float(batch["x"].sum())] for e in range(EPOCHS) for batch in stream.epoch(e)]


def same(got, wanted):
    assert [numbers for numbers, _ in got] == [numbers for numbers, _ in wanted]
    assert [total for _, total in got] == pytest.approx([total for _, total in wanted])


@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize("how", ["accelerate", "registered", "trainer"])
def test_each_process_has_its_part_of_every_batch_and_goes_on_exactly(how, world, tmp_path):
    stop = STEPS + 2  # in the second epoch
    before = train(how, world, tmp_path / "stopped", stop)
    after = train(how, world, tmp_path / "stopped")
    for rank in range(world):
        same(before[rank] + after[rank], expected(rank, world))
    for epoch in range(EPOCHS):
        steps = slice(epoch * STEPS, (epoch + 1) * STEPS)
        numbers = [i for rank in range(world) for step, _ in (before[rank] + after[rank])[steps] for i in step]
        assert sorted(numbers) == list(range(N))


@pytest.mark.parametrize("world", [1, 2])
def test_one_process_may_read_for_all(world, tmp_path):
    """What `accelerator.prepare` does with it by itself: several batches are put together, and divided."""
    seen = train("dispatched", world, tmp_path / "whole")
    if world == 1:
        same(seen[0], expected())
    per_epoch = STEPS // world
    for epoch in range(EPOCHS):
        steps = slice(epoch * per_epoch, (epoch + 1) * per_epoch)
        numbers = [i for rank in seen for step, _ in rank[steps] for i in step]
        assert sorted(numbers) == list(range(N))
