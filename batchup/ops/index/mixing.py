"""How well labels are mixed: the entropy of the labels of a batch, measured and predicted."""

import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.core.blocks import block_array
from batchup.core.draws import Replay
from batchup.core.errors import users_frame
from batchup.core.plan import Plan, trunk
from batchup.core.randomness import DIRECT, Seed
from batchup.ops.index.merge import Merge
from batchup.ops.index.permute import Permute
from batchup.ops.index.reorder import Reorder
from batchup.ops.index.shuffle import Shuffle

Labels = Any  # an array, or `ChunkLabels`


def entropy(labels: Labels) -> float:
    """The entropy of these labels, in bits: of the shares of the classes among them."""
    if not len(labels):
        return 0.0
    shares = np.unique(labels, return_counts=True)[1] / len(labels)
    return float(-(shares * np.log2(shares)).sum())


def expected_entropy(shares: NDArray[np.float64], variances: NDArray[np.float64] | float, size: int) -> float:
    """The mean entropy, in bits, of `size` labels, if the shares of the classes vary with these variances.

    Without variance the numbers of labels are multinomial. With it the number of each class is beta-binomial: its share
    has a beta distribution with this mean and variance.
    """
    spread = np.broadcast_to(np.asarray(variances, np.float64), shares.shape)
    part = np.arange(1, size + 1) / size
    values = np.concatenate([[0.0], -part * np.log2(part)])
    known: dict[tuple[float, float], float] = {}
    total = 0.0
    for p, v in zip(shares.tolist(), spread.tolist(), strict=True):
        if (p, v) not in known:
            known[p, v] = float(_weights(p, v, size) @ values)
        total += known[p, v]
    return total


def _weights(p: float, v: float, n: int) -> NDArray[np.float64]:
    """The probability of each number from 0 to n of a class, whose share has mean p and variance v."""
    numbers = np.arange(n + 1)
    if p <= 0 or p >= 1:
        alone: NDArray[np.float64] = (numbers == round(p * n)).astype(np.float64)
        return alone
    if v >= p * (1 - p) * (1 - 1e-9):  # a batch has this class alone, or not at all
        return np.where(numbers == 0, 1 - p, np.where(numbers == n, p, 0.0))
    factorials = _rising(1.0, n)
    choose = factorials[-1] - factorials - factorials[::-1]
    if v <= 1e-12:
        logs: NDArray[np.float64] = choose + numbers * math.log(p) + (n - numbers) * math.log1p(-p)
        return np.exp(logs)
    s = p * (1 - p) / v - 1
    a, b = p * s, (1 - p) * s
    logs = choose + _rising(a, n) + _rising(b, n)[::-1] - _rising(s, n)[-1]
    return np.exp(logs)


def _rising(start: float, n: int) -> NDArray[np.float64]:
    """The logarithms of the products of the first 0 to n of the numbers start, start + 1, ..."""
    return np.concatenate([[0.0], np.log(start + np.arange(n)).cumsum()])


def with_seeds(plan: Plan) -> Plan:
    """The plan with seeds in place of generators, so that looking at it draws from none."""
    plan = plan.over(with_seeds)
    if plan.rng is None or plan.rng.replay not in (Replay.DRAWN, Replay.UNKEPT):
        return plan
    seeded: Plan = replace(plan, rng=Seed((0,)))  # type: ignore[type-var]
    return seeded


