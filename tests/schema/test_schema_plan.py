"""What the model is held to, for schemas as users write them."""

from typing import Any

import pytest
from pydantic import BaseModel, Field

from local_retab.schema import SchemaPlan, load_schema, plan_schema
from local_retab.settings import Settings

SETTINGS = Settings(max_string_chars=50)
TEXT = {"type": "string", "maxLength": 50}


def plan(schema: Any) -> SchemaPlan:
    return plan_schema(load_schema(schema, settings=SETTINGS), settings=SETTINGS)


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def held(schema: Any) -> Any:
    """What the schema of a required property becomes."""
    return plan(of(x=schema)).inference["properties"]["x"]


def test_optional_properties_are_required_and_nullable() -> None:
    made = plan(
        {
            "type": "object",
            "properties": {"b": {"type": "string"}, "a": {"type": "integer"}},
            "required": ["a"],
        }
    )
    assert made.inference == {
        "type": "object",
        "properties": {"b": {"type": ["string", "null"], "maxLength": 50}, "a": {"type": "integer"}},
        "required": ["b", "a"],
        "additionalProperties": False,
    }
    assert made.to_caller({"b": None, "a": 1}) == {"a": 1}
    made.validate({"a": 1})


def test_a_null_that_the_caller_allows_stays() -> None:
    made = plan({"properties": {"a": {"type": ["string", "null"]}, "b": {"enum": ["x", None]}, "c": {"const": 1}}})
    assert made.to_caller({"a": None, "b": None, "c": None}) == {"a": None, "b": None}
    assert made.inference["properties"]["c"] == {"enum": [1, None]}


@pytest.mark.parametrize(
    ("schema", "kept"),
    [
        ({"type": ["string", "null"], "format": "date"}, True),
        ({"type": ["array", "null"], "uniqueItems": True}, True),
        ({"oneOf": [{"type": "null"}, {"type": "string"}]}, True),
        ({"oneOf": [{}, {"type": "null"}]}, False),
        ({"not": {"type": "null"}}, False),
        ({"$ref": "#/$defs/n"}, True),
    ],
)
def test_a_null_is_kept_where_it_is_surely_allowed(schema: dict[str, Any], kept: bool) -> None:
    made = plan({"properties": {"a": schema}, "$defs": {"n": {"type": ["integer", "null"]}}})
    shown = made.to_caller({"a": None})
    assert shown == ({"a": None} if kept else {})
    made.validate(shown)


def test_required_names_without_a_schema_take_any_value() -> None:
    made = plan({"type": "object", "properties": {"a": {"type": "null"}}, "required": ["z", "a"]})
    assert made.inference["properties"] == {"a": {"type": "null"}, "z": {}}


@pytest.mark.parametrize(
    ("schema", "others"),
    [
        ({"properties": {"a": {"type": "null"}}}, False),
        ({"properties": {"a": {"type": "null"}}, "additionalProperties": True}, True),
        (
            {"properties": {"a": {"type": "null"}}, "additionalProperties": {"type": "integer"}},
            {"type": "integer"},
        ),
        ({"type": "object"}, True),
        ({"type": "object", "additionalProperties": False}, False),
        ({"type": "object", "patternProperties": {"^x": {"type": "integer"}}}, False),
    ],
)
def test_objects_are_closed_unless_the_caller_opens_them(schema: dict[str, Any], others: Any) -> None:
    assert plan(schema).inference["additionalProperties"] == others


