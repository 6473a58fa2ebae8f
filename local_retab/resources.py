"""What a client can ask of stored things, under the hosted names: extractions, parses, schemas, files, consensus."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from local_retab.documents import load
from local_retab.errors import RequestError
from local_retab.storage import Filters, Window
from local_retab.storage.periods import moment_of
from local_retab.storage.references import file_id_of_reference
from local_retab.wire import (
    DEFAULT_MODEL,
    ConsensusRequest,
    File,
    FileRef,
    ListMetadata,
    MIMEData,
    ParseParameters,
    SchemaParameters,
)

if TYPE_CHECKING:
    from typing import Literal

    from local_retab.documents import Document, DocumentSource
    from local_retab.storage import Page
    from local_retab.transport.base import Transport
    from local_retab.wire import (
        Extraction,
        Parse,
        Reconciliation,
        SchemaGeneration,
        SourcesMode,
        SourcesResponse,
        Status,
        TableFormat,
    )

Item = TypeVar("Item")
Model = TypeVar("Model", bound=BaseModel)


def request_model(kind: type[Model], /, **values: Any) -> Model:
    """``values`` as a request. Raises RequestError."""
    try:
        return kind(**values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise RequestError(f"{field}: {first['msg']} (got {first['input']!r}).", details={"field": field}) from error


def open_document(source: DocumentSource | FileRef | File, transport: Transport) -> Document:
    """The document; a stored file by its FileRef, File, or the reference that an upload gave."""
    file_id = source.id if isinstance(source, FileRef | File) else None
    if isinstance(source, MIMEData):
        file_id = file_id_of_reference(source.url)
    if file_id is None:
        assert not isinstance(source, FileRef | File)
        return load(source, settings=transport.settings)
    name = getattr(source, "filename", None)
    return replace(load(transport.files.read(file_id), filename=name, settings=transport.settings), id=file_id)


class ResultPage(Generic[Item]):
    """One page of a list; iterating it goes on through the pages that follow."""

    def __init__(self, page: Page[Item], following: Callable[[str], ResultPage[Item]]) -> None:
        self.data: list[Item] = list(page.items)
        self.list_metadata = ListMetadata(before=page.before, after=page.after)
        self._following = following

    @property
    def has_more(self) -> bool:
        return self.list_metadata.after is not None

    def __iter__(self) -> Iterator[Item]:
        page = self
        while True:
            yield from page.data
            if page.list_metadata.after is None:
                return
            page = self._following(page.list_metadata.after)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Item:
        return self.data[index]


def _window(before: str | None, after: str | None, limit: int, order: str) -> Window:
    if not 1 <= limit <= 100 or order not in ("asc", "desc"):
        raise RequestError("limit: a number from 1 to 100 is needed; order: asc or desc.")
    return Window(before, after, limit, order == "desc")


class Resource:
    """Requests over a transport."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport


class Sources(Resource):
    """``client.extractions.sources``."""

    def get(self, extraction_id: str, mode: SourcesMode = "located", job_id: str | None = None) -> SourcesResponse:
        """Where in the document each value was found; ``job`` says whether cited ones are still sought."""
        return self._transport.sources.get(extraction_id, mode, job_id)

    def create(
        self,
        extraction_id: str,
        background: bool = False,
        job_id: str | None = None,
        mode: SourcesMode = "located",
        retry: bool = False,
    ) -> SourcesResponse:
        """Find the sources or join the job that does, and wait for it at most 20 seconds, in the background not.

        ``retry`` begins a job that failed anew.
        """
        return self._transport.sources.create(extraction_id, mode, job_id, background=background, retry=retry)


class StoredExtractions(Resource):
    """What ``client.extractions`` can do beside extracting."""

    @functools.cached_property
    def sources(self) -> Sources:
        return Sources(self._transport)

    def get(self, extraction_id: str, include_output: bool = True) -> Extraction:
        """The stored extraction. Raises ExtractionNotFoundError."""
        return self._transport.extractions.get(extraction_id, include_output=include_output)

    def list(
        self,
        before: str | None = None,
        after: str | None = None,
        limit: int = 10,
        order: Literal["asc", "desc"] = "desc",
        filename: str | None = None,
        filename_contains: str | None = None,
        document_type: Sequence[str] = (),
        status: Status | None = None,
        from_date: str | None = None,
        to_date: str | None = None,
        metadata: dict[str, str] | None = None,
    ) -> ResultPage[Extraction]:
        """Stored extractions; ``filename`` is its beginning, ``metadata`` pairs that must all be there."""
        filters = Filters(
            filename=filename,
            filename_contains=filename_contains,
            extensions=tuple(document_type),
            status=status,
            start=moment_of("from_date", from_date, end=False),
            end=moment_of("to_date", to_date, end=True),
            metadata=metadata,
        )

        def page(window: Window) -> ResultPage[Extraction]:
            found = self._transport.extractions.list(filters, window)
            return ResultPage(found, lambda after: page(replace(window, before=None, after=after)))

        return page(_window(before, after, limit, order))

    def delete(self, extraction_id: str) -> None:
        """Delete it for good; one that runs is stopped. Raises ExtractionNotFoundError."""
        self._transport.extractions.delete(extraction_id)

    def create_extraction_cancel(self, extraction_id: str) -> Extraction:
        """Stop it; one that has ended stays as it is. Raises ExtractionNotFoundError."""
        return self._transport.extractions.cancel(extraction_id)


