"""Votes follow the first answer as far as they agree with it: they are what they are alone, at less work."""

from __future__ import annotations

import json
from collections.abc import Sequence as Items

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scripted_backend import ANSWER, END, ScriptedBackend
from test_scheduler import LIMITS, SCHEMA, grammar, run

from local_retab.engine.backend import BatchToken
from local_retab.engine.constraint import Constraint
from local_retab.engine.sampler import Sampling
from local_retab.engine.scheduler import Scheduler
from local_retab.engine.sequence import Finish, Limits, Phase, Sequence, TokenEvent
from local_retab.errors import EngineError, GenerationCancelledError, LocalRetabError

GRAMMAR = grammar(SCHEMA)
Outcome = tuple[list[tuple[bytes, bool, float | None]], Finish | LocalRetabError | None]


class Torn(ScriptedBackend):
    """Gives the next byte of each of its answers that fits so far the answer's weight; notes what it computes."""

    def __init__(self, answers: Items[tuple[str, float]], *, context_tokens: int = 4096) -> None:
        super().__init__(lambda prompt: "", sequences=16, context_tokens=context_tokens)
        self._answers = [(text.encode(), weight) for text, weight in answers]
        self.computed: list[bytes] = []

    def decode(self, batch: Items[BatchToken]) -> None:
        super().decode(batch)
        self.computed += [bytes(self.kv[entry.sequence][: entry.position + 1]) for entry in batch]

    def logits(self, row: int) -> NDArray[np.float32]:
        written = bytes(self._rows[row]).rpartition(ANSWER.encode())[2]
        weights = np.full(self.info.vocabulary_size, 1e-9)
        for answer, weight in self._answers:
            if answer.startswith(written):
                weights[(*answer, END)[len(written)]] += weight
        return np.log(weights).astype(np.float32)


def value(name: str, *tags: int) -> str:
    return json.dumps({"name": name, "tags": tags}, separators=(",", ":"))


OPINIONS = [(value("Ada", 1, 2), 0.4), (value("Adam", 1), 0.2), (value("Eve", 1, 2), 0.2), (value("Eva", 3), 0.2)]


def family_of(backend: Torn, samplings: Items[Sampling | None], limits: Limits = LIMITS) -> Sequence:
    """The first sequence, which all others follow."""
    constraint = Constraint.compile(GRAMMAR, backend.grammar_tokenizer())
    tokens = backend.tokenize("Who?" + ANSWER, special=False)
    first, *others = (Sequence(list(tokens), constraint.copy(), limits, sampling=each) for each in samplings)
    first.followers = others
    return first


def outcome(sequence: Sequence) -> Outcome:
    events = []
    while not sequence.events.empty():
        event = sequence.events.get()
        if not isinstance(event, TokenEvent):
            return events, event
        events.append((event.data, event.synthesised, event.logprob))
    return events, None


def scheduler_of(backend: Torn, *, most: int = 8) -> Scheduler:
    scheduler = Scheduler(backend, max_sequences=most, prefill_chunk=64)
    scheduler._drafts.make = lambda *_, **__: None  # type: ignore[method-assign]
    return scheduler


def together(
    backend: Torn, samplings: Items[Sampling | None], *, most: int = 8, limits: Limits = LIMITS
) -> list[Outcome]:
    first = family_of(backend, samplings, limits)
    everyone = [first, *first.followers]
    scheduler = scheduler_of(backend, most=most)
    scheduler.add(first)
    run(scheduler)
    assert all(sequence.phase is Phase.ENDED and sequence.slot is None for sequence in everyone)
    assert not any(slot.busy for slot in scheduler._pool._slots)
    return [outcome(sequence) for sequence in everyone]


def samplings_of(count: int) -> list[Sampling | None]:
    return [None, *(Sampling(seed, temperature=1.0) for seed in range(1, count))]


