"""Data-parallel training with PyTorch that stops, and goes on with another number of processes.

    python examples/train_on_ranks.py

Two processes train together with DistributedDataParallel (gloo, on this machine) and are stopped in the
middle of the second epoch. The run goes on from the checkpoint with one process, to the same weights,
but for rounding, as one that was never stopped: step t is of the same samples whatever the number of
ranks, and each of them is seen once an epoch. Takes PyTorch: pip install 'batchup[torch]'.
"""

from __future__ import annotations

import json
import socket
import tempfile
from pathlib import Path

import numpy as np

from batchup.data_source import ArrayDataSource
from batchup.datasets.digits import Digits

EPOCHS, BATCH, STOP_AT = 3, 48, 30  # the global batch; 24 steps an epoch


def data() -> ArrayDataSource:
    digits = Digits()
    X = digits.train_X.reshape(-1, 64)
    return ArrayDataSource([X, digits.train_y.astype(np.int64)], repeats=EPOCHS, include_indices=True)


def train(rank: int, world: int, folder: Path, port: int, stop_at: int | None) -> None:
    """One of `world` processes: from the checkpoint in `folder`, if there is one, to `stop_at` or the end."""
    import torch
    from torch import distributed, nn
    from torch.nn.parallel import DistributedDataParallel

    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=world)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    parallel = DistributedDataParallel(network)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.2)

    batches = data().batch_iterator(BATCH, shuffle=12345, shard=(rank, world))
    seen: list[int] = []
    checkpoint = folder / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint)
        network.load_state_dict(saved["network"])
        batches.load_state_dict(json.loads(saved["batches"]))

    step = batches.state_dict()["position"]
    for indices, X, y in batches:
        # The sum over this rank's part, of the mean over the whole batch; DDP averages over the ranks.
        size = torch.tensor(len(X))
        distributed.all_reduce(size)
        loss = nn.functional.cross_entropy(parallel(torch.from_numpy(X)), torch.from_numpy(y), reduction="sum")
        optimizer.zero_grad()
        (loss * world / size).backward()
        optimizer.step()
        seen += indices.tolist()
        step += 1
        if step == stop_at:
            break
    if rank == 0:
        torch.save({"network": network.state_dict(), "batches": json.dumps(batches.state_dict())}, checkpoint)
    (folder / f"seen-{step}-{rank}.json").write_text(json.dumps(seen))
    distributed.destroy_process_group()


def run(world: int, folder: Path, stop_at: int | None = None) -> None:
    from torch.multiprocessing.spawn import start_processes

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # Processes of a fork server end without taking Python apart, at which threads of gloo that still
    # let go of their last work abort now and then (pytorch/pytorch issue 190489).
    start_processes(train, (world, folder, port, stop_at), nprocs=world, start_method="forkserver")


def main() -> None:
    try:
        import torch
    except ImportError:
        print("skipped: this example takes PyTorch, pip install 'batchup[torch]'")
        return
    n = len(Digits().train_y)
    with tempfile.TemporaryDirectory() as scratch:
        whole, parts = Path(scratch, "whole"), Path(scratch, "parts")
        whole.mkdir()
        parts.mkdir()
        run(1, whole)
        run(2, parts, stop_at=STOP_AT)
        print(f"two processes trained for {STOP_AT} steps and were stopped")
        run(1, parts)
        seen = [i for file in parts.glob("seen-*.json") for i in json.loads(file.read_text())]
        counts = np.bincount(seen, minlength=n)
        assert (counts == EPOCHS).all(), "every sample is seen once an epoch"
        print(f"one process went on: each of {n} samples was seen {EPOCHS} times in all")
        one, other = (torch.load(folder / "checkpoint.pt")["network"] for folder in (whole, parts))
        apart = max(float((one[name] - other[name]).abs().max()) for name in one)
        assert apart < 1e-3, apart
        print(f"the weights are those of a run that was never stopped, to {apart:.1e}")


if __name__ == "__main__":
    main()
