"""Conversion of checkpoints of earlier versions: one function per version, which converts to the next version."""

import re
from typing import Any

from batchup.core.computed import Computed, OverMade
from batchup.core.identity import Entry, entry_of, name_of, step_entries
from batchup.core.plan import Plan, PlanOver
from batchup.core.work import Work


def from_3(state: dict[str, Any], plan: Plan, work: Work) -> dict[str, Any]:
    """Convert from version 3, which named a stream by one text: the class names of its plans and steps."""
    text = _text_3(plan, work)
    if len(text) > 500:
        import hashlib

        text = f"{text[:500]}... (SHA-256 {hashlib.sha256(text.encode()).hexdigest()})"
    other = state.get("stream")
    # The name of another stream is only shown in an error.
    name = name_of(plan, work) if other == text else [_tagged(part) for part in str(other).split(" | ")]
    return {**state, "version": 4, "stream": name}


_CLASSES_3 = {
    "indices": "blocks",
    "list": "sequenced",
    "pack": "packs",
    "placed": "placedplan",
    "sample_once": "sampleonce",
    "slice": "between",
    "to_jax": "tojax",
    "to_torch": "totorch",
}


def _tagged(part: str) -> str:
    """A stage of a name of version 3, with its tag."""
    name, bracket, values = part.partition("(")
    tags = {old: tag for tag, old in _CLASSES_3.items()}
    return f"{tags.get(name, name)}{bracket}{values}"


def _text_3(plan: Plan, work: Work) -> str:
    steps = [(entry.path, _entry_3(entry)) for entry in step_entries(plan, work)]
    return " | ".join([_plan_3(plan), *("".join(f"{n}: " for n in path) + text for path, text in steps)])


def _plan_3(plan: Plan) -> str:
    while isinstance(plan, Computed):
        plan = plan.up
    children = [_plan_3(child) for child in plan.children()]
    if isinstance(plan, OverMade) and isinstance(plan.up, Computed):
        children = [_text_3(plan.up.up, plan.up.work)]
    text = _entry_3(entry_of(plan))
    if isinstance(plan, PlanOver):
        return f"{children[0]} | {text}"
    return f"{text}[{', '.join(children)}]" if children else text


def _entry_3(entry: Entry) -> str:
    values = [_value_3(entry.tag, n, value) for n, value in enumerate(entry.values)]
    if entry.tag == "samples":
        own = [value.removeprefix("collate=") for value in values if value.startswith("collate=")]
        others = [value for value in values[1:] if not value.startswith("collate=")]
        values = [values[0], *(own or ["batchup.ops.samples.collated"]), *others]
    return f"{_CLASSES_3.get(entry.tag, entry.tag)}({', '.join(values)})"


def _value_3(tag: str, n: int, value: str) -> str:
    if tag in ("map", "filter") and n == 0 and value.startswith("'"):
        return f"name={value}"
    if tag == "map" and (noise := re.fullmatch(r"rng=(.*) (\([\d, ]*\))", value)):
        return f"seed={noise[1]}, path={noise[2]}"
    return value
