"""The typed template of the NuExtract models: an inference schema as JSON whose leaves are names of types.

::

    {"number": "verbatim-string", "issued": "date", "total": "number",
     "kind": ["goods", "service"], "tags": [["new", "used"]], "lines": [{"amount": "number"}]}

A list of texts is a choice of one of them, a list within a list a choice of several, any other list of one element
an array. Every value may be null, so optional and nullable fields look like the others.
Source of the types: the model cards of NuExtract 2.0 and 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue

MAX_RECURSION = 2
"""How often a definition is written out within itself; the template has no references."""

_FORMATS: Mapping[str, str] = {
    "date": "date",
    "date-time": "date-time",
    "time": "time",
    "duration": "duration",
    "email": "email-address",
    "uri": "url",
}
_SIMPLE = {"integer": "integer", "number": "number", "boolean": "boolean", "null": "string"}


def nuextract_template(inference: dict[str, Any]) -> JsonValue:
    """The template of an inference schema. Pure and deterministic; never raises for what ``plan_schema`` builds."""
    return _node(inference, inference.get("$defs", {}), ())


def _node(schema: Any, definitions: Mapping[str, Any], open_names: tuple[str, ...]) -> JsonValue:
    if not isinstance(schema, dict) or not schema.keys() - {"description", "$defs", "$comment"}:
        return "string"
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if open_names.count(name) >= MAX_RECURSION:
            return "string"
        return _node(definitions[name], definitions, (*open_names, name))
    if "enum" in schema:
        return _choice(schema["enum"])
    if "anyOf" in schema:
        option: Any = next((option for option in schema["anyOf"] if option != {"type": "null"}), {})
        return _node(option, definitions, open_names)
    return _kind(schema, definitions, open_names)


def _kind(schema: dict[str, Any], definitions: Mapping[str, Any], open_names: tuple[str, ...]) -> JsonValue:
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    kind = next((kind for kind in kinds if kind != "null"), "null")
    if kind == "object":
        return {
            name: _node(child, definitions, open_names)
            for name, child in schema.get("properties", {}).items()
            if child is not False
        }
    if kind == "array":
        items = next(iter(schema.get("prefixItems", ())), schema.get("items", {}))
        # A list of texts is a choice of one; as an array's element it is a choice of several.
        return [_node(items, definitions, open_names)]
    return _string(schema) if kind == "string" else _SIMPLE[kind]


def _choice(values: list[Any]) -> JsonValue:
    """Only texts can be chosen from; other values are given as their type."""
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, str) for value in known):
        return list(known)
    if known and all(isinstance(value, bool) for value in known):
        return "boolean"
    if known and all(isinstance(value, int) for value in known):
        return "integer"
    return "number" if known and all(isinstance(value, int | float) for value in known) else "string"


def _string(schema: Mapping[str, Any]) -> str:
    # A hidden text is the model's own words, not the document's.
    if "$comment" in schema:
        return "string"
    return _FORMATS.get(schema.get("format", ""), "verbatim-string")
