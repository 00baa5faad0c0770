"""How well a stream mixes labels, and what it reads, before anything is read: `survey`."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from toolz import valmap

from batchup.core.blocks import block_array
from batchup.core.checks import as_labels, describe
from batchup.core.computed import Computed, OverMade
from batchup.core.item import planned_in
from batchup.core.plan import Plan, trunk, without_work
from batchup.core.randomness import DIRECT
from batchup.core.stream import Stream
from batchup.core.work import Work
from batchup.ops.batch.rebatch import FEW
from batchup.ops.index.mixing import entropy, expected_entropy, mixing_in, with_seeds
from batchup.ops.read.chunked import Stored, ends_of
from batchup.ops.read.gather import Gather

_MOST = 10_000  # batches to look at, at most


@dataclass(frozen=True)
class Survey:
    """The result of `survey`. Its `str` is a short report.

    Entropies are in bits, of the labels of a batch, and None if no labels were given.

    Parameters
    ----------
    batch_size : int
        The number of samples in a batch.
    batches : int
        The number of batches in a pass.
    window : int
        The number of samples that are mixed at a time.
    bytes_held : int
        The memory of the windows that are held at once.
    chunks : dict of str to int
        The number of chunks that are decoded in a pass, by the text of the array.
    chunks_in_all : dict of str to int
        The number of chunks that each array has.
    requests : dict of str to int
        The number of requests for them in a pass: of several parts of a chunk, if it is divided along other axes.
    bytes_read : dict of str to int
        The bytes that these chunks have when they are decoded; compressed ones are fewer in storage.
    full : float or None
        The entropy in a full shuffle.
    predicted : float or None
        The entropy that follows from the windows.
    measured : float or None
        The mean entropy over the batches of a pass.
    entropies : (batches,) array of float64 or None
        The entropy of each batch of a pass.
    """

    batch_size: int
    batches: int
    window: int
    bytes_held: int
    chunks: dict[str, int]
    chunks_in_all: dict[str, int]
    requests: dict[str, int]
    bytes_read: dict[str, int]
    full: float | None = None
    predicted: float | None = None
    measured: float | None = None
    entropies: NDArray[np.float64] | None = field(default=None, repr=False)

    def __str__(self) -> str:
        lines = [f"{self.batches} batches of {self.batch_size}, of windows of {self.window} samples"]
        if self.measured is not None:
            lines.append(
                f"label entropy of a batch: {self.measured:.3f} bits measured, {self.predicted:.3f} predicted; "
                f"{self.full:.3f} in a full shuffle"
            )
        for name, count in self.chunks.items():
            lines.append(
                f"{name}: {count} chunks decoded in a pass, of {self.chunks_in_all[name]} that it has: "
                f"{self.requests[name]} requests for {self.bytes_read[name] / 1e6:.1f} MB"
            )
        lines.append(f"held in windows: {self.bytes_held / 1e6:.1f} MB")
        return "\n".join(lines)

    def plot(self) -> Any:
        """Draw the entropies of the batches, beside those of a full shuffle.

        Returns
        -------
        matplotlib.figure.Figure
            The figure. It needs `pip install batchup[plot]`.

        Raises
        ------
        ValueError
            If no labels were given.
        """
        if self.entropies is None:
            raise ValueError("plot: expected labels; write survey(stream, labels=y)")
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        axes.hist(self.entropies, bins=40, color="tab:blue", alpha=0.7, label="batches")
        for value, name, style in ((self.full, "full shuffle", "-"), (self.predicted, "predicted", "--")):
            axes.axvline(float(value or 0), color="black", linestyle=style, label=f"{name}, {value:.2f}")
        axes.set_xlabel("label entropy of a batch (bits)")
        axes.set_ylabel("batches")
        axes.set_title(f"windows of {self.window} samples, batches of {self.batch_size}")
        axes.legend()
        return figure


def survey(stream: Stream, labels: ArrayLike | None = None) -> Survey:
    """How well a stream mixes the labels, what it reads in a pass, and how much memory its windows take.

    It reads nothing and draws from no generator: the plan says which samples are in each batch.

    Parameters
    ----------
    stream : Stream
        The stream of batches, up to `gather` or `rebatch`.
    labels : (n,) array of int or str, or None
        The label of each sample of the arrays, >= 0 or a string.

    Returns
    -------
    Survey
        `print` shows a short report; `.plot()` draws it.

    Raises
    ------
    TypeError
        For an endless stream, and for a stream whose batches are not made of index blocks.

    Examples
    --------
    >>> from batchup import ops
    >>> y = np.repeat(np.arange(10), 100)  # in runs
    >>> windows = ops.indices(1000) | ops.mix(7, chunks=10, window=50) | ops.gather(np.zeros((1000, 4)), y)
    >>> print(ops.survey(windows | ops.rebatch(50), labels=y))
    20 batches of 50, of windows of 500 samples
    label entropy of a batch: 3.140 bits measured, 3.119 predicted; 3.186 in a full shuffle
    held in windows: 0.0 MB
    """
    if not isinstance(stream, Stream):
        raise TypeError(f"survey: expected a stream; got {describe(stream)}")
    if not isinstance(stream.plan.length, int):
        wanted = f"survey: expected a stream of a known number of batches; {stream!r}"
        raise TypeError(f"{wanted} has an unknown number, or is endless. Leave out repeat, filter and the like")
    y = None if labels is None else as_labels(labels, "survey: labels")
    plan = with_seeds(stream.plan)
    blocks = list(islice(_blocks(plan, stream), _MOST))
    sizes = list(map(len, blocks))
    batch_size = max(sizes, default=0)
    unit, works = _unit(plan, stream.work)
    gathers = [step for work in works for _, step in work.leaves() if isinstance(step, Gather)]
    windows = [block_array(block) for block in _blocks(unit, stream)]
    largest = max(map(len, windows), default=0)
    columns = [column for step in gathers for column in step.reader.columns]
    stored: dict[str, Stored] = {}
    for n, column in enumerate(columns):
        if isinstance(column, Stored) and column.chunks is not None:
            name = describe(column)
            stored[name if name not in stored else f"{name}, array {n}"] = column
    decoded = valmap(lambda column: [np.unique(column.chunk_of(block)) for block in windows], stored)
    counts = valmap(lambda found: sum(map(len, found)), decoded)
    in_all = valmap(lambda column: column.number_of_chunks, stored)
    a_sample = sum(step.reader.bytes_a_sample for step in gathers)
    ahead = [inner.ahead for inner in trunk(plan) if isinstance(inner, Computed)]
    cut = any(isinstance(inner, OverMade) for inner in trunk(plan))
    # One window is cut while others are made; of a large one little is left then.
    held = 1 + max([*ahead, int(cut and batch_size * FEW > largest)])
    found: dict[str, Any] = {}
    if y is not None and blocks:
        found = _entropies(y, blocks, batch_size, mixing_in(unit))
    mixed = _mixed(unit, sum(map(len, windows)), batch_size)
    requests = {name: count * stored[name].requests_a_chunk for name, count in counts.items()}
    size = {name: sum(_samples_in(stored[name], n) for n in chunks) for name, chunks in decoded.items()}
    size = {name: int(samples * stored[name].bytes_a_sample) for name, samples in size.items()}
    held = int(largest * a_sample * held)
    return Survey(batch_size, stream.plan.length, mixed, held, counts, in_all, requests, size, **found)


def _samples_in(column: Stored, chunks: NDArray[np.intp]) -> int:
    """The number of samples in some chunks of an array."""
    ends = ends_of(column.chunks, len(column))  # type: ignore[arg-type]  # an array with chunks
    return int(np.diff(ends, prepend=0)[chunks].sum())


def _entropies(y: NDArray[np.intp], blocks: list[Any], size: int, mixing: Any) -> dict[str, Any]:
    last = max((int(block_array(block).max()) for block in blocks if len(block)), default=-1)
    if last >= len(y):
        wanted = f"survey: labels: expected one for each sample of the arrays, at least {last + 1}"
        raise ValueError(f"{wanted}; got {len(y)}")
    entropies = np.array([entropy(y[block_array(block)]) for block in blocks if len(block) == size])
    every = np.concatenate([block_array(block) for block in blocks])
    classes = int(y.max()) + 1
    shares = np.bincount(y[every], minlength=classes) / len(every)
    full = expected_entropy(shares, 0.0, size)
    predicted = full
    if mixing is not None:
        shares, spread = mixing.spread(y, classes, mixing.in_all)
        predicted = expected_entropy(shares, spread, size)
    return {"full": full, "predicted": predicted, "measured": float(entropies.mean()), "entropies": entropies}


def _unit(plan: Plan, work: Work) -> tuple[Plan, list[Work]]:
    """The plan of what is read at a time, windows or batches, and all the work for it."""
    works = [work]
    unit = plan
    for inner in trunk(plan):
        if isinstance(inner, Computed):
            works.append(inner.work)
            unit = inner.up
    return unit, works


def _mixed(unit: Plan, samples: int, batch_size: int) -> int:
    """The number of samples that are mixed at a time."""
    mixing = mixing_in(unit)
    if mixing is not None:
        return -(-samples // mixing.windows)
    return samples if any(inner.rng is not None for inner in trunk(unit)) else batch_size


def _blocks(plan: Plan, stream: Stream) -> Iterator[Any]:
    """The indices of the samples in each item."""
    for item in map(planned_in, without_work(plan).start(0, 0, DIRECT)):
        if not isinstance(item, range | np.ndarray) and not hasattr(item, "__array__"):
            wanted = "survey: expected batches that are made of index blocks, with no zip or choose"
            raise TypeError(f"{wanted}; got {stream!r}")
        yield item
