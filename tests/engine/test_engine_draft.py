"""Drafts: they change how many decode calls an answer takes, and nothing else; and when they are tried."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_backend import ANSWER, ScriptedBackend
from test_scheduler import LIMITS, SCHEMA, VALUE, drain, grammar, run

from local_retab.engine import scheduler as scheduler_module
from local_retab.engine.backend import BatchToken
from local_retab.engine.constraint import Constraint
from local_retab.engine.draft import (
    MAX_CALL_DRAFT_TOKENS,
    MAX_DRAFT_TOKENS,
    OPENING,
    PRIOR_RATIO,
    DraftPolicy,
    Guess,
    StepCosts,
)
from local_retab.engine.sampler import Sampling
from local_retab.engine.scheduler import Scheduler
from local_retab.engine.sequence import Finish, Limits, Sequence, TokenEvent


class Oracle:
    """Guesses what ``guess`` makes of what is still to come of ``answer``."""

    def __init__(self, answer: str, guess: Callable[[bytes], bytes] = lambda rest: rest, kind: str = "oracle") -> None:
        self._answer, self._guess, self._kind = answer.encode(), guess, kind

    def guess(self, output: bytes | bytearray) -> Guess | None:
        return Guess(self._kind, (self._guess(self._answer[len(output) :]),))


def sequence_of(backend: ScriptedBackend, drafter: Oracle | None, **fields: object) -> Sequence:
    constraint = Constraint.compile(grammar(SCHEMA), backend.grammar_tokenizer())
    tokens = backend.tokenize("Ada" + ANSWER, special=False)
    limits = fields.pop("limits", LIMITS)
    return Sequence(tokens, constraint, limits, drafter=drafter, **fields)  # type: ignore[arg-type]


def answer_of(
    drafter: Oracle | None, *, value: str = VALUE, sampling: Sampling | None = None, **backend_fields: object
) -> tuple[list[tuple[bytes, float | None]], Sequence]:
    """The answer's bytes with their log-probabilities, and the sequence."""
    backend = ScriptedBackend(lambda prompt: value, **backend_fields)  # type: ignore[arg-type]
    scheduler = Scheduler(backend, max_sequences=1, prefill_chunk=64)
    item = sequence_of(backend, drafter, sampling=sampling)
    scheduler.add(item)
    run(scheduler)
    events = []
    while isinstance(event := item.events.get_nowait(), TokenEvent):
        events.append((event.data, event.logprob))
    assert event is Finish.COMPLETE
    kept = bytes(token for token in backend.kv[0] if token < 256)
    assert kept == bytes(item.tokens[: item.computed]), "KV holds what is not of the answer"
    return events, item


