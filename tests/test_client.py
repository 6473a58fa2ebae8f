"""The clients, synchronous and asynchronous, over a scripted engine."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pydantic
import pytest
from scripted_backend import ScriptedBackend
from scripted_service import ANSWER, DOCUMENT, SCHEMA, VALUE, WITHOUT_END, ScriptedService
from typing_extensions import TypedDict

from local_retab import AsyncRetab, Extraction, ExtractionChunk, MIMEData, Retab, Settings
from local_retab.client import AsyncExtractions, Extractions
from local_retab.errors import (
    DocumentNotFoundError,
    EngineError,
    GenerationCancelledError,
    InvalidSchemaError,
    ModelNotFoundError,
    RequestError,
)

Serve = Callable[..., ScriptedService]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Make a service; the test owns the clients over it."""
    made: list[ScriptedService] = []

    def make(script: str = ANSWER, **options: Any) -> ScriptedService:
        made.append(ScriptedService(tmp_path, script, **options))
        return made[-1]

    yield make
    for service in made:
        service.close()
        assert all(backend.closed for backend in service.backends)


@pytest.fixture
def client(serve: Serve) -> Retab:
    return Retab(transport=serve())


class TestRequestFields:
    """CONTRACT 3.1: every field, with the hosted default."""

    HOSTED: ClassVar[dict[str, Any]] = {
        "document": inspect.Parameter.empty,
        "json_schema": inspect.Parameter.empty,
        "model": "retab-small",
        "instructions": None,
        "n_consensus": 1,
        "metadata": None,
        "additional_messages": None,
        "bust_cache": False,
        "stream": False,
        "background": False,
        "deep_extraction": None,
        "sources": None,
        "image_resolution_dpi": 192,
        "chunking_keys": None,
    }
    ADDED: ClassVar[dict[str, None]] = dict.fromkeys(
        ("modality", "image_min_tokens", "image_max_tokens", "pages", "absent", "attachments")
    )

    @pytest.mark.parametrize("owner", [Extractions, AsyncExtractions])
    @pytest.mark.parametrize("method", ["create", "create_stream"])
    def test_they_are_in_every_signature(self, owner: type, method: str) -> None:
        function = getattr(owner, method)
        parameters = dict(inspect.signature(function).parameters)
        parameters.pop("self")
        assert {name: parameter.default for name, parameter in parameters.items()} == self.HOSTED | self.ADDED
        assert function.__doc__
        assert inspect.iscoroutinefunction(inspect.unwrap(function)) is (owner is AsyncExtractions)

    def test_keys_that_the_schema_does_not_have_are_an_error_and_not_ignored(self, client: Retab) -> None:
        for call in (client.extractions.create, client.extractions.create_stream):
            with pytest.raises(RequestError, match="chunking_keys") as caught:
                call(DOCUMENT, SCHEMA, chunking_keys={"lines": "id"})
            assert caught.value.details == {"field": "chunking_keys"}

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("n_consensus", 1),
            ("n_consensus", None),
            ("background", False),
            ("background", None),
            ("chunking_keys", None),
            ("deep_extraction", False),
            ("deep_extraction", True),
            ("sources", None),
            ("model", None),
            ("bust_cache", True),
            ("bust_cache", None),
            ("image_resolution_dpi", 96),
            ("image_resolution_dpi", None),
            ("metadata", {}),
            ("instructions", ""),
        ],
    )
    def test_values_that_ask_for_nothing_more_are_accepted(self, client: Retab, field: str, value: object) -> None:
        assert client.extractions.create(DOCUMENT, SCHEMA, **{field: value}).output == VALUE  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("n_consensus", 0),
            ("n_consensus", 17),
            ("image_resolution_dpi", 50),
            ("image_resolution_dpi", 301),
            ("metadata", {"a": 1}),
            ("model", ""),
            ("additional_messages", "text"),
            ("sources", {"mode": "guessed"}),
        ],
    )
    def test_a_wrong_value_is_named(self, client: Retab, field: str, value: object) -> None:
        with pytest.raises(RequestError, match=f"^{field}") as caught:
            client.extractions.create(DOCUMENT, SCHEMA, **{field: value})  # type: ignore[arg-type]
        assert caught.value.details["field"].startswith(field)

    def test_an_unknown_argument_is_refused(self, client: Retab) -> None:
        with pytest.raises(TypeError, match="temperature"):
            client.extractions.create(DOCUMENT, SCHEMA, temperature=0)  # type: ignore[call-arg]

    def test_stream_is_for_create_stream(self, client: Retab) -> None:
        with pytest.raises(RequestError, match="create_stream"):
            client.extractions.create(DOCUMENT, SCHEMA, stream=True)
        assert client.extractions.create_stream(DOCUMENT, SCHEMA, stream=True).final().output == VALUE


class Line(pydantic.BaseModel):
    number: str
    total: float
    lines: list[int]


@dataclasses.dataclass
class LineData:
    number: str
    total: float
    lines: list[int]


class LineDict(TypedDict):
    number: str
    total: float
    lines: list[int]


