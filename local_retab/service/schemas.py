"""Schema generations: a JSON schema that the model proposes for documents."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, cast

from local_retab.documents import load
from local_retab.errors import EmptyDocumentError, SchemaNotFoundError
from local_retab.extraction.parsing import parse_pages
from local_retab.extraction.proposal import INSTRUCTIONS, PROPOSAL_SCHEMA, to_json_schema
from local_retab.service.identifiers import new_id
from local_retab.service.records import Idempotency, RecordCases, Stopper
from local_retab.service.runner import RunRequest, check
from local_retab.storage import Record, RecordFile
from local_retab.wire import ExtractionParameters, SchemaGeneration, SchemaParameters, now

if TYPE_CHECKING:
    from local_retab.documents import Document
    from local_retab.service.documents import DocumentReader
    from local_retab.service.runner import Runner
    from local_retab.service.running import Running
    from local_retab.settings import Settings
    from local_retab.storage import Storage
    from local_retab.weights import Store

CHARACTERS_PER_TOKEN = 2
"""Of a document's text, at worst, so that what is shown of several documents fits the context."""


class SchemaGenerations(RecordCases[SchemaGeneration]):
    """The use cases of schema generations."""

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
            "schema",
            SchemaGeneration,
            "json_schema",
            SchemaNotFoundError,
            settings=settings,
            storage=storage,
            running=running,
        )
        self._models = models
        self._runner = runner
        self._documents = documents

    def create(
        self, documents: Sequence[Document], parameters: SchemaParameters, idempotency: Idempotency | None = None
    ) -> SchemaGeneration:
        """Propose a schema now, or put the request in the durable queue. Raises DocumentError, ModelError."""
        known = self.known(idempotency)
        answer = self.answer_of(known)
        if answer is not None:
            return answer
        if parameters.background:
            self.check_queue()
        check(_as_extraction(parameters), self._models, self._settings)
        begun = SchemaGeneration(
            id=new_id("sch"), created_at=now(), status="queued" if parameters.background else "in_progress"
        )
        body, output = self.split(begun)
        record = Record(
            id=begun.id,
            kind="schema",
            status=begun.status,
            created_at=begun.created_at,
            body=body,
            output=output,
            request={"parameters": parameters.model_dump(mode="json")},
            files=tuple(RecordFile(document.id, document.filename) for document in documents),
            background=parameters.background,
        )
        storage = self._storage
        with storage.files_lock:
            for document in documents:
                storage.files.add(document.id, document.filename, document.mime_type, document.data)
            storage.records.add(record, storage.owner.id)
        self.bind(idempotency, record.id, known)
        if parameters.background:
            self._running.wake()
            return begun
        return self.work(begun, lambda stopper: self._propose(begun, documents, parameters, stopper))

    def execute(self, record: Record) -> None:
        """Work off a background record."""
        begun = self.response(record)
        parameters = SchemaParameters.model_validate(record.request["parameters"])
        self.work(begun, lambda stopper: self._propose(begun, self._documents.of_record(record), parameters, stopper))

    def _propose(
        self, begun: SchemaGeneration, documents: Sequence[Document], parameters: SchemaParameters, stopper: Stopper
    ) -> SchemaGeneration:
        sample = self._sample(documents, parameters, stopper)
        request = RunRequest(
            begun.id, begun.created_at, sample, _as_extraction(parameters), background=parameters.background
        )
        output: Any = None
        with closing(self._runner.start(request)) as run:
            for chunk in run:
                stopper.check()
                output = chunk.output
        schema = to_json_schema(cast("dict[str, Any]", output))
        return begun.model_copy(update={"json_schema": schema, "status": "completed"})

    def _sample(self, documents: Sequence[Document], parameters: SchemaParameters, stopper: Stopper) -> Document:
        """The beginnings of all documents as one text."""
        share = self._settings.context_tokens * CHARACTERS_PER_TOKEN // (2 * len(documents))
        texts = []
        for document in documents:
            pages = parse_pages(
                document,
                table_format="markdown",
                dpi=parameters.image_resolution_dpi,
                settings=self._settings,
                check=stopper.check,
            )
            texts.append("\n\n".join(pages).strip()[:share])
        text = "\n\n".join(text for text in texts if text)
        if not text:
            names = ", ".join(document.filename for document in documents)
            raise EmptyDocumentError(f"{names}: every page is blank. Send documents with content.")
        return load(text.encode(), filename="documents.txt", settings=self._settings)


def _as_extraction(parameters: SchemaParameters) -> ExtractionParameters:
    """The extraction that makes the proposal."""
    wishes = f"{INSTRUCTIONS}\n{parameters.instructions}" if parameters.instructions else INSTRUCTIONS
    return ExtractionParameters(json_schema=PROPOSAL_SCHEMA, model=parameters.model, instructions=wishes)