class TestTheAnswer:
    def test_a_right_draft_saves_calls(self) -> None:
        plain, alone = answer_of(None)
        drafted, item = answer_of(Oracle(VALUE))
        assert drafted == plain
        assert item.statistics.accepted_tokens == item.statistics.drafted_tokens > 0
        assert item.statistics.decode_calls < alone.statistics.decode_calls / 2

    def test_a_wrong_draft_changes_nothing(self) -> None:
        plain, _ = answer_of(None)
        drafted, item = answer_of(Oracle(VALUE, lambda rest: rest[:1] + b"x" + rest[2:]))
        assert drafted == plain
        assert 0 < item.statistics.accepted_tokens < item.statistics.drafted_tokens

    def test_what_the_grammar_refuses_is_not_tried(self) -> None:
        _, item = answer_of(Oracle(VALUE, lambda rest: b"\x01"))
        openings_alone = answer_of(None)[1].statistics
        assert item.statistics.drafted_tokens == openings_alone.drafted_tokens

    def test_a_guess_that_is_no_text_is_not_tried(self) -> None:
        assert answer_of(Oracle(VALUE, lambda rest: b"\xff"))[0] == answer_of(None)[0]

    def test_a_memory_that_cannot_be_cut_gets_no_drafts(self) -> None:
        assert answer_of(Oracle(VALUE), prefix_sharing=False)[1].statistics.drafted_tokens == 0

    @settings(max_examples=80, deadline=None)
    @given(seed=st.integers(0, 2**32), faults=st.floats(0, 0.5), sampled=st.booleans())
    def test_no_draft_changes_it(self, seed: int, faults: float, sampled: bool) -> None:
        rng = random.Random(seed)

        def spoilt(rest: bytes) -> bytes:
            return bytes(rng.choice(b'a1", ]}') if rng.random() < faults else byte for byte in rest)

        sampling = Sampling(seed=seed, temperature=0.3) if sampled else None
        assert answer_of(Oracle(VALUE, spoilt), sampling=sampling)[0] == answer_of(None, sampling=sampling)[0]

    def test_it_ends_at_its_budget_within_a_draft(self) -> None:
        backend = ScriptedBackend(lambda prompt: VALUE)
        scheduler = Scheduler(backend, max_sequences=1, prefill_chunk=64)
        item = sequence_of(backend, Oracle(VALUE), limits=Limits(output_tokens=12, seconds=60))
        scheduler.add(item)
        run(scheduler)
        data, outcome = drain(item)
        assert outcome is Finish.BUDGET
        assert item.output_length == 12
        assert data.startswith(VALUE[:12].encode())
        assert bytes(backend.kv[0]) == bytes(item.tokens[: item.computed])

    def test_a_draft_never_takes_the_room_of_another_sequence(self) -> None:
        answers = []
        for drafter in (None, Oracle(VALUE)):
            backend = ScriptedBackend(lambda prompt: VALUE, context_tokens=2 * (len(VALUE) + 6), sequences=2)
            scheduler = Scheduler(backend, max_sequences=2, prefill_chunk=64)
            items = [sequence_of(backend, drafter) for _ in range(2)]
            for item in items:
                scheduler.add(item)
            run(scheduler)
            answers.append([drain(item) for item in items])
        assert answers[0] == answers[1]

    def test_several_answers_are_drafted_in_one_call(self) -> None:
        backend = ScriptedBackend(lambda prompt: VALUE)
        scheduler = Scheduler(backend, max_sequences=2, prefill_chunk=64)
        items = [sequence_of(backend, Oracle(VALUE)) for _ in range(2)]
        for item in items:
            scheduler.add(item)
        for tokens in range(1, 60):
            scheduler._drafts.policy.costs.observe(tokens, 1.0)
        run(scheduler)
        assert [drain(item) for item in items] == [(VALUE.encode(), Finish.COMPLETE)] * 2
        rows = [sum(entry.logits for entry in batch) for batch in backend.batches]
        assert 2 + MAX_DRAFT_TOKENS < max(rows) <= 2 + MAX_CALL_DRAFT_TOKENS

    def test_the_answer_so_far_is_as_it_was_after_a_guess(self) -> None:
        backend = ScriptedBackend(lambda prompt: VALUE)
        scheduler = Scheduler(backend, max_sequences=1, prefill_chunk=64)
        seen: list[bytes] = []

        class Failing:
            def guess(self, output: bytearray) -> Guess | None:
                seen.append(bytes(output))
                raise ValueError("a fault of the drafter")

        item = sequence_of(backend, None)
        item.drafter = Failing()
        item.output += b'{"name":"'
        item.constraint.consume(list(b'{"name":"Ada"'))
        with pytest.raises(ValueError, match="a fault"):
            scheduler._drafts.make(item, tokens=1, sequences=1, room=4)
        assert (seen, bytes(item.output)) == ([b'{"name":"' + b',"tags":['], b'{"name":"')


def policy_with(cost: Callable[[int], float], *, kind: str = "k", right: int = 0, wrong: int = 0) -> DraftPolicy:
    """A policy that has often seen calls of all sizes at ``cost``, and drafts of four tokens, all or none right."""
    policy = DraftPolicy()
    for tokens in 30 * [*range(1, 20)]:
        policy.costs.observe(tokens, cost(tokens))
    for _ in range(right):
        policy.observe(kind, 4, 4)
    for _ in range(wrong):
        policy.observe(kind, 4, 0)
    return policy


class TestWhatPays:
    @pytest.mark.parametrize(
        ("cost", "length"),
        [
            (lambda tokens: 1.0 + 0.05 * (tokens - 1), MAX_DRAFT_TOKENS),  # a GPU: a place costs next to nothing
            (lambda tokens: 1.0 + 0.5 * (tokens - 1), MAX_DRAFT_TOKENS),  # half a call, and nearly always right
            (lambda tokens: 1.0 + 1.2 * (tokens - 1), 0),  # nothing is saved by one call instead of two
            (lambda tokens: 1.0 if tokens <= 4 else float(tokens), 3),  # places up to the fourth are free
        ],
    )
    def test_the_length_follows_the_costs(self, cost: Callable[[int], float], length: int) -> None:
        policy = policy_with(cost, right=60)
        assert policy.length("k", 20, tokens=1, sequences=1) == length

    def test_a_kind_that_is_wrong_is_tried_no_more_and_comes_back_in_time(self) -> None:
        policy = policy_with(lambda tokens: 1.0 + 0.5 * (tokens - 1), wrong=30)
        assert policy.length("k", 4, tokens=1, sequences=1) == 0
        assert policy.length("other", 4, tokens=1, sequences=1) > 0
        asked = 0
        while policy.length("k", 4, tokens=1, sequences=1) == 0:
            asked += 1
            assert asked < 500
        assert asked > 20

    def test_what_is_not_offered_is_not_forgotten(self) -> None:
        policy = policy_with(lambda tokens: 1.0 + 0.5 * (tokens - 1), wrong=30)
        for _ in range(500):
            policy.length("k", 0, tokens=1, sequences=1)
        assert policy.length("k", 4, tokens=1, sequences=1) == 0

    def test_the_more_share_a_call_the_less_a_draft_saves(self) -> None:
        policy = policy_with(lambda tokens: 1.0 + 0.85 * (tokens - 1), right=5)
        lengths = [policy.length("k", 12, tokens=count, sequences=count) for count in (1, 2, 5)]
        assert lengths == sorted(lengths, reverse=True)
        assert lengths[0] > 0
        assert lengths[-1] == 0

    def test_five_votes_on_two_cores_are_drafted(self) -> None:
        """Five answers in a call cost as measured there: a place less in it is a fifth of such a call less."""
        policy = policy_with(lambda tokens: 34.0 + 20.0 * tokens, right=60)
        assert policy.length("k", 12, tokens=5, sequences=5) >= 3
        doubtful = policy_with(lambda tokens: 34.0 + 20.0 * tokens, wrong=30)
        assert doubtful.length("k", 12, tokens=5, sequences=5) == 0

    def test_no_more_than_is_offered(self) -> None:
        assert policy_with(lambda tokens: 1.0, right=9).length("k", 2, tokens=1, sequences=1) == 2


