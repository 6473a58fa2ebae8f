"""Schemas for parts of a document and parts of a value."""

from __future__ import annotations

from typing import Any

import pytest

from local_retab.errors import OutputValidationError, RequestError
from local_retab.schema import (
    KEYS,
    check_keys,
    for_parts,
    has_array,
    item_schema,
    keys_schema,
    only,
    plan_schema,
    unstated,
    without,
)
from local_retab.settings import Settings

SCHEMA: dict[str, Any] = {
    "type": "object",
    "X-SystemPrompt": "Read well.",
    "properties": {
        "name": {"type": "string"},
        "kind": {"enum": ["a", "b"]},
        "level": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        "note": {"type": "string"},
        "seller": {"$ref": "#/$defs/Party"},
        "page": {
            "type": "object",
            "properties": {
                "lines": {"anyOf": [{"type": "array", "items": {"$ref": "#/$defs/Line"}}, {"type": "null"}]}
            },
            "required": ["lines"],
        },
        "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1},
    },
    "required": ["name", "kind", "level", "seller", "page", "tags"],
    "$defs": {
        "Party": {"type": "object", "properties": {"vat": {"type": "string"}}, "required": ["vat"]},
        "Line": {
            "type": "object",
            "properties": {"id": {"$ref": "#/$defs/Id"}, "price": {"type": "number"}},
            "required": ["id", "price"],
        },
        "Id": {"type": "object", "properties": {"code": {"type": "string", "description": "As printed"}}},
    },
}
NOTHING = {"name": None, "kind": None, "level": None, "seller": {"vat": None}, "page": {"lines": []}, "tags": []}


def held(schema: dict[str, Any], value: Any) -> bool:
    try:
        plan_schema(schema, settings=Settings()).validate(value)
    except OutputValidationError:
        return False
    return True


def test_a_part_may_state_nothing() -> None:
    assert held(for_parts(SCHEMA), NOTHING)
    assert not held(SCHEMA, NOTHING)


def test_a_part_writes_small_objects_that_may_be_left_out() -> None:
    party = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}
    many = {"type": "object", "properties": {f"n{number}": {"type": "string"} for number in range(100)}}
    properties = {
        "party": party,
        "referred": {"$ref": "#/$defs/Party"},
        "inner": {"type": "object", "properties": {"party": party}},
        "empty": {"anyOf": [party, {"type": "null"}]},
        "node": {"$ref": "#/$defs/Node"},
        "many": many,
        "open": {"type": "object"},
        "text": {"type": "string"},
    }
    schema = {"type": "object", "properties": properties, "$defs": {"Party": party, "Node": node}}
    relaxed = for_parts(schema)
    assert relaxed["required"] == ["party", "referred", "inner"]
    assert relaxed["properties"]["inner"]["required"] == ["party"]
    written = {"party": {"name": None}, "referred": {"name": None}, "inner": {"party": {"name": None}}}
    assert held(relaxed, written)
    assert not held(relaxed, {})
    assert unstated(written, schema) == [("party",), ("referred",), ("inner",)]


@pytest.mark.parametrize(
    ("value", "gone"),
    [
        ({"a": {"b": {"x": None, "y": []}}}, [("a",)]),
        ({"a": {"b": {"x": None}, "z": 1}}, [("a", "b")]),
        ({"a": {"b": {"x": False}}}, []),
        ({"a": {"b": {"x": ""}}}, []),
        ({"kept": {"x": None}}, []),
        ({"a": None}, [("a",)]),
        ({"free": {"x": None}}, []),
        ({}, []),
        (None, []),
    ],
)
def test_objects_in_which_nothing_is_stated(value: Any, gone: list[tuple[str, ...]]) -> None:
    inner = {"type": "object", "properties": {"x": {}, "y": {"type": "array"}}}
    outer = {"type": "object", "properties": {"b": inner, "z": {"type": "integer"}}}
    schema = {"type": "object", "properties": {"a": outer, "kept": inner}, "required": ["kept"]}
    assert unstated(value, schema) == gone


@pytest.mark.parametrize(
    "change",
    [
        {"page": {"lines": [{"id": {}, "price": None}]}},
        {"tags": [None]},
        {"seller": None},
        {"note": None},
        {"kind": "c"},
    ],
)
def test_items_and_what_may_be_left_out_are_as_they_were(change: dict[str, Any]) -> None:
    assert not held(for_parts(SCHEMA), {**NOTHING, **change})


def test_a_recursive_schema_ends() -> None:
    node = {"type": "object", "properties": {"n": {"type": "string"}, "next": {"$ref": "#"}}, "required": ["n"]}
    assert held(for_parts(node), {"n": None})
    assert not has_array(node)


def test_arrays_outside_arrays() -> None:
    assert has_array(SCHEMA)
    assert not has_array(only(SCHEMA, ["name", "seller"]))


def test_what_is_left_out_and_what_is_left() -> None:
    rest = without(SCHEMA, "page.lines")
    assert list(rest["properties"]) == ["name", "kind", "level", "note", "seller", "tags"]
    assert "page" not in rest["required"]
    assert only(SCHEMA, ["note", "name"])["required"] == ["name"]


def test_keys_and_items_have_schemas_of_their_own() -> None:
    keys = keys_schema(SCHEMA, "page.lines", "id.code")
    assert held(keys, {KEYS: ["a", "b"]})
    assert not held(keys, {KEYS: [1]})
    assert keys["X-SystemPrompt"] == "Read well."
    assert keys["properties"][KEYS]["items"]["description"].startswith("As printed The code of each of the page lines")
    assert held(item_schema(SCHEMA, "page.lines"), {"id": {"code": "x"}, "price": 1})
    assert not held(item_schema(SCHEMA, "page.lines"), {"id": {"code": "x"}})


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"lines": "id"}, "no property 'lines'"),
        ({"tags": "id"}, "not an array of objects"),
        ({"name": "id"}, "not an array whose items"),
        ({"page.lines": "number"}, "no property 'number'"),
        ({"page.lines": "id.code.x"}, "no property 'x'"),
        ({"page.lines": "price", "page.lines.id": "code"}, "page.lines.id"),
    ],
)
def test_wrong_keys_are_refused(keys: dict[str, str], reason: str) -> None:
    with pytest.raises(RequestError, match="chunking_keys") as caught:
        check_keys(SCHEMA, keys)
    assert reason in caught.value.message
