"""The decode loop, step by step, on a backend without a model."""

from __future__ import annotations

import json

import pytest
from llguidance import LLMatcher
from scripted_backend import ANSWER, CONTROL, CONTROL_TEXT, ScriptedBackend

from local_retab.engine.constraint import Constraint
from local_retab.engine.scheduler import Scheduler
from local_retab.engine.sequence import Finish, Generation, Limits, Phase, Sequence, TokenEvent
from local_retab.errors import EngineError, GenerationCancelledError, GenerationTimeoutError, LocalRetabError

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "tags": {"type": "array", "items": {"type": "integer"}}},
    "required": ["name", "tags"],
    "additionalProperties": False,
}
VALUE = '{"name":"Ada","tags":[1,2]}'
LIMITS = Limits(output_tokens=200, seconds=60)


def grammar(schema: object) -> str:
    return LLMatcher.grammar_from_json_schema(
        json.dumps(schema),
        overrides={"whitespace_flexible": False, "item_separator": ",", "key_separator": ":"},
    )


def sequence(backend: ScriptedBackend, prompt: str, schema: object = SCHEMA, limits: Limits = LIMITS) -> Sequence:
    tokens = backend.tokenize(prompt + ANSWER, special=False)
    return Sequence(tokens, Constraint.compile(grammar(schema), backend.grammar_tokenizer()), limits)


def drain(item: Sequence) -> tuple[bytes, Finish | LocalRetabError | None]:
    """All events so far: the bytes, and the outcome if it has ended."""
    data = b""
    while not item.events.empty():
        event = item.events.get()
        if not isinstance(event, TokenEvent):
            return data, event
        data += event.data
    return data, None


def run(scheduler: Scheduler, *, most: int = 500) -> None:
    for _ in range(most):
        if scheduler.idle:
            return
        scheduler.step()
    pytest.fail(f"not idle after {most} steps")


def test_a_step_says_that_an_answer_began() -> None:
    backend = ScriptedBackend(lambda prompt: VALUE)
    scheduler = Scheduler(backend, max_sequences=1, prefill_chunk=4)
    item = sequence(backend, "Name: Ada")
    scheduler.add(item)
    began: list[bool] = []
    while not scheduler.idle:
        before = bool(item.output)
        began.append(scheduler.step())
        assert began[-1] == (bool(item.output) and not before)
    assert len(began) > sum(began) == 1


def test_the_answer_is_the_script_under_the_grammar() -> None:
    backend = ScriptedBackend(lambda prompt: VALUE)
    scheduler = Scheduler(backend, max_sequences=2, prefill_chunk=16)
    item = sequence(backend, "Name: Ada")
    scheduler.add(item)
    run(scheduler)
    assert drain(item) == (VALUE.encode(), Finish.COMPLETE)
    assert item.statistics.output_tokens == len(VALUE)
    assert item.phase is Phase.ENDED


def test_what_the_model_says_against_the_grammar_is_never_taken() -> None:
    backend = ScriptedBackend(lambda prompt: "I think the answer is 42.")
    scheduler = Scheduler(backend, max_sequences=1, prefill_chunk=64)
    item = sequence(backend, "?", limits=Limits(output_tokens=40, seconds=60))
    scheduler.add(item)
    run(scheduler)
    data, outcome = drain(item)
    assert outcome in (Finish.COMPLETE, Finish.BUDGET)
    assert set(json.loads(data)) == {"name", "tags"}


def test_forced_tokens_cost_no_decode_call_of_their_own() -> None:
    backend = ScriptedBackend(lambda prompt: VALUE)
    scheduler = Scheduler(backend, max_sequences=1, prefill_chunk=64)
    item = sequence(backend, "Name: Ada")
    scheduler.add(item)
    run(scheduler)
    chosen = item.statistics.output_tokens - item.statistics.forced_tokens
    # The grammar leaves `name":"` and `tags":[` no choice, and more.
    assert item.statistics.forced_tokens >= len('name":"' + '"tags":[')
    # The first choice reads the logits of the prefill, and nothing is decoded after the last.
    assert item.statistics.decode_calls == chosen - 1


def test_a_long_prompt_is_prefilled_in_chunks_and_only_its_last_logits_are_computed() -> None:
    backend = ScriptedBackend(lambda prompt: VALUE)
    scheduler = Scheduler(backend, max_sequences=1, prefill_chunk=16)
    item = sequence(backend, "x" * 50)
    scheduler.add(item)
    for expected in (16, 16, 16, 3):
        scheduler.step()
        assert len(backend.batches[-1]) == expected
    assert [entry.logits for batch in backend.batches for entry in batch] == [False] * 50 + [True]


def test_two_sequences_share_every_decode_call() -> None:
    backend = ScriptedBackend(lambda prompt: VALUE.replace("Ada", prompt))
    scheduler = Scheduler(backend, max_sequences=2, prefill_chunk=64)
    items = [sequence(backend, name) for name in ("Ada", "Bob")]
    for item in items:
        scheduler.add(item)
    run(scheduler)
    for item, name in zip(items, ("Ada", "Bob"), strict=True):
        assert drain(item) == (VALUE.replace("Ada", name).encode(), Finish.COMPLETE)
    together = sum(len({entry.sequence for entry in batch}) == 2 for batch in backend.batches)
    assert together == len(backend.batches)