LEARN = Scheduler._learn


class Clock:
    """Stands in for ``time`` in the scheduler: a decode call takes what ``cost`` says of its tokens."""

    def __init__(self, cost: Callable[[int], float]) -> None:
        self._cost, self._now = cost, 0.0

    def decoded(self, batch: list[BatchToken]) -> None:
        self._now += self._cost(len(batch))

    def perf_counter(self) -> float:
        return self._now

    monotonic = perf_counter


@pytest.mark.parametrize(("extra", "drafts"), [(0.05, True), (1.5, False)])
def test_the_scheduler_learns_from_its_calls_whether_drafts_pay(
    monkeypatch: pytest.MonkeyPatch, extra: float, drafts: bool
) -> None:
    clock = Clock(lambda tokens: 1.0 + extra * (tokens - 1))
    monkeypatch.setattr(Scheduler, "_learn", LEARN)
    monkeypatch.setattr(scheduler_module, "time", clock)
    backend = ScriptedBackend(lambda prompt: VALUE)
    backend.before_decode = clock.decoded
    scheduler = Scheduler(backend, max_sequences=1, prefill_chunk=64)
    counts = []
    for _ in range(6):
        item = sequence_of(backend, Oracle(VALUE, lambda rest: rest[:1]), limits=Limits(200, seconds=1e9))
        scheduler.add(item)
        run(scheduler)
        assert drain(item) == (VALUE.encode(), Finish.COMPLETE)
        counts.append(item.statistics.drafted_tokens)
    assert (counts[-1] > 0) is drafts


class TestCosts:
    def test_before_anything_was_seen_a_place_costs_a_part_of_a_call(self) -> None:
        costs = StepCosts()
        assert costs.estimate(1) == 1.0
        assert costs.estimate(5) == 1.0 + 4 * PRIOR_RATIO

    def test_between_sizes_that_were_seen_it_is_in_between(self) -> None:
        costs = StepCosts()
        for tokens, seconds in ((1, 1.0), (5, 3.0)):
            costs.observe(tokens, seconds)
        assert costs.estimate(3) == pytest.approx(2.0)
        assert costs.estimate(7) == pytest.approx(3.0 + 2 * PRIOR_RATIO)

    def test_one_slow_call_counts_for_two(self) -> None:
        costs = StepCosts()
        costs.observe(1, 1.0)
        costs.observe(1, 1000.0)
        assert costs.estimate(1) == pytest.approx(1.5, rel=0.01)

    def test_they_do_not_follow_the_noise_of_single_calls(self) -> None:
        costs, noise = StepCosts(), random.Random(1)
        for _ in range(60):
            tokens = noise.choice([1, 1, 2, 3, 4, 8])
            costs.observe(tokens, (54 + 20 * (tokens - 1)) * noise.uniform(0.8, 1.2))
        assert costs.estimate(2) - costs.estimate(1) == pytest.approx(20, rel=0.4)
        assert costs.estimate(9) - costs.estimate(1) == pytest.approx(160, rel=0.2)


def test_the_opening_of_a_value_is_drafted_without_a_drafter() -> None:
    backend = ScriptedBackend(lambda prompt: VALUE)
    scheduler = Scheduler(backend, max_sequences=1, prefill_chunk=64)
    assert scheduler._drafts.make(sequence_of(backend, None), tokens=1, sequences=1, room=0) is None
    item = sequence_of(backend, None)
    # Nothing of a value is chosen yet, so its first byte is forced, and is not yet consumed.
    draft = scheduler._drafts.make(item, tokens=1, sequences=1, room=4)
    assert draft is not None
    assert (draft.kind, bytes(draft.tokens)) == (OPENING, b"{")


def test_a_guess_goes_on_from_what_the_grammar_forces() -> None:
    backend = ScriptedBackend(lambda prompt: VALUE)
    scheduler = Scheduler(backend, max_sequences=1, prefill_chunk=64)
    rests: list[bytes] = []

    def noted(rest: bytes) -> bytes:
        rests.append(rest)
        return rest

    item = sequence_of(backend, Oracle(VALUE, noted))
    forced = item.constraint.forced_bytes()
    draft = scheduler._drafts.make(item, tokens=1, sequences=1, room=4)
    assert len(forced) > 1
    assert rests == [VALUE.encode()[len(forced) :]]
    assert draft is not None
    assert VALUE.encode().startswith(bytes(draft.tokens))
