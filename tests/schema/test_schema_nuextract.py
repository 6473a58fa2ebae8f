"""JSON Schema to the typed template of the NuExtract models."""

from __future__ import annotations

from typing import Any

import pytest

from local_retab import Settings
from local_retab.schema import plan_schema
from local_retab.schema.nuextract import nuextract_template

SETTINGS = Settings()


def template(schema: dict[str, Any]) -> Any:
    return nuextract_template(plan_schema(schema, settings=SETTINGS).inference)


def prop(schema: dict[str, Any], *, required: bool = True) -> Any:
    """The template of one property."""
    return template({"type": "object", "properties": {"it": schema}, "required": ["it"] if required else []})["it"]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string"}, "verbatim-string"),
        ({"type": "integer", "minimum": 1}, "integer"),
        ({"type": "number"}, "number"),
        ({"type": "boolean"}, "boolean"),
        ({"type": "string", "format": "date"}, "date"),
        ({"type": "string", "format": "date-time"}, "date-time"),
        ({"type": "string", "format": "email"}, "email-address"),
        ({"type": "string", "format": "ipv4"}, "verbatim-string"),
        ({"type": ["string", "null"]}, "verbatim-string"),
        ({"anyOf": [{"type": "null"}, {"type": "number"}]}, "number"),
        ({"enum": ["a", "b"]}, ["a", "b"]),
        ({"enum": ["a", None]}, ["a"]),
        ({"enum": [1, 2]}, "integer"),
        ({"enum": [1, 2.5]}, "number"),
        ({"enum": [True, False]}, "boolean"),
        ({"enum": [1, "a"]}, "string"),
        ({"const": "invoice"}, ["invoice"]),
        ({"type": "null"}, "string"),
        ({}, "string"),
        ({"type": "array", "items": {"type": "string"}}, ["verbatim-string"]),
        ({"type": "array", "items": {"enum": ["a", "b"]}}, [["a", "b"]]),
        ({"type": "array"}, ["string"]),
        (
            {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer"}}}},
            [{"n": "integer"}],
        ),
        ({"type": "object", "properties": {"inner": {"type": "object", "properties": {}}}}, {"inner": {}}),
    ],
)
def test_each_shape_has_its_type(schema: dict[str, Any], expected: Any) -> None:
    assert prop(schema) == expected
    assert prop(schema, required=False) == expected


def test_a_whole_schema_keeps_its_order_and_names() -> None:
    schema = {
        "type": "object",
        "properties": {
            "number": {"type": "string", "description": "as printed"},
            "issued": {"type": "string", "format": "date"},
            "seller": {"$ref": "#/$defs/party"},
            "buyer": {"anyOf": [{"$ref": "#/$defs/party"}, {"type": "null"}]},
            "kind": {"enum": ["goods", "service"]},
            "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
        },
        "required": ["number"],
        "$defs": {
            "party": {"type": "object", "properties": {"name": {"type": "string"}, "vat": {"type": "string"}}},
            "line": {"type": "object", "properties": {"text": {"type": "string"}, "amount": {"type": "number"}}},
        },
    }
    found = template(schema)
    assert found == {
        "number": "verbatim-string",
        "issued": "date",
        "seller": {"name": "verbatim-string", "vat": "verbatim-string"},
        "buyer": {"name": "verbatim-string", "vat": "verbatim-string"},
        "kind": ["goods", "service"],
        "lines": [{"text": "verbatim-string", "amount": "number"}],
    }
    assert list(found) == list(schema["properties"])


def test_recursion_is_written_out_and_ends() -> None:
    node = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
    }
    found = template({"$ref": "#/$defs/node", "$defs": {"node": node}})
    assert found["name"] == "verbatim-string"
    depth = 0
    while isinstance(found, dict):
        [found] = found["children"]
        depth += 1
    assert found == "string"
    assert 1 <= depth <= 4


def test_hidden_reasoning_is_the_models_own_words() -> None:
    found = template(
        {
            "type": "object",
            "properties": {"total": {"type": "number", "X-ReasoningPrompt": "Add the lines up."}},
            "required": ["total"],
        }
    )
    assert found == {"_total": "string", "total": "number"}