def test_a_running_answer_goes_on_while_a_long_prompt_is_prefilled() -> None:
    backend = ScriptedBackend(lambda prompt: VALUE, context_tokens=4096)
    scheduler = Scheduler(backend, max_sequences=2, prefill_chunk=8)
    first = sequence(backend, "a")
    scheduler.add(first)
    scheduler.step()
    second = sequence(backend, "b" * 200)
    scheduler.add(second)
    steps_before = first.statistics.decode_calls
    for _ in range(5):
        scheduler.step()
    assert first.statistics.decode_calls == steps_before + 5
    assert second.phase is Phase.PREFILL
    assert max(sum(entry.sequence == second.slot for entry in batch) for batch in backend.batches) <= 8


def test_more_sequences_than_slots_wait_their_turn() -> None:
    backend = ScriptedBackend(lambda prompt: VALUE, sequences=2)
    scheduler = Scheduler(backend, max_sequences=2, prefill_chunk=64)
    items = [sequence(backend, str(number)) for number in range(5)]
    for item in items:
        scheduler.add(item)
    run(scheduler)
    assert [drain(item) for item in items] == [(VALUE.encode(), Finish.COMPLETE)] * 5
    assert max(len({entry.sequence for entry in batch}) for batch in backend.batches) == 2


def test_cancelling_stops_within_one_step_and_frees_the_slot() -> None:
    backend = ScriptedBackend(lambda prompt: VALUE, sequences=1)
    scheduler = Scheduler(backend, max_sequences=1, prefill_chunk=64)
    first, second = sequence(backend, "first"), sequence(backend, "second")
    scheduler.add(first)
    scheduler.add(second)
    scheduler.step()
    Generation(first).cancel()
    scheduler.step()
    assert isinstance(drain(first)[1], GenerationCancelledError)
    assert second.phase is Phase.DECODE
    run(scheduler)
    assert drain(second)[1] is Finish.COMPLETE


def test_a_waiting_sequence_can_be_cancelled() -> None:
    backend = ScriptedBackend(lambda prompt: VALUE, sequences=1)
    scheduler = Scheduler(backend, max_sequences=1, prefill_chunk=64)
    first, second = sequence(backend, "first"), sequence(backend, "second")
    scheduler.add(first)
    scheduler.add(second)
    scheduler.step()
    Generation(second).cancel()
    run(scheduler)
    assert drain(first)[1] is Finish.COMPLETE
    assert isinstance(drain(second)[1], GenerationCancelledError)


def test_the_time_limit_ends_a_sequence_with_an_error() -> None:
    backend = ScriptedBackend(lambda prompt: VALUE)
    scheduler = Scheduler(backend, max_sequences=1, prefill_chunk=64)
    item = sequence(backend, "slow", limits=Limits(output_tokens=200, seconds=0))
    scheduler.add(item)
    run(scheduler)
    outcome = drain(item)[1]
    assert isinstance(outcome, GenerationTimeoutError)
    assert "LOCAL_RETAB_MAX_GENERATION_SECONDS" in outcome.message
    assert not backend.batches


@pytest.mark.parametrize("budget", range(1, len(VALUE) + 2))
def test_when_the_budget_ends_the_value_is_closed_without_the_model(budget: int) -> None:
    backend = ScriptedBackend(lambda prompt: VALUE)
    scheduler = Scheduler(backend, max_sequences=1, prefill_chunk=64)
    item = sequence(backend, "Name: Ada", limits=Limits(output_tokens=budget, seconds=60))
    scheduler.add(item)
    run(scheduler)
    events = []
    while not item.events.empty():
        events.append(item.events.get())
    outcome = events.pop()
    chosen = b"".join(event.data for event in events if not event.synthesised)
    closed = b"".join(event.data for event in events)
    assert VALUE.encode().startswith(chosen)
    value = json.loads(closed)
    assert list(value) == ["name", "tags"]
    assert isinstance(value["name"], str)
    assert isinstance(value["tags"], list)
    assert outcome is (Finish.COMPLETE if chosen == VALUE.encode() else Finish.BUDGET)


def test_the_end_of_the_context_closes_the_value_too() -> None:
    backend = ScriptedBackend(lambda prompt: '{"name":"' + "a" * 500, context_tokens=64, sequences=2)
    scheduler = Scheduler(backend, max_sequences=1, prefill_chunk=64)
    item = sequence(backend, "p" * 20, limits=Limits(output_tokens=500, seconds=60))
    scheduler.add(item)
    run(scheduler)
    data, outcome = drain(item)
    assert outcome is Finish.BUDGET
    assert json.loads(data)["name"].startswith("aaa")