class Parses(Resource):
    """``client.parses``."""

    def create(
        self,
        document: DocumentSource | FileRef | File,
        model: str = DEFAULT_MODEL,
        table_parsing_format: TableFormat = "html",
        instructions: str | None = None,
        bust_cache: bool = False,
        background: bool = False,
    ) -> Parse:
        """The text of a document, page by page. Raises DocumentError."""
        parameters = request_model(
            ParseParameters,
            model=model,
            table_parsing_format=table_parsing_format,
            instructions=instructions,
            bust_cache=bust_cache,
            background=background,
        )
        return self._transport.parses.create(open_document(document, self._transport), parameters)

    def get(self, parse_id: str, include_output: bool = True) -> Parse:
        """The stored parse. Raises ParseNotFoundError."""
        return self._transport.parses.get(parse_id, include_output=include_output)

    def list(
        self,
        before: str | None = None,
        after: str | None = None,
        limit: int = 10,
        order: Literal["asc", "desc"] = "desc",
        filename: str | None = None,
        from_date: str | None = None,
        to_date: str | None = None,
    ) -> ResultPage[Parse]:
        """Stored parses; ``filename`` is its beginning."""
        filters = Filters(
            filename=filename,
            start=moment_of("from_date", from_date, end=False),
            end=moment_of("to_date", to_date, end=True),
        )

        def page(window: Window) -> ResultPage[Parse]:
            found = self._transport.parses.list(filters, window)
            return ResultPage(found, lambda after: page(replace(window, before=None, after=after)))

        return page(_window(before, after, limit, order))

    def delete(self, parse_id: str) -> None:
        """Delete it for good. Raises ParseNotFoundError."""
        self._transport.parses.delete(parse_id)

    def cancel(self, parse_id: str) -> Parse:
        """Stop it; one that has ended stays as it is. Raises ParseNotFoundError."""
        return self._transport.parses.cancel(parse_id)


class Schemas(Resource):
    """``client.schemas``."""

    def generate(
        self,
        documents: Sequence[DocumentSource | FileRef | File],
        model: str = DEFAULT_MODEL,
        instructions: str | None = None,
        background: bool = False,
    ) -> SchemaGeneration:
        """A JSON schema that the model proposes for documents. Raises DocumentError, ModelError, GenerationError."""
        if not documents:
            raise RequestError("documents: none were given. Give one or more.")
        parameters = request_model(SchemaParameters, model=model, instructions=instructions, background=background)
        opened = [open_document(document, self._transport) for document in documents]
        return self._transport.schemas.create(opened, parameters)

    def get(self, schema_id: str) -> SchemaGeneration:
        """The stored schema generation. Raises SchemaNotFoundError."""
        return self._transport.schemas.get(schema_id)

    def create_generate_cancel(self, schema_id: str) -> SchemaGeneration:
        """Stop it; one that has ended stays as it is. Raises SchemaNotFoundError."""
        return self._transport.schemas.cancel(schema_id)


class StoredFiles(Resource):
    """``client.files``."""

    def upload(self, source: DocumentSource, filename: str | None = None) -> File:
        """Keep a file, to be used as a document as often as wanted."""
        document = load(source, filename=filename, settings=self._transport.settings)
        return self._transport.files.add(document.filename, document.data)

    def get(self, file_id: str) -> File:
        """What is known of a file. Raises StoredFileNotFoundError."""
        return self._transport.files.get(file_id)

    def read(self, file_id: str) -> bytes:
        """The bytes of a file. Raises StoredFileNotFoundError."""
        return self._transport.files.read(file_id)

    def list(
        self,
        before: str | None = None,
        after: str | None = None,
        limit: int = 10,
        order: Literal["asc", "desc"] = "desc",
        filename: str | None = None,
        mime_type: str | None = None,
        from_date: str | None = None,
        to_date: str | None = None,
        sort_by: Literal["created_at", "updated_at"] = "created_at",
    ) -> ResultPage[File]:
        """Stored files; ``filename`` is its beginning."""
        start, end = moment_of("from_date", from_date, end=False), moment_of("to_date", to_date, end=True)

        def page(window: Window) -> ResultPage[File]:
            found = self._transport.files.list(
                window, filename=filename, mime_type=mime_type, start=start, end=end, by_update=sort_by == "updated_at"
            )
            return ResultPage(found, lambda after: page(replace(window, before=None, after=after)))

        return page(_window(before, after, limit, order))

    def delete(self, file_id: str) -> None:
        """Delete a file for good. Raises StoredFileNotFoundError, ConflictError while a request needs it."""
        self._transport.files.delete(file_id)


class Consensus(Resource):
    """``client.consensus``."""

    def create(
        self,
        inputs: Sequence[dict[str, Any]],
        json_schema: dict[str, Any] | None = None,
        include_alignment: bool = False,
    ) -> Reconciliation:
        """Reconcile several objects that describe the same thing."""
        return self._transport.reconcile(
            request_model(
                ConsensusRequest,
                inputs=list(inputs),
                json_schema=json_schema,
                include_alignment=include_alignment,
            )
        )
