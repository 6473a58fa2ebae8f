"""Sources of an extraction: where in the document each value stands. Found when first asked for, then kept."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any

from local_retab.errors import ConflictError
from local_retab.extraction.anchoring import carry_over, find_sources
from local_retab.extraction.reading import read_pages
from local_retab.service.runner import selected
from local_retab.wire import (
    ExtractionParameters,
    ExtractionSources,
    SourcesJob,
    SourcesJobError,
    SourcesResponse,
    now,
)

if TYPE_CHECKING:
    from local_retab.service.citations import Citation, Citations
    from local_retab.service.documents import DocumentReader
    from local_retab.service.extractions import Extractions
    from local_retab.settings import Settings
    from local_retab.storage import Storage
    from local_retab.wire import DocumentType, Extraction, JobStatus, SourcesMode

WAIT_SECONDS = 20.0
"""How long a request waits for a job, as the hosted API does."""
POLL_SECONDS = 0.1
PASSING = ("ENGINE_RESTARTED", "INTERRUPTED", "CANCELLED")
"""What may go well when it is tried again."""


class Sources:
    """The use cases of sources."""

    def __init__(
        self,
        settings: Settings,
        extractions: Extractions,
        citations: Citations,
        storage: Storage,
        documents: DocumentReader,
    ) -> None:
        self._settings = settings
        self._extractions = extractions
        self._citations = citations
        self._storage = storage
        self._documents = documents

    def get(self, extraction_id: str, mode: SourcesMode, job_id: str | None) -> SourcesResponse:
        """The sources, waited for as ``create`` does."""
        return self.create(extraction_id, mode, job_id)

    def create(
        self,
        extraction_id: str,
        mode: SourcesMode,
        job_id: str | None = None,
        *,
        background: bool = False,
        retry: bool = False,
    ) -> SourcesResponse:
        """The sources and the job that finds them, which is awaited for 20 seconds unless ``background``.

        Raises what ``look`` does.
        """
        found = self.look(extraction_id, mode, job_id, retry=retry)
        end = time.monotonic() + WAIT_SECONDS
        while found.under_way and not background and time.monotonic() < end:
            time.sleep(POLL_SECONDS)
            found = self.look(extraction_id, mode, job_id)
        return found

    def look(
        self, extraction_id: str, mode: SourcesMode, job_id: str | None = None, *, retry: bool = False
    ) -> SourcesResponse:
        """The sources as far as they are. Located ones are found now; for cited ones the model is asked in the queue.

        Raises ExtractionNotFoundError, ConflictError before the extraction is complete or for another job's id,
        StoredFileNotFoundError when its document was deleted, and ModelError or OverloadedError for cited ones.
        """
        extraction = self._extractions.get(extraction_id)
        if job_id is not None and job_id != _job_id(extraction_id, mode):
            raise ConflictError(f"{job_id[:80]!r} is not the job of these sources. Leave job_id out.")
        if extraction.status != "completed":
            raise ConflictError(
                f"{extraction_id} is {extraction.status}: sources are for completed extractions. Await it first."
            )
        if extraction.sources is not None and extraction.sources.mode == mode:
            return self._complete(extraction, extraction.sources)
        if mode == "located":
            return self._complete(extraction, self._located(extraction_id))
        return self._cited(extraction, retry=retry)

    def _complete(self, extraction: Extraction, found: ExtractionSources) -> SourcesResponse:
        job = SourcesJob(
            id=_job_id(extraction.id, found.mode), mode=found.mode, status="completed", revision=1, updated_at=now()
        )
        return _response(extraction, found.document_type, found.sources, found.evidence, job)

    def _located(self, extraction_id: str) -> ExtractionSources:
        key = f"sources {extraction_id}"
        kept = self._storage.cache.get(key)
        if kept is not None:
            return ExtractionSources.model_validate_json(kept)
        record = self._extractions.record(extraction_id)
        parameters = ExtractionParameters.model_validate(record.request["parameters"])
        document = selected(self._documents.of_record(record)[0], parameters)
        pages = read_pages(document, dpi=parameters.image_resolution_dpi, settings=self._settings)
        found = find_sources(document, pages, record.output, record.body["json_schema"])
        self._storage.cache.put(key, hashlib.sha256(document.data).hexdigest(), found.model_dump_json())
        return found

    def _cited(self, extraction: Extraction, *, retry: bool) -> SourcesResponse:
        citation = self._citations.join(extraction.id, _job_id(extraction.id, "cited"), retry=retry)
        found = citation.found.sources if citation.status == "completed" else None
        tree, evidence = carry_over(found, extraction.output, _UNFOUND[citation.status])
        job = SourcesJob(
            id=citation.record.id,
            mode="cited",
            status=citation.status,
            revision=citation.revision,
            error=_error(citation),
            updated_at=citation.record.updated_at or citation.record.created_at,
        )
        return _response(extraction, citation.document_type, tree, evidence, job)


_UNFOUND: dict[JobStatus, str] = {"pending": "pending", "running": "pending", "completed": "missing", "error": "error"}
"""The evidence of a value for which there is no quote, by the status of the job."""


def _response(
    extraction: Extraction, document_type: DocumentType, sources: Any, evidence: dict[str, Any], job: SourcesJob
) -> SourcesResponse:
    return SourcesResponse(
        extraction_id=extraction.id,
        document_type=document_type,
        file=extraction.file,
        extraction=extraction.output,
        sources=sources,
        evidence=evidence,
        job=job,
    )


def _job_id(extraction_id: str, mode: SourcesMode) -> str:
    return f"job_{extraction_id.rpartition('_')[2]}_{mode}"


def _error(citation: Citation) -> SourcesJobError | None:
    if citation.status != "error":
        return None
    error = citation.found.error
    code, message = (error.code, error.message) if error else ("CANCELLED", "The search was stopped. Retry it.")
    return SourcesJobError(code=code, message=message, is_retryable=code in PASSING)
