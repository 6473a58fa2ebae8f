"""Ending well: whatever is cut wherever becomes a valid value, or the closer says that it found no way out."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from llguidance import LLTokenizer
from llguidance._tokenizer import TokenizerWrapper
from scripted_backend import END, ScriptedBackend

from local_retab.engine.closing import Closer
from local_retab.engine.constraint import Constraint
from local_retab.schema import compile_grammar, load_schema, plan_schema
from local_retab.schema.style import SEPARATORS
from local_retab.settings import Settings

TOKENIZER = ScriptedBackend(lambda prompt: "").grammar_tokenizer()
CLOSER = Closer(TOKENIZER)


def start(schema: dict[str, Any]) -> Constraint:
    return Constraint.compile(compile_grammar(schema), TOKENIZER)


def closed(constraint: Constraint, begun: bytes, schema: dict[str, Any]) -> Any:
    """The value that ``begun`` becomes, which must be under the schema."""
    ending = CLOSER.close(constraint, begun)
    assert ending is not None, f"no way out of {begun!r} under {schema}"
    assert constraint.accepting
    value = json.loads(begun + ending)
    Draft202012Validator(schema).validate(value)
    return value


def record(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


LINE = record(code={"type": "string", "pattern": "^[A-Z]{2}-[0-9]{4}$"}, amount={"type": "number"})
INTEGER = {"type": "integer"}
PAIR = {"type": "array", "prefixItems": [{"type": "string"}, {"type": "boolean"}], "items": False, "minItems": 2}
CASES = [
    (record(name={"type": "string"}, tags={"type": "array", "items": INTEGER}), {"name": "é\n", "tags": [1, 22]}),
    (record(date={"type": "string", "format": "date"}), {"date": "2025-05-12"}),
    (record(at={"type": "string", "format": "date-time"}), {"at": "2025-05-12T10:30:00Z"}),
    (record(id={"type": "string", "format": "uuid"}), {"id": "123e4567-e89b-12d3-a456-426614174000"}),
    (record(lines={"type": "array", "items": LINE}), {"lines": [{"code": "AB-1234", "amount": -1.5}] * 2}),
    (record(kind={"enum": ["invoice", "credit note", 7, None]}), {"kind": "credit note"}),
    (record(total={"type": ["number", "null"]}, paid={"type": "boolean"}), {"total": 12.5, "paid": False}),
    (record(share={"type": "number", "exclusiveMinimum": 0, "maximum": 1}), {"share": 0.25}),
    (record(count={"type": "integer", "minimum": 10, "maximum": 250}), {"count": 42}),
    (record(step={"type": "integer", "multipleOf": 5}), {"step": 135}),
    (record(text={"type": "string", "minLength": 5, "maxLength": 8}), {"text": "abcdef"}),
    (record(either={"anyOf": [record(a={"type": "integer"}), record(b={"type": "string"})]}), {"either": {"b": "x"}}),
    (record(open={"type": "object", "additionalProperties": {"type": "integer"}}), {"open": {"x": 1, "y": 2}}),
    (record(pair=PAIR), {"pair": ["a", True]}),
]


@pytest.mark.parametrize(("schema", "value"), CASES, ids=[next(iter(value)) for _schema, value in CASES])
def test_every_cut_of_a_value_is_closed_under_its_schema(schema: dict[str, Any], value: Any) -> None:
    data = json.dumps(value, ensure_ascii=False, separators=SEPARATORS).encode()
    for length in range(len(data) + 1):
        constraint = start(schema)
        constraint.consume(list(data[:length]))
        closed(constraint, data[:length], schema)


def test_what_was_written_stays() -> None:
    schema = record(name={"type": "string"}, tags={"type": "array", "items": {"type": "integer"}})
    begun = b'{"name":"Ada","tags":[1,2'
    constraint = start(schema)
    constraint.consume(list(begun))
    assert closed(constraint, begun, schema) == {"name": "Ada", "tags": [1, 2]}


def test_null_is_preferred_to_an_invented_value() -> None:
    schema = record(name={"type": ["string", "null"]}, total={"type": ["number", "null"]}, lines={"type": "array"})
    assert closed(start(schema), b"", schema) == {"name": None, "total": None, "lines": []}


def test_open_containers_get_no_more_members() -> None:
    nested: dict[str, Any] = {"type": "integer"}
    for _ in range(6):
        nested = {"type": "array", "items": nested}
    schema = record(open={"type": "object", "additionalProperties": {"type": "integer"}}, deep=nested)
    for begun, value in (
        (b"", {"open": {}, "deep": []}),
        (b'{"open":{"x":1', {"open": {"x": 1}, "deep": []}),
        (b'{"open":{},"deep":[[[[[[7', {"open": {}, "deep": [[[[[[7]]]]]]}),
    ):
        constraint = start(schema)
        constraint.consume(list(begun))
        assert closed(constraint, begun, schema) == value


def test_a_quotation_mark_that_is_escaped_ends_no_string() -> None:
    schema = record(name={"type": "string"})
    for begun in (rb'{"name":"a', rb'{"name":"a\\', rb'{"name":"a\"', rb'{"name":"a\"}'):
        constraint = start(schema)
        constraint.consume(list(begun))
        assert closed(constraint, begun, schema)["name"] == json.loads(begun.partition(b":")[2] + b'"')


@pytest.mark.parametrize(
    "schema",
    [
        {"format": "email"},
        {"format": "uri"},
        {"format": "duration"},
        {"format": "hostname"},
        {"format": "ipv4"},
        {"format": "ipv6"},
        {"format": "time"},
        {"pattern": "^[0-9]+[A-Z]$"},
        {"pattern": "^[a-z0-9]+-X[0-9]+$"},
        {"pattern": "^[^@]+@[^@]+\\.[a-z]{2,}$"},
        {"pattern": "^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$"},
        {"pattern": "^[a-z]+[A-Z]$"},
        {"pattern": "^(Microsoft|Contoso)\\.BizTalk(\\.[A-Z][a-z]+)+, Version=\\d+(\\.\\d+){3}$"},
        {"pattern": "^[0-9]*-end$", "minLength": 12},
    ],
    ids=lambda schema: next(iter(schema.values())),
)
def test_a_required_string_of_any_form_is_closed_shortly(schema: dict[str, Any]) -> None:
    whole = load_schema(record(text={"type": "string", **schema}), settings=Settings())
    constraint = start(whole)
    ending = CLOSER.close(constraint, b"")
    assert ending is not None
    assert len(ending) < 70
    plan_schema(whole, settings=Settings()).validate(json.loads(ending))


def test_a_complete_value_needs_nothing() -> None:
    constraint = start({"type": "integer"})
    constraint.consume(list(b"12"))
    assert CLOSER.close(constraint, b"12") == b""


def test_a_cut_within_a_character_is_completed() -> None:
    schema = record(name={"type": "string"})
    begun = '{"name":"€'.encode()[:-1]
    constraint = start(schema)
    constraint.consume(list(begun))
    value = closed(constraint, begun, schema)
    assert len(value["name"]) == 1


def test_a_number_that_zeros_lead_nowhere_in_is_closed() -> None:
    schema = record(share={"type": "number", "minimum": 0.001, "maximum": 0.002})
    assert 0.001 <= closed(start(schema), b"", schema)["share"] <= 0.002


class _NoQuote:
    """Bytes as tokens, but for the quotation mark, which only comes with what follows it."""

    eos_token_id = END
    bos_token_id = None
    special_token_ids = (END,)
    tokens = (*(b'"x' if byte == ord('"') else bytes([byte]) for byte in range(256)), b"<|end|>")

    def __call__(self, text: bytes) -> list[int]:
        return list(text)


def test_without_the_bytes_of_a_way_out_there_is_none() -> None:
    tokenizer = LLTokenizer(TokenizerWrapper(_NoQuote()))
    constraint = Constraint.compile(compile_grammar({"type": "string", "maxLength": 3}), tokenizer)
    constraint.consume([ord('"')])  # the token that begins a string with x
    assert Closer(tokenizer).close(constraint, b'"x') is None


def test_a_way_out_that_is_too_long_is_not_taken() -> None:
    schema = {"type": "string", "minLength": 30_000}
    assert CLOSER.close(start(schema), b"") is None


LEAVES: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {"type": "string"},
        {"type": "string", "maxLength": 3},
        {"type": "string", "minLength": 2, "maxLength": 2},
        {"type": "string", "pattern": "^[A-Z]{2}[0-9]+$"},
        {"type": "string", "format": "date"},
        {"type": "string", "format": "email"},
        {"type": "integer"},
        {"type": "integer", "minimum": -5, "maximum": 300},
        {"type": "number"},
        {"type": "number", "exclusiveMinimum": 0, "maximum": 2},
        {"type": "boolean"},
        {"type": ["string", "null"]},
        {"enum": ["new", "used", 3]},
        {"const": "fixed"},
    ]
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda children: st.one_of(
        st.dictionaries(st.sampled_from("abcd"), children, max_size=3).map(lambda found: record(**found)),
        st.builds(
            lambda items, least: {"type": "array", "items": items, "minItems": least, "maxItems": least + 2},
            children,
            st.integers(0, 2),
        ),
        st.lists(children, min_size=2, max_size=3).map(lambda options: {"anyOf": options}),
    ),
    max_leaves=6,
)


def walk(constraint: Constraint, choice: random.Random, length: int) -> bytes:
    """Random bytes under the grammar, at most ``length`` of them."""
    written = bytearray()
    while len(written) < length and not constraint.finished:
        allowed = [byte for byte in np.flatnonzero(constraint.allowed(258)).tolist() if byte < END]
        if not allowed:
            break
        # Printable mostly, so that strings end.
        plain = [byte for byte in allowed if 32 <= byte < 127] or allowed
        byte = choice.choice(plain if choice.random() < 0.9 else allowed)
        constraint.consume([byte])
        written.append(byte)
    return bytes(written)


@given(SCHEMAS, st.integers(0, 2**32), st.integers(0, 60))
@settings(max_examples=250, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
def test_a_cut_anywhere_under_any_schema_is_closed_validly(schema: dict[str, Any], seed: int, length: int) -> None:
    constraint = start(schema)
    begun = walk(constraint, random.Random(seed), length)
    ending = CLOSER.close(constraint, begun)
    assert ending is not None, begun
    assert constraint.accepting
    value = json.loads(begun + ending, parse_float=lambda text: max(-1e300, min(1e300, float(text))))
    Draft202012Validator(schema).validate(value)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    calls = []
    original = Constraint.allows
    monkeypatch.setattr(Constraint, "allows", lambda self, token: calls.append(token) or original(self, token))
    return lambda: len(calls)


def test_a_schema_that_recurs_is_left_by_another_order() -> None:
    """The shortest name leads on for ever."""
    deeper = {"type": "string", "pattern": "^IN$"}
    leaf = record(kind={"type": "string", "pattern": "^LEAF$"})
    node = {"anyOf": [record(kind=deeper, next={"$ref": "#/$defs/node"}), leaf]}
    schema = {**record(tree={"$ref": "#/$defs/node"}), "$defs": {"node": node}}
    assert closed(start(schema), b"", schema)["tree"]


def test_the_questions_of_a_close_are_bounded(counting: Callable[[], int]) -> None:
    schema = record(**{f"field_{number}": {"type": "string", "minLength": 5_000} for number in range(9)})
    assert CLOSER.close(start(schema), b"") is None
    assert 0 < counting() < 40_000


def test_closing_is_cheap(counting: Callable[[], int]) -> None:
    """In checks of tokens, which is all that it costs: no model is asked."""
    schema = record(**{f"field_{number}": {"type": ["string", "null"]} for number in range(50)})
    constraint = start(schema)
    ending = CLOSER.close(constraint, b"")
    assert ending is not None
    assert counting() < 20 * 50
