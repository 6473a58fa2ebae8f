"""The run of a batch: documents without a record, a few at a time, each to its record."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from local_retab.batch.record import Record
from local_retab.errors import DocumentError, GenerationCancelledError, GenerationError, RequestError

if TYPE_CHECKING:
    from local_retab.batch.journal import Journal
    from local_retab.batch.plan import Plan
    from local_retab.client import ExtractionStream, Retab


def run_batch(
    plan: Plan,
    journal: Journal,
    client: Retab,
    *,
    jobs: int = 1,
    advance: Callable[[Record], None] = lambda record: None,
) -> None:
    """Give every document of the plan its record, in memory that does not grow with their number.

    What concerns one document is its record; what concerns all (SchemaError, ModelError, EngineError) is raised, and
    so is KeyboardInterrupt, after the documents at hand were stopped. They have no record then and come again.
    """
    worker = Worker(plan, client)
    with ThreadPoolExecutor(jobs) as pool:
        running: set[Future[Record]] = set()
        try:
            for document in journal.missing(plan):
                running.add(pool.submit(worker.extract, document))
                if len(running) == jobs:
                    running = _collect(running, journal, advance)
            while running:
                running = _collect(running, journal, advance)
        except BaseException:
            worker.stop()
            raise


def _collect(running: set[Future[Record]], journal: Journal, advance: Callable[[Record], None]) -> set[Future[Record]]:
    """Keep what is done; the rest."""
    done, rest = wait(running, return_when=FIRST_COMPLETED)
    for future in done:
        record = future.result()
        journal.append(record)
        advance(record)
    return rest


class Worker:
    """Extracts documents in several threads until it is stopped."""

    def __init__(self, plan: Plan, client: Retab) -> None:
        self._plan, self._client = plan, client
        self._lock = threading.Lock()
        self._streams: set[ExtractionStream] = set()
        self._stopped = False

    def extract(self, document: str, *, path: str | None = None) -> Record:
        """The record of ``document``, whose file is at ``path`` where that is another. Raises what concerns all."""
        try:
            with self._client.extractions.create_stream(
                path or document, self._plan.json_schema, **self._plan.fields
            ) as stream:
                self._watch(stream)
                try:
                    return Record.of(document, stream.final())
                finally:
                    self._forget(stream)
        except GenerationCancelledError:
            raise
        except (DocumentError, GenerationError, RequestError) as error:
            return Record.of_error(document, error)

    def _watch(self, stream: ExtractionStream) -> None:
        with self._lock:
            self._streams.add(stream)
            if self._stopped:
                stream.cancel()

    def _forget(self, stream: ExtractionStream) -> None:
        with self._lock:
            self._streams.discard(stream)

    def stop(self) -> None:
        """Stop what runs; it ends with GenerationCancelledError."""
        with self._lock:
            self._stopped = True
            for stream in self._streams:
                stream.cancel()
