"""A running server as a transport for this package's own clients."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from local_retab.documents.document import content_id
from local_retab.errors import GenerationCancelledError, LocalRetabError, ServerUnreachableError, error_coded
from local_retab.storage import Filters, Page, Window
from local_retab.wire import (
    ErrorBody,
    ErrorInfo,
    Extraction,
    ExtractionChunk,
    File,
    FileLink,
    FileUpload,
    ListPage,
    MIMEData,
    Parse,
    Reconciliation,
    SchemaGeneration,
    SourcesMode,
    SourcesResponse,
)

if TYPE_CHECKING:
    from local_retab.documents import Document
    from local_retab.settings import Settings
    from local_retab.wire import ConsensusRequest, ExtractionParameters, ParseParameters, SchemaParameters

Response = TypeVar("Response", bound=BaseModel)

CONNECT_SECONDS = 10.0


class HttpTransport:
    """Requests to the server at ``base_url``. Raises the server's errors as what they are there."""

    def __init__(self, base_url: str, api_key: str, settings: Settings) -> None:
        self.settings = settings
        self._calls = _Calls(base_url, api_key)
        self.extractions = HttpExtractions(self._calls, "extractions", Extraction)
        self.parses = HttpParses(self._calls, "parses", Parse)
        self.schemas = HttpSchemas(self._calls, "schemas/generate", SchemaGeneration)
        self.sources = HttpSources(self._calls)
        self.files = HttpFiles(self._calls)

    def stream(self, document: Document, parameters: ExtractionParameters) -> HttpRun:
        """The run of a request, which the server has begun."""
        return HttpRun(self._calls.open_stream("extractions/stream", _body(document, parameters)))

    def reconcile(self, request: ConsensusRequest) -> Reconciliation:
        return self._calls.ask(Reconciliation, "POST", "consensus", json=request.model_dump(mode="json"))

    def close(self) -> None:
        """Close the connections; what the server runs in the background goes on."""
        self._calls.client.close()


class _Calls:
    """Requests with JSON answers, and errors as exceptions."""

    def __init__(self, base_url: str, api_key: str) -> None:
        self.client = httpx.Client(
            base_url=f"{base_url.rstrip('/')}/v1/",
            headers={"Authorization": f"Bearer {api_key}", "Accept": "*/*"},
            # An extraction takes as long as it takes; only the server says when it is too long.
            timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
        )

    def ask(self, model: type[Response], method: str, path: str, **options: Any) -> Response:
        answer = self.send(method, path, **options)
        try:
            return model.model_validate_json(answer.content)
        except ValidationError as error:
            raise self._not_ours(path, error) from error

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            answer = self.client.request(method, path, **options)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        self._check(answer)
        return answer

    def open_stream(self, path: str, body: dict[str, Any]) -> httpx.Response:
        try:
            answer = self.client.send(self.client.build_request("POST", path, json=body), stream=True)
            if not answer.is_success:
                try:
                    answer.read()
                finally:
                    answer.close()
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        self._check(answer)
        return answer

    def _check(self, answer: httpx.Response) -> None:
        if answer.is_success:
            return
        try:
            found = ErrorBody.model_validate_json(answer.content).detail
        except ValidationError as error:
            raise self._not_ours(str(answer.status_code), error) from error
        raise remote_error(found, answer.status_code)

    def _unreachable(self, error: httpx.HTTPError) -> ServerUnreachableError:
        return ServerUnreachableError(
            f"{self.client.base_url} does not answer: {error or type(error).__name__}. Start the server "
            f"(`local-retab serve`), or correct base_url."
        )

    def _not_ours(self, what: str, error: Exception) -> ServerUnreachableError:
        return ServerUnreachableError(
            f"{self.client.base_url} does not answer as a local_retab server ({what}: {type(error).__name__}). "
            f"Correct base_url."
        )


def remote_error(found: ErrorInfo, http_status: int) -> LocalRetabError:
    """The error that the server had."""
    return error_coded(found.code, http_status)(found.message, details=found.details)


def _document(document: Document) -> dict[str, Any]:
    """By its bytes; a stored file by its id."""
    if document.id != content_id(document.data):
        return {"id": document.id, "filename": document.filename}
    return document.mime_data().model_dump()


def _body(document: Document, parameters: BaseModel, **changes: Any) -> dict[str, Any]:
    return {**parameters.model_dump(mode="json"), "document": _document(document), **changes}


class HttpRun:
    """The lines of a stream as chunks."""

    def __init__(self, answer: httpx.Response) -> None:
        self._answer = answer
        self._lines = answer.iter_lines()
        self._lock = threading.Lock()
        self._cancelled = False
        self._ended = False

    def __iter__(self) -> Iterator[ExtractionChunk]:
        return self

    def __next__(self) -> ExtractionChunk:
        if self._ended:
            raise StopIteration
        try:
            line = next(line for line in self._lines if line)
            values = json.loads(line)
        except (httpx.HTTPError, StopIteration, ValueError) as error:
            self.close()
            if self._cancelled:
                raise GenerationCancelledError("The extraction was stopped before it was complete.") from error
            raise ServerUnreachableError(
                "The stream broke off: the server ended, or the connection was lost. Send the request again."
            ) from error
        failure = values.get("streaming_error")
        if failure is not None:
            self.close()
            found = ErrorInfo.model_validate(failure)
            raise remote_error(found, 500)
        if values["status"] == "completed":
            self.close()
            return Extraction.model_validate(values)
        return ExtractionChunk.model_validate(values)

    def cancel(self) -> None:
        with self._lock:
            self._cancelled = True
            stream = None if self._ended else self._answer.extensions.get("network_stream")
        # A reader that waits in another thread wakes up when its socket ends; closing it would not wake it.
        with suppress(OSError):
            if stream is not None:
                stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with self._lock:
            self._ended = True
        self._answer.close()


