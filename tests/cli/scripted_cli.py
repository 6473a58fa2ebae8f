"""The command line over a scripted engine; run as a program, it takes a scenario and then the command's arguments."""

from __future__ import annotations

import json
import signal
import struct
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from local_retab.service import ExtractionRun, ExtractionService

if TYPE_CHECKING:
    from scripted_backend import ScriptedBackend

    from local_retab.settings import Settings

VALUE = {"number": "INV-1é\u2028", "total": 12.5, "lines": [{"code": "A", "amount": 1}, {"code": "B", "amount": 2}]}
ANSWER = json.dumps(VALUE, ensure_ascii=False)
SCHEMA = {
    "type": "object",
    "properties": {
        "number": {"type": "string"},
        "total": {"type": "number"},
        "lines": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"code": {"type": "string"}, "amount": {"type": "integer"}},
                "required": ["code", "amount"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["number", "total", "lines"],
    "additionalProperties": False,
}
GGUF_HEAD = struct.pack("<4sIQQ", b"GGUF", 3, 1, 1)


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Inputs:
    """Arguments of a good ``extract`` call, and what they name."""

    folder: Path
    document: Path
    schema: Path
    model: Path

    @property
    def arguments(self) -> list[str]:
        return ["extract", str(self.document), "--schema", str(self.schema), "--model", str(self.model)]


def scripted_service(
    answer: str = ANSWER, prepare: Callable[[ScriptedBackend], None] = lambda backend: None
) -> Callable[[Settings], ExtractionService]:
    """An ``open_service`` whose engine answers with ``answer``; ``prepare`` may change each backend."""
    from scripted_backend import ScriptedBackend

    from local_retab.engine.engine import Engine

    def open_engine(_path: Path) -> Engine:
        backend = ScriptedBackend(lambda prompt: answer)
        prepare(backend)
        return Engine(backend, max_sequences=1, prefill_chunk=64)

    return lambda settings: ExtractionService(settings, open_engine=open_engine)


def interrupted() -> Callable[[Settings], ExtractionService]:
    """An answer without end: in the middle of it the user presses Ctrl-C, and only stopping the run lets it go on."""
    stopped = threading.Event()
    close = ExtractionRun.close

    def watched(run: ExtractionRun) -> None:
        stopped.set()
        close(run)

    ExtractionRun.close = watched  # type: ignore[method-assign]

    def prepare(backend: ScriptedBackend) -> None:
        def press(_batch: object) -> None:
            if len(backend.batches) == 40:
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                stopped.wait()

        backend.before_decode = press

    return scripted_service('{"number": "' + "x" * 3000, prepare)


def interrupted_loading() -> Callable[[Settings], ExtractionService]:
    """The user presses Ctrl-C while the model is loaded, where no exception may be raised."""

    def prepare(_backend: ScriptedBackend) -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            print("an exception in the loader")  # noqa: T201

    return scripted_service(ANSWER, prepare)


SCENARIOS = {"interrupted_loading": interrupted_loading, "answers": scripted_service, "interrupted": interrupted}

if __name__ == "__main__":
    # Whoever runs the tests in the background may ignore interrupts, which children inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    scenario = sys.argv.pop(1)

    import local_retab.cli
    import local_retab.cli.extract as command

    command.open_service = SCENARIOS[scenario]()
    local_retab.cli.main()
