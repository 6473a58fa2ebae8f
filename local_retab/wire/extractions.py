"""What an extraction answers: its snapshots, its record, and the places that its values were found at."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field, JsonValue

from local_retab.wire.base import DocumentType, ErrorInfo, FileRef, JobStatus, Response, SourcesMode, Status


class Consensus(Response):
    """The votes and their agreement; at n_consensus 1: no choices, no likelihoods."""

    choices: list[JsonValue] = Field(default_factory=list)
    likelihoods: JsonValue = None


class Usage(Response):
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


class ExtractionNotice(Response):
    """Something the reader of the output should know, with the JSON pointer of the value it is about.

    An addition to the hosted contract, whose clients ignore unknown fields. Codes: ``OUTPUT_BUDGET_EXHAUSTED``
    (the value from this path on was closed without the model), ``STRING_LIMIT_REACHED`` (a string was cut),
    ``ITEMS_REPEATED`` (an array was ended as its items went round in circles),
    ``NOT_STATED`` (a number that is not printed, or a word for null, where the schema allows null), ``ROWS_MISSING``
    (lines of the document that look like rows of this array have no item), ``KEYS_NOT_FOUND`` (keys that the model gave
    and that are not printed).
    """

    code: str
    path: str
    message: str


class PlannedPart(Response):
    """Pages of a document that are read together, and the tokens of their prompt. Pages may be in two parts."""

    first_page: int
    last_page: int
    prompt_tokens: int


class ExtractionPlan(Response):
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


class ExtractionSources(Response):
    """Where each value of the output stands in the document.

    An addition to the hosted contract, which has these fields in the answer of ``GET .../sources``. ``sources``
    mirrors the output, each leaf ``{"value", "source"}``; ``evidence`` has the status of each leaf by its dotted path.
    """

    mode: SourcesMode
    document_type: DocumentType
    sources: JsonValue
    evidence: dict[str, Any]


class ExtractionChunk(Response):
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


class StreamFailure(Response):
    """The last line of a stream that failed: what was shown last, if anything, and why it ended."""

    status: Status
    error: ErrorInfo
    streaming_error: ErrorInfo


class SourcesJobError(Response):
    """Why sources could not be found."""

    code: str
    message: str
    is_retryable: bool


class SourcesJob(Response):
    """The search for sources; ``revision`` counts its attempts, from 1."""

    id: str
    object: Literal["extraction.sources.job"] = "extraction.sources.job"
    mode: SourcesMode
    status: JobStatus
    revision: int
    is_partial: bool = False
    error: SourcesJobError | None = None
    updated_at: datetime


class SourcesResponse(Response):
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