class _HttpRecords(Generic[Response]):
    """Stored records of one kind."""

    def __init__(self, calls: _Calls, path: str, model: type[Response]) -> None:
        self._calls = calls
        self._path = path
        self._model = model

    def get(self, record_id: str, *, include_output: bool = True) -> Response:
        return self._calls.ask(
            self._model, "GET", f"{self._path}/{_quoted(record_id)}", params={"include_output": include_output}
        )

    def delete(self, record_id: str) -> None:
        self._calls.send("DELETE", f"{self._path}/{_quoted(record_id)}")

    def cancel(self, record_id: str) -> Response:
        return self._calls.ask(self._model, "POST", f"{self._path}/{_quoted(record_id)}/cancel")

    def list(self, filters: Filters, window: Window) -> Page[Response]:
        params = {
            "filename": filters.filename,
            "filename_contains": filters.filename_contains,
            "document_type": list(filters.extensions) or None,
            "status": filters.status,
            "metadata": None if filters.metadata is None else json.dumps(filters.metadata),
            **_period(filters.start, filters.end),
        }
        return _page(self._calls, self._path, self._model, params, window)


class HttpExtractions(_HttpRecords[Extraction]):
    """/v1/extractions."""

    def create_in_background(self, document: Document, parameters: ExtractionParameters) -> Extraction:
        return self._calls.ask(Extraction, "POST", "extractions", json=_body(document, parameters))


class HttpParses(_HttpRecords[Parse]):
    """/v1/parses."""

    def create(self, document: Document, parameters: ParseParameters) -> Parse:
        return self._calls.ask(Parse, "POST", "parses", json=_body(document, parameters))


class HttpSchemas(_HttpRecords[SchemaGeneration]):
    """/v1/schemas/generate."""

    def create(self, documents: Sequence[Document], parameters: SchemaParameters) -> SchemaGeneration:
        body = {**parameters.model_dump(mode="json"), "documents": [_document(document) for document in documents]}
        return self._calls.ask(SchemaGeneration, "POST", "schemas/generate", json=body)


class HttpSources:
    """/v1/extractions/{id}/sources."""

    def __init__(self, calls: _Calls) -> None:
        self._calls = calls

    def get(self, extraction_id: str, mode: SourcesMode, job_id: str | None) -> SourcesResponse:
        path = f"extractions/{_quoted(extraction_id)}/sources"
        return self._calls.ask(SourcesResponse, "GET", path, params=_given({"mode": mode, "job_id": job_id}))

    def create(
        self, extraction_id: str, mode: SourcesMode, job_id: str | None, *, background: bool, retry: bool
    ) -> SourcesResponse:
        path = f"extractions/{_quoted(extraction_id)}/sources"
        asked = _given({"mode": mode, "job_id": job_id, "background": background, "retry": retry})
        return self._calls.ask(SourcesResponse, "POST", path, json=asked)


class HttpFiles:
    """/v1/files."""

    def __init__(self, calls: _Calls) -> None:
        self._calls = calls

    def add(self, filename: str, data: bytes) -> File:
        announced = {"filename": filename, "size_bytes": len(data)}
        upload = self._calls.ask(FileUpload, "POST", "files/upload", json=announced)
        self._calls.send(upload.upload_method, upload.upload_url, content=data, headers=upload.upload_headers)
        self._calls.ask(MIMEData, "POST", f"files/upload/{upload.file_id}/complete", json={})
        return self.get(upload.file_id)

    def get(self, file_id: str) -> File:
        return self._calls.ask(File, "GET", f"files/{_quoted(file_id)}")

    def read(self, file_id: str) -> bytes:
        link = self._calls.ask(FileLink, "GET", f"files/{_quoted(file_id)}/download-link")
        return self._calls.send("GET", link.download_url).content

    def list(
        self,
        window: Window,
        *,
        filename: str | None = None,
        mime_type: str | None = None,
        start: int | None = None,
        end: int | None = None,
        by_update: bool = False,
    ) -> Page[File]:
        params = {
            "filename": filename,
            "mime_type": mime_type,
            "sort_by": "updated_at" if by_update else "created_at",
            **_period(start, end),
        }
        return _page(self._calls, "files", File, params, window)

    def delete(self, file_id: str) -> None:
        self._calls.send("DELETE", f"files/{_quoted(file_id)}")


def _page(calls: _Calls, path: str, model: type[Response], params: dict[str, Any], window: Window) -> Page[Response]:
    order = "desc" if window.descending else "asc"
    cursors = {"before": window.before, "after": window.after, "limit": window.limit, "order": order}
    found = calls.ask(ListPage[model], "GET", path, params=_given({**params, **cursors}))  # type: ignore[valid-type]
    return Page(tuple(found.data), found.list_metadata.before, found.list_metadata.after)


def _period(start: int | None, end: int | None) -> dict[str, Any]:
    """The end is exclusive here and inclusive on the wire."""
    return {
        "from_date": None if start is None else _time(start),
        "to_date": None if end is None else _time(end - 1),
    }


def _time(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / 1e6, UTC).isoformat()


def _given(params: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}


def _quoted(text: str) -> str:
    return quote(text, safe="")