def test_hidden_properties_stand_before_the_property_they_serve() -> None:
    made = plan(
        {
            "type": "object",
            "X-ReasoningPrompt": "think first",
            "X-SystemPrompt": "be exact",
            "properties": {
                "total": {"type": "number", "X-ReasoningPrompt": "add up", "X-SourceQuote": True},
                "lines": {
                    "type": "array",
                    "items": {**of(text={"type": "string"}), "X-ReasoningPrompt": "which row"},
                },
            },
        }
    )
    properties = made.inference["properties"]
    assert list(properties) == ["_root", "source___total", "_total", "total", "lines"]
    assert made.inference["required"] == list(properties)
    evidence = "the line of the document that states it, or: not stated"
    reasoning = {"type": "string", "maxLength": 200, "description": "add up"}
    assert properties["_root"] == {**reasoning, "description": "think first"}
    assert properties["_total"] == {**reasoning, "$comment": evidence}
    assert properties["source___total"]["maxLength"] == 300
    assert list(properties["lines"]["items"]["properties"]) == ["_item", "text"]
    assert made.system_prompt == "be exact"
    value = {
        "_root": "a",
        "source___total": None,
        "_total": "b",
        "total": 3,
        "lines": [{"_item": "c", "text": "t"}],
    }
    assert made.to_caller(value) == {"total": 3, "lines": [{"text": "t"}]}


def test_hidden_names_avoid_the_callers() -> None:
    made = plan(of(a={"type": "integer", "X-ReasoningPrompt": "p"}, _a={"type": "string"}))
    assert list(made.inference["properties"]) == ["__a", "a", "_a"]
    assert made.to_caller({"__a": "x", "a": 1, "_a": "kept"}) == {
        "a": 1,
        "_a": "kept",
    }


def test_words_beside_a_reference_win_over_its_target() -> None:
    target = {"type": "integer", "description": "inner", "X-ReasoningPrompt": "inner prompt"}
    made = plan(
        {
            "$defs": {"T": target},
            **of(
                a={"$ref": "#/$defs/T", "description": "outer", "X-ReasoningPrompt": "outer prompt"},
                b={"$ref": "#/$defs/T"},
                c={"type": "integer", "description": "said", "X-FieldPrompt": "meant"},
            ),
        }
    )
    found = {name: node.get("description") for name, node in made.inference["properties"].items()}
    assert found == {
        "_a": "outer prompt",
        "a": "outer",
        "_b": "inner prompt",
        "b": "inner",
        "c": "meant",
    }


def test_annotations_are_stripped() -> None:
    noise = {
        "title": "T",
        "default": "d",
        "examples": ["e"],
        "X-SchemaType": "generic",
        "$comment": "c",
        "deprecated": True,
    }
    assert held({"type": "string", **noise}) == TEXT


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string"}, TEXT),
        ({"type": "string", "minLength": 60}, {"type": "string", "minLength": 60}),
        ({"type": "string", "pattern": "^a+$"}, {"type": "string", "pattern": "^a+$"}),
        ({"type": "string", "format": "date"}, {"type": "string", "format": "date"}),
        ({"type": "string", "format": "made-up"}, TEXT),
        ({"const": 5}, {"enum": [5]}),
        ({"enum": [1, "a", 1.0], "type": "integer"}, {"enum": [1]}),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, {"type": ["integer", "null"]}),
        ({"anyOf": [{"type": "integer"}, TEXT]}, {"anyOf": [{"type": "integer"}, TEXT]}),
        ({"allOf": [{"type": "integer", "minimum": 1}, {"minimum": 3}]}, {"type": "integer", "minimum": 3}),
        ({"allOf": [{"type": "number"}, {"type": "integer"}]}, {"type": "integer"}),
        ({"allOf": [{"enum": [1, 2, True]}, {"enum": [1.0, 3]}]}, {"enum": [1]}),
        ({"type": "integer", "nullable": True}, {"type": ["integer", "null"]}),
        ({"enum": ["a"], "nullable": True}, {"enum": ["a", None]}),
        ({"minimum": 2}, {"type": "number", "minimum": 2}),
        ({}, {}),
        ({"type": "array", "items": False}, {"type": "array", "items": False}),
        (
            {"type": "array", "prefixItems": [{"type": "null"}]},
            {"type": "array", "prefixItems": [{"type": "null"}]},
        ),
    ],
)
def test_one_node(schema: dict[str, Any], expected: Any) -> None:
    assert held(schema) == expected


