"""Limits of strings, numbers and counts: as many of them as the grammar can hold, and the others left to validation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import ceil, floor, inf
from typing import Any

from local_retab.schema.conjunction import Conjunctions
from local_retab.schema.ecma import translate
from local_retab.schema.formats import CALENDAR, exact_pattern
from local_retab.schema.grammar import refusal
from local_retab.schema.merging import Merged
from local_retab.schema.patterns import PatternTimeoutError
from local_retab.schema.references import MADE
from local_retab.schema.validation import checker

_NUMERIC = ("multipleOf", "minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
_TEXTUAL = ("pattern", "format", "minLength", "maxLength")
_COUNTS = ("minItems", "maxItems")
_PAIRS = (
    ("minLength", "maxLength"), _COUNTS, ("minimum", "maximum"), ("exclusiveMinimum", "maximum"),
    ("minimum", "exclusiveMaximum"), ("exclusiveMinimum", "exclusiveMaximum"),
)  # fmt: skip


def scalar_limits(reader: Conjunctions, merged: Merged, types: list[str], *, max_string_chars: int) -> dict[str, Any]:
    """The limits of strings and numbers that the grammar can hold; takes types that none satisfies away."""
    textual = {key: merged.limits[key] for key in _TEXTUAL if key in merged.limits and "string" in types}
    if contradict(textual):
        textual = {}
        types.remove("string")
    numbers = [name for name in types if name in {"number", "integer"}]
    numeric = {key: merged.limits[key] for key in _NUMERIC if key in merged.limits and numbers}
    if numbers == ["integer"]:
        numeric = _whole(numeric)
    if contradict(numeric):
        numeric = {}
        types.remove(numbers[0])
    if "pattern" in textual and (reader.wide or refused({"type": "string", "pattern": textual["pattern"]})):
        textual["pattern"] = translate(textual["pattern"])
    textual = held(reader, merged, "string", textual)
    if "string" in types:
        _further(reader, merged, textual)
    if textual.get("format") in CALENDAR and exact_pattern(textual, wide=reader.wide) is None:
        reason = "the grammar does not know which years have a 29 February"
        reader.defer(merged.stands["format"], "format", reason)
    if numbers:
        numeric = held(reader, merged, numbers[0], numeric)
    # What a pattern leaves out does not bound what it lets in.
    bounding = {"maxLength", "format"} | (set() if MADE in merged.stands.get("pattern", "") else {"pattern"})
    unbounded = not textual.keys() & bounding
    if "string" in types and unbounded and textual.get("minLength", 0) <= max_string_chars:
        textual["maxLength"] = max_string_chars
    return textual | numeric


def _further(reader: Conjunctions, merged: Merged, textual: dict[str, Any]) -> None:
    """Adds the other patterns of a string to its limits."""
    for pattern, pointer in merged.further.items():
        wide = reader.wide or refused({"type": "string", "pattern": pattern})
        more = {"pattern": translate(pattern) if wide else pattern}
        joined = {**textual, "allOf": [*textual.get("allOf", ()), more]}
        if reason := refused({"type": "string", **joined}):
            reader.defer(pointer, "pattern", f"the grammar cannot hold it: {reason}")
        else:
            textual |= joined


def held(reader: Conjunctions, merged: Merged, kind: str, limits: dict[str, Any]) -> dict[str, Any]:
    """As many of ``limits`` as the grammar can hold together; the others are deferred."""
    while limits and (reason := refused({"type": kind, **limits})):
        cures = (key for key in limits if not refused({"type": kind, **without(limits, key)}))
        dropped = next(cures, next(iter(limits)))
        reader.defer(merged.stands[dropped], dropped, f"the grammar cannot hold it: {reason}")
        limits = without(limits, dropped)
    return limits


def _whole(limits: dict[str, Any]) -> dict[str, Any]:
    """Limits of integers without exclusive bounds, in which a contradiction of neighbours is seen."""
    made = {key: value for key, value in limits.items() if key not in ("exclusiveMinimum", "exclusiveMaximum")}
    if "exclusiveMinimum" in limits:
        made["minimum"] = max(made.get("minimum", -inf), floor(limits["exclusiveMinimum"]) + 1)
    if "exclusiveMaximum" in limits:
        made["maximum"] = min(made.get("maximum", inf), ceil(limits["exclusiveMaximum"]) - 1)
    return made


def within(value: Any, merged: Merged) -> bool:
    """Whether the limits beside ``enum`` or ``const`` allow a value."""
    if not (merged.limits or merged.further):
        return True
    limits = {**merged.limits, "allOf": [{"pattern": pattern} for pattern in merged.further]}
    try:
        return checker(limits).is_valid(value)
    except PatternTimeoutError:
        return True  # validation decides


def refused(schema: dict[str, Any]) -> str | None:
    return refusal(json.dumps(schema))


def without(limits: Mapping[str, Any], dropped: str) -> dict[str, Any]:
    return {key: value for key, value in limits.items() if key != dropped}


def contradict(limits: Mapping[str, Any]) -> bool:
    ends = [(limits[low], limits[high], low + high) for low, high in _PAIRS if low in limits and high in limits]
    return any(low > high or (low == high and "exclusive" in names) for low, high, names in ends)
