"""Which models are in memory: loaded when first asked for, shared by all callers, dropped for another model."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from local_retab.engine.engine import Engine
from local_retab.errors import EngineError

Model = TypeVar("Model", bound=Hashable)


class EnginePool(Generic[Model]):
    """Engines by model. An engine that nobody uses is closed when another model is loaded.

    ``open_engine`` loads a model; it may raise ModelError.
    """

    def __init__(self, open_engine: Callable[[Model], Engine]) -> None:
        self._open = open_engine
        self._engines: dict[Model, Engine] = {}
        self._users: dict[Model, int] = {}
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def lease(self, model: Model) -> Iterator[Engine]:
        """The engine for ``model``, kept in memory until the lease ends."""
        with self._lock:
            if self._closed:
                raise EngineError("The client is closed. Make a new one.")
            if model not in self._engines:
                for idle in [other for other in self._engines if not self._users[other]]:
                    self._engines.pop(idle).close()
                self._engines[model] = self._open(model)
                self._users[model] = 0
            self._users[model] += 1
            engine = self._engines[model]
        try:
            yield engine
        finally:
            with self._lock:
                self._users[model] -= 1

    def close(self) -> None:
        """Close every engine; generations that still run end with an EngineError."""
        with self._lock:
            self._closed = True
            engines, self._engines = list(self._engines.values()), {}
        for engine in engines:
            engine.close()
