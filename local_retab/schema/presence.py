"""Which keys an object has: keywords that say no more than that, as a choice between sets of keys.

A condition is a disjunction of cases, each of keys that are there and keys that are not. The grammar holds an object to
it by writing the object once for each case; keys and their order stay what they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

MAX_CASES = 16
KEYWORDS = frozenset({"anyOf", "dependencies", "dependentRequired", "dependentSchemas", "if", "not", "oneOf"})
KEYWORD = "X-Presence"
"""In an inference schema: the cases of an object, each ``{"present": [...], "absent": [...]}``."""

SAYS_NOTHING = frozenset(
    {
        "$comment", "$defs", "$id", "$anchor", "$schema", "default", "definitions", "deprecated", "description",
        "examples", "example", "id", "readOnly", "title", "writeOnly",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """Keys that an object has, and keys that it has not; others may be there or not."""

    present: frozenset[str] = frozenset()
    absent: frozenset[str] = frozenset()

    def joined(self, other: Case) -> Case | None:
        """Both at once; None where they contradict each other."""
        present, absent = self.present | other.present, self.absent | other.absent
        return None if present & absent else Case(present, absent)


Condition = tuple[Case, ...]
ALWAYS: Condition = (Case(),)


def condition(schema: Any, keywords: Iterable[str] | None = None) -> Condition | None:
    """What ``schema`` says of an object's keys, of some of its ``keywords`` or of all.

    None when it says anything else of objects, or the cases are too many.
    """
    if isinstance(schema, bool):
        return ALWAYS if schema else ()
    if not isinstance(schema, dict):
        return None
    found: Condition | None = ALWAYS
    for keyword in schema if keywords is None else keywords:
        if keyword in SAYS_NOTHING or keyword in {"then", "else"}:
            continue
        found = both(found, _said(keyword, schema))
    return found


def both(left: Condition | None, right: Condition | None) -> Condition | None:
    """The conjunction of two conditions."""
    if left is None or right is None:
        return None
    joined = (a.joined(b) for a, b in product(left, right))
    return _simplified(case for case in joined if case is not None)


def _said(keyword: str, schema: Mapping[str, Any]) -> Condition | None:
    value = schema[keyword]
    found: Condition | None = None
    match keyword:
        case "type":
            found = ALWAYS if value in ("object", ["object"]) else None
        case "required":
            found = (Case(present=frozenset(value)),)
        case "properties" if all(child is False for child in value.values()):
            found = (Case(absent=frozenset(value)),)
        case "not":
            found = _negated(condition(value))
        case "allOf":
            found = _all(condition(child) for child in value)
        case "anyOf":
            found = _either(condition(child) for child in value)
        case "oneOf":
            found = _one([condition(child) for child in value])
        case "if":
            test = condition(value)
            then, other = (condition(schema.get(name, True)) for name in ("then", "else"))
            found = _either((both(test, then), both(_negated(test), other)))
        case "dependencies" | "dependentRequired" | "dependentSchemas":
            found = _all(_either((_without(name), _needed(needed))) for name, needed in value.items())
    return found


def _without(name: str) -> Condition:
    return (Case(absent=frozenset({name})),)


def _needed(value: Any) -> Condition | None:
    """What one entry of ``dependencies`` asks for: names of keys, or a schema."""
    if isinstance(value, str):  # draft 3
        value = [value]
    return (Case(present=frozenset(value)),) if isinstance(value, list) else condition(value)


def _all(conditions: Iterable[Condition | None]) -> Condition | None:
    found: Condition | None = ALWAYS
    for one in conditions:
        found = both(found, one)
    return found


def _either(conditions: Iterable[Condition | None]) -> Condition | None:
    cases: list[Case] = []
    for found in conditions:
        if found is None:
            return None
        cases += found
    return _simplified(cases)


def _one(conditions: list[Condition | None]) -> Condition | None:
    """Exactly one of them."""
    return _either(
        _all([chosen, *(_negated(other) for at, other in enumerate(conditions) if at != index)])
        for index, chosen in enumerate(conditions)
    )


def _negated(found: Condition | None) -> Condition | None:
    result: Condition | None = None if found is None else ALWAYS
    for case in found or ():
        lacking = [Case(absent=frozenset({name})) for name in sorted(case.present)]
        having = [Case(present=frozenset({name})) for name in sorted(case.absent)]
        result = both(result, (*lacking, *having))
    return result


def _simplified(cases: Iterable[Case]) -> Condition | None:
    """Without cases that another one covers, in their order."""
    kept: list[Case] = []
    for case in dict.fromkeys(cases):
        if not any(other.present <= case.present and other.absent <= case.absent for other in kept):
            kept = [k for k in kept if not (case.present <= k.present and case.absent <= k.absent)] + [case]
        if len(kept) > MAX_CASES:
            return None
    return tuple(kept)


def with_cases(schema: Mapping[str, Any]) -> dict[str, Any]:
    """An object of an inference schema with its cases as alternatives."""
    base = {key: value for key, value in schema.items() if key not in (KEYWORD, "$defs")}
    alternatives = {"anyOf": [_in_case(base, case) for case in schema[KEYWORD]]}
    return {**alternatives, "$defs": schema["$defs"]} if "$defs" in schema else alternatives


def _in_case(schema: dict[str, Any], case: Mapping[str, list[str]]) -> dict[str, Any]:
    properties, required = dict(schema["properties"]), list(schema.get("required", ()))
    for name in case["present"]:
        if name in required:
            properties[name] = _without_null(properties[name])
        else:
            required.append(name)
    for name in case["absent"]:
        properties[name] = {"type": "null"} if name in required else False
    return {**schema, "properties": properties, "required": required}


def _without_null(schema: Any) -> Any:
    """What is left of a schema that was made nullable."""
    if "enum" in schema:
        return {**schema, "enum": [value for value in schema["enum"] if value is not None]}
    if "anyOf" in schema:
        return {**schema, "anyOf": [option for option in schema["anyOf"] if option != {"type": "null"}]}
    types = schema.get("type", ["object", "array", "string", "number", "boolean"])
    return {**schema, "type": [name for name in types if name != "null"]}
