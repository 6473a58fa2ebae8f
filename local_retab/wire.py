"""The hosted wire contract as pydantic models: what goes over HTTP and what the clients return.

Responses ignore unknown fields, as the hosted clients do; requests refuse them, so that a misspelt field is an
error and not a silently dropped wish.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue

DEFAULT_MODEL = "retab-small"
DEFAULT_DPI = 192
MIN_DPI, MAX_DPI = 96, 300
MAX_CONSENSUS = 16

DocumentType = Literal["pdf", "image", "csv", "xlsx", "docx", "txt"]
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


class SourcesRequest(_Request):
    """How sources are wanted."""

    mode: Literal["located", "cited"] = "located"


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


class ExtractionRequest(ExtractionParameters):
    """The whole body of POST /v1/extractions and POST /v1/extractions/stream."""

    document: MIMEData


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
    about. The fields beside ``credits`` are an addition to the hosted contract.
    """

    credits: float = 0.0
    prompt_tokens: int = 0
    cached_prompt_tokens: int = 0
    output_tokens: int = 0
    forced_output_tokens: int = 0
    decode_calls: int = 0
    queue_seconds: float = 0.0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0
    grammar_seconds: float = 0.0


class ExtractionNotice(_Response):
    """Something the reader of the output should know, with the JSON pointer of the value it is about.

    An addition to the hosted contract, whose clients ignore unknown fields. Codes: ``OUTPUT_BUDGET_EXHAUSTED``
    (the value from this path on was closed without the model), ``STRING_LIMIT_REACHED`` (a string was cut),
    ``NOT_STATED`` (a number that is not printed, or a word for null, where the schema allows null).
    """

    code: str
    path: str
    message: str


class ExtractionSources(_Response):
    """Where each value of the output stands in the document.

    An addition to the hosted contract, which has these fields in the answer of ``GET .../sources``. ``sources``
    mirrors the output, each leaf ``{"value", "source"}``; ``evidence`` has the status of each leaf by its dotted path.
    """

    mode: Literal["located", "cited"]
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
    sources: ExtractionSources | None = None


def now() -> datetime:
    """The present, aware and in UTC, to the second, as the contract's timestamps are."""
    return datetime.now(UTC).replace(microsecond=0)
