"""The front of the engine, with its decoding thread."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from scripted_backend import ANSWER, CONTROL, CONTROL_TEXT, ScriptedBackend

from local_retab.engine import engine as engine_module
from local_retab.engine.constraint import Constraint
from local_retab.engine.engine import MIN_ANSWER_TOKENS, PAUSE_SECONDS, Engine
from local_retab.engine.sequence import Finish, Generation, Limits, PromptPart, TokenizedPrompt
from local_retab.errors import (
    ContextLengthError,
    EngineError,
    GenerationCancelledError,
    LocalRetabError,
    UnsupportedSchemaError,
)
from local_retab.schema import compile_grammar

GRAMMAR = compile_grammar(
    {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"], "additionalProperties": False}
)
LIMITS = Limits(output_tokens=1000, seconds=60)
WITHOUT_END = '{"name":"' + "x" * 5000


def answer(name: str) -> str:
    return json.dumps({"name": name}, separators=(",", ":"))


def prompt(text: str) -> list[PromptPart]:
    return [PromptPart(text + ANSWER, trusted=True)]


def read(generation: Generation) -> bytes:
    return b"".join(event.data for event in generation)


class Held:
    """Holds the decoding thread before one decode call."""

    def __init__(self, backend: ScriptedBackend, *, at: int = 0) -> None:
        self.reached, self.released = threading.Event(), threading.Event()
        self._backend, self._at = backend, at
        backend.before_decode = self

    def __call__(self, _batch: object) -> None:
        if len(self._backend.batches) == self._at:
            self.reached.set()
            assert self.released.wait(30)


@pytest.fixture
def backend() -> ScriptedBackend:
    return ScriptedBackend(lambda prompt: WITHOUT_END if prompt.startswith("long") else answer(prompt))


@pytest.fixture
def engine(backend: ScriptedBackend) -> Iterator[Engine]:
    with Engine(backend, max_sequences=2, prefill_chunk=64) as made:
        yield made


def test_an_answer(engine: Engine) -> None:
    generation = engine.submit(prompt("Ada"), GRAMMAR, LIMITS)
    assert read(generation) == answer("Ada").encode()
    assert generation.finish is Finish.COMPLETE
    assert generation.statistics.prompt_tokens == 4
    assert engine.decode_calls == len(engine._backend.batches)  # type: ignore[attr-defined]


def test_decoding_pauses_once_for_the_reader_of_an_answer(engine: Engine, backend: ScriptedBackend) -> None:
    read(engine.submit(prompt("Ada"), GRAMMAR, LIMITS))
    read(engine.submit(prompt("Bob"), GRAMMAR, LIMITS, background=True))
    assert backend.rests == [PAUSE_SECONDS]


def test_many_threads_get_their_own_answers(engine: Engine) -> None:
    answers: dict[str, bytes] = {}

    def ask(name: str) -> None:
        answers[name] = read(engine.submit(prompt(name), GRAMMAR, LIMITS))

    names = [f"name {number}" for number in range(12)]
    threads = [threading.Thread(target=ask, args=[name]) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert answers == {name: answer(name).encode() for name in names}


def test_nothing_decodes_before_there_is_work(backend: ScriptedBackend) -> None:
    before = set(threading.enumerate())

    def names() -> set[str]:
        return {thread.name for thread in set(threading.enumerate()) - before}

    with Engine(backend, max_sequences=1, prefill_chunk=64) as engine:
        assert "local-retab-decode" not in names()
        read(engine.submit(prompt("Ada"), GRAMMAR, LIMITS))
        assert "local-retab-decode" in names()
    assert names() == set()


def test_what_is_prepared_is_computed_before_the_first_prompt(backend: ScriptedBackend) -> None:
    head = [PromptPart("Once upon a time there", trusted=True)]
    with Engine(backend, max_sequences=1, prefill_chunk=64) as engine:
        engine.prepare(head)
        generation = engine.submit([*head, *prompt("Ada")], GRAMMAR, LIMITS)
        assert read(generation)
        # All but its last token, which may be read together with what follows.
        assert generation.statistics.reused_tokens == len(head[0].text) - 1
        engine.prepare(head)  # too late to be first: nothing is done


def test_a_backend_that_cannot_share_prepares_nothing() -> None:
    backend = ScriptedBackend(answer, prefix_sharing=False)
    with Engine(backend, max_sequences=1, prefill_chunk=64) as engine:
        engine.prepare([PromptPart("Once upon a time", trusted=True)])
        engine.prepare([])
    assert backend.batches == []


def test_control_tokens_are_parsed_from_trusted_parts_alone(engine: Engine) -> None:
    parts = [PromptPart(CONTROL_TEXT, trusted=True), PromptPart(CONTROL_TEXT, trusted=False)]
    assert engine.tokenize(parts) == TokenizedPrompt([CONTROL, *CONTROL_TEXT.encode()], stable=1)


def test_cancelling_ends_the_generation(engine: Engine, backend: ScriptedBackend) -> None:
    held = Held(backend, at=3)
    generation = engine.submit(prompt("long"), GRAMMAR, LIMITS)
    assert held.reached.wait(30)
    generation.cancel()
    held.released.set()
    with pytest.raises(GenerationCancelledError):
        read(generation)
    # The decode call that was under way, and no other.
    assert len(backend.batches) == 4
    assert list(generation) == []


def test_leaving_the_block_stops_the_generation(engine: Engine, backend: ScriptedBackend) -> None:
    with engine.submit(prompt("long"), GRAMMAR, LIMITS) as generation:
        next(iter(generation))
    with pytest.raises(GenerationCancelledError):
        read(generation)
    # The engine goes on for others.
    assert read(engine.submit(prompt("Ada"), GRAMMAR, LIMITS)) == answer("Ada").encode()


def test_a_prompt_that_does_not_fit_is_refused_before_anything_runs(engine: Engine, backend: ScriptedBackend) -> None:
    room = backend.info.context_tokens - MIN_ANSWER_TOKENS
    with pytest.raises(ContextLengthError, match="LOCAL_RETAB_CONTEXT_TOKENS") as caught:
        engine.submit(prompt("x" * room), GRAMMAR, LIMITS)
    assert caught.value.details == {"prompt_tokens": room + 1, "limit": room}
    assert not backend.batches
    assert engine.submit([PromptPart("x" * (room - 1) + ANSWER, trusted=True)], GRAMMAR, LIMITS)


def test_a_grammar_that_cannot_be_compiled_is_refused(engine: Engine, backend: ScriptedBackend) -> None:
    with pytest.raises(UnsupportedSchemaError):
        engine.submit(prompt("Ada"), "no grammar", LIMITS)
    assert not backend.batches


class TestCompiledGrammars:
    @pytest.fixture
    def compiled(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        grammars: list[str] = []
        original = Constraint.compile

        def compile_and_note(grammar: str, tokenizer: object) -> Constraint:
            grammars.append(grammar)
            return original(grammar, tokenizer)

        monkeypatch.setattr(Constraint, "compile", compile_and_note)
        return grammars

    def test_a_grammar_is_compiled_once(self, engine: Engine, compiled: list[str]) -> None:
        for name in ("Ada", "Bob", "Eve"):
            assert read(engine.submit(prompt(name), GRAMMAR, LIMITS)) == answer(name).encode()
        assert compiled == [GRAMMAR]

    def test_the_least_recently_used_one_is_dropped(
        self, engine: Engine, compiled: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(engine_module, "COMPILED_GRAMMARS", 2)
        first, second, third = (compile_grammar({"const": number}) for number in range(3))
        for grammar in (first, second, first, third, first, second):
            read(engine.submit(prompt("Ada"), grammar, LIMITS))
        assert compiled == [first, second, third, second]


class TestClosing:
    def test_running_and_waiting_generations_end_with_an_error(self, backend: ScriptedBackend) -> None:
        engine = Engine(backend, max_sequences=1, prefill_chunk=64)
        held = Held(backend, at=2)
        generations = [engine.submit(prompt("long"), GRAMMAR, LIMITS) for _ in range(3)]
        assert held.reached.wait(30)
        closer = threading.Thread(target=engine.close)
        closer.start()
        held.released.set()
        for generation in generations:
            with pytest.raises(EngineError, match="closed"):
                read(generation)
        closer.join(30)
        assert not closer.is_alive()
        assert backend.closed

    def test_a_closed_engine_takes_nothing(self, engine: Engine) -> None:
        engine.close()
        with pytest.raises(EngineError, match="closed"):
            engine.submit(prompt("Ada"), GRAMMAR, LIMITS)

    def test_it_can_be_closed_again(self, engine: Engine, backend: ScriptedBackend) -> None:
        closes = []
        backend.close = lambda: closes.append(1)  # type: ignore[method-assign]
        engine.close()
        engine.close()
        assert closes == [1]

    def test_an_engine_that_was_never_used_is_freed_when_it_is_forgotten(self, backend: ScriptedBackend) -> None:
        engine = Engine(backend, max_sequences=1, prefill_chunk=64)
        reference = weakref.ref(engine)
        del engine
        gc.collect()
        assert reference() is None


class TestABrokenBackend:
    @pytest.fixture
    def broken(self, backend: ScriptedBackend) -> Held:
        """Runs into an error that nobody foresaw, once the test lets it."""
        held = Held(backend, at=2)

        def fail(batch: object) -> None:
            held(batch)
            if held.released.is_set():
                raise ZeroDivisionError("of the backend")

        backend.before_decode = fail
        return held

    def test_every_owner_hears_of_it(self, backend: ScriptedBackend, broken: Held) -> None:
        with Engine(backend, max_sequences=1, prefill_chunk=64) as engine:
            generations = [engine.submit(prompt("long"), GRAMMAR, LIMITS) for _ in range(3)]
            assert broken.reached.wait(30)
            broken.released.set()
            for generation in generations:
                with pytest.raises(EngineError, match="ZeroDivisionError") as caught:
                    read(generation)
                assert isinstance(caught.value.__cause__, ZeroDivisionError)
            with pytest.raises(EngineError) as refused:
                engine.submit(prompt("Ada"), GRAMMAR, LIMITS)
            assert isinstance(refused.value.__cause__, ZeroDivisionError)
        assert backend.closed

    def test_an_error_of_one_decode_call_is_not_the_end(self, backend: ScriptedBackend, engine: Engine) -> None:
        def fail(_batch: object) -> None:
            raise EngineError("the device is gone")

        backend.before_decode = fail
        with pytest.raises(LocalRetabError, match="the device is gone"):
            read(engine.submit(prompt("Ada"), GRAMMAR, LIMITS))
        backend.before_decode = lambda batch: None
        assert read(engine.submit(prompt("Bob"), GRAMMAR, LIMITS)) == answer("Bob").encode()


def at_exit(script: str) -> Callable[[], subprocess.CompletedProcess[str]]:
    root = Path(__file__).resolve().parents[2]
    setup = f"import sys; sys.path[:0] = [{str(root)!r}, {str(root / 'tests')!r}]\n"
    return lambda: subprocess.run(
        [sys.executable, "-c", setup + script], check=False, capture_output=True, text=True, timeout=60
    )


def test_the_engine_is_closed_when_the_program_ends_in_the_middle_of_an_answer() -> None:
    run = at_exit(
        """
from scripted_backend import ANSWER, ScriptedBackend
from local_retab.engine.engine import Engine
from local_retab.engine.sequence import Limits, PromptPart
from local_retab.schema import compile_grammar

backend = ScriptedBackend(lambda prompt: '"' + "x" * 100_000, context_tokens=200_000)
backend.close = lambda: print("closed")
engine = Engine(backend, max_sequences=1, prefill_chunk=64)
grammar = compile_grammar({"type": "string"})
generation = engine.submit([PromptPart("?" + ANSWER, True)], grammar, Limits(100_000, 600))
next(iter(generation))
print("leaving")
"""
    )
    done = run()
    assert (done.returncode, done.stdout, done.stderr) == (0, "leaving\nclosed\n", "")
