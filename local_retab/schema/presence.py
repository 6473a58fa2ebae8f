"""Conditions of objects: which keys they have and what these are held to, as a choice between cases.

A condition is a disjunction of cases, each of keys that are there, keys that are not, and schemas that keys are under.
The grammar holds an object to it by writing the object once for each case; keys and their order stay what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from local_retab.schema.constants import Constants, constants
from local_retab.schema.deferred import SAYS_NOTHING
from local_retab.schema.dialect import escape
from local_retab.schema.references import References

MAX_CASES = 16
KEYWORDS = frozenset({"anyOf", "dependencies", "dependentRequired", "dependentSchemas", "if", "not", "oneOf"})
KEYWORD = "X-Presence"
"""In an inference schema: the cases of an object, each ``{"present": [...], "absent": [...], "held": {...}}``."""


@dataclass(frozen=True, slots=True)
class Case:
    """Keys that an object has, and keys that it has not; others may be there or not.

    A key that is there may be held: to constants, to other than some, or to the schemas at further pointers.
    """

    present: frozenset[str] = frozenset()
    absent: frozenset[str] = frozenset()
    among: frozenset[tuple[str, Constants]] = frozenset()  # of each key at most one
    held: frozenset[tuple[str, str]] = frozenset()

    def joined(self, other: Case) -> Case | None:
        """Both at once; None where they contradict each other."""
        among = dict(self.among)
        for name, known in other.among:
            among[name] = among[name].meet(known) if name in among else known
        absent = self.absent | other.absent | {name for name, known in among.items() if known.empty}
        present = self.present | other.present
        if present & absent:
            return None
        kept = frozenset((name, known) for name, known in among.items() if name not in absent)
        held = frozenset(pair for pair in self.held | other.held if pair[0] not in absent)
        return Case(present, absent, kept, held)

    def covers(self, other: Case) -> bool:
        """Whether every object of the other case is surely one of this."""
        among = dict(other.among)
        return (
            self.present <= other.present
            and self.absent <= other.absent
            and all(n in other.absent or (n in among and among[n].within(known)) for n, known in self.among)
            and all(pair in other.held or pair[0] in other.absent for pair in self.held)
        )

    def names(self) -> frozenset[str]:
        """The keys that the case says something of."""
        return self.present | self.absent | {name for name, _ in (*self.among, *self.held)}


Condition = tuple[Case, ...]
ALWAYS: Condition = (Case(),)


class Conditions:
    """Reads conditions from the schemas of one document."""

    __slots__ = ("_negated", "_references")

    def __init__(self, references: References, negated: Callable[[str], str | None]) -> None:
        """``negated`` gives a pointer to the complement of the schema at a pointer, where there is one."""
        self._references = references
        self._negated = negated

    def read(self, pointer: str, keywords: Iterable[str] | None = None) -> Condition | None:
        """What the schema at ``pointer`` says of an object, of some of its ``keywords`` or of all.

        None when it says what cases cannot, or the cases are too many.
        """
        schema = self._references.at(pointer)
        if isinstance(schema, bool):
            return ALWAYS if schema else ()
        found: Condition | None = ALWAYS
        for keyword in schema if keywords is None else keywords:
            if keyword in SAYS_NOTHING or keyword in {"then", "else"}:
                continue
            found = both(found, self._said(keyword, schema, f"{pointer}/{keyword}"))
        return found

    def _said(self, keyword: str, schema: Mapping[str, Any], at: str) -> Condition | None:
        value = schema[keyword]
        found: Condition | None = None
        match keyword:
            case "type":
                found = ALWAYS if value in ("object", ["object"]) else None
            case "required":
                found = (Case(present=frozenset(value)),)
            case "properties":
                found = _all(self._property(name, f"{at}/{escape(name)}") for name in value)
            case "not":
                found = self._otherwise(self.read(at))
            case "allOf":
                found = _all(self.read(f"{at}/{index}") for index in range(len(value)))
            case "anyOf":
                found = _either(self.read(f"{at}/{index}") for index in range(len(value)))
            case "oneOf":
                found = self._one([self.read(f"{at}/{index}") for index in range(len(value))])
            case "if":
                test, beside = self.read(at), at.rpartition("/")[0]
                then, other = (self.read(f"{beside}/{n}") if n in schema else ALWAYS for n in ("then", "else"))
                found = _either((both(test, then), both(self._otherwise(test), other)))
            case "dependencies" | "dependentRequired" | "dependentSchemas":
                found = _all(
                    _either((_without(name), self._needed(needed, f"{at}/{escape(name)}")))
                    for name, needed in value.items()
                )
        return found

    def _property(self, name: str, at: str) -> Condition | None:
        """What the schema of one property says."""
        schema = self._references.at(at)
        if schema is False:
            return _without(name)
        if schema is True or not schema.keys() - SAYS_NOTHING:
            return ALWAYS
        if schema.keys() - SAYS_NOTHING in ({"const"}, {"enum"}):
            known = constants(schema)
            if known is not None:
                return (Case(among=frozenset({(name, known)})),)
        return (Case(held=frozenset({(name, at)})),)

    def _needed(self, value: Any, at: str) -> Condition | None:
        """What one entry of ``dependencies`` asks for: names of keys, or a schema."""
        if isinstance(value, str):  # draft 3
            value = [value]
        return (Case(present=frozenset(value)),) if isinstance(value, list) else self.read(at)

    def _one(self, conditions: list[Condition | None]) -> Condition | None:
        """Exactly one of them."""
        return _either(
            _all([chosen, *(self._otherwise(other) for at, other in enumerate(conditions) if at != index)])
            for index, chosen in enumerate(conditions)
        )

    def _otherwise(self, found: Condition | None) -> Condition | None:
        """The complement of a condition."""
        result: Condition | None = None if found is None else ALWAYS
        for case in found or ():
            others = [Case(absent=frozenset({name})) for name in sorted(case.present)]
            others += [Case(present=frozenset({name})) for name in sorted(case.absent)]
            for name, known in sorted(case.among, key=lambda pair: pair[0]):
                others.append(Case(frozenset({name}), among=frozenset({(name, known.negated())})))
            for name, pointer in sorted(case.held):
                left = self._negated(pointer)
                if left is None:
                    return None
                others.append(Case(frozenset({name}), held=frozenset({(name, left)})))
            result = both(result, tuple(others))
        return result


def both(left: Condition | None, right: Condition | None) -> Condition | None:
    """The conjunction of two conditions."""
    if left is None or right is None:
        return None
    joined = (a.joined(b) for a, b in product(left, right))
    return _simplified(case for case in joined if case is not None)


def _without(name: str) -> Condition:
    return (Case(absent=frozenset({name})),)


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


def _simplified(cases: Iterable[Case]) -> Condition | None:
    """Without cases that another one covers, in their order."""
    kept: list[Case] = []
    for case in dict.fromkeys(cases):
        if not any(other.covers(case) for other in kept):
            kept = [k for k in kept if not case.covers(k)] + [case]
        if len(kept) > MAX_CASES:
            return None
    return tuple(kept)


def with_cases(schema: Mapping[str, Any]) -> dict[str, Any]:
    """An object of an inference schema with its cases as alternatives."""
    base = {key: value for key, value in schema.items() if key not in (KEYWORD, "$defs")}
    alternatives = {"anyOf": [_in_case(base, case) for case in schema[KEYWORD]]}
    return {**alternatives, "$defs": schema["$defs"]} if "$defs" in schema else alternatives


def _in_case(schema: dict[str, Any], case: Mapping[str, Any]) -> dict[str, Any]:
    properties, required = schema["properties"] | case.get("held", {}), list(schema.get("required", ()))
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