def test_older_drafts() -> None:
    assert held({"type": "number", "minimum": 1, "exclusiveMinimum": True}) == {
        "type": "number",
        "exclusiveMinimum": 1,
    }
    assert held({"type": "number", "minimum": 1, "exclusiveMinimum": False}) == {
        "type": "number",
        "minimum": 1,
    }
    assert held({"type": "array", "items": [{"type": "null"}], "additionalItems": False}) == {
        "type": "array",
        "prefixItems": [{"type": "null"}],
        "items": False,
    }
    seventh = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "definitions": {"T": {"type": "integer"}},
        **of(x={"$ref": "#/definitions/T", "minimum": 9}),
    }
    made = plan(seventh)
    assert made.inference["properties"]["x"] == {"type": "integer"}
    made.validate({"x": 1})


def test_merged_objects_keep_every_property() -> None:
    made = plan(
        {
            "$defs": {"Base": of(id={"type": "integer"})},
            "allOf": [{"$ref": "#/$defs/Base"}],
            "properties": {"name": {"type": "null"}, "id": {"minimum": 1}},
            "required": ["name"],
        }
    )
    assert made.inference["properties"] == {"name": {"type": "null"}, "id": {"type": "integer", "minimum": 1}}


def test_in_a_union_of_objects_optional_stays_optional() -> None:
    made = plan(
        of(
            x={
                "anyOf": [
                    {"properties": {"kind": {"const": "a"}, "n": {"type": "integer"}}, "required": ["kind"]},
                    {"properties": {"kind": {"const": "b"}, "n": {"type": "null"}}, "required": ["kind"]},
                ]
            }
        )
    )
    options = made.inference["properties"]["x"]["anyOf"]
    assert [option["required"] for option in options] == [["kind"], ["kind"]]
    value = {"x": {"kind": "b", "n": None}}
    assert made.to_caller(value) == value
    made.validate(value)


def test_recursion_becomes_a_definition() -> None:
    node = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "sub": {"type": "array", "items": {"$ref": "#"}}},
    }
    made = plan(node)
    assert "$ref" in str(made.inference)
    value = {"name": "a", "sub": [{"name": "b", "sub": [{"name": None, "sub": None}]}]}
    assert made.to_caller(value) == {"name": "a", "sub": [{"name": "b", "sub": [{}]}]}


def test_two_recursive_schemas_at_once_end() -> None:
    def chain(name: str) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {"next": {"$ref": f"#/$defs/{name}"}, name: {"type": "string"}},
        }

    made = plan({"$defs": {"A": chain("A"), "B": chain("B")}, "allOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"}]})
    assert made.to_caller({"next": {"next": None, "A": None, "B": "b"}, "A": None, "B": None}) == {"next": {"B": "b"}}


def test_a_large_shared_definition_is_written_twice_at_most() -> None:
    address = {"type": "object", "properties": {f"line{i}": {"type": "string"} for i in range(9)}}
    made = plan({"$defs": {"Address": address}, **of(**{f"a{i}": {"$ref": "#/$defs/Address"} for i in range(9)})})
    assert str(made.inference).count("'line3'") == 4  # a property and a required name, inline and in $defs


class Address(BaseModel):
    street: str
    city: str | None = None


class Order(BaseModel):
    """An order."""

    number: int = Field(ge=1, description="printed at the top")
    ship_to: Address
    bill_to: Address | None = None
    tags: dict[str, int] = {}


def test_a_pydantic_model_comes_back_as_itself() -> None:
    made = plan(Order)
    value = {
        "number": 7,
        "ship_to": {"street": "s", "city": None},
        "bill_to": None,
        "tags": {"a": 1},
    }
    made.validate(made.to_caller(value))
    assert Order.model_validate(made.to_caller(value)).tags == {"a": 1}
    assert made.deferred == ()