@given(
    weights=st.lists(st.floats(0.05, 1.0), min_size=len(OPINIONS), max_size=len(OPINIONS)),
    count=st.integers(1, 7),
    most=st.integers(1, 8),
    budget=st.integers(3, 40),
)
@settings(deadline=None, max_examples=40)
def test_each_is_what_it_is_alone(weights: list[float], count: int, most: int, budget: int) -> None:
    opinions = [(text, weight) for (text, _), weight in zip(OPINIONS, weights, strict=True)]
    limits = Limits(budget, seconds=60)
    alone = [together(Torn(opinions), [sampling], limits=limits)[0] for sampling in samplings_of(count)]
    assert together(Torn(opinions), samplings_of(count), most=most, limits=limits) == alone


def test_no_beginning_of_an_answer_is_computed_twice() -> None:
    backend = Torn(OPINIONS)
    found = together(backend, samplings_of(8))
    texts = {b"".join(data for data, _, _ in events) for events, _ in found}
    assert len(texts) >= 3
    assert len(backend.computed) == len(set(backend.computed))
    alone = sum(len(text) for text in texts)
    assert len(backend.computed) < alone


def test_votes_that_agree_take_no_more_than_one_answer() -> None:
    single, five = Torn(OPINIONS[:1]), Torn(OPINIONS[:1])
    expected = together(single, samplings_of(1))
    assert together(five, samplings_of(5)) == expected * 5
    assert five.computed == single.computed


def test_one_that_follows_can_be_stopped_alone() -> None:
    backend = Torn(OPINIONS[:1])
    first = family_of(backend, samplings_of(3))
    second, third = first.followers
    scheduler = scheduler_of(backend)
    scheduler.add(first)
    for _ in range(3):
        scheduler.step()
    second.cancelled = True
    run(scheduler)
    assert isinstance(outcome(second)[1], GenerationCancelledError)
    assert [outcome(each)[1] for each in (first, third)] == [Finish.COMPLETE] * 2


def test_what_ends_the_first_ends_those_that_follow() -> None:
    backend = Torn(OPINIONS[:1])
    first = family_of(backend, samplings_of(3))
    everyone = [first, *first.followers]
    scheduler = scheduler_of(backend)
    scheduler.add(first)
    scheduler.step()
    first.cancelled = True
    run(scheduler)
    assert all(isinstance(outcome(each)[1], GenerationCancelledError) for each in everyone)


def test_a_failed_call_ends_all_that_are_there_and_those_elsewhere_go_on() -> None:
    backend = Torn(OPINIONS)
    first = family_of(backend, samplings_of(6))
    everyone = [first, *first.followers]
    scheduler = scheduler_of(backend, most=1)  # who chooses otherwise waits
    scheduler.add(first)
    while not scheduler._waiting or first.phase is not Phase.DECODE:
        scheduler.step()
    here = [first, *first.followers]

    def fail(batch: list[BatchToken]) -> None:
        raise EngineError("broken")

    backend.before_decode = fail
    scheduler.step()
    backend.before_decode = lambda batch: None
    run(scheduler)
    for each in everyone:
        if each in here:
            assert isinstance(outcome(each)[1], EngineError)
        else:
            assert outcome(each)[1] is Finish.COMPLETE
    assert 0 < len(here) < len(everyone)


def test_a_full_cache_changes_nothing() -> None:
    expected = together(Torn(OPINIONS), samplings_of(6))
    assert together(Torn(OPINIONS, context_tokens=48), samplings_of(6)) == expected


def test_who_parts_is_as_patient_as_who_was_followed() -> None:
    backend = Torn(OPINIONS)
    first = family_of(backend, samplings_of(6))
    followers = list(first.followers)
    first.background, first.yielded_seconds = True, 7.0
    scheduler = scheduler_of(backend)
    scheduler.add(first)
    run(scheduler)
    parted = [each for each in followers if each.background]
    assert parted
    assert {each.yielded_seconds for each in parted} == {7.0}


@pytest.mark.parametrize("count", [1, 4])
def test_the_prompt_counts_for_each_and_is_computed_once(count: int) -> None:
    backend = Torn(OPINIONS[:1])
    first = family_of(backend, samplings_of(count))
    scheduler = scheduler_of(backend)
    scheduler.add(first)
    everyone = [first, *first.followers]
    run(scheduler)
    assert [each.statistics.reused_tokens for each in everyone] == [0, *[first.prompt_length - 1] * (count - 1)]
    assert {each.statistics.output_tokens for each in everyone} == {len(OPINIONS[0][0])}
