"""The name of a stream in its checkpoints: its stages, each with its tag and what it was built of."""

import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from batchup.core.checks import describe, describe_callable, is_a
from batchup.core.computed import Computed, OverMade
from batchup.core.noise import Noise
from batchup.core.plan import Part, Plan, PlanOver, parts_in
from batchup.core.randomness import Seed, Stateful
from batchup.core.record import is_data, is_named, record
from batchup.core.work import Copyable, Own, Work


class Entry(NamedTuple):
    """A stage in the name of a stream. `path` are the numbers of the members of joins that it belongs to."""

    path: tuple[int, ...]
    tag: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        return "".join(f"{n}: " for n in self.path) + f"{self.tag}({', '.join(self.values)})"


def entries_of(plan: Plan, work: Work, path: tuple[int, ...] = ()) -> list[Entry]:
    """The stages of a plan and the work: the same for streams that are built alike, with or without pools.

    The stages of members come before the join. Arrays in plans are indices, and count by their contents; arrays in
    steps are data, and count by shape and dtype. Functions count by their qualified names. Generators and pools don't
    count, nor does which part a rank takes, if a position means the same for all parts. Raises TypeError for a stage
    that can't be named.
    """
    return [*_plans(plan, path), *step_entries(plan, work, path)]


def step_entries(plan: Plan, work: Work, path: tuple[int, ...] = ()) -> list[Entry]:
    """The steps alone; those of members come before the step of the join."""
    # The work that a pool does comes before what follows the pool, as it does without the pool.
    steps = [*_computed(plan, path), *_steps(work, path)]
    return sorted(steps, key=lambda entry: (-len(entry.path), entry.path))


def _plans(plan: Plan, path: tuple[int, ...]) -> Iterator[Entry]:
    while isinstance(plan, Computed):
        plan = plan.up
    if isinstance(plan, OverMade) and isinstance(plan.up, Computed):
        yield from entries_of(plan.up.up, plan.up.work, path)
    else:
        for n, child in enumerate(plan.children()):
            yield from _plans(child, path if isinstance(plan, PlanOver) else (*path, n))
    yield entry_of(plan, path)


def entry_of(plan: Plan, path: tuple[int, ...] = ()) -> Entry:
    """One plan by itself."""
    below = parts_in(plan)
    # What is drawn for the items of one rank is for these items alone.
    drawn = isinstance(plan, PlanOver) and isinstance(plan.rng, Stateful)
    of_rank = drawn or any(not part.aligned and part not in below for part in plan.shards)
    parts = [f"parts {_shown(plan.shards)}"] if plan.shards and below and of_rank else []
    return Entry(path, _tag(plan), (*_values(plan, contents=True), *parts))


def _shown(parts: tuple[Part, ...]) -> str:
    return str(tuple((part.rank, part.world) for part in parts))


def _computed(plan: Plan, path: tuple[int, ...]) -> Iterator[Entry]:
    if isinstance(plan, OverMade):
        return
    for n, child in enumerate(plan.children()):
        yield from _computed(child, path if isinstance(plan, PlanOver) else (*path, n))
    if isinstance(plan, Computed):
        yield from _steps(plan.work, path)


def _steps(work: Work, path: tuple[int, ...]) -> Iterator[Entry]:
    for inside, step in work.leaves(path):
        if not isinstance(step, Own):  # copies don't change what is in a batch
            yield Entry(inside, _tag(step), tuple(_values(step, contents=False)))


def _tag(stage: Any) -> str:
    if not stage.tag:
        name = type(stage).__name__
        raise TypeError(
            f"a checkpoint can't name the stage {name}, which has no tag. Write tag = {name.lower()!r} in the class {name}"
        )
    return str(stage.tag)


def _values(stage: Any, contents: bool) -> list[str]:
    """The fields of a record as text. Fields with a default are given by name, and only if they differ from it."""
    texts = []
    for f in filter(is_named, fields(stage) if is_dataclass(stage) else ()):
        text = _field(stage, f, contents)
        if text is None:
            continue
        if f.default is MISSING:
            texts.append(text)
        elif text != _value(f.default, contents):
            texts.append(f"{f.name}={text}")
    return texts


