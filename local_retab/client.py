"""``Retab`` and ``AsyncRetab``: the hosted client's interface, answered by this machine.

The two share everything; the asynchronous one adds only the awaiting.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, Concatenate, Literal, NamedTuple, ParamSpec, TypeVar, cast

from pydantic import ValidationError

from local_retab.documents import load
from local_retab.errors import GenerationCancelledError, RequestError
from local_retab.schema import load_schema
from local_retab.settings import Settings
from local_retab.wire import DEFAULT_DPI, DEFAULT_MODEL, Extraction, ExtractionChunk, ExtractionParameters

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from local_retab.documents import DocumentSource
    from local_retab.schema import SchemaSource
    from local_retab.transport.base import Run, Transport

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

    document: DocumentSource
    json_schema: SchemaSource
    fields: dict[str, Any]


def request(
    document: DocumentSource,
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
) -> Request:
    """The signature of every call, with the hosted order and defaults.

    ``document``: a path, bytes, a binary file, a PIL image, a data URL, or MIMEData. ``json_schema``: a dict, JSON
    text, a path, a pydantic model, a dataclass, or a TypedDict.
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


class _Requests:
    """From the arguments of a call to a started run, for both clients."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def _start(self, request: Request) -> ExtractionStream:
        settings = self._transport.settings
        schema = load_schema(request.json_schema, settings=settings)
        try:
            parameters = ExtractionParameters(json_schema=schema, **request.fields)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            raise RequestError(
                f"{field}: {first['msg']} (got {first['input']!r}).", details={"field": field}
            ) from error
        document = load(request.document, settings=settings)
        return ExtractionStream(self._transport.stream(document, parameters))


def _refuse_stream(request: Request) -> None:
    if request.fields["stream"]:
        raise RequestError("stream=True: `create` returns the finished extraction. Call `create_stream` instead.")


class Extractions(_Requests):
    """``client.extractions``. See ``request`` for the arguments."""

    @_takes(request)
    def create_stream(self, request: Request) -> ExtractionStream:
        """Extract, and stream partial results as they are produced; ``stream`` changes nothing here.

        Raises RequestError, DocumentError, SchemaError or ModelError; errors of the run come with the chunks.
        """
        return self._start(request)

    @_takes(request)
    def create(self, request: Request) -> Extraction:
        """Extract, wait, and return the finished extraction.

        Raises RequestError, DocumentError, SchemaError, ModelError or GenerationError.
        """
        _refuse_stream(request)
        with self._start(request) as stream:
            return stream.final()


class AsyncExtractions(_Requests):
    """``Extractions`` for asynchronous programs."""

    @_takes(request)
    async def create_stream(self, request: Request) -> AsyncExtractionStream:
        """Like ``Extractions.create_stream``, for ``async for``."""
        return AsyncExtractionStream(await asyncio.to_thread(self._start, request))

    @_takes(request)
    async def create(self, request: Request) -> Extraction:
        """Like ``Extractions.create``; cancelling the task stops the work."""
        _refuse_stream(request)
        async with AsyncExtractionStream(await asyncio.to_thread(self._start, request)) as stream:
            return await stream.final()


class _Client:
    """A transport that is owned, or shared when it is given."""

    def __init__(self, settings: Settings | None = None, *, transport: Transport | None = None) -> None:
        if transport is None:
            from local_retab.service import ExtractionService

            transport = ExtractionService(settings or Settings.from_environment())
        self._transport = transport


class Retab(_Client):
    """The hosted client's interface, in process: no key, no network.

    ``settings`` default to the environment's. Models are loaded when first used and freed by ``close``.
    """

    @functools.cached_property
    def extractions(self) -> Extractions:
        return Extractions(self._transport)

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

    async def close(self) -> None:
        """Free the models; running extractions end with an error."""
        await asyncio.to_thread(self._transport.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
