"""What the grammar's engine refuses and a rewrite holds: the grammar agrees with jsonschema on generated values."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llguidance import LLTokenizer
from schema_writing import text, written

from local_retab.engine.constraint import Constraint
from local_retab.schema import SchemaPlan, load_schema, plan_schema
from local_retab.schema.complement import complement_of, words
from local_retab.schema.lookaround import without_lookaround
from local_retab.schema.negation import negation
from local_retab.schema.patterns import searcher
from local_retab.schema.validation import checker
from local_retab.settings import Settings

BYTES = LLTokenizer("byte")
QUICK = settings(max_examples=150, deadline=None, derandomize=True)
TEXT = st.text('ab-f"\\\n0é', max_size=6)
SCALARS: list[Any] = ["", "a", "ab", "b", 'a"', "\\", 0, 1, 2, 3, 2.5, -1, True, False, None]

CHARACTERS = st.sampled_from(["a", "b", "-", "[ab]", "[^a]", ".", r"\d", r"\s", r"\\", '"', "é", "(?:ab)"])
PATTERNS = st.recursive(
    CHARACTERS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda two: f"(?:{two[0]}|{two[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}"])).map(lambda two: f"(?:{two[0]}){two[1]}"),
    ),
    max_leaves=5,
)
ANCHORED = st.tuples(st.sampled_from(["", "^"]), PATTERNS, st.sampled_from(["", "$"])).map(
    lambda three: f"{three[0]}(?:{three[1]}){three[2]}"
)

CHECKS: st.SearchStrategy[Any] = st.one_of(
    st.lists(st.sampled_from(SCALARS), min_size=1, max_size=3, unique_by=repr).map(lambda some: {"enum": some}),
    st.sampled_from(SCALARS).map(lambda value: {"const": value}),
    st.sampled_from(["string", "number", "boolean", "null", ["string", "null"]]).map(lambda name: {"type": name}),
    st.sampled_from(["^a", "b$", "^(?:a|ab)$", "a"]).map(lambda pattern: {"pattern": pattern}),
    st.sampled_from(["minLength", "maxLength"]).flatmap(lambda key: st.integers(0, 2).map(lambda size: {key: size})),
    st.sampled_from(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]).flatmap(
        lambda key: st.integers(0, 3).map(lambda bound: {key: bound})
    ),
)
SAID: st.SearchStrategy[Any] = st.recursive(
    CHECKS,
    lambda inner: st.one_of(
        inner.map(lambda one: {"not": one}),
        st.lists(inner, min_size=1, max_size=2).map(lambda some: {"anyOf": some}),
        st.lists(inner, min_size=1, max_size=2).map(lambda some: {"allOf": some}),
        st.tuples(inner, inner).map(lambda two: {**two[1], **two[0]}),
    ),
    max_leaves=4,
)


TYPES = st.sampled_from([["string"], ["number"], ["integer"], ["string", "null"], ["string", "number", "boolean"]])


def planned(schema: Any) -> SchemaPlan:
    return plan_schema(load_schema(schema, settings=Settings()), settings=Settings())


def allows(plan: SchemaPlan, grammar: Constraint, value: Any) -> bool:
    constraint = grammar.copy()
    tokens = BYTES.tokenize_bytes(text(written(plan, value)).encode())
    return constraint.allows_all(tokens) and (constraint.consume(tokens) or constraint.accepting)


def agrees(schema: dict[str, Any], values: list[Any]) -> SchemaPlan | None:
    """The plan, whose grammar is found to allow the valid ones of ``values`` and no others; None if none is valid."""
    valid = [checker(schema).is_valid(value) for value in values]
    if not any(valid):
        return None
    plan = planned(schema)
    grammar = Constraint.compile(plan.grammar, BYTES)
    for value, right in zip(values, valid, strict=True):
        allowed = allows(plan, grammar, value)
        assert allowed or not right, f"{value!r} cannot be written"
        assert right or not allowed or plan.deferred, f"{value!r} can be written"
    return plan


@given(ANCHORED, st.lists(TEXT, min_size=1, max_size=20))
@QUICK
def test_a_complement_matches_what_the_pattern_does_not(pattern: str, texts: list[str]) -> None:
    others = complement_of(pattern)
    if others is not None:
        here, there = searcher(pattern), searcher(others)
        assert here
        assert there
        assert [here(text) for text in texts] == [not there(text) for text in texts]


@pytest.mark.parametrize(
    "pattern",
    [
        "^foo",
        "^[A-Z]{5}[0-9]{4}[A-Z]$",
        r"^[\.\,\*\s\{\}]+$",
        "(a|b)*c",
        "^(?:test|dev)-",
        r"^\d{4}-\d{2}$",
        '"',
        r"\\",
    ],
)
def test_complements_of_patterns_that_are_met_are_known(pattern: str) -> None:
    assert complement_of(pattern) is not None


@given(st.lists(TEXT, min_size=1, max_size=5), st.lists(TEXT, max_size=20))
@QUICK
def test_words_leave_out_only_themselves(left_out: list[str], others: list[str]) -> None:
    search = searcher(words(left_out))
    assert search
    assert [search(text) for text in (*left_out, *others)] == [text not in left_out for text in (*left_out, *others)]


@given(
    st.sampled_from(["^(?!{0}){1}$", "^(?={0}){1}$", "^(?!{0})(?!{1}){1}", "^{0}(?<!{1})$", "^(?!{0})(?:{1})(?<!b)$"]),
    PATTERNS,
    PATTERNS,
    st.lists(TEXT, min_size=1, max_size=20),
)
@QUICK
def test_lookaround_becomes_patterns_of_which_all_match(form: str, left: str, right: str, texts: list[str]) -> None:
    pattern = form.format(f"(?:{left})", f"(?:{right})")
    parts = without_lookaround(pattern)
    whole = searcher(pattern)
    if parts is None or whole is None:
        return
    searches = [search for part in parts if (search := searcher(part))]
    assert len(searches) == len(parts)
    for text_ in texts:
        assert whole(text_) is all(search(text_) for search in searches), text_


@given(SAID)
@QUICK
def test_a_negation_is_a_complement(said: Any) -> None:
    other = negation(said, pytest.fail)
    if other is not None:
        values = [*SCALARS, [], [1], {}, {"a": 1}]
        assert [checker(said).is_valid(value) for value in values] == [
            not checker({"allOf": [other]}).is_valid(value) for value in values
        ]


@given(SAID, TYPES)
@QUICK
def test_not_over_scalars_is_held(said: Any, types: list[str]) -> None:
    plan = agrees({"type": "object", "properties": {"v": {"type": types, "not": said}}, "required": ["v"]},
                  [{"v": value} for value in SCALARS])  # fmt: skip
    if plan is not None and negation(said, pytest.fail) is not None:
        assert not plan.deferred


@pytest.mark.parametrize(
    ("pattern", "right", "wrong"),
    [
        ("^(?!foo)[a-z]+$", ["fob", "a"], ["foo", "foot", "A", ""]),
        (r"^(?!\s*$).+", ["a", " a"], ["", "  "]),
        ("^(?=.*[0-9])(?=.*[a-z])[a-z0-9]{3,8}$", ["a1b"], ["abc", "123", "a1"]),
        (r"^[a-z.]+(?<!\.)$", ["a.b"], ["a.", "."]),
    ],
)
def test_lookaround_at_the_ends_is_held(pattern: str, right: list[str], wrong: list[str]) -> None:
    plan = agrees({"type": "object", "properties": {"v": {"type": "string", "pattern": pattern}}, "required": ["v"]},
                  [{"v": value} for value in (*right, *wrong)])  # fmt: skip
    assert plan is not None
    assert plan.deferred == ()


KINDS = st.sampled_from(
    [{"const": "x"}, {"enum": ["x", "y"]}, {"const": "z"}, {"not": {"const": "x"}}, {"minLength": 2}, {"pattern": "^x"}]
)
COUNTS = st.sampled_from([{"minimum": 2}, {"maximum": 1}, {"enum": [1, 3]}, {"const": 2}])
PARTS: st.SearchStrategy[Any] = st.one_of(
    KINDS.map(lambda kind: {"properties": {"kind": kind}}),
    KINDS.map(lambda kind: {"properties": {"kind": kind}, "required": ["kind"]}),
    COUNTS.map(lambda count: {"properties": {"n": count}}),
    st.tuples(KINDS, COUNTS).map(lambda two: {"properties": dict(zip(("kind", "n"), two, strict=True))}),
    st.sampled_from([{"required": ["n"]}, {"required": ["kind", "n"]}, {"properties": {"n": False}}]),
)
OBJECTS: st.SearchStrategy[Any] = st.recursive(
    PARTS,
    lambda inner: st.one_of(
        inner.map(lambda one: {"not": one}),
        st.tuples(inner, inner).map(lambda two: dict(zip(("if", "then"), two, strict=True))),
        st.tuples(inner, inner, inner).map(lambda three: dict(zip(("if", "then", "else"), three, strict=True))),
        inner.map(lambda one: {"dependentSchemas": {"n": one}}),
        st.lists(inner, min_size=1, max_size=3).map(lambda some: {"allOf": some}),
    ),
    max_leaves=5,
)
VALUES: list[dict[str, Any]] = [
    {**({} if kind is None else {"kind": kind}), **({} if n is None else {"n": n})}
    for kind in (None, "x", "y", "z", "xx", "")
    for n in (None, 0, 1, 2, 3)
]


@given(OBJECTS, st.sampled_from([[], ["kind"], ["kind", "n"]]), st.booleans())
@settings(max_examples=300, deadline=None, derandomize=True)
def test_conditions_over_constants_are_held(said: Any, required: list[str], closed: bool) -> None:
    schema = {
        "type": "object",
        "properties": {"kind": {"type": "string"}, "n": {"type": "integer"}},
        "required": required,
        **({"additionalProperties": False} if closed else {}),
        "allOf": [said],
    }
    agrees(schema, VALUES)


def test_a_discriminator_decides_what_else_is_asked_for() -> None:
    kinds = {"card": "number", "transfer": "iban", "cash": "till"}
    schema = {
        "type": "object",
        "properties": {"kind": {"enum": list(kinds)}, **{name: {"type": "string"} for name in kinds.values()}},
        "required": ["kind"],
        "allOf": [
            {
                "if": {"properties": {"kind": {"const": kind}}},
                "then": {"required": [name], "properties": {name: {"minLength": 2}}},
                "else": {"properties": {name: False}},
            }
            for kind, name in kinds.items()
        ],
    }
    values = [
        {"kind": kind, **dict.fromkeys(names, text)}
        for kind in kinds
        for names in ([], ["number"], ["iban"], ["till"], ["number", "till"])
        for text in ("a", "ab")
    ]
    plan = agrees(schema, values)
    assert plan is not None
    assert plan.deferred == ()


def test_several_patterns_and_multiples_hold_together() -> None:
    schema = {
        "type": "object",
        "properties": {
            "s": {"allOf": [{"type": "string", "pattern": "^a"}, {"pattern": "b$"}, {"pattern": "-"}]},
            "n": {"allOf": [{"type": "integer", "multipleOf": 4}, {"multipleOf": 6}]},
        },
        "required": ["s", "n"],
    }
    plan = agrees(schema, [{"s": s, "n": n} for s in ("a-b", "ab", "a-", "-b") for n in (0, 4, 6, 12, 24)])
    assert plan is not None
    assert plan.deferred == ()


def test_limits_beside_an_enumeration_choose_from_it() -> None:
    plan = agrees(
        {"type": "object", "properties": {"v": {"enum": ["a", "ab", "b", 3], "pattern": "^a"}}, "required": ["v"]},
        [{"v": value} for value in ("a", "ab", "b", 3)],
    )
    assert plan is not None


CHILDREN: st.SearchStrategy[Any] = st.one_of(
    SAID,
    st.sampled_from(["string", "number"]).map(lambda name: {"type": "array", "items": {"type": name}}),
    st.sampled_from(["a", "b"]).map(
        lambda name: {"type": "object", "properties": {name: {"type": "string"}}, "additionalProperties": False}
    ),
    st.just({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}),
)


@given(st.lists(CHILDREN, min_size=2, max_size=3))
@QUICK
def test_one_of_is_exactly_one(children: list[Any]) -> None:
    values = [*SCALARS, [], [1], ["x"], {}, {"a": "x"}, {"b": "x"}, {"a": "x", "b": "x"}]
    schema = {"type": "object", "properties": {"v": {"oneOf": children}}, "required": ["v"]}
    valid = [checker(schema).is_valid({"v": value}) for value in values]
    if not any(valid):
        return
    plan = planned(schema)
    grammar = Constraint.compile(plan.grammar, BYTES)
    for value, right in zip(values, valid, strict=True):
        assert right or plan.deferred or not allows(plan, grammar, {"v": value}), value


@pytest.mark.parametrize(
    "children",
    [
        [{"type": "string", "pattern": "^[0-9.]+$"}, {"type": "string", "maxLength": 0}],
        [{"enum": ["none"]}, {"type": "string", "pattern": "^[a-z0-9]+$"}],
        [{"type": "number", "minimum": 1}, {"type": "number", "maximum": 2}],
        [{"type": "array", "items": {"type": "number"}}, {"type": "array", "items": {"type": "string"}}],
        [
            {"type": "object", "properties": {name: {"type": "string"}}, "additionalProperties": False}
            for name in ("a", "b")
        ],
    ],
)
def test_alternatives_that_overlap_are_kept_apart(children: list[Any]) -> None:
    values = ["", "1.0", "none", "x", 0, 1, 1.5, 2, 3, [], [1], ["x"], {}, {"a": "x"}, {"b": "x"}, {"a": "x", "b": "x"}]
    schema = {"type": "object", "properties": {"v": {"oneOf": children}}, "required": ["v"]}
    plan = agrees(schema, [{"v": value} for value in values])
    assert plan is not None
    assert plan.deferred == ()