def _field(stage: Any, f: Field[Any], contents: bool) -> str | None:
    token = _data if is_data(f) else _value
    try:
        return token(getattr(stage, f.name), contents)
    except _NoTokenError as error:
        name = type(stage).__name__ if isinstance(stage, Plan) else stage
        raise TypeError(
            f"a checkpoint can't name {f.name!r} of the stage {name}, which has {error} in it: expected numbers, "
            "strings, arrays, functions, and tuples, lists and dicts of these. A map can be given a name, "
            "map(fn, name='...')"
        ) from None


class _NoTokenError(Exception):
    """Raised for a value without a text that tells it from other values of its type."""


@record
class Named:
    """A function with a name of the user's, which checkpoints use in place of the function's own."""

    fn: Callable[..., Any]
    name: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.fn(*args, **kwargs)

    @property
    def __name__(self) -> str:
        return self.name


def named(fn: Callable[..., Any], name: str | None, where: str) -> Callable[..., Any]:
    """The function under the name that a user gave it, if there is one. Raises TypeError for what is no name."""
    if name is not None and not isinstance(name, str):
        raise TypeError(f"{where}: name: expected a string; got {describe(name)}")
    return fn if name is None else Named(fn, name)


_ATOMS = (type(None), bool, int, float, complex, str, bytes, range, slice, np.generic, np.dtype)


def _value(value: Any, contents: bool) -> str | None:
    """A value as text; None for plans and work, which have entries of their own."""
    if isinstance(value, Plan | Work):
        return None
    if isinstance(value, Stateful) or callable(getattr(value, "permutation", None)):
        return "drawn"
    if isinstance(value, Noise):
        return f"{value.argument} {value.seed} {_value(value.path, contents)}".removeprefix("rng ")
    if isinstance(value, Named):
        return repr(value.name)
    if isinstance(value, Seed | Enum):
        return str(value)
    if isinstance(value, _ATOMS) or is_a(value, "pathlib.PurePath"):
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
        keywords = [f"{name}={_value(part, contents)}" for name, part in sorted(value.keywords.items())]
        args = [_value(value.func, contents), *[_value(arg, contents) for arg in value.args], *keywords]
        return f"partial({', '.join(map(str, args))})"
    if callable(value):
        return describe_callable(value, qualified=True)
    raise _NoTokenError(describe(value))


def _data(value: Any, contents: bool) -> str:
    """Data as text: by shape and dtype, or by type and length; an array of a plan also by a hash of its contents."""
    if isinstance(value, np.ndarray) and contents:
        return f"{_full(value)} {zlib.crc32(np.ascontiguousarray(value).tobytes()):08x}"
    if isinstance(value, list):
        return f"{_full(value)}: {', '.join(map(_full, value[:1000]))}"
    if isinstance(value, tuple):
        return f"({', '.join(_data(part, contents) for part in value)})"
    return _full(value)


def _full(value: Any) -> str:
    return describe(value, sys.maxsize)


# --- as a checkpoint has it: the stages as a list of texts, of less than 1 KB in all

_STAGE, _IN_ALL = 80, 500  # characters


def name_of(plan: Plan, work: Work) -> list[str]:
    """The stages of a stream as short texts: of long ones the beginning and a hash."""
    texts = [_short(str(entry)) for entry in entries_of(plan, work)]
    if sum(map(len, texts)) <= _IN_ALL:
        return texts
    first = next(n for n in range(len(texts)) if sum(map(len, texts[: n + 1])) > _IN_ALL - 100)
    return [*texts[:first], f"and {len(texts) - first} more, {_digest(' | '.join(texts[first:]))}"]


def _short(text: str) -> str:
    return text if len(text) <= _STAGE else f"{text[:_STAGE]}... {_digest(text)}"


def _digest(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()[:32]
