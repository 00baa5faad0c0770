"""Train a small network on real handwritten digits, through every part of BatchUp.

    python examples/train_digits.py

The digits come with the package: 1797 images of 8x8 pixels. The network is written in NumPy, at the
end of this file; with a framework, its `step` is the only thing that would look different. Four parts:

1. training: shuffled batches, an augmentation, the mean loss over the validation set every epoch;
2. rare classes: batches drawn so that all classes come equally often;
3. few labels: a batch of labelled samples beside a batch of unlabelled ones;
4. the test: predictions for all samples.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from typing import Any

# The matrices of this network are small: the threads of NumPy's BLAS would mostly wait for each other.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from tqdm import tqdm

from batchup import ops
from batchup.data_source import ArrayDataSource, CompositeDataSource
from batchup.datasets.digits import Digits
from batchup.sampling import WeightedSubsetSampler

Array = NDArray[Any]

BATCH_SIZE = 32
EPOCHS = 80


def main(seed: int = 12345) -> None:
    digits = Digits()
    print("Four of 1797 handwritten digits:\n")
    print(side_by_side(digits.train_X[2:6], digits.train_y[2:6]))

    print(f"\n1. Train on {len(digits.train_y)} samples, {EPOCHS} epochs")
    network = train(digits, seed)

    print("\n2. Rare classes: of the digits 5 to 9, only 4 samples each")
    train_on_rare_classes(digits, seed)

    print("\n3. Few labels: 40 samples with a label, the others without")
    train_on_few_labels(digits, seed)

    print(f"\n4. Test the network of part 1 on the {len(digits.test_y)} samples of the test set")
    test(digits, network)


# -- 1. Shuffled batches, an augmentation, and the validation loss ---------------------------------


def train(digits: Digits, seed: int) -> Network:
    # Each batch goes through the function given to `map`: its arguments are the arrays of the batch,
    # and what it returns is the new batch. With `rng`, a seed, it is also given a random generator.
    training = ArrayDataSource([digits.train_X, digits.train_y]).map(shifted, rng=seed)
    validation = ArrayDataSource([digits.val_X, digits.val_y])

    network, loss, accuracy = Network(seed), np.inf, 0.0
    # Each time that it is iterated, a loader gives the next epoch: a new order, and new noise.
    loader = training.loader(BATCH_SIZE, shuffle=seed)
    with tqdm(total=EPOCHS, unit="epoch", desc="   training") as bar:
        for epoch in range(EPOCHS):
            rate = 0.003 * cosine(epoch / EPOCHS)
            for X, y in loader:
                network.step(X, one_hot(y, smoothing=0.1), rate)
            # `losses` returns sums over the samples of a batch; the mean is over all samples, so that
            # a short last batch counts for no more than its samples.
            loss, accuracy = validation.batch_map_mean(network.losses, batch_size=128)
            bar.set_postfix_str(f"validation loss {loss:.3f}, accuracy {accuracy:.1%}", refresh=False)
            bar.update()
    print(f"   validation: loss {loss:.3f}, accuracy {accuracy:.1%}")
    return network


def shifted(X: Array, y: Array, rng: np.random.Generator) -> tuple[Array, ...]:
    return shift(X, rng), y


def shift(X: Array, rng: np.random.Generator) -> Array:
    """Shifts each image by up to one pixel in each direction, at random."""
    n = len(X)
    padded = np.pad(X[:, 0], ((0, 0), (1, 1), (1, 1)))
    all_shifts = sliding_window_view(padded, (8, 8), axis=(1, 2))  # (n, 3, 3, 8, 8), a view
    down, right = rng.integers(0, 3, size=(2, n))
    one_each: Array = all_shifts[np.arange(n), down, right]
    return one_each[:, None]


# -- 2. Classes that are rare ----------------------------------------------------------------------


def train_on_rare_classes(digits: Digits, seed: int, steps: int = 300) -> None:
    y = digits.train_y
    rare = [np.flatnonzero(y == digit)[:4] for digit in range(5, 10)]
    subset = np.concatenate([np.flatnonzero(y < 5), *rare])

    arrays = [digits.train_X, y]
    as_they_are = ArrayDataSource(arrays, indices=subset, repeats=-1)
    balancing = WeightedSubsetSampler.class_balancing_sampler(y, subset)
    balanced = ArrayDataSource(arrays, sampler=balancing)

    rare_ones = ArrayDataSource([digits.val_X, digits.val_y], indices=np.flatnonzero(digits.val_y >= 5))
    accuracies: dict[str, float] = {}
    shares: dict[str, Array] = {}
    for name, source in [("as they are", as_they_are), ("balanced", balanced)]:
        network = Network(seed)
        augmented = source.map(shifted, rng=seed)
        seen = np.zeros(10, int)
        # Both sources are endless. Behind each is a stream, which `|` continues: so many batches.
        for X, labels in augmented.stream(BATCH_SIZE, shuffle=seed) | ops.take(steps):
            network.step(X, one_hot(labels), rate=0.002)
            seen += np.bincount(labels, minlength=10)
        _, accuracies[name] = rare_ones.batch_map_mean(network.losses, batch_size=128)
        shares[name] = seen / seen.sum()
        print(
            f"   {name + ':':12} {shares[name][5:].sum():4.0%} of the samples drawn are rare digits; "
            f"accuracy on them {accuracies[name]:.1%}"
        )
    assert np.abs(shares["balanced"] - 0.1).max() < 0.01, shares
    assert accuracies["balanced"] > accuracies["as they are"], accuracies


# -- 3. Labelled and unlabelled samples side by side -----------------------------------------------


def train_on_few_labels(digits: Digits, seed: int, n_labelled: int = 40, epochs: int = 15) -> None:
    labelled = ArrayDataSource([digits.train_X[:n_labelled], digits.train_y[:n_labelled]], repeats=-1)
    unlabelled = ArrayDataSource([digits.train_X[n_labelled:]])
    # An epoch ends with the unlabelled samples; the labelled ones are repeated beside them.
    both = CompositeDataSource([labelled, unlabelled]).map(augment, rng=seed)
    validation = ArrayDataSource([digits.val_X, digits.val_y])

    accuracies: dict[str, float] = {}
    for name, use_unlabelled in [("labelled only", False), ("with the others", True)]:
        network = Network(seed)
        loader = both.loader(BATCH_SIZE, shuffle=seed)
        for epoch in range(epochs):
            for inputs, y, U1, U2 in loader:
                targets = one_hot(y)
                if use_unlabelled and epoch >= 3:
                    # What the network thinks of both together, made surer of itself, is what it
                    # should say of each (as in MixMatch, Berthelot et al., 2019).
                    guess = (network.probabilities(U1) + network.probabilities(U2)) ** 2
                    guess /= guess.sum(axis=1, keepdims=True)
                    inputs = np.concatenate([inputs, U1, U2])
                    targets = np.concatenate([targets, guess, guess])
                network.step(inputs, targets, rate=0.002)
        _, accuracies[name] = validation.batch_map_mean(network.losses, batch_size=128)
        print(f"   {name + ':':16} validation accuracy {accuracies[name]:.1%}")
    assert accuracies["with the others"] > accuracies["labelled only"], accuracies


def augment(X: Array, y: Array, U: Array, rng: np.random.Generator) -> tuple[Array, ...]:
    """A joint batch has the arrays of both. Each unlabelled image is shifted twice."""
    return shift(X, rng), y, shift(U, rng), shift(U, rng)


# -- 4. Predictions --------------------------------------------------------------------------------


def test(digits: Digits, network: Network) -> None:
    samples = ArrayDataSource([digits.test_X])
    (predicted,) = samples.batch_map_concat(network.predictions, batch_size=128)
    wrong = np.flatnonzero(predicted != digits.test_y)
    accuracy = 1 - len(wrong) / len(predicted)
    if len(wrong):
        some = wrong[:4]
        mistakes = [f"{digits.test_y[i]}, not {predicted[i]}" for i in some]
        print(f"   {len(wrong)} mistakes, among them:\n")
        print(side_by_side(digits.test_X[some], mistakes), "\n")
    print(f"   test accuracy: {accuracy:.1%}")
    assert accuracy > 0.95, f"expected a test accuracy above 95 %; got {accuracy:.1%}"


# -- The network: NumPy, and nothing of BatchUp ----------------------------------------------------


class Network:
    """A 3x3 convolution with 16 channels, 128 hidden units, 10 outputs; ReLU between them.

    Trained on the cross-entropy by Adam (Kingma and Ba, 2015).
    """

    def __init__(self, seed: int):
        rng = np.random.RandomState(seed)
        self.parameters: list[Array] = []
        for inputs, outputs in [(3 * 3, 16), (6 * 6 * 16, 128), (128, 10)]:
            weights = rng.normal(scale=np.sqrt(2 / inputs), size=(inputs, outputs))
            self.parameters += [weights.astype(np.float32), np.zeros(outputs, np.float32)]
        self.means = [np.zeros_like(p) for p in self.parameters]
        self.squares = [np.zeros_like(p) for p in self.parameters]
        self.steps = 0

    def _layers(self, X: Array) -> tuple[Array, ...]:
        w1, b1, w2, b2, w3, b3 = self.parameters
        # (n, 1, 8, 8) -> one row of 9 pixels for each of the 6x6 places of the filter
        windows = sliding_window_view(X[:, 0], (3, 3), axis=(1, 2)).reshape(-1, 9)
        hidden1 = np.maximum(windows @ w1 + b1, 0).reshape(len(X), 6 * 6 * 16)
        hidden2 = np.maximum(hidden1 @ w2 + b2, 0)
        scores = hidden2 @ w3 + b3
        exp = np.exp(scores - scores.max(axis=1, keepdims=True))
        return windows, hidden1, hidden2, exp / exp.sum(axis=1, keepdims=True)

    def probabilities(self, X: Array) -> Array:
        return self._layers(X)[-1]

    def predictions(self, X: Array) -> Array:
        labels: Array = self.probabilities(X).argmax(axis=1)
        return labels

    def losses(self, X: Array, y: Array) -> tuple[Any, Any]:
        """The sums over a batch of the cross-entropy, and of the samples that are right."""
        p = self.probabilities(X)
        return -np.log(p[np.arange(len(y)), y] + 1e-7).sum(), (p.argmax(axis=1) == y).sum()

    def step(self, X: Array, targets: Array, rate: float) -> None:
        """One step of Adam; `targets` are probabilities (n, 10)."""
        windows, hidden1, hidden2, p = self._layers(X)
        _, _, w2, _, w3, _ = self.parameters
        slope3 = (p - targets) / len(X)
        slope2 = slope3 @ w3.T * (hidden2 > 0)
        slope1 = (slope2 @ w2.T * (hidden1 > 0)).reshape(-1, 16)
        gradients: list[Array] = []
        for inputs, slope in [(windows, slope1), (hidden1, slope2), (hidden2, slope3)]:
            gradients += [inputs.T @ slope, slope.sum(axis=0)]

        self.steps += 1
        scale = np.sqrt(1 - 0.999**self.steps) / (1 - 0.9**self.steps)
        for p, g, m, s in zip(self.parameters, gradients, self.means, self.squares, strict=True):
            m += 0.1 * (g - m)
            s += 0.001 * (g * g - s)
            p -= np.float32(rate * scale) * m / (np.sqrt(s) + np.float32(1e-8))


def one_hot(y: Array, smoothing: float = 0.0) -> Array:
    """(n,) labels as (n, 10) probabilities; with some of it spread over all classes."""
    rows: Array = np.eye(10, dtype=np.float32)[y]
    return rows * np.float32(1 - smoothing) + np.float32(smoothing / 10)


def cosine(progress: float) -> float:
    """From 1 at the beginning to 0 at the end: the step size falls (Loshchilov and Hutter, 2017)."""
    return (1 + math.cos(math.pi * progress)) / 2


def side_by_side(images: Array, captions: Iterable[Any]) -> str:
    """Images as text, two characters a pixel, each above its caption."""
    shades = np.array(["  ", "..", "oo", "OO", "@@"])
    pixels = shades[np.round(images[:, 0] * 4).astype(int)]
    lines = [["".join(row) for row in rows] for rows in pixels.swapaxes(0, 1)]
    lines.append([str(caption).center(16) for caption in captions])
    return "\n".join(("   " + " ".join(line)).rstrip() for line in lines)


if __name__ == "__main__":
    main()
