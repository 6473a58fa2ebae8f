"""What requests and answers share: their bases, documents by reference, and the limits of the contract."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

DEFAULT_MODEL = "retab-small"
DEFAULT_DPI = 192
MIN_DPI, MAX_DPI = 96, 300
MAX_CONSENSUS = 16

DocumentType = Literal["pdf", "image", "csv", "xlsx", "docx", "txt"]
SourcesMode = Literal["located", "cited"]
JobStatus = Literal["pending", "running", "completed", "error"]
SHA256 = "^[0-9a-fA-F]{64}$"

Status = Literal["pending", "queued", "in_progress", "completed", "failed", "cancelled"]


class Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Response(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class MIMEData(Request):
    """A document as it travels: its filename and a data URL (or another URL, which local_retab does not fetch)."""

    filename: str = Field(min_length=1)
    url: str = Field(min_length=1)


class FileRef(Response):
    """A document by name: ``file_`` and 16 hex digits of the BLAKE2b of its bytes, filename, media type."""

    id: str
    filename: str
    mime_type: str


TableFormat = Literal["markdown", "yaml", "html", "json"]


class ErrorInfo(Response):
    """Why an extraction failed."""

    code: str
    message: str
    details: dict[str, Any] | None = None


def now() -> datetime:
    """The present, aware and in UTC, to the second, as the contract's timestamps are."""
    return datetime.now(UTC).replace(microsecond=0)
