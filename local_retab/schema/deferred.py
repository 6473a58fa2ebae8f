"""Keywords that the grammar cannot hold: the finished value is validated against them instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

REASONS: Mapping[str, str] = {
    "$dynamicRef": "the target depends on the path of evaluation",
    "$recursiveRef": "the target depends on the path of evaluation",
    "contains": "counting matching elements needs the whole array",
    "dependencies": "depends on which keys are present",
    "dependentRequired": "depends on which keys are present",
    "dependentSchemas": "depends on which keys are present",
    "if": "the condition needs the whole value",
    "not": "a grammar has no complement",
    "propertyNames": "keys are not held to a schema",
    "unevaluatedItems": "depends on what other keywords evaluated",
    "unevaluatedProperties": "depends on what other keywords evaluated",
    "uniqueItems": "comparing elements needs the whole array",
}
SAYS_NOTHING = frozenset(
    {
        "$comment", "$defs", "$id", "$anchor", "$schema", "default", "definitions", "deprecated", "description",
        "examples", "example", "id", "readOnly", "title", "writeOnly",
    }
)  # fmt: skip
_WITHOUT_EFFECT: tuple[Any, ...] = (True, {}, [])


@dataclass(frozen=True, slots=True)
class Deferred:
    """A keyword of the caller's schema that only validation holds; ``path`` is a JSON pointer to its schema."""

    path: str
    keyword: str
    reason: str


def has_effect(keyword: str, schema: Mapping[str, Any]) -> bool:
    """Whether a keyword of REASONS, as it stands in ``schema``, can refuse any value."""
    value = schema[keyword]
    if keyword == "uniqueItems":
        return value is True
    if keyword == "if":
        return "then" in schema or "else" in schema
    return keyword in {"not", "contains"} or not any(value is w or value == w for w in _WITHOUT_EFFECT)
