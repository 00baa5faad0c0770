"""What a checkpoint calls a stream: all that its plan and its steps were built of."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

import numpy as np

from batchup.core.checks import describe, describe_callable
from batchup.core.computed import Computed, OverMade
from batchup.core.plan import Plan, PlanOver
from batchup.core.randomness import Seed, Stateful
from batchup.core.work import Own, Work

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
    if plan.shards and plan.children() and not plan.same_for_all_ranks:
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
    """The fields of a record; those that have a default by name, and only where they are another."""
    texts = []
    for f in fields(thing):
        if not f.init or f.name in getattr(thing, "unnamed", ()):
            continue
        text = _value(getattr(thing, f.name), contents)
        if f.default is MISSING:
            texts.append(text)
        elif text != _value(f.default, contents):
            texts.append(text and f"{f.name}={text}")
    return [text for text in texts if text is not None]


def _value(value: Any, contents: bool) -> str | None:
    """A value as text; None where it is a plan, or work, or makes no difference."""
    if isinstance(value, Plan | Work | Stateful):
        return "drawn" if isinstance(value, Stateful) else None
    if isinstance(value, np.ndarray):
        inside = f" {zlib.crc32(np.ascontiguousarray(value).tobytes()):08x}" if contents else ""
        return describe(value) + inside
    if isinstance(value, tuple):
        parts = [_value(part, contents) for part in value]
        return None if value and None in parts else f"({', '.join(map(str, parts))})"
    if isinstance(value, list):  # of data
        return f"{describe(value)}: {', '.join(map(describe, value[:1000]))}"
    if isinstance(value, Seed):
        return str(value)
    if isinstance(value, str | range):
        return repr(value)
    if callable(value):
        return describe_callable(value, qualified=True)
    return describe(value)