def test_a_full_cache_sends_the_youngest_back_and_both_come_out_right() -> None:
    script = '{"name":"' + "n" * 60 + '","tags":[]}'
    backend = ScriptedBackend(lambda prompt: script, context_tokens=180, sequences=2)
    scheduler = Scheduler(backend, max_sequences=2, prefill_chunk=64)
    items = [sequence(backend, letter * 40) for letter in "ab"]
    for item in items:
        scheduler.add(item)
    run(scheduler)
    assert [drain(item) for item in items] == [(script.encode(), Finish.COMPLETE)] * 2
    # The second was computed twice: once before it had to give way, once after.
    assert sum(len(batch) for batch in backend.batches) > 2 * (41 + len(script))


def test_a_failed_decode_ends_its_sequences_with_the_error_and_the_next_one_works() -> None:
    backend = ScriptedBackend(lambda prompt: VALUE)
    scheduler = Scheduler(backend, max_sequences=2, prefill_chunk=64)
    first = sequence(backend, "first")
    scheduler.add(first)

    def fail(batch: object) -> None:
        raise EngineError("the device is gone")

    backend.before_decode = fail
    scheduler.step()
    outcome = drain(first)[1]
    assert isinstance(outcome, EngineError)
    assert outcome.message == "the device is gone"
    backend.before_decode = lambda batch: None
    second = sequence(backend, "second")
    scheduler.add(second)
    run(scheduler)
    assert drain(second) == (VALUE.encode(), Finish.COMPLETE)


def test_a_model_that_computes_nan_is_an_error() -> None:
    backend = ScriptedBackend(lambda prompt: VALUE)
    scheduler = Scheduler(backend, max_sequences=1, prefill_chunk=64)
    healthy = backend.logits
    backend.logits = lambda row: healthy(row) * float("nan")  # type: ignore[method-assign]
    item = sequence(backend, "x")
    scheduler.add(item)
    run(scheduler)
    outcome = drain(item)[1]
    assert isinstance(outcome, EngineError)
    assert "NaN" in outcome.message


def test_control_tokens_come_from_trusted_text_only() -> None:
    backend = ScriptedBackend(lambda prompt: VALUE)
    assert backend.tokenize(CONTROL_TEXT, special=True) == [CONTROL]
    assert CONTROL not in backend.tokenize(CONTROL_TEXT, special=False)


class TestPrefixReuse:
    def test_a_repeat_computes_one_prompt_token(self) -> None:
        backend = ScriptedBackend(lambda prompt: VALUE)
        scheduler = Scheduler(backend, max_sequences=1, prefill_chunk=64)
        for expected in (0, len("same prompt")):
            item = sequence(backend, "same prompt")
            scheduler.add(item)
            run(scheduler)
            assert item.statistics.reused_tokens == expected
            assert drain(item) == (VALUE.encode(), Finish.COMPLETE)

    def test_the_longest_common_prefix_is_shared_and_the_old_one_kept(self) -> None:
        backend = ScriptedBackend(lambda prompt: VALUE.replace("Ada", prompt[-1]), sequences=4, device="gpu")
        scheduler = Scheduler(backend, max_sequences=1, prefill_chunk=64)
        reused = []
        for prompt in ("template: A", "template: B", "other", "template: A", "template: B"):
            item = sequence(backend, prompt)
            scheduler.add(item)
            run(scheduler)
            reused.append(item.statistics.reused_tokens)
            assert drain(item) == (VALUE.replace("Ada", prompt[-1]).encode(), Finish.COMPLETE)
        stem = len("template: ")
        assert reused == [0, stem, 0, stem + 1, stem + 1]

    def test_a_running_sequence_shares_its_prefix(self) -> None:
        backend = ScriptedBackend(lambda prompt: VALUE)
        scheduler = Scheduler(backend, max_sequences=2, prefill_chunk=64)
        first = sequence(backend, "long common stem, one")
        scheduler.add(first)
        scheduler.step()
        second = sequence(backend, "long common stem, two")
        scheduler.add(second)
        run(scheduler)
        assert second.statistics.reused_tokens == len("long common stem, ")
        assert [drain(first), drain(second)] == [(VALUE.encode(), Finish.COMPLETE)] * 2

    def test_a_memory_that_cannot_be_shared_is_computed_anew(self) -> None:
        backend = ScriptedBackend(lambda prompt: VALUE, prefix_sharing=False)
        scheduler = Scheduler(backend, max_sequences=1, prefill_chunk=64)
        for _ in range(2):
            item = sequence(backend, "same prompt")
            scheduler.add(item)
            run(scheduler)
            assert item.statistics.reused_tokens == 0
            assert drain(item) == (VALUE.encode(), Finish.COMPLETE)

    def test_idle_prefixes_make_room_before_anyone_is_sent_back(self) -> None:
        backend = ScriptedBackend(lambda prompt: VALUE, context_tokens=200, sequences=4)
        scheduler = Scheduler(backend, max_sequences=2, prefill_chunk=64)
        for letter in "abcdef":
            item = sequence(backend, letter * 50)
            scheduler.add(item)
            run(scheduler)
            assert drain(item) == (VALUE.encode(), Finish.COMPLETE)
        assert sum(len(batch) for batch in backend.batches) < 6 * (51 + len(VALUE))