class Mixing:
    """The parts of a pass, chunks or windows, of which `number` at a time are mixed."""

    def __init__(self, plan: Plan, number: float, in_all: int, windows: int):
        self.plan, self.number, self.in_all, self.windows = plan, number, in_all, windows

    def spread(self, labels: Labels, classes: int, most: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The shares of the classes, and their variances between windows."""
        step = max(1, self.in_all // most)
        rows, sizes = [], []
        for k in range(0, self.in_all, step):
            block = block_array(next(self.plan.start(0, k, DIRECT)))
            if len(block):
                rows.append(np.bincount(labels[block], minlength=classes) / len(block))
                sizes.append(len(block))
        weights, table = np.array(sizes) / sum(sizes), np.array(rows)
        shares = weights @ table
        between = weights @ (table - shares) ** 2 / self.number
        return shares, between * (self.in_all - self.number) / max(1, self.in_all - 1)


def mixing_in(plan: Plan) -> Mixing | None:
    """What the windows of a plan mix; None if a pass is shuffled as a whole, or not at all."""
    for inner in trunk(plan):
        if not isinstance(inner, Shuffle | Permute):
            continue
        up, windows = inner.up, inner.up.length
        if not isinstance(windows, int) or windows < 2:
            return None
        if isinstance(up, Merge) and isinstance(chunks := up.up.length, int):
            below = up.up.up if isinstance(up.up, Reorder) else up.up
            return Mixing(below, chunks / up.world / windows, chunks, windows)
        return Mixing(up, 1, windows, windows)
    return None


_WORSE = 0.2  # bits: with an entropy so far below that of a full shuffle comes a warning
_LABELS = 10_000  # classes: an array with more of them is not taken for labels
_LOOKED_AT = 200  # parts of a pass, at most


class ChunkLabels:
    """Labels of which the smallest and the largest of each chunk are known: half of its samples have one, half the other."""

    def __init__(self, bounds: Sequence[tuple[Any, Any]], sizes: Sequence[int]):
        codes = np.unique(np.array([value for pair in bounds for value in pair]), return_inverse=True)[1]
        self._codes = codes.astype(np.intp)
        halves = [part for size in sizes for part in (size // 2, size - size // 2)]
        self._ends = np.cumsum(halves)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, block: NDArray[np.intp]) -> NDArray[np.intp]:
        return self._codes[np.searchsorted(self._ends, block, "right")]

    @property
    def classes_in_a_chunk(self) -> float:
        """The mean number of classes from the smallest to the largest of a chunk."""
        return float(np.diff(self._codes.reshape(-1, 2)).mean()) + 1

    def counts(self) -> NDArray[np.intp]:
        """The number of samples of each class."""
        sizes = np.diff(self._ends, prepend=0)
        return np.bincount(self._codes, sizes).astype(np.intp)


def warn_of_runs(plan: Plan, labels: Iterable[Any], where: str, size: int | None = None) -> bool:
    """Warn if labels lie in runs, and the shuffled windows are too small to mix them. Returns whether it warned.

    `labels` are arrays of labels, or `ChunkLabels`, and `size` is the number of samples in a batch.
    """
    if mixing_in(plan) is None:  # most often: the labels need not be looked at
        return False
    mixing = mixing_in(with_seeds(plan))
    assert mixing is not None
    if size is None:  # behind `merge` a `rebatch` may follow
        merged = any(isinstance(inner, Merge) for inner in trunk(plan))
        size = _USUAL if merged or plan.grid is None or not plan.grid.size else plan.grid.size
    for y in labels:
        counts = y.counts() if isinstance(y, ChunkLabels) else np.bincount(y)
        p = counts[counts > 0] / len(y)
        whole = float(-(p * np.log2(p)).sum())
        if not 1 < len(p) <= len(y) / 20:
            continue
        shares, spread = mixing.spread(y, len(counts), _LOOKED_AT)
        some = shares > 0
        ideal = counts / len(y)
        windows = expected_entropy(ideal[some], np.minimum(spread, ideal * (1 - ideal))[some], size)
        full = expected_entropy(p, 0.0, size)
        if full - windows > max(_WORSE, 0.05 * whole):
            text = (
                f"{where}: the labels lie in runs, and the windows that are shuffled are too small to mix them. "
                f"The labels of a batch of {size} have an entropy of about {windows:.2f} bits, of {full:.2f} in a full "
                "shuffle. Mix more chunks: ops.mix(seed, chunks, window) or loader(..., window=) with a larger window; "
                "ops.survey(stream, labels=y) says how good one is"
            )
            warnings.warn(text, stacklevel=users_frame())
            return True
    return False


_USUAL = 64  # samples in a batch, if their number is unknown


def are_labels(array: Any) -> bool:
    """True if an array may be labels: in memory, 1-D, of whole numbers that are not too large."""
    if not isinstance(array, np.ndarray) or array.ndim != 1 or array.dtype.kind not in "iub" or not len(array):
        return False
    return bool(array.min() >= 0 and array.max() < _LABELS)
