"""What is asked: the bodies of requests. They refuse unknown fields, so that a misspelt one is an error and not a
silently dropped wish."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from local_retab.wire.base import (
    DEFAULT_DPI,
    DEFAULT_MODEL,
    MAX_CONSENSUS,
    MAX_DPI,
    MIN_DPI,
    SHA256,
    Request,
    SourcesMode,
    TableFormat,
)


class DocumentInput(Request):
    """A document of a request, in the forms that the hosted clients send.

    ``{filename, url}`` (MIMEData), ``{id}`` with or without filename and media type (a stored file), or ``{content,
    mime_type}`` with or without filename (base64, as the Go client may send it).
    """

    filename: str | None = Field(default=None, min_length=1)
    url: str | None = Field(default=None, min_length=1)
    id: str | None = Field(default=None, min_length=1)
    content: str | None = None
    mime_type: str | None = None

    @model_validator(mode="after")
    def _check_form(self) -> Self:
        given = [name for name in ("url", "id", "content") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("a document is {filename, url}, {id}, or {filename, content, mime_type}")
        if given == ["url"] and self.filename is None:
            raise ValueError("a document with a url needs a filename")
        return self


class SourcesRequest(Request):
    """How sources are wanted."""

    mode: SourcesMode = "located"


def _null_is(default: Any) -> BeforeValidator:
    """Clients send explicit nulls for fields that they leave out (CONTRACT 3.2)."""
    return BeforeValidator(lambda value: default if value is None else value)


class ExtractionParameters(Request):
    """Every field of POST /v1/extractions but the document, with the hosted defaults."""

    json_schema: dict[str, Any]
    model: Annotated[str, Field(min_length=1), _null_is(DEFAULT_MODEL)] = DEFAULT_MODEL
    instructions: str | None = None
    n_consensus: Annotated[int, Field(ge=1, le=MAX_CONSENSUS), _null_is(1)] = 1
    metadata: dict[str, str] | None = None
    additional_messages: list[dict[str, Any]] | None = None
    bust_cache: Annotated[bool, _null_is(False)] = False
    stream: Annotated[bool, _null_is(False)] = False
    background: Annotated[bool, _null_is(False)] = False
    image_resolution_dpi: Annotated[int, Field(ge=MIN_DPI, le=MAX_DPI), _null_is(DEFAULT_DPI)] = DEFAULT_DPI
    chunking_keys: dict[str, str] | None = None
    deep_extraction: bool | None = None
    sources: SourcesRequest | None = None
    absent: Literal["schema", "null"] | None = Field(
        default=None, description="An addition to the hosted contract; null: what is not stated is null, as hosted."
    )
    modality: Literal["auto", "image", "text"] | None = Field(
        default=None, description="An addition to the hosted contract: what the model is shown; null: the setting."
    )
    image_min_tokens: int | None = Field(default=None, gt=0, description="An addition: least tokens for a page image.")
    image_max_tokens: int | None = Field(default=None, gt=0, description="An addition: most tokens for a page image.")
    pages: str | None = Field(default=None, description="An addition: which pages are read, such as 1-3,7.")
    attachments: Annotated[bool, _null_is(False)] = Field(
        default=False, description="An addition: also read the documents that are attached to a mail, after it."
    )


class ExtractionRequest(ExtractionParameters):
    """The whole body of POST /v1/extractions and POST /v1/extractions/stream."""

    document: DocumentInput


class ParseParameters(Request):
    """Every field of POST /v1/parses but the document."""

    model: Annotated[str, Field(min_length=1), _null_is(DEFAULT_MODEL)] = DEFAULT_MODEL
    table_parsing_format: Annotated[TableFormat, _null_is("html")] = "html"
    instructions: str | None = None
    bust_cache: Annotated[bool, _null_is(False)] = False
    background: Annotated[bool, _null_is(False)] = False
    image_resolution_dpi: Annotated[int, Field(ge=MIN_DPI, le=MAX_DPI), _null_is(DEFAULT_DPI)] = DEFAULT_DPI


class ParseRequest(ParseParameters):
    """The whole body of POST /v1/parses."""

    document: DocumentInput


class SchemaParameters(Request):
    """Every field of POST /v1/schemas/generate but the documents."""

    model: Annotated[str, Field(min_length=1), _null_is(DEFAULT_MODEL)] = DEFAULT_MODEL
    instructions: str | None = None
    background: Annotated[bool, _null_is(False)] = False
    stream: Annotated[bool, _null_is(False)] = False
    image_resolution_dpi: Annotated[int, Field(ge=MIN_DPI, le=MAX_DPI), _null_is(DEFAULT_DPI)] = DEFAULT_DPI


class SchemaRequest(SchemaParameters):
    """The whole body of POST /v1/schemas/generate."""

    documents: list[DocumentInput] = Field(min_length=1)


class ConsensusRequest(Request):
    """The body of POST /v1/consensus."""

    inputs: list[dict[str, Any]] = Field(min_length=1)
    json_schema: dict[str, Any] | None = None
    include_alignment: Annotated[bool, _null_is(False)] = False


class SourcesJobRequest(Request):
    """The body of POST /v1/extractions/{id}/sources."""

    mode: Annotated[SourcesMode, _null_is("located")] = "located"
    background: Annotated[bool, _null_is(False)] = False
    job_id: str | None = None
    retry: Annotated[bool, _null_is(False)] = False


class UploadRequest(Request):
    """The body of POST /v1/files/upload; ``sha256`` in 64 hex digits."""

    filename: str = Field(min_length=1, max_length=1024)
    size_bytes: int = Field(ge=0)
    content_type: str | None = Field(default=None, max_length=255)
    sha256: str | None = Field(default=None, pattern=SHA256)


class UploadCompletion(Request):
    """The body of POST /v1/files/upload/{id}/complete."""

    sha256: str | None = Field(default=None, pattern=SHA256)
