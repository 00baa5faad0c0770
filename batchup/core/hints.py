"""Errors for arguments that a function doesn't have, which name the argument that a caller looked for."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


# What other libraries call the options of loaders.
LOADER_HINTS = {
    "num_workers": "workers=, for processes, or threads=",
    "processes": "workers=",
    "n_jobs": "workers=",
    "num_threads": "threads=",
    "prefetch": "buffer=",
    "prefetch_factor": "buffer=",
    "steps_per_epoch": "steps=",
    "num_samples": "steps=, a number of batches",
    "seed": "shuffle=",
    "generator": "shuffle=",
    "rng": "shuffle=",
    "transform": "ds.map_samples(fn)",
    "collate_fn": "SampleDataSource(dataset, collate)",
    "batch_sizes": "batch_size=[...], with a size for each member",
}


def refuse_others(called: str, given: Iterable[str], known: Iterable[str], hints: Mapping[str, str]) -> None:
    """Raise TypeError for a name among `given` that is not `known`: with its hint, or the most similar known name."""
    known = list(known)
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}=?" if near else f"it takes {', '.join(known)}"
            hint = f"write {hints[name]}" if name in hints else hint
            raise TypeError(f"{called}: there is no argument {name}=; {hint}")


def hinted(**hints: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function so that a call with an argument that it doesn't have says what to write instead.

    `hints` are names from other libraries, such as `num_workers`, each with the argument in place of it.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        names = [name for name in inspect.signature(function).parameters if name != "self"]

        @wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            refuse_others(function.__name__, kwargs, names, hints)
            return function(*args, **kwargs)

        return checked

    return decorate
