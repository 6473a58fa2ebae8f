"""A service whose engine follows a script, for tests of everything above the engine."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripted_backend import ScriptedBackend

from local_retab.engine.engine import Engine
from local_retab.service import ExtractionService
from local_retab.service.runner import LocalRunner
from local_retab.settings import Settings

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "number": {"type": "string"},
        "total": {"type": "number"},
        "lines": {"type": "array", "items": {"type": "integer"}},
    },
    "required": ["number", "total", "lines"],
    "additionalProperties": False,
}
VALUE: dict[str, Any] = {"number": "INV-1é", "total": 12.5, "lines": [1, 2, 3]}
ANSWER = json.dumps(VALUE, ensure_ascii=False)
WITHOUT_END = '{"number": "' + "x" * 3000
DOCUMENT = b"Invoice INV-1, total 12.50"


class ScriptedService(ExtractionService):
    """Answers with a script; ``backends`` are those of the engines opened so far."""

    def __init__(
        self,
        folder: Path,
        script: Callable[[str], str] | str = ANSWER,
        *,
        prepare: Callable[[ScriptedBackend], None] = lambda backend: None,
        **settings: Any,
    ) -> None:
        model = folder / "model.gguf"
        model.write_bytes(struct.pack("<4sIQQ", b"GGUF", 3, 1, 1))
        self.backends: list[ScriptedBackend] = []

        def open_engine(_path: Path) -> Engine:
            backend = ScriptedBackend(script if callable(script) else lambda prompt: script)
            prepare(backend)
            self.backends.append(backend)
            return Engine(backend, max_sequences=2, prefill_chunk=64)

        # As many chunks as there are changes.
        models = dict.fromkeys(("model_micro", "model_small", "model_large"), str(model))
        chosen = {"chunks_per_second": 1e9, "home": folder, **models, **settings}
        super().__init__(Settings(**chosen), open_engine=open_engine)

    @property
    def running(self) -> int:
        """Sequences that the engines hold slots for."""
        assert isinstance(self.runner, LocalRunner)
        engines = list(self.runner._engines._engines.values())
        return sum(slot.busy for engine in engines for slot in engine._scheduler._pool._slots)
