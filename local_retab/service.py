"""The use cases behind every surface. This version has two: create and stream."""

from __future__ import annotations

import secrets
import time
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

from local_retab.engine.opening import open_llama
from local_retab.engine.pool import EnginePool
from local_retab.errors import FeatureNotAvailableError
from local_retab.extraction.pipeline import Stop, Task, extract
from local_retab.extraction.profiles import DEFAULT
from local_retab.extraction.seeing import ImageBudget, image_cost, size_cost
from local_retab.schema import load_schema, plan_schema
from local_retab.weights import Catalogue, InstalledModel, Store
from local_retab.wire import DEFAULT_DPI, ExtractionChunk, ExtractionParameters, now

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_retab.documents import Document
    from local_retab.engine.engine import Engine
    from local_retab.engine.pace import ImageCost
    from local_retab.settings import Settings

A4 = (595.0, 842.0)
"""Points."""
UNAVAILABLE = ("background", "chunking_keys", "deep_extraction")


class ExtractionService:
    """Owns the models in memory; every surface of one process shares one service.

    ``open_engine`` loads a model into an engine; tests put a scripted one there.
    """

    def __init__(self, settings: Settings, open_engine: Callable[[InstalledModel], Engine] | None = None) -> None:
        self.settings = settings
        self.store = Store(settings.home / "models", Catalogue.load())
        self._engines = EnginePool[InstalledModel](open_engine or (lambda model: open_llama(model, settings)))

    def preload(self, model: str) -> None:
        """Load a model now rather than with its first request. Raises ModelError."""
        with self._engines.lease(self.store.resolve(model, self.settings)):
            return

    def image_cost(self, document: Document, parameters: ExtractionParameters) -> ImageCost | None:
        """What the document's page images will cost here, before they are spent; None where none are shown.

        Loads the model. Raises RequestError, DocumentError or ModelError.
        """
        with self._engines.lease(self.store.resolve(parameters.model, self.settings)) as engine:
            return image_cost(document, parameters, self.settings, engine)

    def page_cost(self, model: str) -> ImageCost | None:
        """What the image of one A4 page costs here; None for a model that reads text only. Loads the model."""
        with self._engines.lease(self.store.resolve(model, self.settings)) as engine:
            if not engine.info.vision:
                return None
            budget = ImageBudget(self.settings.image_min_tokens, self.settings.image_max_tokens)
            return size_cost([A4], DEFAULT_DPI, budget, engine)

    def stream(self, document: Document, parameters: ExtractionParameters) -> ExtractionRun:
        """Check the request and return its run, which begins with its first chunk.

        Raises RequestError, SchemaError or ModelError here; errors of the document and of the run come with the
        chunks.
        """
        refuse_unavailable(parameters)
        schema = load_schema(parameters.json_schema, settings=self.settings)
        plan = plan_schema(schema, settings=self.settings)
        model = self.store.resolve(parameters.model, self.settings)
        profile = model.entry.prompt_profile if model.entry else DEFAULT
        task = Task(new_id("extr"), now(), document, parameters, plan, self.settings, Stop(), profile)
        return ExtractionRun(self._chunks(task, model), task.stop)

    def _chunks(self, task: Task, model: InstalledModel) -> Generator[ExtractionChunk, None, None]:
        with self._engines.lease(model) as engine:
            yield from extract(task, engine)

    def close(self) -> None:
        """Free the models; running extractions end with an error."""
        self._engines.close()


class ExtractionRun:
    """The chunks of one extraction, the last of them the Extraction; one reader at a time."""

    def __init__(self, chunks: Generator[ExtractionChunk, None, None], stop: Stop) -> None:
        self._chunks = chunks
        self._stop = stop

    def __iter__(self) -> Iterator[ExtractionChunk]:
        return self

    def __next__(self) -> ExtractionChunk:
        return next(self._chunks)

    def cancel(self) -> None:
        """Stop the work within one decode step, from any thread; a reader gets GenerationCancelledError."""
        self._stop.set()

    def close(self) -> None:
        """Stop the work and free what it holds, from the reader's thread. Safe to call again."""
        self._stop.set()
        self._chunks.close()


def refuse_unavailable(parameters: ExtractionParameters) -> None:
    """Raise FeatureNotAvailableError for a request field whose feature this version does not have."""
    asked = [name for name in UNAVAILABLE if getattr(parameters, name)]
    if parameters.n_consensus > 1:
        asked.append("n_consensus")
    if parameters.sources is not None and parameters.sources.mode == "cited":
        asked.append("sources.mode=cited")
    if asked:
        raise FeatureNotAvailableError(
            f"{', '.join(asked)}: not available yet in this version. Leave it out of the request.",
            details={"fields": asked},
        )


def new_id(prefix: str) -> str:
    """A fresh id in the hosted form: the kind, an underscore, and 26 characters that sort by time."""
    return f"{prefix}_{base32(time.time_ns() // 1_000_000, 10)}{base32(secrets.randbits(80), 16)}"


def base32(number: int, length: int) -> str:
    """``number`` in Crockford's base 32, ``length`` digits, as ULIDs are written."""
    digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    return "".join(digits[(number >> 5 * place) & 31] for place in reversed(range(length)))
