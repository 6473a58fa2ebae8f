"""Keywords about the keys of objects, with patterns as ``searcher`` reads them.

jsonschema matches keys with Python's ``re``, which is neither ECMA 262 nor bounded in time. What is evaluated for
``unevaluatedProperties`` follows its ``find_evaluated_property_keys_by_schema``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from jsonschema.exceptions import ValidationError

from local_retab.schema.patterns import searcher

Check = Callable[[Any, Any, Any, dict[str, Any]], Iterator[ValidationError] | None]


def matches(pattern: str, text: str) -> bool:
    """Whether the pattern occurs in the text; no text matches a pattern that no engine reads."""
    search = searcher(pattern)
    return search is not None and search(text)


def pattern_properties(
    validator: Any, patterns: dict[str, Any], value: Any, schema: dict[str, Any]
) -> Iterator[ValidationError]:
    """``patternProperties``"""
    if not isinstance(value, dict):
        return
    for pattern, child in patterns.items():
        for key, item in value.items():
            if matches(pattern, key):
                yield from validator.descend(item, child, path=key, schema_path=pattern)


def additional_properties(validator: Any, child: Any, value: Any, schema: dict[str, Any]) -> Iterator[ValidationError]:
    """``additionalProperties``"""
    if not isinstance(value, dict):
        return
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    others = [key for key in value if key not in known and not any(matches(pattern, key) for pattern in patterns)]
    yield from _unexpected(validator, child, value, others)


def unevaluated_properties(validator: Any, child: Any, value: Any, schema: dict[str, Any]) -> Iterator[ValidationError]:
    """``unevaluatedProperties``"""
    if not isinstance(value, dict):
        return
    known = set(_evaluated(validator, value, schema))
    yield from _unexpected(validator, child, value, [key for key in value if key not in known])


def _unexpected(validator: Any, child: Any, value: dict[str, Any], keys: list[str]) -> Iterator[ValidationError]:
    if child is False and keys:
        yield ValidationError(f"no further keys are allowed, and there are {', '.join(map(repr, keys))}")
    elif child is not False:
        for key in keys:
            yield from validator.descend(value[key], child, path=key)


def _evaluated(validator: Any, value: dict[str, Any], schema: Any) -> Iterator[str]:
    """The keys of ``value`` that the keywords of ``schema`` evaluate."""
    if isinstance(schema, bool):
        return
    for keyword in ("$ref", "$dynamicRef"):
        if keyword in schema:
            found = validator._resolver.lookup(schema[keyword])
            there = validator.evolve(schema=found.contents, _resolver=found.resolver)
            yield from _evaluated(there, value, found.contents)
    yield from schema.get("properties", {}).keys() & value.keys()
    yield from (key for pattern in schema.get("patternProperties", ()) for key in value if matches(pattern, key))
    for keyword in ("additionalProperties", "unevaluatedProperties"):
        if keyword in schema:
            yield from (key for key, item in value.items() if _is_valid(validator.descend(item, schema[keyword])))
    for child in _applied(validator, value, schema):
        yield from _evaluated(validator, value, child)


def _applied(validator: Any, value: dict[str, Any], schema: dict[str, Any]) -> Iterator[Any]:
    """The subschemas that apply to ``value`` itself."""
    yield from (child for key, child in schema.get("dependentSchemas", {}).items() if key in value)
    for keyword in ("allOf", "anyOf", "oneOf"):
        yield from (child for child in schema.get(keyword, ()) if _is_valid(validator.descend(value, child)))
    if "if" in schema:
        holds = validator.evolve(schema=schema["if"]).is_valid(value)
        branches = ("if", "then") if holds else ("else",)
        yield from (schema[branch] for branch in branches if branch in schema)


def _is_valid(errors: Iterable[ValidationError]) -> bool:
    return next(iter(errors), None) is None
