"""Keywords about which keys an object has: the grammar holds them, and agrees with jsonschema on every set of keys."""

from __future__ import annotations

import json
from itertools import chain, combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from llguidance import LLTokenizer
from schema_writing import text, written

from local_retab.engine.constraint import Constraint
from local_retab.schema import SchemaPlan, load_schema, plan_schema
from local_retab.schema.dialect import dialect_of
from local_retab.schema.presence import Conditions
from local_retab.schema.references import References
from local_retab.settings import Settings

NAMES = ("a", "b", "c")
BYTES = LLTokenizer("byte")
SETS = [frozenset(names) for names in chain.from_iterable(combinations(NAMES, count) for count in range(4))]


def lists(least: int = 0) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(NAMES), min_size=least, max_size=2, unique=True)


LEAVES: st.SearchStrategy[Any] = st.one_of(
    lists(1).map(lambda names: {"required": names}),
    lists(1).map(lambda names: {"properties": dict.fromkeys(names, False)}),
    st.dictionaries(st.sampled_from(NAMES), lists(), min_size=1, max_size=2).map(
        lambda found: {"dependentRequired": found}
    ),
    st.booleans(),
)
SAID: st.SearchStrategy[Any] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        inner.map(lambda one: {"not": one}),
        st.lists(inner, min_size=1, max_size=3).map(lambda some: {"anyOf": some}),
        st.lists(inner, min_size=1, max_size=3).map(lambda some: {"oneOf": some}),
        st.lists(inner, min_size=1, max_size=2).map(lambda some: {"allOf": some}),
        st.tuples(inner, inner, inner).map(lambda three: dict(zip(("if", "then", "else"), three, strict=True))),
        st.dictionaries(st.sampled_from(NAMES), inner, min_size=1, max_size=2).map(
            lambda found: {"dependentSchemas": found}
        ),
    ),
    max_leaves=4,
)


@given(SAID)
@settings(max_examples=400, deadline=None, derandomize=True)
def test_a_condition_says_what_the_schema_says(schema: Any) -> None:
    references = References({"allOf": [schema]}, dialect_of({}))
    found = Conditions(references, lambda pointer: None).read("/allOf/0")
    if found is None:  # too many cases
        return
    for names in SETS:
        valid = Draft202012Validator(schema).is_valid(dict.fromkeys(names, 1))
        assert valid is any(case.present <= names and not case.absent & names for case in found)


def planned(schema: dict[str, Any]) -> SchemaPlan:
    return plan_schema(load_schema(schema, settings=Settings()), settings=Settings())


def grammar_of(plan: SchemaPlan) -> Constraint:
    return Constraint.compile(plan.grammar, BYTES)


def allows(plan: SchemaPlan, grammar: Constraint, value: Any) -> bool:
    constraint = grammar.copy()
    tokens = BYTES.tokenize_bytes(text(written(plan, value)).encode())
    return constraint.allows_all(tokens) and (constraint.consume(tokens) or constraint.accepting)


@given(SAID, lists(), st.booleans())
@settings(max_examples=150, deadline=None, derandomize=True)
def test_the_grammar_allows_exactly_the_valid_sets_of_keys(said: Any, required: list[str], union: bool) -> None:
    if isinstance(said, bool) or "properties" in said:
        said = {"allOf": [said]}
    schema = {
        "type": "object",
        "properties": {name: {"type": "string"} for name in NAMES},
        "required": required,
        "additionalProperties": False,
        **said,
    }
    if union:  # where optional keys stay optional
        schema = {
            "anyOf": [
                schema,
                {"type": "object", "properties": {"z": {"type": "string"}}, "additionalProperties": False},
            ]
        }
    values = [dict.fromkeys(sorted(names), "x") for names in SETS]
    valid = [Draft202012Validator(schema).is_valid(value) for value in values]
    if not any(valid):
        return
    plan = planned(schema)
    if plan.wide or plan.deferred:
        return
    grammar = grammar_of(plan)
    assert [allows(plan, grammar, value) for value in values] == valid


ADDRESS = {
    "type": "object",
    "properties": {"street": {"type": "string"}, "code": {"type": ["integer", "null"]}, "box": {"type": "string"}},
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        ({"anyOf": [{"required": ["street"]}, {"required": ["box"]}]}, '{"street": null, "code": 1, "box": null}'),
        ({"oneOf": [{"required": ["street"]}, {"required": ["box"]}]}, '{"street": "a", "code": 1, "box": "b"}'),
        ({"not": {"required": ["box"]}}, '{"street": "a", "code": 1, "box": "b"}'),
        ({"dependentRequired": {"street": ["box"]}}, '{"street": "a", "code": 1, "box": null}'),
        ({"if": {"required": ["street"]}, "then": {"required": ["box"]}}, '{"street": "a", "code": 1, "box": null}'),
    ],
)
def test_what_breaks_a_condition_cannot_be_written(said: dict[str, Any], refused: str) -> None:
    plan = planned({**ADDRESS, **said})
    assert plan.deferred == ()
    assert plan.inference["required"] == ["street", "code", "box"]  # keys stay forced
    constraint = grammar_of(plan)
    assert not constraint.allows_all(BYTES.tokenize_bytes(refused.encode()))
    assert refused.count('"street"') == plan.template.count("street") == 1


def test_a_key_that_no_property_declares_is_left_to_validation() -> None:
    plan = planned({"type": "object", "additionalProperties": {"type": "string"}, "anyOf": [{"required": ["x"]}]})
    assert [item.keyword for item in plan.deferred] == ["anyOf"]


def test_cases_survive_references_and_unions_with_null() -> None:
    schema = {
        "type": "object",
        "properties": {"to": {"anyOf": [{"$ref": "#/$defs/address"}, {"type": "null"}]}},
        "$defs": {"address": {**ADDRESS, "anyOf": [{"required": ["street"]}, {"required": ["box"]}]}},
    }
    plan = planned(schema)
    assert plan.deferred == ()
    grammar = grammar_of(plan)
    for value in ({"to": None}, {"to": {"street": "a", "code": None}}, {"to": {"code": 2, "box": "b"}}):
        assert allows(plan, grammar, value), json.dumps(value)
    assert not allows(plan, grammar, {"to": {"code": 2}})


def test_cases_in_cases_do_not_multiply() -> None:
    schema: dict[str, Any] = {"type": "string"}
    sizes = []
    for level in range(8):
        choice = {"anyOf": [{"required": [name]} for name in "bcdefg"]}
        others = {name: {"type": "string"} for name in "bcdefg"}
        schema = {"type": "object", "properties": {"a": schema, **others}, "additionalProperties": False, **choice}
        plan = planned(schema)
        assert plan.deferred == ()
        sizes.append(len(plan.grammar))
        assert level < 2 or sizes[-1] - sizes[-2] < 2 * (sizes[1] - sizes[0])
