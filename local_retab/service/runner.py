"""Runs extractions on the models in memory; keeps nothing."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from local_retab.documents import KeptPages, PageSelection
from local_retab.engine.opening import open_llama
from local_retab.engine.pool import EnginePool
from local_retab.errors import FeatureNotAvailableError, LocalRetabError
from local_retab.extraction.chunking.planning import plan_reading
from local_retab.extraction.pipeline import extract, read
from local_retab.extraction.profiles import DEFAULT
from local_retab.extraction.prompting import prompt_head
from local_retab.extraction.seeing import ImageBudget, choose_sight, image_cost, size_cost
from local_retab.extraction.task import Stop, Task
from local_retab.schema import check_keys, load_schema, plan_schema
from local_retab.weights import Catalogue, InstalledModel, Store
from local_retab.wire import DEFAULT_DPI

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from local_retab.documents import Document
    from local_retab.engine.engine import Engine
    from local_retab.engine.pace import ImageCost
    from local_retab.schema import SchemaPlan
    from local_retab.settings import Settings
    from local_retab.wire import ExtractionChunk, ExtractionParameters, ExtractionPlan

A4 = (595.0, 842.0)
"""Points."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """One extraction to run: its identity, the document, every parameter, and whether nobody waits for it."""

    id: str
    created_at: datetime
    document: Document
    parameters: ExtractionParameters
    background: bool = False


class Run(Protocol):
    """The chunks of one extraction, the last of them an Extraction; one reader at a time."""

    def __iter__(self) -> Iterator[ExtractionChunk]: ...

    def __next__(self) -> ExtractionChunk: ...

    def cancel(self) -> None:
        """Stop the work within one decode step, from any thread; a reader gets GenerationCancelledError."""
        ...

    def close(self) -> None:
        """Stop the work and free what it holds, from the reader's thread. Safe to call again."""
        ...


class Runner(Protocol):
    """Where extractions run: in this process, or in a worker process."""

    def start(self, request: RunRequest) -> Run:
        """Check a request and return its run, which begins with its first chunk.

        Raises RequestError, SchemaError or ModelError here; errors of the document and of the run come with the
        chunks.
        """
        ...

    def preload(self, model: str) -> None:
        """Load a model now rather than with its first request. Raises ModelError."""
        ...

    def forget(self, document_id: str) -> None:
        """Drop what is kept in memory of the pages of a document that was deleted."""
        ...

    def close(self) -> None: ...


