"""One service for every surface of a process: the models, what is kept, and the use cases over both."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from local_retab.errors import EngineError
from local_retab.service.citations import Citations
from local_retab.service.consensus import reconcile_inputs
from local_retab.service.documents import DocumentReader
from local_retab.service.extractions import Extractions
from local_retab.service.files import FileCases
from local_retab.service.links import Links
from local_retab.service.parses import Parses
from local_retab.service.runner import LocalRunner, RunRequest, open_store
from local_retab.service.running import Running
from local_retab.service.schemas import SchemaGenerations
from local_retab.service.sources import Sources
from local_retab.storage import Storage
from local_retab.wire import now

if TYPE_CHECKING:
    from local_retab.documents import Document
    from local_retab.engine.engine import Engine
    from local_retab.engine.pace import ImageCost
    from local_retab.service.runner import Run, Runner
    from local_retab.settings import Settings
    from local_retab.weights import InstalledModel
    from local_retab.wire import ConsensusRequest, ExtractionParameters, ExtractionPlan, Reconciliation


class _Parts:
    """What needs the store on disk, opened with the first request."""

    def __init__(self, settings: Settings, service: ExtractionService) -> None:
        self.storage = Storage(settings, deleted=service.runner.forget)
        links = Links(self.storage.database)
        self.running = Running(self.storage, threads=settings.max_sequences)
        self.documents = DocumentReader(settings, self.storage, links)
        self.links = links
        shared = (settings, service.store, service.runner, self.storage, self.documents, self.running)
        self.extractions = Extractions(*shared)
        self.schemas = SchemaGenerations(*shared)
        self.parses = Parses(settings, self.storage, self.documents, self.running)
        self.files = FileCases(settings, self.storage, self.documents, links)
        citations = Citations(settings, service.store, self.extractions, self.storage, self.documents, self.running)
        self.sources = Sources(settings, self.extractions, citations, self.storage, self.documents)
        self.running.set_work(
            {
                "extraction": self.extractions.execute,
                "parse": self.parses.execute,
                "schema": self.schemas.execute,
            }
        )


class ExtractionService:
    """Owns the models in memory and the store of records and files; every surface of one process shares one service.

    ``open_engine`` loads a model into an engine; tests put a scripted one there. ``isolated``: the engine runs
    in a process of its own, which is replaced when it dies; ``open_engine`` must then be importable there by name.
    """

    def __init__(
        self,
        settings: Settings,
        open_engine: Callable[[InstalledModel], Engine] | None = None,
        *,
        isolated: bool = False,
    ) -> None:
        self.settings = settings
        self.store = open_store(settings)
        self.runner: Runner
        if isolated:
            from local_retab.service.worker import WorkerRunner

            self.runner = WorkerRunner(settings, open_engine)
        else:
            self.runner = LocalRunner(settings, open_engine)
        self._lock = threading.Lock()
        self._opened: _Parts | None = None
        self._closed = False

    @property
    def _parts(self) -> _Parts:
        with self._lock:
            if self._closed:
                raise EngineError("The client is closed. Make a new one.")
            if self._opened is None:
                self._opened = _Parts(self.settings, self)
            return self._opened

    @property
    def extractions(self) -> Extractions:
        return self._parts.extractions

    @property
    def parses(self) -> Parses:
        return self._parts.parses

    @property
    def schemas(self) -> SchemaGenerations:
        return self._parts.schemas

    @property
    def sources(self) -> Sources:
        return self._parts.sources

    @property
    def files(self) -> FileCases:
        return self._parts.files

    @property
    def documents(self) -> DocumentReader:
        return self._parts.documents

    @property
    def links(self) -> Links:
        return self._parts.links

    def reconcile(self, request: ConsensusRequest) -> Reconciliation:
        """See ``reconcile_inputs``."""
        return reconcile_inputs(request, self.settings)

    def preload(self, model: str) -> None:
        """Load a model now rather than with its first request. Raises ModelError."""
        self.runner.preload(model)

    def image_cost(self, document: Document, parameters: ExtractionParameters) -> ImageCost | None:
        """See ``LocalRunner.image_cost``."""
        return self._local.image_cost(document, parameters)

    def reading_plan(self, document: Document, parameters: ExtractionParameters) -> ExtractionPlan:
        """See ``LocalRunner.reading_plan``."""
        return self._local.reading_plan(RunRequest("plan", now(), document, parameters))

    def page_cost(self, model: str) -> ImageCost | None:
        """See ``LocalRunner.page_cost``."""
        return self._local.page_cost(model)

    @property
    def _local(self) -> LocalRunner:
        """The models of this process; what they cost is asked where they are."""
        assert isinstance(self.runner, LocalRunner)
        return self.runner

    def serve(self) -> None:
        """Work off the durable queue, and what dead processes left in the store, until ``close``."""
        self._parts.running.serve()

    def stream(self, document: Document, parameters: ExtractionParameters) -> Run:
        """See ``Extractions.stream``."""
        return self.extractions.stream(document, parameters)

    def close(self) -> None:
        """Free the models; running extractions end with an error, background ones wait for the next process."""
        with self._lock:
            self._closed = True
            parts, self._opened = self._opened, None
        if parts is not None:
            parts.running.close()
        self.runner.close()
        if parts is not None:
            parts.storage.close()
