"""Interactive sequences go before background ones, which get done all the same; and a prompt stalls no answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_backend import ANSWER, ScriptedBackend
from test_engine_draft import Clock
from test_scheduler import LIMITS, SCHEMA, VALUE, drain, grammar, run

from local_retab.engine import scheduler as scheduler_module
from local_retab.engine import sequence as sequence_module
from local_retab.engine.constraint import Constraint
from local_retab.engine.draft import StepCosts
from local_retab.engine.images import ImageSpan, Pixels
from local_retab.engine.priority import HINDRANCE, PATIENCE_SECONDS, taking_part
from local_retab.engine.scheduler import Scheduler
from local_retab.engine.sequence import Finish, Limits, Phase, Sequence

DONE = (VALUE.encode(), Finish.COMPLETE)


def sequence_of(
    backend: ScriptedBackend, prompt: str, *, background: bool = False, limits: Limits = LIMITS
) -> Sequence:
    constraint = Constraint.compile(grammar(SCHEMA), backend.grammar_tokenizer())
    tokens = backend.tokenize(prompt + ANSWER, special=False)
    return Sequence(tokens, constraint, limits, background=background)


def slots(backend: ScriptedBackend) -> list[set[int]]:
    """Whose tokens were in each decode call."""
    return [{entry.sequence for entry in batch} for batch in backend.batches]


def test_an_interactive_sequence_is_admitted_before_earlier_background_ones() -> None:
    backend = ScriptedBackend(lambda prompt: VALUE)
    scheduler = Scheduler(backend, max_sequences=1, prefill_chunk=64)
    first, *later = (sequence_of(backend, name, background=name != "d") for name in "abcd")
    for item in (first, *later):
        scheduler.add(item)
    ended: list[Sequence] = []
    while not scheduler.idle:
        scheduler.step()
        ended += [item for item in (first, *later) if item.phase is Phase.ENDED and item not in ended]
    assert ended == [later[2], first, later[0], later[1]]
    assert [drain(item) for item in ended] == [DONE] * 4


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_a_background_sequence_gives_its_place_and_goes_on_where_it_was(device: str) -> None:
    backend = ScriptedBackend(lambda prompt: VALUE, device=device)
    scheduler = Scheduler(backend, max_sequences=1, prefill_chunk=64)
    later = sequence_of(backend, "later", background=True)
    scheduler.add(later)
    for _ in range(4):
        scheduler.step()
    computed = later.computed
    now = sequence_of(backend, "now")
    scheduler.add(now)
    scheduler.step()
    assert (later.phase, later.slot) == (Phase.WAITING, None)
    assert now.phase is Phase.DECODE
    before = len(backend.batches)
    while now.phase is not Phase.ENDED:
        scheduler.step()
    assert all(len(each) == 1 for each in slots(backend)[before:])
    before = len(backend.batches)
    scheduler.step()
    # On a GPU its KV was kept; a processor keeps what prompts share, and here that is nothing.
    known = later.prompt_length + len(VALUE)
    assert len(backend.batches[before]) == (1 if device == "gpu" else computed + 1)
    run(scheduler)
    assert [drain(now), drain(later)] == [DONE, DONE]
    assert len(later.tokens) == known


def test_an_interactive_sequence_does_not_take_the_place_of_another() -> None:
    backend = ScriptedBackend(lambda prompt: VALUE)
    scheduler = Scheduler(backend, max_sequences=1, prefill_chunk=64)
    first, second = sequence_of(backend, "first"), sequence_of(backend, "second")
    scheduler.add(first)
    scheduler.step()
    scheduler.add(second)
    scheduler.step()
    assert (first.phase, second.phase) == (Phase.DECODE, Phase.WAITING)


def test_a_background_answer_stands_back_where_a_call_takes_longer_for_it() -> None:
    backend = ScriptedBackend(lambda prompt: VALUE)
    scheduler = Scheduler(backend, max_sequences=2, prefill_chunk=64)
    later = sequence_of(backend, "later", background=True)
    scheduler.add(later)
    scheduler.step()
    now = sequence_of(backend, "now")
    scheduler.add(now)
    before = len(backend.batches)
    while now.phase is not Phase.ENDED:
        scheduler.step()
    assert set(map(frozenset, slots(backend)[before:])) == {frozenset({1})}
    assert later.phase is Phase.DECODE
    run(scheduler)
    assert [drain(now), drain(later)] == [DONE, DONE]


def test_it_joins_where_a_call_hardly_takes_longer_but_its_prompt_does_not() -> None:
    backend = ScriptedBackend(lambda prompt: VALUE)
    scheduler = Scheduler(backend, max_sequences=3, prefill_chunk=64)
    for _ in range(100):
        for tokens in range(1, 33):
            scheduler._drafts.policy.costs.observe(tokens, 1.0 + 0.001 * tokens)
    answering, prompting = (sequence_of(backend, name, background=True) for name in ("answering", "prompting" * 9))
    now = sequence_of(backend, "now")
    scheduler.add(answering)
    scheduler.step()
    for item in (prompting, now):
        scheduler.add(item)
    before = len(backend.batches)
    while answering.phase is not Phase.ENDED:
        scheduler.step()
    assert set(map(frozenset, slots(backend)[before:])) == {frozenset({0, 1})}  # 1 is the interactive one
    assert now.phase is Phase.DECODE
    assert prompting.computed == 0
    run(scheduler)
    assert [drain(item) for item in (answering, prompting, now)] == [DONE] * 3


def test_no_more_join_than_hold_a_call_up_by_the_hindrance() -> None:
    costs = StepCosts()
    for tokens in (1, 9, 17, 33) * 50:
        costs.observe(tokens, 1.0 + 0.04 * (tokens - 1))
    backend = ScriptedBackend(lambda prompt: VALUE)
    items = [sequence_of(backend, "x", background=number > 0) for number in range(9)]
    for item in items:
        item.computed, item.phase = len(item.tokens) - 1, Phase.DECODE
    chosen = taking_part(items, costs, 64)
    assert chosen == items[: len(chosen)]
    alone = costs.estimate(1)
    assert costs.estimate(len(chosen)) <= (1 + HINDRANCE) * alone < costs.estimate(len(chosen) + 1)


@pytest.mark.parametrize("places", [1, 2])
def test_background_work_is_done_however_much_interactive_work_there_is(
    monkeypatch: pytest.MonkeyPatch, places: int
) -> None:
    """There is always another interactive sequence; each call takes a second."""
    clock = Clock(lambda tokens: 1.0)
    monkeypatch.setattr(scheduler_module, "time", clock)
    monkeypatch.setattr(sequence_module, "time", clock)
    backend = ScriptedBackend(lambda prompt: VALUE)
    backend.before_decode = clock.decoded
    scheduler = Scheduler(backend, max_sequences=places, prefill_chunk=64)
    # Less time than it stands back for, so that this must not count.
    later = sequence_of(backend, "later", background=True, limits=Limits(200, seconds=PATIENCE_SECONDS / 2))
    scheduler.add(later)
    for _ in range(3):
        scheduler.step()
    begun, output = clock.monotonic(), len(later.output)
    promoted: float | None = None
    interactive: list[Sequence] = []
    while later.phase is not Phase.ENDED:
        if sum(item.phase is not Phase.ENDED for item in interactive) < places + 1:
            interactive.append(sequence_of(backend, "now"))
            scheduler.add(interactive[-1])
        scheduler.step()
        if later.background:
            assert len(later.output) == output
        elif promoted is None:
            promoted = clock.monotonic()
    assert promoted == begun + PATIENCE_SECONDS
    assert drain(later) == DONE
    assert later.yielded_seconds == PATIENCE_SECONDS


def test_background_work_alone_does_not_lose_patience() -> None:
    backend = ScriptedBackend(lambda prompt: VALUE)
    scheduler = Scheduler(backend, max_sequences=2, prefill_chunk=64)
    items = [sequence_of(backend, str(number), background=True) for number in range(3)]
    for item in items:
        scheduler.add(item)
    run(scheduler)
    assert [drain(item) for item in items] == [DONE] * 3
    assert [item.yielded_seconds for item in items] == [0.0] * 3
    assert {0, 1} in slots(backend)


def test_a_full_cache_sends_background_ones_back_first() -> None:
    backend = ScriptedBackend(lambda prompt: VALUE, context_tokens=64)
    scheduler = Scheduler(backend, max_sequences=2, prefill_chunk=64)
    now, later = sequence_of(backend, "n" * 20), sequence_of(backend, "l" * 20, background=True)
    scheduler.add(later)
    scheduler.step()
    scheduler.add(now)
    while now.phase is not Phase.ENDED:
        scheduler.step()
    assert (later.phase, later.computed) == (Phase.PREFILL, 0)
    run(scheduler)
    assert [drain(now), drain(later)] == [DONE, DONE]


def test_the_image_of_an_interactive_sequence_is_encoded_first() -> None:
    backend = ScriptedBackend(lambda prompt: VALUE, image_tokens=8)
    scheduler = Scheduler(backend, max_sequences=2, prefill_chunk=64)
    for name, background in (("later", True), ("now", False)):
        width = len(name)
        opening, chunk, closing = backend.tokenize_image(Pixels(width, 1, bytes(3 * width)))
        assert not isinstance(chunk, int)
        assert isinstance(opening, int)
        assert isinstance(closing, int)
        item = sequence_of(backend, name, background=background)
        item.tokens[:0] = [opening, *chunk.cells(), closing]
        item.images, item.prompt_length = (ImageSpan(1, chunk),), len(item.tokens)
        scheduler.add(item)
    run(scheduler)
    assert [chunk.pixels.width for chunk in backend.encoded] == [len("now"), len("later")]


@given(
    chunk=st.integers(4, 24),
    prompts=st.lists(st.integers(1, 120), min_size=1, max_size=4),
    answers=st.integers(1, 3),
)
def test_long_prompts_stall_no_answer_by_more_than_a_chunk(chunk: int, prompts: list[int], answers: int) -> None:
    """Every running answer has a token in every call, and all tokens of prompts beside them are at most a chunk."""
    backend = ScriptedBackend(lambda prompt: VALUE, sequences=8)
    scheduler = Scheduler(backend, max_sequences=8, prefill_chunk=chunk)
    running = [sequence_of(backend, "") for _ in range(answers)]
    for item in running:
        scheduler.add(item)
    while any(item.phase is not Phase.DECODE for item in running):
        scheduler.step()
    running += [sequence_of(backend, "x" * length) for length in prompts]
    for item in running[answers:]:
        scheduler.add(item)
    while not scheduler.idle:
        due = {item.slot for item in running if item.phase is Phase.DECODE}
        before = len(backend.batches)
        scheduler.step()
        assert len(backend.batches) <= before + 1
        batch = backend.batches[-1]
        assert due <= {entry.sequence for entry in batch}
        assert sum(entry.sequence not in due for entry in batch) <= chunk
