"""What else is answered: parses, schemas, consensus, files, lists and errors."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from local_retab.wire.base import ErrorInfo, FileRef, MIMEData, Response, Status, TableFormat
from local_retab.wire.extractions import Usage


class ParseOutput(Response):
    """The text of each page, and of the whole document."""

    pages: list[str] = Field(default_factory=list)
    text: str = ""


class Parse(Response):
    """The text of a document."""

    id: str
    file: FileRef
    model: str
    table_parsing_format: TableFormat
    instructions: str | None = None
    output: ParseOutput
    status: Status = "completed"
    error: ErrorInfo | None = None
    usage: Usage | None = Field(default_factory=Usage)
    created_at: datetime


class SchemaGeneration(Response):
    """A JSON schema that was proposed for documents."""

    id: str
    object: Literal["schema"] = "schema"
    created_at: datetime
    json_schema: dict[str, Any] = Field(default_factory=dict)
    strict: bool = True
    status: Status = "completed"
    error: ErrorInfo | None = None


class Reconciliation(Response):
    """The answer of POST /v1/consensus."""

    consensus: dict[str, Any]
    likelihoods: dict[str, float]
    fields: list[dict[str, Any]] | None
    alignment: dict[str, Any]


class File(Response):
    """A stored file."""

    object: Literal["file"] = "file"
    id: str
    filename: str
    mime_type: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    page_count: int | None = None


class FileUpload(Response):
    """Where to send the bytes of a new file; in camel case on the wire."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True)

    file_id: str
    upload_url: str
    upload_method: Literal["PUT"] = "PUT"
    upload_headers: dict[str, str] = Field(default_factory=dict)
    mime_data: MIMEData | None = None
    expires_at: datetime


class FileLink(Response):
    """A link to the bytes of a file that needs no key, and a reference that can be sent as a document."""

    download_url: str
    expires_in: str
    filename: str
    mime_data: MIMEData | None = None


class ListMetadata(Response):
    """Cursors: None where there is no page in that direction."""

    before: str | None
    after: str | None


Item = TypeVar("Item")


class ListPage(Response, Generic[Item]):
    """One page of a list."""

    data: list[Item]
    list_metadata: ListMetadata


class ErrorBody(Response):
    """What every error answers; ``message`` is at the top for clients that look for a text there."""

    detail: ErrorInfo
    message: str
