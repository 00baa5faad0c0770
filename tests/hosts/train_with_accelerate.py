"""Run by test_accelerate.py on one or two processes: trains, and writes down which samples each step was of.

    train_with_accelerate.py accelerate|dispatched|registered|trainer FOLDER EPOCHS [STOP]

It goes on from the checkpoint in FOLDER, if there is one, and stops after so many steps.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator, skip_first_batches
from accelerate.data_loader import prepare_data_loader
from torch.utils.data import DataLoader

from batchup import ops
from batchup.data_source import ArrayDataSource
from batchup.hosts.torch import Batches

torch.set_num_threads(1)
N, SIZE = 48, 8
STEPS = N // SIZE  # an epoch
X = np.random.default_rng(0).random((N, 4), dtype=np.float32)


def noise(indices, x, rng):
    return {"number": indices, "x": x + rng.random(x.shape, dtype=np.float32)}


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(4, 1)
        self.seen = []

    def forward(self, number, x):
        self.seen.append((number.tolist(), x.sum().item()))
        return {"loss": self.layer(x).pow(2).mean()}


def source(rank=0, world=1):
    ds = ArrayDataSource([X], include_indices=True).map(noise, rng=7)
    return ds.stream(SIZE, shuffle=12345, shard=(rank, world))


def part(accelerator):
    """A DataLoader of this process's part of every batch, which Accelerate is not to divide further."""
    batches = Batches(source(accelerator.process_index, accelerator.num_processes).loader())
    return prepare_data_loader(
        DataLoader(batches, batch_size=None, num_workers=2),
        accelerator.device,
        num_processes=1,
        process_index=0,
        put_on_device=True,
        dispatch_batches=False,
    )


def by_hand(how, folder, epochs, stop):
    accelerator = Accelerator(cpu=True)
    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    seen = model.seen
    model, optimizer = accelerator.prepare(model, optimizer)
    if how == "registered":  # our own loader, whose state is saved with the rest
        rank, world = accelerator.process_index, accelerator.num_processes
        loader = (source(rank, world) | ops.to_torch()).loader()
        accelerator.register_for_checkpointing(loader)
    elif how == "dispatched":  # one process reads for all
        loader = accelerator.prepare(DataLoader(Batches(source().loader()), batch_size=None))
    else:
        loader = part(accelerator)
    step = 0
    if (folder / "checkpoint").exists():
        accelerator.load_state(folder / "checkpoint")
        step = json.loads((folder / "step.json").read_text())
    first, done = divmod(step, STEPS if how != "dispatched" else STEPS // accelerator.num_processes)
    for epoch in range(first, epochs):
        batches = loader
        if how != "registered":
            batches = skip_first_batches(loader, done) if done else loader
            batches.set_epoch(epoch)
            done = 0
        for batch in batches:
            optimizer.zero_grad()
            accelerator.backward(model(**batch)["loss"])
            optimizer.step()
            step += 1
            if step == stop:
                accelerator.save_state(folder / "checkpoint")
                (folder / "step.json").write_text(json.dumps(step))
                return seen, accelerator.process_index
    return seen, accelerator.process_index


def by_trainer(folder, epochs, stop):
    from transformers import Trainer, TrainingArguments

    class OurTrainer(Trainer):
        def get_train_dataloader(self):
            return part(self.accelerator)

    arguments = TrainingArguments(
        output_dir=str(folder),
        use_cpu=True,
        num_train_epochs=epochs,
        max_steps=stop or -1,
        save_steps=1,
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        learning_rate=0.1,
        lr_scheduler_type="constant",
    )
    model = Model()
    trainer = OurTrainer(model=model, args=arguments)
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    trainer.train(resume_from_checkpoint=str(found[-1]) if found else None)
    return model.seen, arguments.process_index


def main():
    how, folder, epochs, *stop = sys.argv[1:]
    folder, stop = Path(folder), int(stop[0]) if stop else None
    if how == "trainer":
        seen, rank = by_trainer(folder, int(epochs), stop)
    else:
        seen, rank = by_hand(how, folder, int(epochs), stop)
    (folder / f"seen-{stop}-{rank}.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    # Without taking Python apart, at which threads of gloo abort now and then (pytorch/pytorch issue 190489).
    os._exit(0)
