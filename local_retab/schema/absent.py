"""Schemas whose values may be null where a document, or a part of it, does not state them."""

from __future__ import annotations

from typing import Any

_SCALARS = {"string", "number", "integer", "boolean"}
_MAPS = ("properties", "$defs", "definitions", "patternProperties")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE = ("items", "additionalProperties")


def allow_absent(schema: dict[str, Any]) -> dict[str, Any]:
    """A copy of ``schema`` in which every property of a scalar type may be null."""
    relaxed = _copy(schema, schema)
    assert isinstance(relaxed, dict)
    return relaxed


def _copy(schema: Any, document: dict[str, Any]) -> Any:
    if not isinstance(schema, dict):
        return schema
    copy = dict(schema)
    for keyword in _MAPS:
        if isinstance(copy.get(keyword), dict):
            copy[keyword] = {name: _copy(child, document) for name, child in copy[keyword].items()}
    if isinstance(copy.get("properties"), dict):
        copy["properties"] = {name: nullable(child, document) for name, child in copy["properties"].items()}
    for keyword in _LISTS:
        if isinstance(copy.get(keyword), list):
            copy[keyword] = [_copy(child, document) for child in copy[keyword]]
    for keyword in _SINGLE:
        if keyword in copy:
            copy[keyword] = _copy(copy[keyword], document)
    return copy


def nullable(schema: Any, document: dict[str, Any]) -> Any:
    """A subschema of ``document`` that admits null as well, where it is one of scalars."""
    if not isinstance(schema, dict) or not _is_scalar(schema, document):
        return schema
    if "enum" in schema and None not in schema["enum"]:
        schema = {**schema, "enum": [*schema["enum"], None]}
    if "type" in schema:
        types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        return schema if "null" in types else {**schema, "type": [*types, "null"]}
    if "$ref" in schema or "const" in schema:
        notes = {key: value for key, value in schema.items() if key in {"description", "title"} or key[:2] == "X-"}
        return {**notes, "anyOf": [{key: value for key, value in schema.items() if key not in notes}, {"type": "null"}]}
    return schema


def _is_scalar(schema: dict[str, Any], document: dict[str, Any]) -> bool:
    """Whether only strings, numbers and booleans (or null) are under a schema, as far as its own keywords tell."""
    reference = schema.get("$ref")
    if isinstance(reference, str):
        target: Any = document
        for part in reference.removeprefix("#").split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            target = target.get(name) if isinstance(target, dict) else None
        return isinstance(target, dict) and "$ref" not in target and _is_scalar(target, document)
    if "const" in schema or "enum" in schema:
        values = [schema["const"]] if "const" in schema else schema["enum"]
        return not any(isinstance(value, dict | list) for value in values)
    kind = schema.get("type")
    types = {kind} if isinstance(kind, str) else set(kind) if isinstance(kind, list) else set()
    return bool(types) and types <= _SCALARS | {"null"}
