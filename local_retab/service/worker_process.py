"""The child side of the worker: runs extractions and says what comes of them over a pipe.

A message to here is JSON, and after one that starts a run the bytes of the document. A message from here is a kind, the
number of the run, and JSON, with a space between. Nothing that comes from here is unpickled: this side reads what
strangers sent.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import datetime
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_retab.documents import Document
from local_retab.errors import EngineError, LocalRetabError
from local_retab.service.runner import LocalRunner, RunRequest
from local_retab.wire import Extraction, ExtractionParameters

if TYPE_CHECKING:
    from local_retab.engine.engine import Engine
    from local_retab.service.runner import Run
    from local_retab.settings import Settings
    from local_retab.weights import InstalledModel

OUT_OF_MEMORY_SCORE = "500"


def main(connection: Connection, settings: Settings, open_engine: Callable[[InstalledModel], Engine] | None) -> None:
    """Serve ``connection`` until its other end is closed, by intent or by death."""
    # Ctrl-C is for the server, which then closes the connection.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # When memory runs out, this process should go and not the server.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OUT_OF_MEMORY_SCORE)
    _Worker(connection, LocalRunner(settings, open_engine)).serve()
    # Without waiting for native code that may still decode: the system frees all of it.
    os._exit(0)


class _Worker:
    def __init__(self, connection: Connection, runner: LocalRunner) -> None:
        self._connection = connection
        self._runner = runner
        # None before the run has begun; a cancel that comes so early is kept, one that comes after the end is not.
        self._runs: dict[int, Run | None] = {}
        self._cancelled: set[int] = set()
        self._lock = threading.Lock()
        self._sending = threading.Lock()

    def serve(self) -> None:
        while True:
            try:
                message = json.loads(self._connection.recv_bytes())
                document = self._connection.recv_bytes() if message["do"] == "start" else b""
            except (EOFError, OSError):
                return
            number = message["number"]
            match message["do"]:
                case "start":
                    with self._lock:
                        self._runs[number] = None
                    self._in_thread(number, partial(self._run, message, document))
                case "preload":
                    self._in_thread(number, partial(self._preload, message))
                case "cancel":
                    self._cancel(number)
                case "forget":
                    self._runner.forget(message["document"])

    def _in_thread(self, number: int, work: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                work()
            except LocalRetabError as error:
                self._fail(number, error)
            except Exception as error:  # noqa: BLE001 - whoever waits must hear of it
                self._fail(number, EngineError(f"{error!r} in the worker. Please report it."))
            finally:
                with self._lock:
                    self._runs.pop(number, None)
                    self._cancelled.discard(number)

        threading.Thread(target=guarded, daemon=True).start()

    def _preload(self, message: dict[str, Any]) -> None:
        self._runner.preload(message["model"])
        self._send("done", message["number"], b"{}")

    def _run(self, message: dict[str, Any], data: bytes) -> None:
        number: int = message["number"]
        request = RunRequest(
            message["id"],
            datetime.fromisoformat(message["created_at"]),
            Document(**message["document"], data=data),
            ExtractionParameters.model_validate(message["parameters"]),
            message["background"],
        )
        with closing(self._runner.start(request)) as run:
            with self._lock:
                self._runs[number] = run
                stopped = number in self._cancelled
            self._send("accepted", number, b"{}")
            if stopped:
                run.cancel()
            for chunk in run:
                kind = "final" if isinstance(chunk, Extraction) else "chunk"
                self._send(kind, number, chunk.model_dump_json().encode())

    def _cancel(self, number: int) -> None:
        with self._lock:
            run = self._runs.get(number)
            if run is None and number in self._runs:
                self._cancelled.add(number)
        if run is not None:
            run.cancel()

    def _fail(self, number: int, error: LocalRetabError) -> None:
        values = {"type": type(error).__name__, "message": error.message, "details": error.details}
        self._send("error", number, json.dumps(values, default=str).encode())

    def _send(self, kind: str, number: int, value: bytes) -> None:
        # A closed connection ends the process in ``serve``.
        with self._sending, suppress(OSError):
            self._connection.send_bytes(f"{kind} {number} ".encode() + value)
