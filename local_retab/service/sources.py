"""Sources of an extraction: where in the document each value stands. Found when first asked for, then kept."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from local_retab.errors import ConflictError, FeatureNotAvailableError
from local_retab.extraction.anchoring import find_sources
from local_retab.extraction.reading import read_pages
from local_retab.service.runner import selected
from local_retab.wire import ExtractionParameters, ExtractionSources, SourcesResponse, now

if TYPE_CHECKING:
    from local_retab.service.documents import DocumentReader
    from local_retab.service.extractions import Extractions
    from local_retab.settings import Settings
    from local_retab.storage import Storage


class Sources:
    """The use cases of sources."""

    def __init__(
        self, settings: Settings, extractions: Extractions, storage: Storage, documents: DocumentReader
    ) -> None:
        self._settings = settings
        self._extractions = extractions
        self._storage = storage
        self._documents = documents

    def get(self, extraction_id: str, mode: str, job_id: str | None) -> SourcesResponse:
        """The sources.

        Raises ExtractionNotFoundError, ConflictError before the extraction is complete, StoredFileNotFoundError when
        its document was deleted, and FeatureNotAvailableError for another mode than ``located``.
        """
        return self._answer(extraction_id, mode, job_id)

    def create(self, extraction_id: str, mode: str, job_id: str | None) -> SourcesResponse:
        """The sources with the job that found them, which is done when this returns. Raises what ``get`` does."""
        found = self._answer(extraction_id, mode, job_id)
        return found.model_copy(update={"job": _job(extraction_id, mode)})

    def _answer(self, extraction_id: str, mode: str, job_id: str | None) -> SourcesResponse:
        extraction = self._extractions.get(extraction_id)
        if mode != "located":
            raise FeatureNotAvailableError(
                f"sources.mode={mode[:20]}: not available yet in this version. Use located.",
                details={"fields": ["sources.mode"]},
            )
        if job_id is not None and job_id != _job_id(extraction_id, mode):
            raise ConflictError(f"{job_id[:80]!r} is not the job of these sources. Leave job_id out.")
        if extraction.status != "completed":
            raise ConflictError(
                f"{extraction_id} is {extraction.status}: sources are for completed extractions. Await it first."
            )
        found: Any = extraction.sources or self._find(extraction_id)
        output: Any = extraction.output
        return SourcesResponse(
            extraction_id=extraction_id,
            document_type=found.document_type,
            file=extraction.file,
            extraction=output,
            sources=found.sources,
            evidence=found.evidence,
        )

    def _find(self, extraction_id: str) -> ExtractionSources:
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


def _job_id(extraction_id: str, mode: str) -> str:
    return f"job_{extraction_id.rpartition('_')[2]}_{mode}"


def _job(extraction_id: str, mode: str) -> dict[str, Any]:
    return {
        "id": _job_id(extraction_id, mode),
        "object": "extraction.sources.job",
        "mode": mode,
        "status": "completed",
        "revision": 1,
        "is_partial": False,
        "error": None,
        "updated_at": now().isoformat(),
    }
