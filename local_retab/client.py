"""``Retab`` and ``AsyncRetab``: the hosted client's interface, answered by this machine.

The two share everything; the asynchronous one adds only the awaiting.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, Concatenate, Literal, NamedTuple, ParamSpec, TypeVar, cast

from local_retab.async_resources import (
    AsyncConsensus,
    AsyncParses,
    AsyncSchemas,
    AsyncStoredExtractions,
    AsyncStoredFiles,
)
from local_retab.errors import GenerationCancelledError, RequestError
from local_retab.resources import (
    Consensus,
    Parses,
    Resource,
    Schemas,
    StoredExtractions,
    StoredFiles,
    open_document,
    request_model,
)
from local_retab.schema import load_schema
from local_retab.settings import Settings
from local_retab.wire import (
    DEFAULT_DPI,
    DEFAULT_MODEL,
    Extraction,
    ExtractionChunk,
    ExtractionParameters,
    File,
    FileRef,
)

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from local_retab.documents import Document, DocumentSource
    from local_retab.schema import SchemaSource
    from local_retab.service.runner import Run
    from local_retab.transport.base import Transport

P = ParamSpec("P")
Self_ = TypeVar("Self_")
Result = TypeVar("Result")


class ExtractionStream:
    """The chunks of one extraction: iterate it, and leave it early by ``close`` or a ``with`` block to stop the work.

    Each chunk holds the latest partial output in full; the last one is the Extraction. ``str`` waits for the end and
    gives the Extraction as JSON, so that ``print(stream)`` does what the hosted documentation shows.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._last: ExtractionChunk | None = None

    @property
    def answered(self) -> bool:
        """Whether the answer was there when it was asked for: no model is needed."""
        from local_retab.service.recording import FinishedRun

        return isinstance(self._run, FinishedRun)

    def __iter__(self) -> Iterator[ExtractionChunk]:
        return self

    def __next__(self) -> ExtractionChunk:
        self._last = next(self._run)
        return self._last

    def final(self) -> Extraction:
        """Wait for the end; the finished Extraction. Raises GenerationCancelledError when the stream was closed."""
        for _ in self:
            pass
        if not isinstance(self._last, Extraction):
            raise GenerationCancelledError("The stream was closed before the extraction was complete. Make a new one.")
        return self._last

    def __str__(self) -> str:
        return self.final().model_dump_json(indent=2)

    def cancel(self) -> None:
        """Stop the work, from any thread; the reader gets GenerationCancelledError."""
        self._run.cancel()

    def close(self) -> None:
        """Stop the work. Safe to call again."""
        self._run.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncExtractionStream:
    """``ExtractionStream`` for ``async for`` and ``async with``; each step runs in a thread."""

    def __init__(self, stream: ExtractionStream) -> None:
        self._stream = stream
        self._step: asyncio.Task[ExtractionChunk | None] | None = None

    def __aiter__(self) -> AsyncIterator[ExtractionChunk]:
        return self

    async def __anext__(self) -> ExtractionChunk:
        # Shielded: a cancelled await must not lose track of the thread that still reads.
        self._step = asyncio.create_task(asyncio.to_thread(next, self._stream, None))
        chunk = await asyncio.shield(self._step)
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def final(self) -> Extraction:
        """Wait for the end; the finished Extraction. Raises GenerationCancelledError when the stream was closed."""
        async for _ in self:
            pass
        return self._stream.final()

    async def close(self) -> None:
        """Stop the work. Safe to call again."""
        self._stream.cancel()
        if self._step is not None:
            await asyncio.wait([self._step])
        await asyncio.to_thread(self._stream.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class Request(NamedTuple):
    """The arguments of one call."""

    document: DocumentSource | FileRef | File
    json_schema: SchemaSource
    fields: dict[str, Any]


def request(
    document: DocumentSource | FileRef | File,
    json_schema: SchemaSource,
    model: str = DEFAULT_MODEL,
    instructions: str | None = None,
    n_consensus: int = 1,
    metadata: dict[str, str] | None = None,
    additional_messages: list[dict[str, Any]] | None = None,
    bust_cache: bool = False,
    stream: bool = False,
    background: bool = False,
    deep_extraction: bool | None = None,
    sources: dict[str, Any] | None = None,
    *,
    image_resolution_dpi: int = DEFAULT_DPI,
    chunking_keys: dict[str, str] | None = None,
    absent: Literal["schema", "null"] | None = None,
    modality: Literal["auto", "image", "text"] | None = None,
    image_min_tokens: int | None = None,
    image_max_tokens: int | None = None,
    pages: str | None = None,
    attachments: bool | None = None,
) -> Request:
    """The signature of every call, with the hosted order and defaults.

    ``document``: a path, bytes, a binary file, a PIL image, a data URL, MIMEData, or a stored file (File or FileRef).
    ``json_schema``: a dict, JSON text, a path, a pydantic model, a dataclass, or a TypedDict. Beside the hosted fields:
    ``modality`` and the image tokens of a page, which default to the settings, ``pages`` to read (``1-3,7``),
    and ``attachments``: whether the documents that are attached to a mail are read after it.
    """
    fields = dict(locals())
    return Request(fields.pop("document"), fields.pop("json_schema"), fields)


def _takes(
    signature: Callable[P, Request],
) -> Callable[[Callable[[Self_, Request], Result]], Callable[Concatenate[Self_, P], Result]]:
    """Give a method that takes a Request the arguments of ``signature``, which is thus written once."""

    def decorate(method: Callable[[Self_, Request], Result]) -> Callable[Concatenate[Self_, P], Result]:
        @functools.wraps(method)
        def call(self: Self_, *args: P.args, **kwargs: P.kwargs) -> Result:
            return method(self, signature(*args, **kwargs))

        shown, own = inspect.signature(signature), inspect.signature(method)
        parameters = [own.parameters["self"], *shown.parameters.values()]
        vars(call)["__signature__"] = shown.replace(parameters=parameters, return_annotation=own.return_annotation)
        return cast("Callable[Concatenate[Self_, P], Result]", call)

    return decorate


class _Requests(Resource):
    """From the arguments of a call to a started run, for both clients."""

    def _prepare(self, request: Request) -> tuple[Document, ExtractionParameters]:
        schema = load_schema(request.json_schema, settings=self._transport.settings)
        parameters = request_model(ExtractionParameters, json_schema=schema, **request.fields)
        return open_document(request.document, self._transport), parameters

    def _start(self, request: Request) -> ExtractionStream:
        if request.fields["background"]:
            raise RequestError("background=True: a stream cannot run in the background. Call `create` instead.")
        return ExtractionStream(self._transport.stream(*self._prepare(request)))

    def _create(self, request: Request) -> Extraction | ExtractionStream:
        """The record of a background request, else the run whose end is wanted."""
        if request.fields["stream"]:
            raise RequestError("stream=True: `create` returns the finished extraction. Call `create_stream` instead.")
        if request.fields["background"]:
            return self._transport.extractions.create_in_background(*self._prepare(request))
        return self._start(request)


class Extractions(_Requests, StoredExtractions):
    """``client.extractions``. See ``request`` for the arguments."""

    @_takes(request)
    def create_stream(self, request: Request) -> ExtractionStream:
        """Extract, and stream partial results as they are produced; ``stream`` changes nothing here.

        Raises RequestError, DocumentError, SchemaError or ModelError; errors of the run come with the chunks.
        """
        return self._start(request)

    @_takes(request)
    def create(self, request: Request) -> Extraction:
        """Extract, wait, and return the finished extraction; in the ``background``: its record, at once.

        Raises RequestError, DocumentError, SchemaError, ModelError or GenerationError.
        """
        begun = self._create(request)
        if isinstance(begun, Extraction):
            return begun
        with begun as stream:
            return stream.final()


class AsyncExtractions(_Requests, AsyncStoredExtractions):
    """``Extractions`` for asynchronous programs."""

    @_takes(request)
    async def create_stream(self, request: Request) -> AsyncExtractionStream:
        """Like ``Extractions.create_stream``, for ``async for``."""
        return AsyncExtractionStream(await asyncio.to_thread(self._start, request))

    @_takes(request)
    async def create(self, request: Request) -> Extraction:
        """Like ``Extractions.create``; cancelling the task stops the work."""
        begun = await asyncio.to_thread(self._create, request)
        if isinstance(begun, Extraction):
            return begun
        async with AsyncExtractionStream(begun) as stream:
            return await stream.final()


class _Client:
    """A transport, which ``close`` closes."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        transport: Transport | None = None,
    ) -> None:
        settings = settings or (transport.settings if transport else Settings.from_environment())
        if base_url is not None:
            from local_retab.transport.http import HttpTransport

            transport = HttpTransport(base_url, api_key or "local", settings)
        if transport is None:
            from local_retab.service import ExtractionService

            transport = ExtractionService(settings)
        self._transport = transport


class Retab(_Client):
    """The hosted client's interface, in process: no key, no network.

    ``settings`` default to the environment's. Models are loaded when first used and freed by ``close``. With
    ``base_url`` (and the server's ``api_key``, if it has one) a running ``local-retab serve`` answers instead.
    """

    @functools.cached_property
    def extractions(self) -> Extractions:
        return Extractions(self._transport)

    @functools.cached_property
    def parses(self) -> Parses:
        return Parses(self._transport)

    @functools.cached_property
    def schemas(self) -> Schemas:
        return Schemas(self._transport)

    @functools.cached_property
    def files(self) -> StoredFiles:
        return StoredFiles(self._transport)

    @functools.cached_property
    def consensus(self) -> Consensus:
        return Consensus(self._transport)

    def close(self) -> None:
        """Free the models; running extractions end with an error."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncRetab(_Client):
    """``Retab`` for asynchronous programs."""

    @functools.cached_property
    def extractions(self) -> AsyncExtractions:
        return AsyncExtractions(self._transport)

    @functools.cached_property
    def parses(self) -> AsyncParses:
        return AsyncParses(self._transport)

    @functools.cached_property
    def schemas(self) -> AsyncSchemas:
        return AsyncSchemas(self._transport)

    @functools.cached_property
    def files(self) -> AsyncStoredFiles:
        return AsyncStoredFiles(self._transport)

    @functools.cached_property
    def consensus(self) -> AsyncConsensus:
        return AsyncConsensus(self._transport)

    async def close(self) -> None:
        """Free the models; running extractions end with an error."""
        await asyncio.to_thread(self._transport.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