def line(number: str, total: float, lines: list[int]) -> None:
    """A function whose parameters are the fields."""


class TestSchemas:
    @pytest.mark.parametrize(
        "schema", [SCHEMA, json.dumps(SCHEMA), Line, LineData, LineDict, line], ids=lambda form: type(form).__name__
    )
    def test_every_form(self, client: Retab, schema: Any) -> None:
        assert client.extractions.create(DOCUMENT, schema).output == VALUE

    @pytest.mark.parametrize("as_text", [True, False])
    def test_a_file(self, client: Retab, tmp_path: Path, as_text: bool) -> None:
        path = tmp_path / "schema.json"
        path.write_text(json.dumps(SCHEMA))
        assert client.extractions.create(DOCUMENT, str(path) if as_text else path).output == VALUE

    @pytest.mark.parametrize("schema", [None, 5, [], "{", {"type": "banana"}, object()])
    def test_what_is_no_schema_is_refused_before_a_model_is_loaded(self, serve: Serve, schema: Any) -> None:
        service = serve()
        with pytest.raises(InvalidSchemaError):
            Retab(transport=service).extractions.create_stream(DOCUMENT, schema)
        assert not service.backends


class TestDocuments:
    def test_a_path_and_mime_data(self, client: Retab, tmp_path: Path) -> None:
        path = tmp_path / "note.txt"
        path.write_bytes(DOCUMENT)
        url = "data:text/plain;base64,SW52b2ljZSBJTlYtMSwgdG90YWwgMTIuNTA="
        sources = (path, str(path), path.open("rb"), MIMEData(filename="note.txt", url=url))
        for source in sources:
            extraction = client.extractions.create(source, SCHEMA)
            assert extraction.output == VALUE
            assert extraction.file.filename == "note.txt"
        sources[2].close()  # type: ignore[union-attr]

    def test_what_is_no_document_is_refused_at_once(self, serve: Serve) -> None:
        service = serve()
        with pytest.raises(DocumentNotFoundError):
            Retab(transport=service).extractions.create_stream("missing.pdf", SCHEMA)
        assert not service.backends

    def test_a_model_that_is_not_installed_is_refused_at_once(self, client: Retab) -> None:
        with pytest.raises(ModelNotFoundError, match="models pull"):
            client.extractions.create_stream(DOCUMENT, SCHEMA, model="qwen3-vl-8b-instruct")


class TestStreams:
    def test_iterating(self, client: Retab) -> None:
        stream = client.extractions.create_stream(DOCUMENT, SCHEMA)
        chunks = list(stream)
        assert len(chunks) > 5
        assert all(isinstance(chunk, ExtractionChunk) for chunk in chunks)
        assert isinstance(chunks[-1], Extraction)
        assert stream.final() == chunks[-1]
        assert list(stream) == []

    def test_printing_waits_and_gives_the_extraction_as_json(
        self, client: Retab, capsys: pytest.CaptureFixture[str]
    ) -> None:
        stream = client.extractions.create_stream(DOCUMENT, SCHEMA)
        print(stream)  # noqa: T201
        shown = json.loads(capsys.readouterr().out)
        assert shown["output"] == VALUE
        assert shown["status"] == "completed"
        assert str(stream) == stream.final().model_dump_json(indent=2)

    def test_leaving_the_block_early_frees_the_sequence(self, serve: Serve) -> None:
        service = serve(WITHOUT_END)
        with Retab(transport=service) as client:
            with client.extractions.create_stream(DOCUMENT, SCHEMA) as stream:
                next(stream)
                next(stream)
            with pytest.raises(GenerationCancelledError, match="closed before"):
                stream.final()
            assert answered(service.backends[0]) < 1000
            assert_idle(service)

    def test_a_stream_that_is_forgotten_stops(self, serve: Serve) -> None:
        service = serve(WITHOUT_END)
        with Retab(transport=service) as client:
            stream = client.extractions.create_stream(DOCUMENT, SCHEMA)
            next(stream)
            del stream
            assert_idle(service)
            assert answered(service.backends[0]) < 1000

    def test_leaving_after_an_error_of_the_callers(self, serve: Serve) -> None:
        service = serve(WITHOUT_END)

        def fail() -> None:
            with Retab(transport=service) as client, client.extractions.create_stream(DOCUMENT, SCHEMA) as stream:
                next(stream)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert service.backends[0].closed

    def test_two_streams_at_once(self, client: Retab) -> None:
        streams = [client.extractions.create_stream(DOCUMENT, SCHEMA) for _ in range(2)]
        both = list(zip(*streams, strict=True))
        assert [chunk.output for chunk in both[-1]] == [VALUE, VALUE]

    def test_a_stream_that_was_never_read_holds_nothing(self, serve: Serve) -> None:
        service = serve()
        with Retab(transport=service) as client:
            client.extractions.create_stream(DOCUMENT, SCHEMA).close()
            assert not service.backends

    def test_a_closed_client_takes_nothing(self, client: Retab) -> None:
        client.close()
        client.close()
        with pytest.raises(EngineError, match="closed"):
            client.extractions.create(DOCUMENT, SCHEMA)

    def test_closing_the_client_ends_running_streams(self, serve: Serve) -> None:
        client = Retab(transport=serve(WITHOUT_END))
        stream = client.extractions.create_stream(DOCUMENT, SCHEMA)
        next(stream)
        client.close()
        with pytest.raises(EngineError, match="closed"):
            stream.final()


