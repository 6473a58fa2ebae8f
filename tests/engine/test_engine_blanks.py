"""A model that expects a blank behind a colon is understood, and its answer is written as by those that expect none."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llguidance import LLTokenizer
from llguidance._tokenizer import TokenizerWrapper
from numpy.typing import NDArray
from scripted_backend import ANSWER, END, ScriptedBackend, _Bytes
from test_scheduler import LIMITS, drain, grammar, run

from local_retab.engine.blanks import Blanks
from local_retab.engine.constraint import Constraint
from local_retab.engine.draft import Guess
from local_retab.engine.sampler import Sampling
from local_retab.engine.scheduler import Scheduler
from local_retab.engine.sequence import Finish, Sequence, TokenEvent

WORDS = [b'":', b'":"', b' "', b"null", b" null", b'":[', b" [", b'":{', b" {", b" true", b"true", b'","']
TOKENS = [*_Bytes.tokens, *WORDS]
ID = {word: len(_Bytes.tokens) + place for place, word in enumerate(WORDS)}
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": ["string", "null"]},
        "total": {"type": ["number", "null"]},
        "tags": {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "null"}]},
        "box": {
            "anyOf": [
                {
                    "type": "object",
                    "properties": {"n": {"type": "integer"}},
                    "required": ["n"],
                    "additionalProperties": False,
                },
                {"type": "null"},
            ]
        },
        "paid": {"type": ["boolean", "null"]},
    },
    "required": ["name", "total", "tags", "box", "paid"],
    "additionalProperties": False,
}
VALUE = {"name": 'A "x": b', "total": -12.5, "tags": [1, 2], "box": {"n": 3}, "paid": True}


def tokenize(text: bytes) -> list[int]:
    """The longest token each time."""
    found = []
    while text:
        word = max((word for word in (*WORDS, text[:1]) if text.startswith(word)), key=len)
        found.append(ID.get(word, word[0]))
        text = text[len(word) :]
    return found


def with_nulls(value: dict[str, object]) -> list[bytes]:
    """An object as text; then the same with null for some of its members."""
    found = []
    for kept in product((True, False), repeat=len(value)):
        members = {key: item if keep else None for (key, item), keep in zip(value.items(), kept, strict=True)}
        found.append(json.dumps(members, separators=(",", ":")).encode())
    return found


class _Words(_Bytes):
    tokens = TOKENS

    def __call__(self, text: bytes) -> list[int]:
        return tokenize(text)


class Blanked(ScriptedBackend):
    """Wants to write ``value`` as JSON with blanks behind colons: it gives the token of the colon before a blank five
    times the weight of the one with the quotation mark, and where it finds itself without a blank, null alone."""

    def __init__(self, value: dict[str, object], *, doubt: float = 0.05, prefix_sharing: bool = True) -> None:
        super().__init__(lambda prompt: "", sequences=8, prefix_sharing=prefix_sharing)
        object.__setattr__(self._info, "vocabulary_size", len(TOKENS))
        self._texts = with_nulls(value)
        self._doubt = doubt

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        return tokenize(text.encode())

    def token_bytes(self, token: int) -> bytes:
        return b"" if token in (END, END + 1) else TOKENS[token]

    def grammar_tokenizer(self) -> Any:
        if self._tokenizer is None:
            self._tokenizer = LLTokenizer(TokenizerWrapper(_Words()))
        return self._tokenizer

    def logits(self, row: int) -> NDArray[np.float32]:
        tokens = self._rows[row]
        written = b"".join(map(self.token_bytes, tokens)).rpartition(ANSWER.encode())[2]
        text = next((text for text in self._texts if text.startswith(written)), written)
        rest = text[len(written) :]
        weights = np.full(len(TOKENS), 1e-6)
        if not rest:
            weights[END] = 1
        elif tokens[-1] == ID[b'":'] and not rest.startswith(b" "):
            led = b" " + next((word for word in (b"null", b"true") if rest.startswith(word)), rest[:1])
            weights[ID.get(led, ord(" "))] += 1 - self._doubt
            weights[rest[0]] += 0.001 if rest[:1].isdigit() or rest[:1] == b"-" else 0
            weights[ID[b" null"]] += self._doubt
            weights[ID[b"null"]] += 0.01
        else:
            weights[tokenize(rest)[0]] += 1
            if rest.startswith(b'":') and not rest.startswith(b'": b'):
                weights[ID[b'":']] += 5
        return np.log(weights).astype(np.float32)


def answer(
    backend: ScriptedBackend, sampling: Sampling | None = None, drafter: object = None, schema: object = SCHEMA
) -> tuple[Any, Sequence]:
    item = sequence(backend, sampling, schema)
    item.drafter = drafter  # type: ignore[assignment]
    scheduler = Scheduler(backend, max_sequences=1, prefill_chunk=64)
    scheduler.add(item)
    run(scheduler)
    data, outcome = drain(item)
    assert outcome is Finish.COMPLETE
    assert data == bytes(item.output)
    assert b"".join(map(backend.token_bytes, item.tokens)).endswith(ANSWER.encode() + data)
    return json.loads(data), item


def sequence(backend: ScriptedBackend, sampling: Sampling | None = None, schema: object = SCHEMA) -> Sequence:
    constraint = Constraint.compile(grammar(schema), backend.grammar_tokenizer())
    return Sequence(backend.tokenize("?" + ANSWER, special=False), constraint, LIMITS, sampling=sampling)


def test_every_kind_of_value_is_what_the_model_means() -> None:
    backend = Blanked(VALUE)
    value, item = answer(backend)
    assert value == VALUE
    answered = item.tokens[item.prompt_length :]
    assert [token for token in answered if token in (ID[b'":"'], ID[b'":['], ID[b'":{'])] == [
        ID[b'":"'],
        ID[b'":['],
        ID[b'":{'],
    ]
    assert backend.kv[0] == item.tokens[: item.computed]
    assert item.statistics.output_tokens == item.output_length


@pytest.mark.parametrize("field", list(VALUE))
def test_null_is_null(field: str) -> None:
    meant = {**VALUE, field: None}
    assert answer(Blanked(meant))[0] == meant


def test_a_colon_behind_a_quotation_mark_in_a_text_is_left_alone() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    value, item = answer(Blanked({"a": 'say "x": b'}), schema={**schema, "additionalProperties": False})
    assert value == {"a": 'say "x": b'}
    assert ID[b'":'] in item.tokens[item.prompt_length :]


def test_the_likelihood_is_that_of_what_is_meant() -> None:
    backend = Blanked(VALUE, doubt=0.25)
    item = sequence(backend)
    scheduler = Scheduler(backend, max_sequences=1, prefill_chunk=64)
    scheduler.add(item)
    run(scheduler)
    events = [event for event in iter(item.events.get, Finish.COMPLETE) if isinstance(event, TokenEvent)]
    colon = next(place for place, event in enumerate(events) if event.data == b'":')
    assert events[colon + 1].data == b'"'
    assert events[colon + 1].logprob == pytest.approx(np.log(0.75), abs=0.01)


def test_tokenizers_that_write_otherwise_are_taken_at_their_word() -> None:
    assert Blanks.of(ScriptedBackend(lambda prompt: "")) is None


def test_a_memory_that_cannot_be_cut_is_filled_anew() -> None:
    backend = Blanked(VALUE, prefix_sharing=False)
    value, item = answer(backend)
    assert value == VALUE
    assert backend.kv[0] == item.tokens[: item.computed]


class Told:
    """Guesses the rest of an answer."""

    def __init__(self, text: bytes, change: Callable[[bytes], bytes]) -> None:
        self._text, self._change = text, change

    def guess(self, output: bytes | bytearray) -> Guess | None:
        return Guess("told", (self._change(self._text[len(output) :]),))


@pytest.mark.parametrize("change", [lambda rest: rest, lambda rest: rest[:2] + b"q" + rest[3:], lambda rest: b'":null'])
def test_drafts_change_nothing(change: Callable[[bytes], bytes]) -> None:
    backend = Blanked(VALUE)
    text = json.dumps(VALUE, separators=(",", ":")).encode()
    value, item = answer(backend, drafter=Told(text, change))
    assert value == VALUE
    assert backend.kv[0] == item.tokens[: item.computed]


@given(doubt=st.floats(0.0, 1.0), seeds=st.lists(st.integers(1, 50), min_size=1, max_size=6, unique=True))
@settings(deadline=None, max_examples=15)
def test_votes_are_what_they_are_alone(doubt: float, seeds: list[int]) -> None:
    samplings = [None, *(Sampling(seed, temperature=1.0) for seed in seeds)]
    alone = [answer(Blanked(VALUE, doubt=doubt), sampling)[0] for sampling in samplings]
    backend = Blanked(VALUE, doubt=doubt)
    first, *others = family = [sequence(backend, sampling) for sampling in samplings]
    first.followers = others
    scheduler = Scheduler(backend, max_sequences=8, prefill_chunk=64)
    scheduler.add(first)
    run(scheduler, most=2000)
    assert [json.loads(drain(item)[0]) for item in family] == alone
