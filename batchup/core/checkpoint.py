"""The format of checkpoints: its versions, the check that one belongs to a stream, and numbers and arrays as text."""

import base64
from collections.abc import Callable
from typing import Any

import numpy as np

from batchup.core.checks import describe, shortened
from batchup.core.identity import name_of
from batchup.core.item import mapped
from batchup.core.migrations import from_3
from batchup.core.plan import Plan
from batchup.core.work import Work

VERSION = 4

# For each earlier version, the function that converts a checkpoint to the next version.
MIGRATIONS: dict[int, Callable[[dict[str, Any], Plan, Work], dict[str, Any]]] = {3: from_3}


def checked_state(state: dict[str, Any], plan: Plan, work: Work, text: str) -> dict[str, Any]:
    """A checkpoint of the stream as one of the present version.

    Raises TypeError for an object that is no checkpoint, ValueError for the checkpoint of another stream, with the
    stages that differ, or of a version that can't be read.
    """
    check_version(state, "version", (*MIGRATIONS, VERSION), "state_dict()")
    while state["version"] < VERSION:
        state = MIGRATIONS[state["version"]](state, plan, work)
    own, other = name_of(plan, work), state.get("stream")
    if other != own:
        names = list(map(str, other)) if isinstance(other, list) else [str(other)]
        raise ValueError(
            f"load_state_dict of {shortened(text, 120)}: expected a checkpoint of this stream; got one of another. What "
            f"only the checkpoint has is marked -, what only this stream has +:\n{marked(names, own)}"
        )
    return state


def marked(one: list[str], other: list[str]) -> str:
    """The first difference of two lists of stages as lines, with a stage before and one behind it."""
    from difflib import SequenceMatcher

    differences = [
        code for code in SequenceMatcher(None, one, other, autojunk=False).get_opcodes() if code[0] != "equal"
    ]
    _, a, b, c, d = differences[0]
    before = ["    ..."] * (a > 1) + [f"    {stage}" for stage in one[max(0, a - 1) : a]]
    behind = [f"    {stage}" for stage in one[b : b + 1]] + ["    ..."] * (b + 1 < len(one))
    changed = _few(" -", one[a:b]) + _few(" +", other[c:d])
    return "\n".join(shortened(line, 100) for line in (*before, *changed, *behind))


def _few(mark: str, stages: list[str]) -> list[str]:
    more = [f" {mark} ..."] if len(stages) > 1 else []
    return [f" {mark} {stage}" for stage in stages[:1]] + more


def check_version(state: Any, key: str, versions: tuple[int, ...], method: str) -> None:
    """Raise TypeError for an object that is no checkpoint, ValueError for one of a version that can't be read."""
    if not isinstance(state, dict) or not isinstance(state.get(key), int):
        wanted = f"load_state_dict: expected a dict that {method} gave"
        raise TypeError(f"{wanted}; got {describe(state)}")
    if state[key] not in versions:
        wanted = " or ".join(map(str, versions))
        raise ValueError(
            f"load_state_dict: expected a checkpoint of version {wanted}; got one of version {state[key]}, which "
            "another version of BatchUp wrote. Go on with that version, or begin the epoch anew: loader.set_epoch(e)"
        )


_ARRAY = "base64 "  # how the text of an array begins


def encoded(state: Any) -> Any:
    """The numbers and arrays of a state as `json` can write them."""
    return mapped(state, _encoded)


def decoded(state: Any) -> Any:
    """The state that was `encoded`."""
    return mapped(state, _decoded)


def _encoded(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return f"{_ARRAY}{value.dtype.str} {base64.b64encode(value.tobytes()).decode()}"
    return value.item() if isinstance(value, np.generic) else value


def _decoded(value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith(_ARRAY):
        return value
    _, dtype, content = value.split(" ")
    return np.frombuffer(base64.b64decode(content), dtype).copy()
