"""Notice work in worker processes that draws from global generators without a seed: such batches differ in each run."""

from __future__ import annotations

import random
import sys
import threading
from typing import Any

from batchup.core.global_seeds import GlobalSeeds
from batchup.core.randomness import stamp_of
from batchup.core.record import record
from batchup.core.work import Step, Work

__all__ = ["Watch"]

# The number of items of a stream, in each worker, for which the states are compared. It takes some 50 us a stage.
_ITEMS = 16


class Watch:
    """Watches the global generators while the first items are made."""

    def __init__(self) -> None:
        self._left = _ITEMS
        self._drew = ""

    def over(self, work: Work) -> Work:
        """The same work, with each of its steps watched."""
        return Work(tuple([self._over_step(step) for step in work.steps]))

    def _over_step(self, step: Step) -> Step:
        if isinstance(step.rng, GlobalSeeds):
            return step  # it leaves the generators as they were
        return _Watched(step.over(self.over), self, step.rng)

    def news(self) -> str:
        """Return the first stage that drew from a global generator, and forget it; empty if none did.

        Called after each item.
        """
        drew, self._drew = self._drew, ""
        self._left = 0 if drew else max(0, self._left - 1)
        return drew

    def run(self, step: Step, *args: Any) -> Any:
        """Run a step, and note whether it drew."""
        if not self._left:
            return step.run(*args)
        before = _states()
        item = step.run(*args)
        pairs = zip(before, _states(), strict=True)
        if any(was != now for was, now in pairs if was is not None and now is not None):
            self._drew = self._drew or str(step)  # a step inside of another is noted before it
        return item


@record
class _Watched(Step):
    step: Step
    watch: Watch
    rng: Any

    def run(self, *args: Any) -> Any:
        return self.watch.run(self.step, *args)

    def __str__(self) -> str:
        return str(self.step)


def _states() -> tuple[Any, Any, Any]:
    """The states of the generators of NumPy, Python and PyTorch; None for those that are not watched."""
    numpys, torch = sys.modules.get("numpy.random"), sys.modules.get("torch")
    return (
        None if numpys is None else stamp_of([numpys.mtrand._rand]),
        random.getstate() if _is_alone() else None,
        None if torch is None else torch.default_generator.get_state().numpy().tobytes(),
    )


def _is_alone() -> bool:
    """True if no thread but those of this library runs beside this one: those of Dask, for one, draw from `random`."""
    here = threading.current_thread()
    return all(thread is here or thread.name.startswith("batchup") for thread in threading.enumerate())
