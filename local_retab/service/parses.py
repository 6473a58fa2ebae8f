"""Parses: the text of a document, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_retab.errors import ParseNotFoundError
from local_retab.extraction.parsing import parse_pages
from local_retab.service.identifiers import new_id
from local_retab.service.records import Idempotency, RecordCases, Stopper
from local_retab.storage import Record, RecordFile
from local_retab.wire import Parse, ParseOutput, ParseParameters, Usage, now

if TYPE_CHECKING:
    from local_retab.documents import Document
    from local_retab.service.documents import DocumentReader
    from local_retab.service.running import Running
    from local_retab.settings import Settings
    from local_retab.storage import Storage


class Parses(RecordCases[Parse]):
    """The use cases of parses. No model is asked: the text is the document's own."""

    def __init__(self, settings: Settings, storage: Storage, documents: DocumentReader, running: Running) -> None:
        super().__init__(
            "parse", Parse, "output", ParseNotFoundError, settings=settings, storage=storage, running=running
        )
        self._documents = documents

    def create(self, document: Document, parameters: ParseParameters, idempotency: Idempotency | None = None) -> Parse:
        """Read the text now, or put the request in the durable queue. Raises DocumentError."""
        known = self.known(idempotency)
        answer = self.answer_of(known)
        if answer is not None:
            return answer
        if parameters.background:
            self.check_queue()
        begun = Parse(
            id=new_id("prs"),
            file=document.ref,
            model=parameters.model,
            table_parsing_format=parameters.table_parsing_format,
            instructions=parameters.instructions,
            output=ParseOutput(),
            status="queued" if parameters.background else "in_progress",
            usage=None,
            created_at=now(),
        )
        body, output = self.split(begun)
        record = Record(
            id=begun.id,
            kind="parse",
            status=begun.status,
            created_at=begun.created_at,
            body=body,
            output=output,
            request={"parameters": parameters.model_dump(mode="json")},
            files=(RecordFile(document.id, document.filename),),
            background=parameters.background,
        )
        storage = self._storage
        with storage.files_lock:
            storage.files.add(document.id, document.filename, document.mime_type, document.data)
            storage.records.add(record, storage.owner.id)
        self.bind(idempotency, record.id, known)
        if parameters.background:
            self._running.wake()
            return begun
        return self.work(begun, lambda stopper: self._read(begun, document, parameters, stopper))

    def execute(self, record: Record) -> None:
        """Work off a background record."""
        begun = self.response(record)
        parameters = ParseParameters.model_validate(record.request["parameters"])
        self.work(begun, lambda stopper: self._read(begun, self._documents.of_record(record)[0], parameters, stopper))

    def _read(self, begun: Parse, document: Document, parameters: ParseParameters, stopper: Stopper) -> Parse:
        pages = parse_pages(
            document,
            table_format=parameters.table_parsing_format,
            dpi=parameters.image_resolution_dpi,
            settings=self._settings,
            check=stopper.check,
        )
        self._storage.files.set_page_count(document.id, len(pages))
        output = ParseOutput(pages=pages, text="\n\n".join(pages))
        return begun.model_copy(update={"output": output, "status": "completed", "usage": Usage()})
