"""What a client needs of a service, wherever it runs. The service in this process fits as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from local_retab.documents import Document
    from local_retab.service.runner import Run
    from local_retab.settings import Settings
    from local_retab.storage import Filters, Page, Window
    from local_retab.wire import (
        ConsensusRequest,
        Extraction,
        ExtractionParameters,
        File,
        Parse,
        ParseParameters,
        Reconciliation,
        SchemaGeneration,
        SchemaParameters,
        SourcesMode,
        SourcesResponse,
    )

Response_co = TypeVar("Response_co", covariant=True)


class RecordCalls(Protocol[Response_co]):
    """What can be done with stored records of one kind."""

    def get(self, record_id: str, *, include_output: bool = True) -> Response_co: ...

    def delete(self, record_id: str) -> None: ...

    def cancel(self, record_id: str) -> Response_co: ...


class ExtractionCalls(RecordCalls["Extraction"], Protocol):
    def create_in_background(self, document: Document, parameters: ExtractionParameters) -> Extraction: ...

    def list(self, filters: Filters, window: Window) -> Page[Extraction]: ...


class ParseCalls(RecordCalls["Parse"], Protocol):
    def create(self, document: Document, parameters: ParseParameters) -> Parse: ...

    def list(self, filters: Filters, window: Window) -> Page[Parse]: ...


class SchemaCalls(RecordCalls["SchemaGeneration"], Protocol):
    def create(self, documents: Sequence[Document], parameters: SchemaParameters) -> SchemaGeneration: ...


class SourceCalls(Protocol):
    def get(self, extraction_id: str, mode: SourcesMode, job_id: str | None) -> SourcesResponse: ...

    def create(
        self, extraction_id: str, mode: SourcesMode, job_id: str | None, *, background: bool, retry: bool
    ) -> SourcesResponse: ...


class FileCalls(Protocol):
    def add(self, filename: str, data: bytes) -> File: ...

    def get(self, file_id: str) -> File: ...

    def read(self, file_id: str) -> bytes: ...

    def list(
        self,
        window: Window,
        *,
        filename: str | None = None,
        mime_type: str | None = None,
        start: int | None = None,
        end: int | None = None,
        by_update: bool = False,
    ) -> Page[File]: ...

    def delete(self, file_id: str) -> None: ...


class Transport(Protocol):
    """Requests in, responses out; each raises the errors that the service documents."""

    @property
    def settings(self) -> Settings: ...

    @property
    def extractions(self) -> ExtractionCalls: ...

    @property
    def parses(self) -> ParseCalls: ...

    @property
    def schemas(self) -> SchemaCalls: ...

    @property
    def sources(self) -> SourceCalls: ...

    @property
    def files(self) -> FileCalls: ...

    def stream(self, document: Document, parameters: ExtractionParameters) -> Run: ...

    def reconcile(self, request: ConsensusRequest) -> Reconciliation: ...

    def close(self) -> None: ...
