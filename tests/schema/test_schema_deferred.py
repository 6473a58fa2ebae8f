"""What the grammar cannot hold, and schemas that are refused."""

from typing import Any

import pytest

from local_retab.errors import InvalidSchemaError, OutputValidationError, UnsupportedSchemaError
from local_retab.schema import SchemaPlan, load_schema, plan_schema
from local_retab.settings import Settings

SETTINGS = Settings(max_string_chars=50)


def plan(schema: Any) -> SchemaPlan:
    return plan_schema(load_schema(schema, settings=SETTINGS), settings=SETTINGS)


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def deferred(schema: Any) -> list[tuple[str, str]]:
    return [(item.path, item.keyword) for item in plan(schema).deferred]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "array", "uniqueItems": True}, ("", "uniqueItems")),
        (of(a={"not": {"multipleOf": 3}}), ("/properties/a", "not")),
        (of(a={"not": {"not": {"not": {"multipleOf": 3}}}}), ("/properties/a", "not")),
        ({"type": "object", "if": {}, "then": {"required": ["a"]}}, ("", "if")),
        ({"type": "object", "dependentRequired": {"a": ["b"]}}, ("", "dependentRequired")),
        ({"type": "object", "dependencies": {"a": ["b"]}}, ("", "dependencies")),
        ({"type": "object", "propertyNames": {"maxLength": 3}}, ("", "propertyNames")),
        ({"type": "array", "contains": {"type": "integer"}}, ("", "contains")),
        (of(a={"type": "string", "pattern": "a(?!x)"}), ("/properties/a", "pattern")),
        (of(a={"type": "string", "format": "idn-email"}), ("/properties/a", "format")),
        (of(a={"type": "string", "format": "date", "maxLength": 10}), ("/properties/a", "format")),
        (of(a={"oneOf": [{"type": "number"}, {"type": "integer"}]}), ("/properties/a", "oneOf")),
        ({"properties": {"a": {}, "b": {}}, "minProperties": 1}, ("", "minProperties")),
        ({"type": "object", "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, ("", "anyOf")),
        ({"type": "integer", "minimum": 10**30}, ("", "minimum")),
        (
            {"properties": {"ax": {"type": "string"}}, "patternProperties": {"^a": {"maxLength": 3}}},
            ("", "patternProperties"),
        ),
    ],
)
def test_what_the_grammar_cannot_hold_is_deferred(schema: dict[str, Any], expected: tuple[str, str]) -> None:
    assert deferred(schema) == [expected]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "uniqueItems": False},
        {"type": "object", "if": {}},
        of(a={"oneOf": [{"type": "string"}, {"type": "integer"}]}),
        of(a={"oneOf": [of(k={"const": "a"}), of(k={"const": "b"})]}),
        of(a={"oneOf": [of(p={"type": "string"}), of(q={"type": "string"})]}),
        {"type": "object", "minProperties": 2},
        {"$schema": "http://json-schema.org/draft-04/schema#", "if": {}, "then": {"type": "string"}},
    ],
)
def test_what_has_no_effect_or_is_held_is_not_deferred(schema: dict[str, Any]) -> None:
    assert deferred(schema) == []


def test_properties_under_a_condition_are_admitted() -> None:
    made = plan(
        {
            "properties": {"kind": {"enum": ["a", "b"]}},
            "required": ["kind"],
            "if": {"properties": {"kind": {"const": "b"}}},
            "then": {"properties": {"more": {"type": "integer"}}, "required": ["more"]},
        }
    )
    assert made.inference["properties"]["more"] == {"type": ["integer", "null"]}
    made.validate(made.to_caller({"kind": "b", "more": 4}))
    made.validate(made.to_caller({"kind": "a", "more": None}))
    with pytest.raises(OutputValidationError):
        made.validate(made.to_caller({"kind": "b", "more": None}))


@pytest.mark.parametrize(
    "schema",
    [
        {"allOf": [{"type": "string"}, {"type": "integer"}]},
        of(a=False),
        {"type": "string", "minLength": 3, "maxLength": 2},
        {"type": "number", "minimum": 3, "maximum": 2},
        {"type": "array", "minItems": 3, "maxItems": 2},
        {"type": "array", "prefixItems": [False], "minItems": 1},
        {"enum": ["a"], "type": "integer"},
        {"allOf": [{**of(a={}), "additionalProperties": False}, of(b={})]},
        {"$ref": "#"},
        {"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, {"type": "null"}]}}, "$ref": "#/$defs/a"},
    ],
)
def test_schemas_without_a_value_are_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(InvalidSchemaError):
        plan(schema)


def test_patterns_that_nothing_can_read_are_refused_together() -> None:
    with pytest.raises(UnsupportedSchemaError) as caught:
        plan({"properties": {"a": {"pattern": "["}}, "patternProperties": {"(": {}}})
    assert [(p["path"], p["keyword"]) for p in caught.value.details["problems"]] == [
        ("", "patternProperties"),
        ("/properties/a", "pattern"),
    ]


@pytest.mark.parametrize("width", [40, 1500])
def test_chains_of_definitions_end_in_an_error_and_not_in_a_crash(width: int) -> None:
    links = {f"A{i}": {"type": "object", "properties": {"x": {"$ref": f"#/$defs/A{i + 1}"}}} for i in range(width)}
    schema = {"$defs": {**links, f"A{width}": {"type": "string"}}, "$ref": "#/$defs/A0"}
    if width < 100:
        assert plan(schema).to_caller({"x": {"x": None}}) == {"x": {}}
    else:
        with pytest.raises(UnsupportedSchemaError, match="levels deep"):
            plan(schema)


def test_exponential_schemas_are_shared_or_refused() -> None:
    def pair(i: int) -> dict[str, Any]:
        return {"$ref": f"#/$defs/A{i + 1}"}

    doubling = {f"A{i}": {"type": "object", "properties": {"l": pair(i), "r": pair(i)}} for i in range(40)}
    made = plan({"$defs": {**doubling, "A40": {"type": "string"}}, "$ref": "#/$defs/A0"})
    assert len(str(made.inference)) < 50_000
    unions = {"anyOf": [{"properties": {f"p{i}": {"const": i}}, "required": [f"p{i}"]} for i in range(6)]}
    assert ("", "allOf") in deferred({"allOf": [unions] * 8})


def test_a_double_negation_is_no_negation() -> None:
    made = plan({"not": {"description": "-", "not": {"type": "object", "properties": {"a": {"type": "integer"}}}}})
    assert made.deferred == ()
    assert made.inference["properties"]["a"]["type"] == ["integer", "null"]
