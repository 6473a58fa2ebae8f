"""What the model is shown."""

import json
from typing import Any

import pytest

from local_retab.schema import load_schema, plan_schema, render_template
from local_retab.settings import Settings

SETTINGS = Settings()


def template(schema: dict[str, Any]) -> str:
    return plan_schema(load_schema(schema, settings=SETTINGS), settings=SETTINGS).template


def test_an_invoice() -> None:
    schema = {
        "type": "object",
        "description": "An invoice",
        "properties": {
            "number": {"type": "string", "description": "Invoice\nnumber"},
            "issued": {"type": "string", "format": "date"},
            "currency": {"enum": ["EUR", "USD"]},
            "total": {"type": "number", "minimum": 0, "X-ReasoningPrompt": "Add the lines up."},
            "paid": {"type": "boolean"},
            "lines": {
                "type": "array",
                "description": "The table",
                "maxItems": 9,
                "items": {"type": "object", "properties": {"text": {"type": "string", "maxLength": 20}}},
            },
            "tags": {"type": "array", "items": {"type": "string"}},
            "more": {"type": "object", "additionalProperties": {"type": "integer"}},
        },
        "required": ["number", "currency", "total", "paid", "lines", "tags", "more"],
    }
    assert template(schema) == (
        "{ // An invoice\n"
        '  "number": string, // Invoice number\n'
        '  "issued": date YYYY-MM-DD or null,\n'
        '  "currency": "EUR" | "USD",\n'
        '  "_total": "<the line of the document that states it, or: not stated>", // Add the lines up.\n'
        '  "total": number >= 0,\n'
        '  "paid": true | false,\n'
        '  "lines": [{ // The table\n'
        '    "text": string of at most 20 characters or null\n'
        "  }, ...] 0 to 9 items,\n"
        '  "tags": [string, ...],\n'
        '  "more": {\n'
        "    <any key>: integer\n"
        "  }\n"
        "}"
    )


def test_recursion_is_named_once() -> None:
    schema = {
        "$defs": {
            "Part": {
                "type": "object",
                "properties": {"parts": {"type": "array", "items": {"$ref": "#/$defs/Part"}}},
            }
        },
        "type": "object",
        "properties": {"top": {"$ref": "#/$defs/Part", "description": "the whole"}},
        "required": ["top"],
    }
    shown = template(schema)
    assert shown.count("where Part is {") == 1
    assert '"parts": [Part, ...] or null' in shown
    assert '"top": { // the whole' in shown


def test_unions_and_keys_that_may_be_left_out() -> None:
    def kind(name: str, **more: Any) -> dict[str, Any]:
        return {"type": "object", "properties": {"k": {"const": name}, **more}, "required": ["k"]}

    shown = template({"properties": {"x": {"oneOf": [kind("a"), kind("b", n={"type": "integer"})]}}, "required": ["x"]})
    assert shown == '{\n  "x": {\n    "k": "a"\n  } or {\n    "k": "b",\n    "n"?: integer\n  }\n}'


def test_long_enums_are_elided_with_their_count() -> None:
    shown = render_template({"enum": [f"v{i}" for i in range(99)] + [None]})
    assert '"v29" | ... (99 values) or null' in shown
    assert "v30" not in shown


@pytest.mark.parametrize(
    ("node", "shown"),
    [
        ({}, "any JSON value"),
        ({"enum": [None]}, "null"),
        (
            {"type": ["integer", "null"], "multipleOf": 5, "exclusiveMaximum": 9},
            "integer multiple of 5 < 9 or null",
        ),
        ({"type": "string", "pattern": "^a$", "maxLength": 3}, "string of at most 3 characters like /^a$/"),
        ({"type": "array", "prefixItems": [{"type": "null"}], "items": False}, "[null]"),
        ({"type": "array", "minItems": 2}, "[any JSON value, ...] 2 items or more"),
        ({"type": "object", "additionalProperties": False}, "{}"),
        (
            {"type": "object", "patternProperties": {"^x": {}}, "additionalProperties": False},
            "{\n  <key like /^x/>: any JSON value\n}",
        ),
    ],
)
def test_nodes(node: dict[str, Any], shown: str) -> None:
    assert render_template(node) == shown


def test_what_is_said_of_items_stands_behind_an_array_that_is_written_on_one_line() -> None:
    code = {"type": "string", "maxLength": 9, "description": "the code of each line"}
    node = {
        "type": "object",
        "properties": {
            "codes": {"type": "array", "items": code},
            "others": {"type": ["array", "null"], "items": code, "description": "if any"},
        },
        "required": ["codes", "others"],
        "additionalProperties": False,
    }
    assert render_template(node).split("\n")[1:-1] == [
        '  "codes": [string of at most 9 characters, ...], // the code of each line',
        '  "others": [string of at most 9 characters, ...] or null // if any // the code of each line',
    ]


def test_untrusted_text_stays_on_its_line_and_short() -> None:
    node = {
        "type": "object",
        "properties": {"a\n": {"type": "null", "description": "x\r\n\u2028\x1b y " * 900}},
    }
    lines = render_template(node).split("\n")
    assert len(lines) == 4  # the braces, the property, and the keys that nothing forbids
    assert len(lines[1]) < 450
    assert lines[1].startswith('  "a\\n"?: null, // x y x y')
    assert lines[1].isprintable()


def test_a_template_is_shorter_than_its_schema() -> None:
    field = {"type": "string", "title": "A Title", "description": "What it is", "default": ""}
    schema = {"type": "object", "properties": {f"field_{i}": field for i in range(20)}}
    assert len(template(schema)) < 0.55 * len(json.dumps(schema, separators=(",", ":")))
