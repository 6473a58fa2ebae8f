"""Cited sources of an extraction that was made without them: a record of its own asks the model again, for quotes.

The record waits in the durable queue, is in no list, and goes with its extraction. Its id is that of the sources' job.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local_retab.errors import ExtractionNotFoundError
from local_retab.extraction.anchoring import document_type
from local_retab.service.extractions import unfinished
from local_retab.service.runner import check
from local_retab.storage import Record, RecordFile
from local_retab.wire import ExtractionParameters, SourcesRequest, now

if TYPE_CHECKING:
    from local_retab.service.documents import DocumentReader
    from local_retab.service.extractions import Extractions
    from local_retab.service.running import Running
    from local_retab.settings import Settings
    from local_retab.storage import Storage
    from local_retab.weights import Store
    from local_retab.wire import DocumentType, Extraction, JobStatus

AS_JOB: dict[str, JobStatus] = {
    "pending": "pending",
    "queued": "pending",
    "in_progress": "running",
    "completed": "completed",
    "failed": "error",
    "cancelled": "error",
}


@dataclass(frozen=True, slots=True)
class Citation:
    """How far the search for quotes is; ``found`` is the extraction that has them."""

    record: Record
    found: Extraction

    @property
    def status(self) -> JobStatus:
        return AS_JOB[self.record.status]

    @property
    def revision(self) -> int:
        """The number of this attempt, from 1."""
        return int(self.record.request["revision"])

    @property
    def document_type(self) -> DocumentType:
        kind: DocumentType = self.record.request["document_type"]
        return kind


class Citations:
    """The searches for quotes, at most one for each extraction."""

    def __init__(
        self,
        settings: Settings,
        models: Store,
        extractions: Extractions,
        storage: Storage,
        documents: DocumentReader,
        running: Running,
    ) -> None:
        self._settings = settings
        self._models = models
        self._extractions = extractions
        self._storage = storage
        self._documents = documents
        self._running = running

    def join(self, extraction_id: str, job_id: str, *, retry: bool) -> Citation:
        """The search for this extraction's quotes, begun unless there is one; ``retry`` begins a failed one anew.

        Raises StoredFileNotFoundError when the document is not kept, ModelError when the model is not installed, and
        OverloadedError when too many requests wait.
        """
        record = self._storage.records.with_sources_of(extraction_id)
        revision = 1
        if record is not None and retry and AS_JOB[record.status] == "error":
            revision = int(record.request["revision"]) + 1
            self._storage.records.delete(record.id, "extraction")
            record = None
        if record is None:
            self._begin(extraction_id, job_id, revision)
            record = self._storage.records.with_sources_of(extraction_id)
        if record is None:
            raise ExtractionNotFoundError(f"{extraction_id} was deleted while its sources were asked for.")
        return Citation(record, self._extractions.response(record))

    def _begin(self, extraction_id: str, job_id: str, revision: int) -> None:
        """Put the search in the queue, unless another request was faster."""
        made = self._extractions.record(extraction_id)
        parameters = ExtractionParameters.model_validate(made.request["parameters"]).model_copy(
            update={
                "sources": SourcesRequest(mode="cited"),
                # The quotes of one answer are enough: those count that lead to the value that the votes agreed on.
                "n_consensus": 1,
                "background": True,
                "stream": False,
                "bust_cache": False,
                "metadata": None,
            }
        )
        document = self._documents.of_record(made)[0]
        check(parameters, self._models, self._settings)
        self._extractions.check_queue()
        response = unfinished(job_id, now(), document, parameters, background=True)
        body, output = self._extractions.split(response)
        request: dict[str, Any] = {
            "parameters": parameters.model_dump(mode="json"),
            "revision": revision,
            "document_type": document_type(document),
        }
        record = Record(
            id=job_id,
            kind="extraction",
            status="queued",
            created_at=response.created_at,
            body=body,
            output=output,
            request=request,
            files=(RecordFile(document.id, document.filename),),
            background=True,
            sources_of=extraction_id,
        )
        self._storage.records.add(record, self._storage.owner.id)
        self._running.wake()
