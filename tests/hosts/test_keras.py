"""Keras 3 on JAX and on PyTorch: every epoch new, whatever `fit` shuffles."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

TRAIN = '''
import sys
import numpy as np
import keras
from batchup import ops, work_pool
from batchup.data_source import ArrayDataSource
from batchup.hosts.keras import Batches

assert keras.backend.backend() == sys.argv[1]
rng = np.random.default_rng(0)
X = rng.random((50, 4), dtype=np.float32)
Y = np.arange(50, dtype=np.float32)


def noise(x, y, rng):
    return x + rng.random(x.shape, dtype=np.float32), y


def loader(shuffle=12345, **options):
    return ArrayDataSource([X, Y]).map(noise, rng=7).loader(8, shuffle=shuffle, **options)


class Seen(keras.Model):
    """Remembers the labels of the samples that it is trained on, in the order in which they come."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)
        self.compile(loss="mse", optimizer="sgd")

    def call(self, x):
        return self.dense(x)


class Watched(Batches):
    """Remembers what it was asked for since an epoch of `fit` began."""

    given = ()

    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        self.given += ((y.tolist(), float(x.sum())),)
        return x, y


class Epochs(keras.callbacks.Callback):
    """The batches of each epoch: those that were given by its end, from its beginning on."""

    def __init__(self, batches):
        super().__init__()
        self.batches, self.epochs = batches, []

    def on_epoch_begin(self, epoch, logs=None):
        self.batches.given = ()

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(list(self.batches.given))


def fit(source, epochs=3, model=None, **options):
    batches = Watched(source)
    watch = Epochs(batches)
    model = model or Seen()
    model.fit(batches, epochs=epochs, verbose=0, callbacks=[watch], **options)
    return watch.epochs


def plain(loader, epochs):
    return [[(y.tolist(), float(x.sum())) for x, y in loader] for _ in range(epochs)]


expected = plain(loader(), 6)
assert len(set(map(str, expected))) == 6
'''

TESTS = {
    "every epoch is new, shuffled by fit or not": """
for shuffle in (True, False):
    assert fit(loader(), shuffle=shuffle) == expected[:3]
""",
    "a model that is built already is not looked at": """
model = Seen()
model(X[:3])
assert fit(loader(), model=model) == expected[:3]
""",
    "a further fit goes on with the next epoch": """
model, source = Seen(), loader()
assert fit(source, 2, model) + fit(source, 2, model) == expected[:4]
""",
    "with a generator": """
source, same = loader(np.random.RandomState(3)), loader(np.random.RandomState(3))
assert fit(source) == plain(same, 3)
""",
    "made by a pool": """
with work_pool.WorkerThreadPool(2) as pool:
    assert fit(loader(pool=pool)) == expected[:3]
""",
    "an epoch of steps, with workers": """
with loader(steps=5, threads=1) as source:
    assert fit(source) == plain(loader(steps=5), 3)
""",
    "an epoch that was loaded in its middle": """
source = loader()
items = iter(source)
[next(items) for _ in range(3)]
state = source.state_dict()
other = loader()
other.load_state_dict(state)
model = Seen()
model(X[:3])
# Keras counts the batches itself: its epochs are of a whole one each.
batches = Batches(other)
assert batches[0][1].tolist() == expected[0][3][0]
for built in (True, False):
    other = loader()
    other.load_state_dict(state)
    given = [batch for epoch in fit(other, 2, model if built else None) for batch in epoch]
    assert given == [batch for epoch in expected for batch in epoch][3:17]
""",
    "some steps an epoch go through the epochs one after another": """
given = [batch for epoch in fit(loader(), 4, steps_per_epoch=7) for batch in epoch]
assert given == [batch for epoch in expected[:4] for batch in epoch]
""",
    "endless streams, and steps": """
endless = ArrayDataSource([X, Y], repeats=-1).stream(8, shuffle=5)
batches = Batches(endless)
Seen().fit(batches, epochs=3, steps_per_epoch=4, verbose=0)
assert batches.num_batches is None
""",
    "validation is the same each time": """
stream = ArrayDataSource([X, Y]).stream(8)
model = Seen()
watched = Watched(stream)
history = model.fit(Batches(loader()), validation_data=watched, epochs=3, verbose=0)
assert len(history.history["val_loss"]) == 3
whole = [(y.tolist(), float(x.sum())) for x, y in stream]
given = list(watched.given)
while given[: len(whole)] == whole:  # three times, and now and then a look at the first
    given = given[len(whole):]
assert given == [], given[:1]
loss = model.evaluate(Batches(stream), verbose=0)
predicted = model.predict(Batches(ArrayDataSource([X]).stream(8)), verbose=0)
assert predicted.shape == (50, 1)
assert abs(loss - ((predicted[:, 0] - Y) ** 2).mean()) < 1e-3 * loss
""",
    "dicts and weights": """
inputs = {"a": keras.Input((2,), name="a"), "b": keras.Input((2,), name="b")}
out = keras.layers.Dense(1)(keras.layers.Concatenate()([inputs["a"], inputs["b"]]))
model = keras.Model(inputs, out)
model.compile(loss="mse")
stream = ArrayDataSource([X, Y]).map(lambda x, y: ({"a": x[:, :2], "b": x[:, 2:]}, y, np.ones(len(y))))
model.fit(Batches(stream.loader(8, shuffle=1)), epochs=2, verbose=0)
""",
    "what is refused": """
import re
for wrong, said in ((X, "expected a loader or a stream"), (ops.choose([1, 2], [3], rng=1), "no known length")):
    try:
        Batches(wrong)
    except TypeError as error:
        assert re.search(said, str(error)), error
    else:
        raise AssertionError(wrong)
assert len(Batches(loader())) == 7
""",
}


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_keras(backend, tmp_path):
    """In a process of its own, as the backend is chosen when Keras is imported; all in one, as that takes long."""
    script = tmp_path / "train.py"
    script.write_text(TRAIN + "".join(f"print({name!r})\n{code}\n" for name, code in TESTS.items()))
    env = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT), "KERAS_HOME": str(tmp_path)}
    command = [sys.executable, "-W", "error:::batchup", script, backend]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == list(TESTS)
