"""The hosted wire contract as pydantic models: what goes over HTTP and what the clients return.

Responses ignore unknown fields, as the hosted clients do; requests refuse them, so that a misspelt field is an
error and not a silently dropped wish.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator
from pydantic.alias_generators import to_camel

DEFAULT_MODEL = "retab-small"
DEFAULT_DPI = 192
MIN_DPI, MAX_DPI = 96, 300
MAX_CONSENSUS = 16

DocumentType = Literal["pdf", "image", "csv", "xlsx", "docx", "txt"]
SourcesMode = Literal["located", "cited"]
JobStatus = Literal["pending", "running", "completed", "error"]
SHA256 = "^[0-9a-fA-F]{64}$"

Status = Literal["pending", "queued", "in_progress", "completed", "failed", "cancelled"]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Response(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class MIMEData(_Request):
    """A document as it travels: its filename and a data URL (or another URL, which local_retab does not fetch)."""

    filename: str = Field(min_length=1)
    url: str = Field(min_length=1)


class FileRef(_Response):
    """A document by name: ``file_`` and 16 hex digits of the BLAKE2b of its bytes, filename, media type."""

    id: str
    filename: str
    mime_type: str


class DocumentInput(_Request):
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


class SourcesRequest(_Request):
    """How sources are wanted."""

    mode: SourcesMode = "located"


def _null_is(default: Any) -> BeforeValidator:
    """Clients send explicit nulls for fields that they leave out (CONTRACT 3.2)."""
    return BeforeValidator(lambda value: default if value is None else value)


class ExtractionParameters(_Request):
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


TableFormat = Literal["markdown", "yaml", "html", "json"]


class ParseParameters(_Request):
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


class SchemaParameters(_Request):
    """Every field of POST /v1/schemas/generate but the documents."""

    model: Annotated[str, Field(min_length=1), _null_is(DEFAULT_MODEL)] = DEFAULT_MODEL
    instructions: str | None = None
    background: Annotated[bool, _null_is(False)] = False
    stream: Annotated[bool, _null_is(False)] = False
    image_resolution_dpi: Annotated[int, Field(ge=MIN_DPI, le=MAX_DPI), _null_is(DEFAULT_DPI)] = DEFAULT_DPI


class SchemaRequest(SchemaParameters):
    """The whole body of POST /v1/schemas/generate."""

    documents: list[DocumentInput] = Field(min_length=1)


class ConsensusRequest(_Request):
    """The body of POST /v1/consensus."""

    inputs: list[dict[str, Any]] = Field(min_length=1)
    json_schema: dict[str, Any] | None = None
    include_alignment: Annotated[bool, _null_is(False)] = False


class SourcesJobRequest(_Request):
    """The body of POST /v1/extractions/{id}/sources."""

    mode: Annotated[SourcesMode, _null_is("located")] = "located"
    background: Annotated[bool, _null_is(False)] = False
    job_id: str | None = None
    retry: Annotated[bool, _null_is(False)] = False


class UploadRequest(_Request):
    """The body of POST /v1/files/upload; ``sha256`` in 64 hex digits."""

    filename: str = Field(min_length=1, max_length=1024)
    size_bytes: int = Field(ge=0)
    content_type: str | None = Field(default=None, max_length=255)
    sha256: str | None = Field(default=None, pattern=SHA256)


class UploadCompletion(_Request):
    """The body of POST /v1/files/upload/{id}/complete."""

    sha256: str | None = Field(default=None, pattern=SHA256)


class ErrorInfo(_Response):
    """Why an extraction failed."""

    code: str
    message: str
    details: dict[str, Any] | None = None


class Consensus(_Response):
    """The votes and their agreement; at n_consensus 1: no choices, no likelihoods."""

    choices: list[JsonValue] = Field(default_factory=list)
    likelihoods: JsonValue = None


class Usage(_Response):
    """Hosted credits, of which a local run costs none, and what the run took: counts of tokens, and seconds.

    ``cached_prompt_tokens`` were computed by an earlier request; ``forced_output_tokens`` the schema left no choice
    about. ``draft_tokens`` were guessed ahead, and the model chose the accepted ones of them too (they may have been
    forced as well). ``image_tokens`` are prompt tokens too; ``encoded_images`` went through the projector, where
    earlier ones are remembered. The fields beside ``credits`` are an addition to the hosted contract.
    """

    credits: float = 0.0
    prompt_tokens: int = 0
    cached_prompt_tokens: int = 0
    image_tokens: int = 0
    encoded_images: int = 0
    output_tokens: int = 0
    forced_output_tokens: int = 0
    draft_tokens: int = 0
    accepted_draft_tokens: int = 0
    decode_calls: int = 0
    queue_seconds: float = 0.0
    encode_seconds: float = 0.0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0
    grammar_seconds: float = 0.0


class ExtractionNotice(_Response):
    """Something the reader of the output should know, with the JSON pointer of the value it is about.

    An addition to the hosted contract, whose clients ignore unknown fields. Codes: ``OUTPUT_BUDGET_EXHAUSTED``
    (the value from this path on was closed without the model), ``STRING_LIMIT_REACHED`` (a string was cut),
    ``NOT_STATED`` (a number that is not printed, or a word for null, where the schema allows null), ``ROWS_MISSING``
    (lines of the document that look like rows of this array have no item), ``KEYS_NOT_FOUND`` (keys that the model gave
    and that are not printed).
    """

    code: str
    path: str
    message: str


class PlannedPart(_Response):
    """Pages of a document that are read together, and the tokens of their prompt. Pages may be in two parts."""

    first_page: int
    last_page: int
    prompt_tokens: int


class ExtractionPlan(_Response):
    """How a document is read, decided before the model is asked. An addition to the hosted contract.

    ``prompt_tokens`` and ``output_tokens`` are of all parts together, the latter an estimate; so are ``rows``, the
    lines that look like rows of a table, and ``seconds``, which is null where the pace of this machine was not
    measured. In mode ``keys`` the parts are those in which the keys are looked for; then each item is read from its own
    lines.
    """

    mode: Literal["at_once", "windows", "rows", "keys"]
    pages: int
    rows: int
    prompt_tokens: int
    output_tokens: int
    seconds: float | None = None
    parts: list[PlannedPart]


class ExtractionSources(_Response):
    """Where each value of the output stands in the document.

    An addition to the hosted contract, which has these fields in the answer of ``GET .../sources``. ``sources``
    mirrors the output, each leaf ``{"value", "source"}``; ``evidence`` has the status of each leaf by its dotted path.
    """

    mode: SourcesMode
    document_type: DocumentType
    sources: JsonValue
    evidence: dict[str, Any]


class ExtractionChunk(_Response):
    """One snapshot: the latest partial output in full, never less than the snapshot before showed."""

    id: str
    file: FileRef
    model: str
    output: JsonValue
    created_at: datetime
    status: Status = "in_progress"


class Extraction(ExtractionChunk):
    """The finished extraction, which is also the last chunk of a stream."""

    status: Status = "completed"
    json_schema: dict[str, Any]
    n_consensus: int = 1
    instructions: str | None = None
    error: ErrorInfo | None = None
    consensus: Consensus | None = Field(default_factory=Consensus)
    metadata: dict[str, str] | None = None
    usage: Usage | None = Field(default_factory=Usage)
    notices: list[ExtractionNotice] = Field(default_factory=list)
    likelihoods: JsonValue = Field(
        default=None,
        description="How likely each value is right, a tree that mirrors the output: at n_consensus 1 from the "
        "probabilities of its tokens, calibrated; else that of ``consensus``. An addition to the hosted contract.",
    )
    absent: list[str] = Field(default_factory=list, description="Pointers of nulls that the schema does not allow.")
    synthesised: list[str] = Field(
        default_factory=list,
        description="Pointers of values that the model did not write, or not to their end, as the token budget was "
        "spent: they close the value under the schema.",
    )
    sources: ExtractionSources | None = None
    plan: ExtractionPlan | None = None


class StreamFailure(_Response):
    """The last line of a stream that failed: what was shown last, if anything, and why it ended."""

    status: Status
    error: ErrorInfo
    streaming_error: ErrorInfo


class ParseOutput(_Response):
    """The text of each page, and of the whole document."""

    pages: list[str] = Field(default_factory=list)
    text: str = ""


class Parse(_Response):
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


class SchemaGeneration(_Response):
    """A JSON schema that was proposed for documents."""

    id: str
    object: Literal["schema"] = "schema"
    created_at: datetime
    json_schema: dict[str, Any] = Field(default_factory=dict)
    strict: bool = True
    status: Status = "completed"
    error: ErrorInfo | None = None


class Reconciliation(_Response):
    """The answer of POST /v1/consensus."""

    consensus: dict[str, Any]
    likelihoods: dict[str, float]
    fields: list[dict[str, Any]] | None
    alignment: dict[str, Any]


class SourcesJobError(_Response):
    """Why sources could not be found."""

    code: str
    message: str
    is_retryable: bool


class SourcesJob(_Response):
    """The search for sources; ``revision`` counts its attempts, from 1."""

    id: str
    object: Literal["extraction.sources.job"] = "extraction.sources.job"
    mode: SourcesMode
    status: JobStatus
    revision: int
    is_partial: bool = False
    error: SourcesJobError | None = None
    updated_at: datetime


class SourcesResponse(_Response):
    """An extraction's output with the place in the document that each value was found at."""

    object: Literal["extraction.sources"] = "extraction.sources"
    extraction_id: str
    document_type: DocumentType
    file: FileRef
    extraction: JsonValue
    sources: JsonValue
    evidence: dict[str, Any] | None = Field(default_factory=dict)
    job: SourcesJob | None = None

    @property
    def under_way(self) -> bool:
        """Whether more may be found if one waits."""
        return self.job is not None and self.job.status in ("pending", "running")


class File(_Response):
    """A stored file."""

    object: Literal["file"] = "file"
    id: str
    filename: str
    mime_type: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    page_count: int | None = None


class FileUpload(_Response):
    """Where to send the bytes of a new file; in camel case on the wire."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True)

    file_id: str
    upload_url: str
    upload_method: Literal["PUT"] = "PUT"
    upload_headers: dict[str, str] = Field(default_factory=dict)
    mime_data: MIMEData | None = None
    expires_at: datetime


class FileLink(_Response):
    """A link to the bytes of a file that needs no key, and a reference that can be sent as a document."""

    download_url: str
    expires_in: str
    filename: str
    mime_data: MIMEData | None = None


class ListMetadata(_Response):
    """Cursors: None where there is no page in that direction."""

    before: str | None
    after: str | None


Item = TypeVar("Item")


class ListPage(_Response, Generic[Item]):
    """One page of a list."""

    data: list[Item]
    list_metadata: ListMetadata


class ErrorBody(_Response):
    """What every error answers; ``message`` is at the top for clients that look for a text there."""

    detail: ErrorInfo
    message: str


def now() -> datetime:
    """The present, aware and in UTC, to the second, as the contract's timestamps are."""
    return datetime.now(UTC).replace(microsecond=0)
