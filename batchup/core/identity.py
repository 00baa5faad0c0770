"""What a checkpoint calls a stream: all that its plan and its steps were built of."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import partial
from pathlib import PurePath
from typing import Any

import numpy as np

from batchup.core.checks import describe, describe_callable
from batchup.core.computed import Computed, OverMade
from batchup.core.plan import Plan, PlanOver, rng_of
from batchup.core.randomness import Seed, Stateful
from batchup.core.work import Copyable, Own, Work

Path = tuple[int, ...]


def identity(plan: Plan, work: Work) -> str:
    """The plan and the work as text: the same for streams that are built alike, whoever does the work.

    Arrays in plans are indices, and count by what is in them; those in steps are data, and count by
    shape and dtype, as functions do by their qualified name. Generators and pools don't count, nor does
    which part a shard is, where a position means the same for all parts.
    """
    # Work that a pool has done comes before what follows, as it does without the pool.
    steps = [*_computed(plan), *((path, _step(step)) for path, step in work.leaves())]
    parts = [_plan(plan)]
    for path, step in sorted([s for s in steps if s[1]], key=lambda s: (-len(s[0]), s[0])):
        parts.append("".join(f"{n}: " for n in path) + step)
    return " | ".join(parts)


def _plan(plan: Plan) -> str:
    while isinstance(plan, Computed):
        plan = plan.up
    children = [_plan(child) for child in plan.children()]
    if isinstance(plan, OverMade) and isinstance(plan.up, Computed):
        children = [identity(plan.up.up, plan.up.work)]  # the work that comes before it
    own = _values(plan, contents=True)
    # What is drawn for the items of one rank is for these alone.
    of_rank = not plan.same_for_all_ranks or (
        isinstance(plan, PlanOver) and isinstance(rng_of(plan), Stateful)
    )
    if plan.shards and plan.children() and of_rank:
        own += [f"parts {plan.shards}"]
    text = f"{type(plan).__name__.lower()}({', '.join(own)})"
    if isinstance(plan, PlanOver):
        return f"{children[0]} | {text}"
    return f"{text}[{', '.join(children)}]" if children else text


def _computed(plan: Plan, path: Path = ()) -> Iterator[tuple[Path, str]]:
    if isinstance(plan, OverMade):
        return
    for n, child in enumerate(plan.children()):
        yield from _computed(child, path if isinstance(plan, PlanOver) else (*path, n))
    if isinstance(plan, Computed):
        for inside, step in plan.work.leaves(path):
            yield inside, _step(step)


def _step(step: Any) -> str:
    if isinstance(step, Own):  # there or not, the same batches
        return ""
    name = type(step).__name__.lower()
    return f"{name}({', '.join(_values(step, contents=False))})" if is_dataclass(step) else name


def _values(thing: Any, contents: bool) -> list[str]:
    """The fields of a record; those that have a default by name, and only where they are another.

    TypeError for a field whose value has no text of its own: two streams that differ in it would be taken for one.
    """
    texts = []
    for f in fields(thing):
        if not f.init or f.name in getattr(thing, "unnamed", ()):
            continue
        token = _data if f.name in getattr(thing, "data", ()) else _value
        try:
            text = token(getattr(thing, f.name), contents)
        except _NoTokenError as error:
            stage = type(thing).__name__ if isinstance(thing, Plan) else thing
            raise TypeError(
                f"a checkpoint can't name {f.name!r} of the stage {stage}, which has {error} in it: expected numbers, "
                "strings, arrays, functions, and tuples, lists and dicts of these. A map can be given a name, "
                "map(fn, name='...')"
            ) from None
        if f.default is MISSING:
            texts.append(text)
        elif text != _value(f.default, contents):
            texts.append(text and f"{f.name}={text}")
    return [text for text in texts if text is not None]


class _NoTokenError(Exception):
    """A value for which there is no text that tells it from others of its type."""


_ATOMS = (
    type(None),
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    range,
    slice,
    np.generic,
    np.dtype,
    PurePath,
)


def _value(value: Any, contents: bool) -> str | None:
    """A value as text; None if it is a plan, or work, or makes no difference."""
    if isinstance(value, Plan | Work | Stateful):
        return "drawn" if isinstance(value, Stateful) else None
    if callable(getattr(value, "permutation", None)):  # a generator of the user's
        return "drawn"
    if isinstance(value, Seed | Enum):
        return str(value)
    if isinstance(value, _ATOMS):
        return repr(value)
    if isinstance(value, np.ndarray | Copyable):
        return _data(value, contents)
    if isinstance(value, tuple | list):
        parts = [_value(part, contents) for part in value]
        if isinstance(value, list):
            return f"[{', '.join(map(str, parts))}]"
        return None if value and None in parts else f"({', '.join(map(str, parts))})"
    if isinstance(value, dict):
        items = [f"{_value(key, contents)}: {_value(part, contents)}" for key, part in value.items()]
        return f"{{{', '.join(items)}}}"
    if isinstance(value, set | frozenset):
        return f"{{{', '.join(sorted(str(_value(part, contents)) for part in value))}}}"
    if isinstance(value, partial):
        named = [f"{name}={_value(part, contents)}" for name, part in sorted(value.keywords.items())]
        args = [_value(value.func, contents), *[_value(arg, contents) for arg in value.args], *named]
        return f"partial({', '.join(map(str, args))})"
    if callable(value):
        return describe_callable(value, qualified=True)
    raise _NoTokenError(describe(value))


def _data(value: Any, contents: bool) -> str:
    """Data as text: by shape and dtype, or by type and length; arrays of a plan by what is in them, too."""
    if isinstance(value, np.ndarray) and contents:
        return f"{_named(value)} {zlib.crc32(np.ascontiguousarray(value).tobytes()):08x}"
    if isinstance(value, list):
        return f"{_named(value)}: {', '.join(map(_named, value[:1000]))}"
    if isinstance(value, tuple):
        return f"({', '.join(_data(part, contents) for part in value)})"
    return _named(value)


def _named(value: Any) -> str:
    """The name of a value, in full."""
    return describe(value, sys.maxsize)
