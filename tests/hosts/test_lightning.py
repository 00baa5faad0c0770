"""Lightning's Trainer: each epoch new, and a run that was stopped goes on with the very samples it would have had."""

import lightning
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar

from batchup import ops, work_pool
from batchup.data_source import ArrayDataSource
from batchup.hosts.lightning import Batches

X = np.random.default_rng(0).random((50, 4), dtype=np.float32)
Y = np.arange(50)
EPOCHS, STEPS = 3, 7


def noise(x, y, rng):
    return x + rng.random(x.shape, dtype=np.float32), y


def with_a_length(pool=None):
    stream = ArrayDataSource([X, Y]).map(noise, rng=7).stream(8, shuffle=12345)
    stream = stream if pool is None else stream | ops.parallel(pool, 3)
    return (stream | ops.to_torch()).loader()


def without_a_length(pool=None):
    """Two sources in turns by chance: who is exhausted first is not known."""
    few, many = ArrayDataSource([X[:25], Y[:25]]), ArrayDataSource([X, Y]).map(noise, rng=7)
    stream = ops.choose(few.stream(8, shuffle=1), many.stream(8, shuffle=2), rng=3)
    stream = stream if pool is None else stream | ops.parallel(pool, 3)
    return Batches((stream | ops.to_torch()).loader())


class Model(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(4, 1)
        self.seen, self.losses, self.logged = [], [], []

    def training_step(self, batch, number):
        x, y = batch
        self.seen.append((self.current_epoch, number, y.tolist(), x.sum().item()))
        loss = self.layer(x).pow(2).mean()
        self.losses.append((len(y), loss.item()))
        self.log("loss", loss, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def on_train_epoch_end(self):
        self.logged.append(self.trainer.callback_metrics["loss"].item())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(loader, folder, stop=-1, checkpoint=None, callbacks=(), **options):
    model = Model()
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=EPOCHS,
        max_steps=stop,
        logger=False,
        enable_model_summary=False,
        default_root_dir=folder,
        callbacks=list(callbacks),
        **{"enable_progress_bar": False, "enable_checkpointing": bool(callbacks), **options},
    )
    trainer.fit(model, loader, ckpt_path=checkpoint)
    return model, trainer


def epochs_of(model):
    return [[seen[2:] for seen in model.seen if seen[0] == e] for e in range(EPOCHS)]


@pytest.mark.parametrize("make", [with_a_length, without_a_length])
def test_each_epoch_is_another_one(make, tmp_path):
    model, trainer = fit(make(), tmp_path)
    loader = make()
    expected = [[(y.tolist(), x.sum().item()) for x, y in loader] for _ in range(EPOCHS)]
    assert epochs_of(model) == expected
    assert len(set(map(str, expected))) == EPOCHS
    assert trainer.num_training_batches == (STEPS if make is with_a_length else float("inf"))


class Bar(TQDMProgressBar):
    totals = ()

    def on_train_batch_end(self, *args):
        super().on_train_batch_end(*args)
        self.totals += ((self.train_progress_bar.n, self.train_progress_bar.total),)


def test_the_progress_bar_knows_the_length(tmp_path):
    bar = Bar()
    fit(with_a_length(), tmp_path, callbacks=[bar], enable_progress_bar=True, enable_checkpointing=False)
    assert bar.totals == tuple((n, STEPS) for n in range(1, STEPS + 1)) * EPOCHS


def test_the_mean_over_an_epoch_weights_batches_by_their_size(tmp_path):
    model, _ = fit(with_a_length(), tmp_path)
    sizes = [size for size, _ in model.losses]
    assert sizes == [8, 8, 8, 8, 8, 8, 2] * EPOCHS
    for epoch, logged in enumerate(model.logged):
        own = model.losses[epoch * STEPS : (epoch + 1) * STEPS]
        assert logged == pytest.approx(sum(n * loss for n, loss in own) / 50)


@pytest.mark.parametrize("make", [with_a_length, without_a_length])
@pytest.mark.parametrize("stop", [1, 3, 6, 7, 8, 14])
def test_a_run_that_was_stopped_goes_on_with_the_same_samples(make, stop, tmp_path):
    whole, _ = fit(make(), tmp_path)
    keep = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=1, save_top_k=-1)
    with work_pool.WorkerThreadPool(2) as pool:
        first, _ = fit(make(pool), tmp_path, stop, callbacks=[keep])
        assert [s[1:] for s in first.seen] == [s[1:] for s in whole.seen[:stop]]
        again, _ = fit(make(pool), tmp_path, checkpoint=tmp_path / f"step={stop}.ckpt", callbacks=[keep])
    assert [s[2:] for s in again.seen] == [s[2:] for s in whole.seen[stop:]]
    for one, other in zip(again.parameters(), whole.parameters(), strict=True):
        assert torch.equal(one, other)


def test_what_is_no_loader_is_refused():
    with pytest.raises(TypeError, match=r"Batches: expected a loader, such as .*got <7 int64>"):
        Batches(np.arange(7))
    loader = with_a_length()
    assert len(Batches(loader)) == len(loader)
    with pytest.raises(TypeError, match="no length that is known"):
        len(without_a_length())
