"""What is kept of one document: its value or its error."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from local_retab.errors import LocalRetabError
from local_retab.wire import ErrorInfo, Extraction, ExtractionNotice, FileRef, Usage


class Record(BaseModel):
    """One line of results. ``document`` is the path as it was given."""

    model_config = ConfigDict(frozen=True)

    document: str
    status: Literal["completed", "failed"]
    id: str | None = None
    file: FileRef | None = None
    output: JsonValue = None
    error: ErrorInfo | None = None
    notices: list[ExtractionNotice] = []
    usage: Usage | None = None

    @classmethod
    def of(cls, document: str, extraction: Extraction) -> Record:
        return cls(
            document=document,
            status="completed",
            id=extraction.id,
            file=extraction.file,
            output=extraction.output,
            notices=extraction.notices,
            usage=extraction.usage,
        )

    @classmethod
    def of_error(cls, document: str, error: LocalRetabError) -> Record:
        info = ErrorInfo(code=error.code, message=error.message, details=error.details or None)
        return cls(document=document, status="failed", error=info)

    def line(self) -> bytes:
        """One line of JSON in ASCII: readers split lines at U+2028 and the like too."""
        return self.model_dump_json(ensure_ascii=True).encode() + b"\n"


def row(record: dict[str, Any]) -> dict[str, Any]:
    """A record as a row of a table: what differs in shape from one schema to another is JSON text."""
    import json

    file, error = record.get("file") or {}, record.get("error") or {}
    return {
        "document": record["document"],
        "status": record["status"],
        "id": record.get("id"),
        "file_id": file.get("id"),
        "mime_type": file.get("mime_type"),
        "output": None if record["status"] == "failed" else json.dumps(record["output"], ensure_ascii=False),
        "error_code": error.get("code"),
        "error_message": error.get("message"),
        "notices": json.dumps(record.get("notices") or [], ensure_ascii=False),
        "usage": json.dumps(record.get("usage")),
    }
