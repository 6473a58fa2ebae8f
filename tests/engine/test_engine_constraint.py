"""Constraints: right answers, and an error rather than a quiet end for every wrong call."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from scripted_backend import CONTROL, END, ScriptedBackend

from local_retab.engine.constraint import Constraint
from local_retab.engine.sampler import choose
from local_retab.errors import EngineError, UnsupportedSchemaError
from local_retab.schema import compile_grammar

SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "boolean"}},
    "required": ["a"],
    "additionalProperties": False,
}
SIZE = 258


@pytest.fixture(scope="module")
def backend() -> ScriptedBackend:
    return ScriptedBackend(lambda prompt: "")


@pytest.fixture
def make(backend: ScriptedBackend) -> Callable[[object], Constraint]:
    return lambda schema: Constraint.compile(compile_grammar(schema), backend.grammar_tokenizer())


def allowed(constraint: Constraint) -> set[int]:
    return set(np.flatnonzero(constraint.allowed(SIZE)).tolist())


def test_a_value_is_followed_to_its_end(make: Callable[[object], Constraint]) -> None:
    constraint = make(SCHEMA)
    assert allowed(constraint) == {ord("{")}
    assert constraint.forced_bytes() == b'{"a":'
    assert bytes(constraint.forced()) == b'{"a":'
    constraint.consume(list(b'{"a":'))
    assert allowed(constraint) == {ord("t"), ord("f")}
    assert constraint.allows(ord("t"))
    assert not constraint.allows(ord("x"))
    assert not constraint.allows(END)
    assert not constraint.accepting
    constraint.consume(list(b"true}"))
    assert constraint.accepting
    assert constraint.finished


def test_control_tokens_are_never_allowed(make: Callable[[object], Constraint]) -> None:
    constraint = make({"type": "string"})
    constraint.consume(list(b'"'))
    assert CONTROL not in allowed(constraint)
    assert not constraint.allows(CONTROL)


def test_a_number_may_end_or_go_on(make: Callable[[object], Constraint]) -> None:
    constraint = make({"type": "integer"})
    constraint.consume(list(b"12"))
    assert constraint.accepting
    assert not constraint.finished
    assert allowed(constraint) == {*b"0123456789", END}


def test_a_copy_goes_its_own_way(make: Callable[[object], Constraint]) -> None:
    constraint = make(SCHEMA)
    constraint.consume(list(b'{"a":'))
    copy = constraint.copy()
    copy.consume(list(b"true}"))
    assert copy.finished
    assert allowed(constraint) == {ord("t"), ord("f")}


def test_forced_tokens_are_not_consumed(make: Callable[[object], Constraint]) -> None:
    constraint = make(SCHEMA)
    assert constraint.forced() == constraint.forced()
    assert allowed(constraint) == {ord("{")}


def test_the_mask_fits_a_vocabulary_of_another_size(make: Callable[[object], Constraint]) -> None:
    """llama.cpp pads vocabularies: logits can be longer than the tokenizer is."""
    constraint = make(SCHEMA)
    wide = constraint.allowed(1000)
    assert wide.shape == (1000,)
    assert np.flatnonzero(wide).tolist() == [ord("{")]
    narrow = constraint.allowed(ord("{"))
    assert narrow.shape == (ord("{"),)
    assert not narrow.any()


def test_nothing_to_consume_changes_nothing(make: Callable[[object], Constraint]) -> None:
    constraint = make(SCHEMA)
    constraint.consume([])
    assert allowed(constraint) == {ord("{")}


@pytest.mark.parametrize(
    "grammar",
    ["", "not a grammar", json.dumps({"grammars": [{"json_schema": {"type": "string", "pattern": "(?=x)"}}]})],
)
def test_a_grammar_that_cannot_be_compiled_says_why(backend: ScriptedBackend, grammar: str) -> None:
    with pytest.raises(UnsupportedSchemaError) as caught:
        Constraint.compile(grammar, backend.grammar_tokenizer())
    (problem,) = caught.value.details["problems"]
    assert problem["reason"]
    assert problem["reason"] in caught.value.message


class TestAfterARefusedToken:
    """The matcher is in its error state then, where llguidance itself would allow the end token alone."""

    @pytest.fixture
    def broken(self, make: Callable[[object], Constraint]) -> Constraint:
        constraint = make(SCHEMA)
        with pytest.raises(EngineError):
            constraint.consume(list(b'{"b'))
        return constraint

    def test_no_mask_is_given(self, broken: Constraint) -> None:
        with pytest.raises(EngineError, match="mask"):
            broken.allowed(SIZE)

    def test_nothing_is_forced(self, broken: Constraint) -> None:
        with pytest.raises(EngineError, match="forced tokens"):
            broken.forced()
        with pytest.raises(EngineError, match="forced bytes"):
            broken.forced_bytes()

    def test_it_is_not_finished(self, broken: Constraint) -> None:
        with pytest.raises(EngineError):
            _ = broken.finished

    def test_it_does_not_accept(self, broken: Constraint) -> None:
        with pytest.raises(EngineError):
            _ = broken.accepting

    def test_nothing_more_is_consumed(self, broken: Constraint) -> None:
        with pytest.raises(EngineError):
            broken.consume(list(b"}"))

    @pytest.mark.parametrize("token", [END, ord("a"), ord("}")])
    def test_no_token_is_judged(self, broken: Constraint, token: int) -> None:
        with pytest.raises(EngineError):
            broken.allows(token)

    def test_no_token_is_chosen(self, broken: Constraint) -> None:
        logits = np.zeros(SIZE, dtype=np.float32)
        logits[END] = 1.0
        with pytest.raises(EngineError):
            choose(logits, broken)

    def test_its_copies_are_broken_too(self, broken: Constraint) -> None:
        with pytest.raises(EngineError):
            broken.copy().allowed(SIZE)
