"""How well labels are mixed: the entropy of the labels of a batch, measured and predicted."""

import math
import warnings
from collections.abc import Sequence
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

Labels = NDArray[Any]


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
    values = [0.0, *(-(x / size) * math.log2(x / size) for x in range(1, size + 1))]
    known: dict[tuple[float, float], float] = {}
    total = 0.0
    for p, v in zip(shares.tolist(), spread.tolist(), strict=True):
        if (p, v) not in known:
            known[p, v] = sum(w * f for w, f in zip(_weights(p, v, size), values, strict=True))
        total += known[p, v]
    return total


def _weights(p: float, v: float, n: int) -> list[float]:
    """The probability of each number from 0 to n of a class, whose share has mean p and variance v."""
    if p <= 0 or p >= 1:
        return [float(x == round(p * n)) for x in range(n + 1)]
    if v >= p * (1 - p) * (1 - 1e-9):  # a batch has this class alone, or not at all
        return [1 - p, *[0.0] * (n - 1), p]
    choose = [math.lgamma(n + 1) - math.lgamma(x + 1) - math.lgamma(n - x + 1) for x in range(n + 1)]
    if v <= 1e-12:
        logs = [c + x * math.log(p) + (n - x) * math.log1p(-p) for x, c in enumerate(choose)]
    else:
        s = p * (1 - p) / v - 1
        a, b = p * s, (1 - p) * s
        base = math.lgamma(a) + math.lgamma(b) - math.lgamma(s) + math.lgamma(s + n)
        logs = [c + math.lgamma(a + x) + math.lgamma(b + n - x) - base for x, c in enumerate(choose)]
    return [math.exp(log) for log in logs]


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


def warn_of_runs(plan: Plan, arrays: Sequence[Any], where: str) -> bool:
    """Warn if labels lie in runs, and the shuffled windows are too small to mix them. Returns whether it warned."""
    if mixing_in(plan) is None:  # most often: the labels need not be looked at
        return False
    labels = [array for array in arrays if _are_labels(array)]
    if not labels:
        return False
    mixing = mixing_in(with_seeds(plan))
    assert mixing is not None
    for y in labels:
        counts = np.bincount(y)
        p = counts[counts > 0] / len(y)
        whole = float(-(p * np.log2(p)).sum())
        if not 1 < len(p) <= len(y) / 20:
            continue
        shares, spread = mixing.spread(y, len(counts), _LOOKED_AT)
        some = shares > 0
        ideal = counts / len(y)
        windows = expected_entropy(ideal[some], np.minimum(spread, ideal * (1 - ideal))[some], 64)
        full = expected_entropy(p, 0.0, 64)
        if full - windows > max(_WORSE, 0.05 * whole):
            text = (
                f"{where}: the labels lie in runs, and the windows that are shuffled are too small to mix them. "
                f"The labels of a batch of 64 have an entropy of about {windows:.2f} bits, of {full:.2f} in a full "
                "shuffle. Mix more chunks: ops.mix(seed, chunks, window) or loader(..., window=) with a larger window; "
                "ops.survey(stream, labels=y) says how good one is"
            )
            warnings.warn(text, stacklevel=users_frame())
            return True
    return False


def _are_labels(array: Any) -> bool:
    """True if an array may be labels: in memory, 1-D, of whole numbers that are not too large."""
    if not isinstance(array, np.ndarray) or array.ndim != 1 or array.dtype.kind not in "iub" or not len(array):
        return False
    return bool(array.min() >= 0 and array.max() < _LABELS)
