"""Seeds for the global generators of `random`, NumPy and PyTorch, from which transforms of other libraries draw."""

from __future__ import annotations

import importlib
import random
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, ClassVar

import numpy as np

from batchup.core.item import Item
from batchup.core.noise import Noise, digest_of
from batchup.core.randomness import SeedLike, as_seed
from batchup.core.record import record
from batchup.core.work import Work


@record
class GlobalSeeds(Noise):
    """The seeds of the global generators for one step of a stream: `Step.rng` of a step with `seed_globals`."""

    argument: ClassVar[str] = "seed_globals"

    def generator(self, item: Item) -> Seeding:  # type: ignore[override]
        return Seeding(self._key.key.tobytes() + digest_of(item))

    def __getstate__(self) -> dict[str, Any]:
        return {"seed": self.seed, "path": self.path, "torch": "torch" in sys.modules}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if state.pop("torch"):
            # Otherwise a transform that imports it in a worker would draw from a generator that was not seeded.
            with suppress(ImportError):
                importlib.import_module("torch")
        self.__dict__.update(state)


# Threads that seed the generators take turns, as in a cluster whose workers have several threads.
_turn = threading.RLock()


class Seeding:
    """Seeds the global generators for the samples of one item."""

    def __init__(self, key: bytes):
        self._key = key
        self._torch: Any = None

    def seed(self, n: int) -> None:
        """Seed the generators for sample `n` of the item."""
        import hashlib

        digest = hashlib.sha256(self._key + n.to_bytes(8, "little"), usedforsecurity=False).digest()
        np.random.seed(np.frombuffer(digest, "<u4", 4))  # noqa: NPY002
        random.seed(int.from_bytes(digest[16:24], "little"))
        if self._torch is not None:
            # torch.manual_seed would also keep the seed in a list, as long as CUDA is not initialised.
            self._torch.manual_seed(int.from_bytes(digest[24:], "little"))

    def before_each(self, samples: Iterable[Any]) -> Iterator[Any]:
        """The samples, with the generators seeded for each before it is given."""
        for n, sample in enumerate(samples):
            self.seed(n)
            yield sample

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the states of the generators: they are restored at the end."""
        with _turn:
            self._torch = torch = _torch_generator()
            of_torch = None if torch is None else torch.get_state()
            of_numpy, of_python = np.random.get_state(legacy=False), random.getstate()  # noqa: NPY002
            try:
                yield
            finally:
                np.random.set_state(of_numpy)  # noqa: NPY002
                random.setstate(of_python)
                if torch is not None:
                    torch.set_state(of_torch)
            if torch is None and _torch_generator() is not None:
                raise RuntimeError(
                    "seed_globals: PyTorch was imported while a batch was made, so that its generator was not seeded "
                    "before. Import torch before the first batch"
                )


def _torch_generator() -> Any:
    """The generator of PyTorch for the CPU; None if PyTorch is not imported."""
    return getattr(sys.modules.get("torch"), "default_generator", None)


def as_global_seeds(seed_globals: SeedLike | None, where: str) -> GlobalSeeds | None:
    """What a user passed as `seed_globals`. Errors begin with `where`."""
    return None if seed_globals is None else GlobalSeeds(as_seed(seed_globals, f"{where}: seed_globals"))


def seeds_globals(work: Work) -> str:
    """The first step with `seed_globals`, for an error; empty if there is none."""
    return next((str(step) for _, step in work.leaves() if isinstance(step.rng, GlobalSeeds)), "")


def seed_option(noise: Noise | None) -> dict[str, Any]:
    """The argument of a stage that its `noise` was made of, for the text of the stage."""
    return {} if noise is None else {noise.argument: noise}


def noise_of(rng: SeedLike | None, seed_globals: SeedLike | None, kind: type[Noise], where: str) -> Noise | None:
    """What the step of a stage draws: of the `kind` for `rng`, or seeds of the global generators, or nothing."""
    if rng is not None and seed_globals is not None:
        raise ValueError(
            f"{where}: expected rng=, for a function that draws from the generator it is passed, or seed_globals=, for one "
            "that draws from global generators; got both"
        )
    return as_global_seeds(seed_globals, where) if rng is None else kind(as_seed(rng, f"{where}(fn, rng)"))
