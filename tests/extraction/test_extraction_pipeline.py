"""One extraction from document to chunks, on a scripted engine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import pytest
from scripted_backend import ANSWER as MARK
from scripted_backend import TEMPLATE, ScriptedBackend
from scripted_service import ANSWER, DOCUMENT, SCHEMA, VALUE, WITHOUT_END, ScriptedService

from local_retab.documents import load
from local_retab.engine.backend import BackendInfo
from local_retab.engine.sequence import Limits, PromptPart, Statistics, TokenEvent, TokenizedPrompt
from local_retab.errors import GenerationCancelledError, OutputValidationError
from local_retab.extraction import answer
from local_retab.extraction.partial import MISSING, extends
from local_retab.extraction.pipeline import extract
from local_retab.extraction.task import Stop, Task
from local_retab.schema import load_schema, plan_schema
from local_retab.schema.style import SEPARATORS
from local_retab.settings import Settings
from local_retab.wire import Extraction, ExtractionChunk, ExtractionParameters, now


def run_of(service: ScriptedService, schema: dict[str, Any] = SCHEMA, **fields: Any) -> Any:
    document = load(DOCUMENT, filename="note.txt", settings=service.settings)
    return service.stream(document, ExtractionParameters(json_schema=schema, **fields))


def last(service: ScriptedService, schema: dict[str, Any] = SCHEMA, **fields: Any) -> Extraction:
    *_, extraction = run_of(service, schema, **fields)
    assert isinstance(extraction, Extraction)
    return extraction


def check_growth(chunks: Sequence[ExtractionChunk]) -> None:
    shown: Any = MISSING
    for chunk in chunks:
        assert extends(chunk.output, shown), f"{chunk.output} takes back {shown}"
        shown = chunk.output


class TestChunks:
    def test_they_grow_into_the_extraction(self, tmp_path: Path) -> None:
        chunks = list(run_of(ScriptedService(tmp_path)))
        check_growth(chunks)
        outputs = [chunk.output for chunk in chunks]
        assert outputs[0] == {}
        assert {"number": "INV-1é"} in outputs
        assert {"number": "INV-1é", "total": 12.5, "lines": [1, 2]} in outputs
        assert {"number": "INV-1é", "total": 12} not in outputs
        assert outputs[-1] == VALUE
        assert [isinstance(chunk, Extraction) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
        assert {chunk.status for chunk in chunks[:-1]} == {"in_progress"}

    def test_what_is_said_of_the_request_is_the_same_in_all(self, tmp_path: Path) -> None:
        chunks = list(run_of(ScriptedService(tmp_path), model="retab-micro", metadata={"a": "b"}, instructions="Hm."))
        assert len({chunk.id for chunk in chunks}) == 1
        assert chunks[0].id.startswith("extr_")
        assert {chunk.model for chunk in chunks} == {"retab-micro"}
        assert {(chunk.file.filename, chunk.file.mime_type) for chunk in chunks} == {("note.txt", "text/plain")}
        assert len({chunk.created_at for chunk in chunks}) == 1
        end = chunks[-1]
        assert end.status == "completed"
        assert end.json_schema == SCHEMA
        assert end.metadata == {"a": "b"}
        assert end.instructions == "Hm."
        assert end.error is None
        assert end.notices == []

    def test_they_are_valid_chunks_on_the_wire(self, tmp_path: Path) -> None:
        for chunk in run_of(ScriptedService(tmp_path)):
            assert type(chunk).model_validate_json(chunk.model_dump_json()) == chunk

    def test_what_the_run_took_is_counted(self, tmp_path: Path) -> None:
        service = ScriptedService(tmp_path)
        usage = last(service).usage
        assert usage is not None
        (backend,) = service.backends
        assert usage.prompt_tokens == backend.kv[0].index(ord(MARK)) + 1
        assert usage.output_tokens == len(json.dumps(VALUE, ensure_ascii=False, separators=SEPARATORS).encode())
        assert 0 < usage.forced_output_tokens < usage.output_tokens
        chosen = usage.output_tokens - usage.forced_output_tokens
        assert usage.decode_calls < chosen - 1
        assert usage.decode_calls >= chosen - 1 - usage.accepted_draft_tokens
        assert 0 < usage.accepted_draft_tokens <= usage.draft_tokens
        assert usage.cached_prompt_tokens == 0
        again = last(service, bust_cache=True).usage
        assert again is not None
        assert again.cached_prompt_tokens == again.prompt_tokens - 1

    def test_the_instructions_reach_the_model(self, tmp_path: Path) -> None:
        prompts: list[str] = []

        def script(prompt: str) -> str:
            prompts.append(prompt)
            return ANSWER

        extra = [{"role": "user", "content": "Look twice."}]
        last(ScriptedService(tmp_path, script), instructions="Round down.", additional_messages=extra)
        assert "Round down." in prompts[0]
        assert "Look twice." in prompts[0]
        assert DOCUMENT.decode() in prompts[0]

    def test_an_order_that_is_not_the_models_is_the_callers(self, tmp_path: Path) -> None:
        extraction = last(ScriptedService(tmp_path))
        assert list(extraction.output) == list(SCHEMA["properties"])  # type: ignore[arg-type]


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


class Recited:
    """A generation that recites a text, one byte at each tick of the clock."""

    statistics = Statistics()
    votes = ()

    def __init__(self, text: bytes, clock: Clock, tick: float) -> None:
        self._text, self._clock, self._tick = text, clock, tick

    def __iter__(self) -> Iterator[TokenEvent]:
        for byte in self._text:
            self._clock.now += self._tick
            yield TokenEvent(bytes([byte]))

    def __enter__(self) -> Recited:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def cancel(self) -> None:
        pass


class RecitingEngine:
    def __init__(self, text: bytes, clock: Clock, tick: float) -> None:
        self._generation = Recited(text, clock, tick)

    @property
    def info(self) -> BackendInfo:
        return ScriptedBackend(lambda prompt: "", template=TEMPLATE).info

    def tokenize(self, prompt: Sequence[PromptPart]) -> TokenizedPrompt:
        return TokenizedPrompt(list(range(len(prompt))))

    def submit(self, prompt: Iterable[PromptPart], grammar: str, limits: Limits, **more: object) -> Recited:
        return self._generation


@pytest.mark.parametrize(("tick", "most"), [(0.001, 2), (0.01, 10), (1.0, 10_000)])
def test_chunks_come_no_faster_than_agreed_and_the_end_at_once(
    monkeypatch: pytest.MonkeyPatch, tick: float, most: int
) -> None:
    clock = Clock()
    monkeypatch.setattr(answer, "time", clock)
    settings = Settings(chunks_per_second=10)
    text = json.dumps({"number": "n" * 60, "total": 1, "lines": []}).encode()
    parameters = ExtractionParameters(json_schema=SCHEMA)
    plan = plan_schema(load_schema(SCHEMA, settings=settings), settings=settings)
    document = load(DOCUMENT, filename="note.txt", settings=settings)
    task = Task("extr_1", now(), document, parameters, plan, settings, Stop())
    times, chunks = [], []
    for chunk in extract(task, RecitingEngine(text, clock, tick)):  # type: ignore[arg-type]
        times.append(clock.now)
        chunks.append(chunk)
    check_growth(chunks)
    assert chunks[-1].output == json.loads(text)
    # The first at once, the extraction when the text ends.
    assert times[0] == 100.0 + tick
    assert times[-1] == pytest.approx(100.0 + tick * len(text))
    between = times[:-1]
    assert all(later - earlier >= 0.1 - 1e-9 for earlier, later in pairwise(between))
    seconds = tick * len(text)
    assert len(between) <= min(most, seconds * 10 + 1)
    if tick == 1.0:
        # Slower than the limit: every change is shown.
        assert len(between) == 60 + 4


class TestHiddenFields:
    SCHEMA: ClassVar[dict[str, Any]] = {
        "type": "object",
        "X-ReasoningPrompt": "Which kind of document is it?",
        "properties": {
            "total": {"type": "number", "X-ReasoningPrompt": "Which amount is due?"},
            "name": {"type": "string", "X-SourceQuote": True},
            "lines": {
                "type": "array",
                "items": {
                    "type": "object",
                    "X-ReasoningPrompt": "Which line?",
                    "properties": {"code": {"type": "string"}},
                    "required": ["code"],
                },
            },
        },
        "required": ["total", "name", "lines"],
    }
    WRITTEN: ClassVar[dict[str, Any]] = {
        "_root": "SECRET one",
        "_total": "SECRET two",
        "total": 12.5,
        "source___name": "SECRET three",
        "name": "Ada",
        "lines": [
            {"_item": "SECRET four", "code": "A"},
            {"_item": "SECRET five", "code": "B"},
        ],
    }
    SHOWN: ClassVar[dict[str, Any]] = {"total": 12.5, "name": "Ada", "lines": [{"code": "A"}, {"code": "B"}]}

    def test_they_are_written_and_never_shown(self, tmp_path: Path) -> None:
        service = ScriptedService(tmp_path, json.dumps(self.WRITTEN))
        chunks = list(run_of(service, self.SCHEMA))
        check_growth(chunks)
        assert chunks[-1].output == self.SHOWN
        assert b"SECRET five" in bytes(token for token in service.backends[0].kv[0] if token < 256)
        for chunk in chunks:
            text = json.dumps(chunk.output)
            assert "___" not in text
            assert "SECRET" not in text
        assert chunks[-1].json_schema == self.SCHEMA


class TestDeferredKeywords:
    SCHEMA: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {"codes": {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}},
        "required": ["codes"],
        "additionalProperties": False,
    }

    def service(self, folder: Path, *answers: str, retries: int = 1) -> tuple[ScriptedService, list[str]]:
        """A model whose n-th attempt is the n-th answer, and its prompts, one for each attempt."""
        prompts: list[str] = []

        def script(prompt: str) -> str:
            if prompt not in prompts:
                prompts.append(prompt)
            return answers[min(prompts.index(prompt), len(answers) - 1)]

        return ScriptedService(folder, script, max_validation_retries=retries), prompts

    def test_a_valid_value_is_the_only_chunk(self, tmp_path: Path) -> None:
        service, prompts = self.service(tmp_path, '{"codes":[1,2]}')
        chunks = list(run_of(service, self.SCHEMA))
        # Nothing is shown that might be taken back.
        assert [chunk.output for chunk in chunks] == [{"codes": [1, 2]}]
        assert len(prompts) == 1

    def test_a_refused_value_is_tried_again_with_the_reason(self, tmp_path: Path) -> None:
        service, prompts = self.service(tmp_path, '{"codes":[1,1]}', '{"codes":[1,2]}')
        extraction = last(service, self.SCHEMA)
        assert extraction.output == {"codes": [1, 2]}
        first, second = prompts
        assert "refused" not in first
        assert "/codes" in second
        assert "uniqueItems" in second
        assert extraction.usage is not None
        assert extraction.usage.output_tokens == 2 * len('{"codes":[1,1]}')
        assert extraction.usage.cached_prompt_tokens > 0.8 * len(first)

    @pytest.mark.parametrize("retries", [0, 1, 3])
    def test_when_the_attempts_are_used_up_it_is_an_error_with_the_path(self, tmp_path: Path, retries: int) -> None:
        service, prompts = self.service(tmp_path, '{"codes":[7,7]}', retries=retries)
        seen = []
        with pytest.raises(OutputValidationError, match="/codes") as caught:
            seen += run_of(service, self.SCHEMA)
        (problem,) = caught.value.details["problems"]
        assert (problem["path"], problem["keyword"]) == ("/codes", "uniqueItems")
        assert seen == []
        # The same reason makes the same prompt, so prompts are two at most; the attempts are counted by decoding.
        assert len(prompts) == min(retries + 1, 2)

    def test_a_key_that_comes_twice_in_an_open_object_is_refused_with_its_path(self, tmp_path: Path) -> None:
        schema = {"type": "object", "additionalProperties": {"type": "integer"}}
        service = ScriptedService(tmp_path, '{"a":1,"b":2,"a":3}', max_validation_retries=0)
        with pytest.raises(OutputValidationError) as caught:
            list(run_of(service, schema))
        assert "twice" in caught.value.details["problems"][0]["reason"]


class TestLimits:
    def test_a_spent_budget_is_noticed_with_the_path(self, tmp_path: Path) -> None:
        budget = len('{"number":"INV-1é","total":12.5,"lines":[1,'.encode())
        chunks = list(run_of(ScriptedService(tmp_path, max_output_tokens=budget)))
        check_growth(chunks)
        output = chunks[-1].output
        assert isinstance(output, dict)
        assert output["number"] == "INV-1é"
        assert output["lines"][0] == 1  # type: ignore[index, call-overload]
        (notice,) = chunks[-1].notices  # type: ignore[attr-defined]
        assert notice.code == "OUTPUT_BUDGET_EXHAUSTED"
        assert notice.path == "/lines/1"
        assert f"{budget} tokens" in notice.message
        assert "LOCAL_RETAB_MAX_OUTPUT_TOKENS" in notice.message

    def test_every_value_that_the_budget_cut_off_is_listed(self, tmp_path: Path) -> None:
        schema = {
            "type": "object",
            "properties": {
                "first": {"type": "string"},
                "a/b": {"type": "integer"},
                "kept": {"type": "array", "items": {"type": "integer"}},
                "note": {"type": ["string", "null"]},
                "rows": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "string"}}}},
                "optional": {"type": "string"},
            },
            "required": ["first", "a/b", "kept", "note", "rows"],
        }
        answer = '{"first":"one","a/b":12,"kept":[1],"note":"n","rows":[],"optional":null}'
        listed = {}
        for cut in ('{"first":"o', '{"first":"one","a/b":12', '{"first":"one","a/b":12,"kept":[1],"no'):
            service = ScriptedService(tmp_path, answer, max_output_tokens=len(cut))
            listed[cut] = last(service, schema).synthesised
        assert list(listed.values()) == [
            ["/first", "/a~1b", "/kept", "/note", "/rows"],
            ["/a~1b", "/kept", "/note", "/rows"],
            ["/note", "/rows"],
        ]
        assert last(ScriptedService(tmp_path, answer), schema).synthesised == []

    def test_a_repetition_is_cut_by_the_string_limit_and_noticed(self, tmp_path: Path) -> None:
        extraction = last(ScriptedService(tmp_path, '{"number":"' + "la" * 500, max_string_chars=20))
        assert isinstance(extraction.output, dict)
        assert extraction.output["number"] == "la" * 10
        notices = {notice.code: notice for notice in extraction.notices}
        assert notices["STRING_LIMIT_REACHED"].path == "/number"
        assert "20 characters" in notices["STRING_LIMIT_REACHED"].message

    def test_paths_of_notices_are_json_pointers(self, tmp_path: Path) -> None:
        schema = {
            "type": "object",
            "properties": {"a/b~c": {"type": "array", "items": {"type": "string"}, "maxItems": 2}},
            "required": ["a/b~c"],
        }
        service = ScriptedService(tmp_path, '{"a/b~c":["x","' + "y" * 50 + '"]}', max_string_chars=5)
        assert [notice.path for notice in last(service, schema).notices] == ["/a~1b~0c/1"]

    def test_the_callers_own_limit_is_no_notice(self, tmp_path: Path) -> None:
        schema = {"type": "object", "properties": {"a": {"type": "string", "maxLength": 7}}, "required": ["a"]}
        extraction = last(ScriptedService(tmp_path, '{"a":"' + "y" * 50, max_string_chars=5), schema)
        assert extraction.output == {"a": "y" * 7}
        assert extraction.notices == []


class TestStopping:
    def test_from_another_thread_within_one_step(self, tmp_path: Path) -> None:
        reached, released = threading.Event(), threading.Event()

        def prepare(backend: ScriptedBackend) -> None:
            def hold(_batch: object) -> None:
                if backend.kv[0][-40:].count(ord("x")) == 20:
                    reached.set()
                    assert released.wait(30)

            backend.before_decode = hold

        service = ScriptedService(tmp_path, WITHOUT_END, prepare=prepare)
        run = run_of(service)

        def stop() -> None:
            assert reached.wait(30)
            run.cancel()
            released.set()

        thread = threading.Thread(target=stop)
        thread.start()
        chunks = []
        with pytest.raises(GenerationCancelledError):
            chunks += run
        thread.join(30)
        assert service.backends[0].kv[0].count(ord("x")) < 100
        assert service.running == 0
        assert list(run) == []

    def test_before_it_begins(self, tmp_path: Path) -> None:
        service = ScriptedService(tmp_path, WITHOUT_END)
        run = run_of(service)
        run.cancel()
        with pytest.raises(GenerationCancelledError):
            next(run)
        assert sum(len(batch) for backend in service.backends for batch in backend.batches) == 0

    def test_closing_in_the_middle_and_again(self, tmp_path: Path) -> None:
        service = ScriptedService(tmp_path, WITHOUT_END)
        run = run_of(service)
        next(run)
        run.close()
        run.close()
        assert list(run) == []
