"""Plans for a last attempt: nothing that the caller's schema allows is left out."""

import json
from typing import Any

import pytest
from llguidance import LLMatcher, LLTokenizer

from local_retab.errors import OutputValidationError
from local_retab.schema import SchemaPlan, load_schema, plan_schema
from local_retab.schema.style import SEPARATORS
from local_retab.schema.validation import validate
from local_retab.settings import Settings

SETTINGS = Settings(max_string_chars=50)
BYTES = LLTokenizer("byte")


def plan(schema: Any) -> SchemaPlan:
    return plan_schema(load_schema(schema, settings=SETTINGS), settings=SETTINGS)


def writes(made: SchemaPlan, value: Any) -> bool:
    """Whether the grammar lets the model write exactly this."""
    matcher = LLMatcher(BYTES, made.grammar, log_level=0)
    data = list(json.dumps(value, ensure_ascii=False, separators=SEPARATORS).encode())
    return bool(matcher.try_consume_tokens(data) == len(data) and matcher.is_accepting())


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"properties": {"a": {"type": "string"}}}, {"a": "x", "more": [1]}),
        ({"properties": {"a": {"type": ["string", "null"]}, "b": {}}}, {"b": 1}),
        ({"properties": {"a": {"type": "string"}}}, "text"),
        ({"minimum": 3}, [None]),
        ({"type": "object", "patternProperties": {"^a": {"type": "null"}}}, {"b": 1, "ab": None}),
        ({"type": "string", "format": "ipv6"}, "1::d6:192.168.0.1"),
        ({"type": "string", "format": "email"}, '"a b"@c.de'),
        ({"pattern": r"^\s$"}, "\ufeff"),
        (
            {"properties": {"k": {}}, "if": {"required": ["k"]}, "then": {"properties": {"x": {"type": "integer"}}}},
            {"x": "k is absent"},
        ),
    ],
)
def test_every_valid_value_can_be_written(schema: dict[str, Any], value: Any) -> None:
    narrow = plan(schema)
    wide = narrow.widened(settings=SETTINGS)
    assert not narrow.wide
    assert wide.wide
    assert not writes(narrow, value)
    assert writes(wide, value)
    assert wide.to_caller(value) == value
    wide.validate(value)


def test_the_model_is_shown_the_same_and_what_the_schema_rules_out_stays_out() -> None:
    narrow = plan({"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False})
    wide = narrow.widened(settings=SETTINGS)
    assert wide.template == narrow.template
    assert wide.original == narrow.original
    assert writes(wide, {"a": 1})
    assert writes(wide, {})
    assert not writes(wide, {"b": 1})
    assert not writes(wide, {"a": "x"})
    assert not writes(wide, [])
    assert wide.widened(settings=SETTINGS) is wide


def test_hidden_properties_stay_hidden() -> None:
    wide = plan({"properties": {"a": {"type": "string", "X-ReasoningPrompt": "why"}}}).widened(settings=SETTINGS)
    assert writes(wide, {"_a": "so", "a": "x", "b": 1})
    assert wide.to_caller({"_a": "so", "a": "x", "b": 1}) == {"a": "x", "b": 1}


def test_a_schema_that_nothing_satisfies_as_its_author_meant_it_is_planned_wide_at_once() -> None:
    made = plan({"allOf": [{"minimum": 3}, {"type": "string", "minLength": 2}, {"anyOf": [{"minItems": 1}]}]})
    assert writes(made, "ab")
    made = plan({"anyOf": [False, {"properties": {"a": False}, "required": ["a"]}]})
    assert made.wide
    assert writes(made, [1])


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"patternProperties": {r"^\d$": {"type": "null"}}}, {"\u0661": 1}, {"1": 1}),
        ({"patternProperties": {"^\\p{L}$": {}}, "additionalProperties": False}, {"\u00e9": 1}, {"1": 1}),
        ({"properties": {"a": {}}, "additionalProperties": {"type": "null"}}, {"a": 1, "b": None}, {"b": 1}),
        ({"allOf": [{"properties": {"a": {}}}], "unevaluatedProperties": False}, {"a": 1}, {"b": 1}),
        (
            {"$ref": "#/$defs/a", "$defs": {"a": {"properties": {"x": {}}}}, "unevaluatedProperties": False},
            {"x": 1},
            {"y": 1},
        ),
        (
            {"if": {"required": ["a"]}, "then": {"properties": {"a": {}, "b": {}}}, "unevaluatedProperties": False},
            {"a": 1, "b": 2},
            {"b": 2},
        ),
        (
            {"anyOf": [{"properties": {"a": {"const": 1}}}, {}], "unevaluatedProperties": {"type": "null"}},
            {"a": 1, "c": None},
            {"a": 2},
        ),
        (
            {"dependentSchemas": {"a": {"properties": {"a": {}, "b": {}}}}, "unevaluatedProperties": False},
            {"a": 1, "b": 1},
            {"b": 1},
        ),
    ],
)
def test_validation_of_keys(schema: dict[str, Any], good: Any, bad: Any) -> None:
    validate(good, schema)
    with pytest.raises(OutputValidationError):
        validate(bad, schema)
