"""The use cases behind every surface. This version has two: create and stream."""

from __future__ import annotations

import secrets
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from local_retab.engine.pool import EnginePool
from local_retab.errors import FeatureNotAvailableError
from local_retab.extraction.pipeline import Stop, Task, extract
from local_retab.extraction.prompt import STYLE, PromptStyle
from local_retab.schema import load_schema, plan_schema
from local_retab.weights import Catalogue, Store
from local_retab.wire import ExtractionChunk, ExtractionParameters, now

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_retab.documents import Document
    from local_retab.engine.engine import Engine
    from local_retab.settings import Settings
    from local_retab.weights import InstalledModel

UNAVAILABLE = ("background", "chunking_keys", "deep_extraction")


class ExtractionService:
    """Owns the models in memory; every surface of one process shares one service.

    ``open_engine`` loads a model file into an engine; tests put a scripted one there. ``style`` is for experiments
    with the prompt.
    """

    def __init__(
        self, settings: Settings, open_engine: Callable[[Path], Engine] | None = None, style: PromptStyle = STYLE
    ) -> None:
        self.settings = settings
        self._style = style
        self.store = Store(settings.home / "models", Catalogue.load())
        self._engines = EnginePool(open_engine or self._open_llama)

    def _open_llama(self, path: Path) -> Engine:
        from local_retab.engine.engine import Engine
        from local_retab.engine.hardware import physical_cores
        from local_retab.engine.llama import LlamaBackend, supports_gpu

        settings = self.settings
        gpu_layers = settings.gpu_layers
        if gpu_layers is None:
            gpu_layers = -1 if supports_gpu() else 0
        # On a CPU 128 tokens at once are as fast as 512, and nobody waits four times as long for a step to end.
        chunk = settings.prefill_chunk_tokens or (512 if gpu_layers else 128)
        backend = LlamaBackend(
            path,
            context_tokens=settings.context_tokens,
            batch_tokens=chunk,
            # As many again as can run, so that prefixes of ended sequences stay for reuse.
            sequences=2 * settings.max_sequences,
            threads=settings.threads or physical_cores(),
            gpu_layers=gpu_layers,
        )
        return Engine(backend, max_sequences=settings.max_sequences, prefill_chunk=chunk)

    def preload(self, model: str) -> None:
        """Load a model now rather than with its first request. Raises ModelError."""
        with self._engines.lease(self.store.resolve(model, self.settings).path):
            return

    def stream(self, document: Document, parameters: ExtractionParameters) -> ExtractionRun:
        """Check the request and return its run, which begins with its first chunk.

        Raises RequestError, SchemaError or ModelError here; errors of the document and of the run come with the
        chunks.
        """
        refuse_unavailable(parameters)
        schema = load_schema(parameters.json_schema, settings=self.settings)
        absent = parameters.absent or self.settings.absent
        plan = plan_schema(schema, settings=self.settings, absent_null=absent == "null")
        model = self.store.resolve(parameters.model, self.settings)
        task = Task(new_id("extr"), now(), document, parameters, plan, self.settings, Stop(), self._style)
        return ExtractionRun(self._chunks(task, model), task.stop)

    def _chunks(self, task: Task, model: InstalledModel) -> Generator[ExtractionChunk, None, None]:
        with self._engines.lease(model.path) as engine:
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
