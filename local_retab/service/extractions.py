"""Extractions: stream, create in the background, and what all records have."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local_retab.errors import ExtractionNotFoundError, LocalRetabError, RequestError
from local_retab.service.fingerprint import result_key
from local_retab.service.identifiers import new_id
from local_retab.service.recording import FinishedRun, RecordedRun
from local_retab.service.records import RecordCases
from local_retab.service.runner import RunRequest, check
from local_retab.storage import Record, RecordFile
from local_retab.wire import Extraction, ExtractionParameters, Usage, now

if TYPE_CHECKING:
    from datetime import datetime

    from local_retab.documents import Document
    from local_retab.service.documents import DocumentReader
    from local_retab.service.records import Idempotency
    from local_retab.service.runner import Run, Runner
    from local_retab.service.running import Running
    from local_retab.settings import Settings
    from local_retab.storage import Storage
    from local_retab.weights import Store


class Extractions(RecordCases[Extraction]):
    """The use cases of extractions, over a runner and what is kept."""

    def __init__(
        self,
        settings: Settings,
        models: Store,
        runner: Runner,
        storage: Storage,
        documents: DocumentReader,
        running: Running,
    ) -> None:
        super().__init__(
            "extraction",
            Extraction,
            "output",
            ExtractionNotFoundError,
            settings=settings,
            storage=storage,
            running=running,
        )
        self._models = models
        self._runner = runner
        self._documents = documents

    def stream(
        self, document: Document, parameters: ExtractionParameters, idempotency: Idempotency | None = None
    ) -> Run:
        """Check the request and return its run, which begins with its first chunk.

        An identical request that was answered before is answered from the cache, unless ``bust_cache``. Raises
        RequestError, SchemaError, ModelError or StorageError here; errors of the document and of the run come with
        the chunks.
        """
        known = self.known(idempotency)
        answer = self.answer_of(known)
        if answer is not None:
            return FinishedRun(answer)
        key = self._key(document, parameters)
        begun = unfinished(new_id("extr"), now(), document, parameters, background=False)
        cached = None if parameters.bust_cache else self._storage.cache.get(key.text)
        if cached is not None:
            found = _renewed(cached, begun, parameters)
            self._add(found, document, parameters, idempotency, known)
            self.settle(found.id)
            return FinishedRun(found)
        run = self._runner.start(RunRequest(begun.id, begun.created_at, document, parameters))
        self._add(begun, document, parameters, idempotency, known)
        return self._recorded(run, begun, key)

    def create_in_background(
        self, document: Document, parameters: ExtractionParameters, idempotency: Idempotency | None = None
    ) -> Extraction:
        """Check the request, put it in the durable queue, and return its record. Raises what ``stream`` does."""
        if parameters.stream:
            raise RequestError("stream and background exclude each other. Send one of them.")
        check(parameters, self._models, self._settings)
        known = self.known(idempotency)
        answer = self.answer_of(known)
        if answer is not None:
            return answer
        self.check_queue()
        begun = unfinished(new_id("extr"), now(), document, parameters, background=True)
        self._add(begun, document, parameters, idempotency, known)
        self._running.wake()
        return begun

    def execute(self, record: Record) -> None:
        """Run a background record that was claimed, to its end. Raises what the run raises, which the record has."""
        parameters = ExtractionParameters.model_validate(record.request["parameters"])
        begun = self.response(record)
        try:
            document = self._documents.of_record(record)[0]
            key = self._key(document, parameters)
            cached = None if parameters.bust_cache else self._storage.cache.get(key.text)
            if cached is not None:
                self.finish(_renewed(cached, begun, parameters))
                return
            request = RunRequest(record.id, record.created_at, document, parameters, background=True)
            run = self._runner.start(request)
        except LocalRetabError as error:
            if not self._running.gives_back(record.id, error):
                self.fail(begun, error)
            raise
        recorded = self._recorded(run, begun, key)
        try:
            for _ in recorded:
                pass
        finally:
            recorded.close()

    def _key(self, document: Document, parameters: ExtractionParameters) -> _Key:
        """What the result depends on. Raises RequestError, SchemaError or ModelError for a request that cannot run."""
        _, model = check(parameters, self._models, self._settings)
        sha256 = hashlib.sha256(document.data).hexdigest()
        return _Key(result_key(sha256, document.mime_type, parameters, model, self._settings), sha256)

    def _add(
        self,
        extraction: Extraction,
        document: Document,
        parameters: ExtractionParameters,
        idempotency: Idempotency | None,
        known: Record | None,
    ) -> None:
        """Store the record and its document."""
        storage = self._storage
        body, output = self.split(extraction)
        record = Record(
            id=extraction.id,
            kind="extraction",
            status=extraction.status,
            created_at=extraction.created_at,
            body=body,
            output=output,
            request={"parameters": parameters.model_dump(mode="json")},
            metadata=parameters.metadata,
            files=(RecordFile(document.id, document.filename),),
            background=extraction.status == "queued",
        )
        with storage.files_lock:
            storage.files.add(document.id, document.filename, document.mime_type, document.data)
            storage.records.add(record, storage.owner.id)
        self.bind(idempotency, record.id, known)

    def _recorded(self, run: Run, begun: Extraction, key: _Key) -> RecordedRun:
        def ended(outcome: Extraction | LocalRetabError) -> bool:
            self._running.remove(begun.id)
            if self._running.closed and not self._running.in_background(begun.id):
                return False
            if isinstance(outcome, LocalRetabError):
                return self._running.gives_back(begun.id, outcome) or self.fail(begun, outcome)
            if not self.finish(outcome):
                return False
            self._storage.cache.put(key.text, key.document_sha256, outcome.model_dump_json())
            return True

        recorded = RecordedRun(run, ended, lambda: self._is_cancelled(begun.id))
        self._running.add(begun.id, recorded)
        return recorded

    def _is_cancelled(self, record_id: str) -> bool:
        return not self._running.closed and self._storage.records.status(record_id) in (None, "cancelled")


@dataclass(frozen=True, slots=True)
class _Key:
    """The key of a cached result, and the document whose deletion deletes it."""

    text: str
    document_sha256: str


def unfinished(
    record_id: str, created_at: datetime, document: Document, parameters: ExtractionParameters, *, background: bool
) -> Extraction:
    """An extraction without a result yet."""
    return Extraction(
        id=record_id,
        file=document.ref,
        model=parameters.model,
        output={},
        created_at=created_at,
        status="queued" if background else "in_progress",
        json_schema=parameters.json_schema,
        n_consensus=parameters.n_consensus,
        instructions=parameters.instructions,
        consensus=None,
        metadata=parameters.metadata,
        usage=None,
    )


def _renewed(cached: str, begun: Extraction, parameters: ExtractionParameters) -> Extraction:
    """A cached result as the answer to another request, which took no work."""
    return Extraction.model_validate_json(cached).model_copy(
        update={
            "id": begun.id,
            "created_at": begun.created_at,
            "file": begun.file,
            "model": parameters.model,
            "metadata": parameters.metadata,
            "usage": Usage(),
        }
    )