class LocalRunner:
    """Owns the models in memory of this process.

    ``open_engine`` loads a model into an engine; tests put a scripted one there.
    """

    def __init__(self, settings: Settings, open_engine: Callable[[InstalledModel], Engine] | None = None) -> None:
        self._settings = settings
        self._store = open_store(settings)
        self._engines = EnginePool[InstalledModel](open_engine or self._open)
        self._pages = KeptPages(settings.page_cache_bytes if settings.keep == "all" else 0)

    def _open(self, model: InstalledModel) -> Engine:
        engine = open_llama(model, self._settings)
        try:
            engine.prepare(prompt_head(engine, model.entry.prompt_profile if model.entry else DEFAULT))
        except LocalRetabError:
            engine.close()
            raise
        return engine

    def preload(self, model: str) -> None:
        with self._engines.lease(self._store.resolve(model, self._settings)):
            return

    def image_cost(self, document: Document, parameters: ExtractionParameters) -> ImageCost | None:
        """What the document's page images will cost here, before they are spent; None where none are shown.

        Loads the model. Raises RequestError, DocumentError or ModelError.
        """
        with self._engines.lease(self._store.resolve(parameters.model, self._settings)) as engine:
            return image_cost(selected(document, parameters), parameters, self._settings, engine)

    def page_cost(self, model: str) -> ImageCost | None:
        """What the image of one A4 page costs here; None for a model that reads text only. Loads the model."""
        with self._engines.lease(self._store.resolve(model, self._settings)) as engine:
            if not engine.info.vision:
                return None
            budget = ImageBudget(self._settings.image_min_tokens, self._settings.image_max_tokens)
            return size_cost([A4], DEFAULT_DPI, budget, engine)

    def reading_plan(self, request: RunRequest) -> ExtractionPlan:
        """How the document will be read, with the seconds that it will take here. Loads the model.

        Raises RequestError, SchemaError, ModelError or DocumentError.
        """
        task, model = self._task(request)
        with self._engines.lease(model) as engine:
            sight = choose_sight(task.document, task.parameters, task.settings, engine)
            pages = read(task, sight)
            return plan_reading(task, engine, sight, pages, timed=True).to_wire(pages)

    def start(self, request: RunRequest) -> ExtractionRun:
        task, model = self._task(request)
        return ExtractionRun(self._chunks(task, model), task.stop)

    def _task(self, request: RunRequest) -> tuple[Task, InstalledModel]:
        plan, model = check(request.parameters, self._store, self._settings)
        profile = model.entry.prompt_profile if model.entry else DEFAULT
        task = Task(
            request.id,
            request.created_at,
            selected(request.document, request.parameters),
            request.parameters,
            plan,
            self._settings,
            Stop(),
            profile,
            self._pages.pages,
            background=request.background,
        )
        return task, model

    def _chunks(self, task: Task, model: InstalledModel) -> Generator[ExtractionChunk, None, None]:
        with self._engines.lease(model) as engine:
            yield from extract(task, engine)

    def forget(self, document_id: str) -> None:
        self._pages.forget(document_id)

    def close(self) -> None:
        """Free the models; running extractions end with an error."""
        self._engines.close()
        self._pages.clear()


class ExtractionRun:
    """A run in this process."""

    def __init__(self, chunks: Generator[ExtractionChunk, None, None], stop: Stop) -> None:
        self._chunks = chunks
        self._stop = stop

    def __iter__(self) -> Iterator[ExtractionChunk]:
        return self

    def __next__(self) -> ExtractionChunk:
        return next(self._chunks)

    def cancel(self) -> None:
        self._stop.set()

    def close(self) -> None:
        self._stop.set()
        self._chunks.close()


def selected(document: Document, parameters: ExtractionParameters) -> Document:
    """The document with what the request asks to be read of it: pages, attachments. Raises RequestError."""
    selection = None if parameters.pages is None else PageSelection.parse(parameters.pages)
    return replace(document, selection=selection, attachments=parameters.attachments)


def open_store(settings: Settings) -> Store:
    """The installed models."""
    return Store(settings.home / "models", Catalogue.load())


def check(parameters: ExtractionParameters, store: Store, settings: Settings) -> tuple[SchemaPlan, InstalledModel]:
    """The plan of a request's schema, and its model. Raises RequestError, SchemaError or ModelError."""
    schema = load_schema(parameters.json_schema, settings=settings)
    check_parts(parameters, schema)
    absent_null = (parameters.absent or settings.absent) == "null"
    plan = plan_schema(schema, settings=settings, absent_null=absent_null)
    return plan, store.resolve(parameters.model, settings)


def check_parts(parameters: ExtractionParameters, schema: dict[str, Any]) -> None:
    """Raises RequestError for chunking_keys that are not in the schema, FeatureNotAvailableError for sources that are
    not found in a document that is read in parts."""
    if parameters.chunking_keys:
        check_keys(schema, parameters.chunking_keys)
    cited = parameters.sources is not None and parameters.sources.mode == "cited"
    asked = [name for name in ("chunking_keys", "deep_extraction") if getattr(parameters, name)]
    if cited and asked:
        raise FeatureNotAvailableError(
            f"sources.mode=cited: not available with {' and '.join(asked)}, which read a document in parts. Use "
            f"located, or leave {' and '.join(asked)} out.",
            details={"fields": ["sources.mode", *asked]},
        )