def answered(backend: ScriptedBackend) -> int:
    """Characters of the endless string that were computed."""
    return max(kv.count(ord("x")) for kv in backend.kv.values())


def assert_idle(service: ScriptedService) -> None:
    """The next extraction finds the engine free: its prompt is decoded with no other sequence beside it."""
    (backend,) = service.backends
    before = len(backend.batches)
    with Retab(transport=service).extractions.create_stream(DOCUMENT, SCHEMA) as stream:
        next(stream)
    batches = backend.batches[before + 1 :]
    assert all(len({entry.sequence for entry in batch}) == 1 for batch in batches)


class TestAsync:
    def test_create(self, serve: Serve) -> None:
        async def main() -> Extraction:
            async with AsyncRetab(transport=serve()) as client:
                return await client.extractions.create(DOCUMENT, SCHEMA)

        assert asyncio.run(main()).output == VALUE

    def test_iterating(self, serve: Serve) -> None:
        async def main() -> list[ExtractionChunk]:
            async with AsyncRetab(transport=serve()) as client:
                stream = await client.extractions.create_stream(DOCUMENT, SCHEMA)
                chunks = [chunk async for chunk in stream]
                assert await stream.final() == chunks[-1]
                return chunks

        chunks = asyncio.run(main())
        assert len(chunks) > 5
        assert chunks[-1].output == VALUE

    def test_the_loop_goes_on_meanwhile(self, serve: Serve) -> None:
        ticks = []

        async def tick() -> None:
            while True:
                ticks.append(1)
                await asyncio.sleep(0)

        async def main() -> None:
            async with AsyncRetab(transport=serve()) as client:
                ticking = asyncio.create_task(tick())
                results = await asyncio.gather(*(client.extractions.create(DOCUMENT, SCHEMA) for _ in range(3)))
                assert [result.output for result in results] == [VALUE] * 3
                ticking.cancel()

        asyncio.run(main())
        assert ticks

    def test_leaving_the_block_early_frees_the_sequence(self, serve: Serve) -> None:
        service = serve(WITHOUT_END)

        async def main() -> None:
            async with AsyncRetab(transport=service) as client:
                async with await client.extractions.create_stream(DOCUMENT, SCHEMA) as stream:
                    await anext(stream)
                with pytest.raises(GenerationCancelledError):
                    await stream.final()
                await asyncio.to_thread(assert_idle, service)
                assert answered(service.backends[0]) < 1000

        asyncio.run(main())

    @pytest.mark.parametrize("how", ["create", "create_stream"])
    def test_cancelling_the_task_that_waits_stops_the_work(self, serve: Serve, how: str) -> None:
        reached, released = threading.Event(), threading.Event()

        def prepare(backend: ScriptedBackend) -> None:
            def hold(_batch: object) -> None:
                if answered(backend) == 50:
                    reached.set()
                    assert released.wait(30)

            backend.before_decode = hold

        service = serve(WITHOUT_END, prepare=prepare)
        complaints: list[Any] = []

        async def work(client: AsyncRetab) -> None:
            if how == "create":
                await client.extractions.create(DOCUMENT, SCHEMA)
            else:
                async with await client.extractions.create_stream(DOCUMENT, SCHEMA) as stream:
                    async for _ in stream:
                        pass

        async def main() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
            async with AsyncRetab(transport=service) as client:
                task = asyncio.create_task(work(client))
                assert await asyncio.to_thread(reached.wait, 30)
                task.cancel()
                # The work is stopped first: only then does the decoding thread go on.
                asyncio.get_running_loop().call_later(0.05, released.set)
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert answered(service.backends[0]) <= 52

        asyncio.run(main())
        assert complaints == []
        assert service.backends[0].closed

    def test_errors_come_out_of_the_await(self, serve: Serve) -> None:
        async def main() -> None:
            async with AsyncRetab(transport=serve()) as client:
                with pytest.raises(DocumentNotFoundError):
                    await client.extractions.create_stream("missing.pdf", SCHEMA)
                with pytest.raises(RequestError, match="create_stream"):
                    await client.extractions.create(DOCUMENT, SCHEMA, stream=True)

        asyncio.run(main())


def test_without_settings_the_environment_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOCAL_RETAB_HOME", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("LOCAL_RETAB_MAX_PAGES", "3")
    with Retab() as client:
        assert client._transport.settings.max_pages == 3
        with pytest.raises(ModelNotFoundError, match="models pull"):
            client.extractions.create(DOCUMENT, SCHEMA)
    with Retab(Settings(home=tmp_path, max_pages=5)) as client:
        assert client._transport.settings.max_pages == 5
