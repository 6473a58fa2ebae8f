"""The engine in a process of its own: a native crash or a kill for memory takes that process and not this one.

Requests that were in flight then end with WorkerLostError, and a new process loads the model that was used last.
"""

from __future__ import annotations

import itertools
import json
import logging
import multiprocessing
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from local_retab.errors import EngineError, LocalRetabError, WorkerLostError, error_named
from local_retab.service.worker_process import main
from local_retab.wire import Extraction, ExtractionChunk

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    from local_retab.engine.engine import Engine
    from local_retab.service.runner import RunRequest
    from local_retab.settings import Settings
    from local_retab.weights import InstalledModel

logger = logging.getLogger(__name__)

START_SECONDS = 60.0
QUICK_DEATH_SECONDS = 5.0
MAX_PAUSE_SECONDS = 5.0
DESCRIBED = frozenset({"id", "filename", "mime_type", "kind"})
"""Of a document; its bytes go beside it, and the pages wanted of it are a parameter."""


@dataclass(frozen=True, slots=True)
class Message:
    """What the worker says of one run: its kind, and JSON."""

    kind: str
    value: bytes


@dataclass(slots=True)
class _Worker:
    """One worker process; ``inboxes`` of the runs that it has."""

    process: BaseProcess
    connection: Connection
    started: float = field(default_factory=time.monotonic)
    inboxes: dict[int, queue.SimpleQueue[Message]] = field(default_factory=dict)
    sending: threading.Lock = field(default_factory=threading.Lock)

    def send(self, message: dict[str, Any], data: bytes | None = None) -> None:
        """Raises WorkerLostError."""
        try:
            with self.sending:
                self.connection.send_bytes(json.dumps(message).encode())
                if data is not None:
                    self.connection.send_bytes(data)
        except OSError as error:
            raise lost() from error


class WorkerRunner:
    """A Runner over a child process, which is started at once and replaced whenever it ends.

    ``open_engine`` must be importable by name, as the child is a fresh interpreter.
    """

    def __init__(self, settings: Settings, open_engine: Callable[[InstalledModel], Engine] | None = None) -> None:
        self._settings = settings
        self._open_engine = open_engine
        self._numbers = itertools.count(1)
        self._changed = threading.Condition()
        self._worker: _Worker | None = None
        self._reader: threading.Thread | None = None
        self._closed = False
        self._quick_deaths = 0
        self._last_model: str | None = None
        self._spawn()

    @property
    def process_id(self) -> int | None:
        """The worker's process id; None between two of them."""
        with self._changed:
            return None if self._worker is None else self._worker.process.pid

    def start(self, request: RunRequest) -> WorkerRun:
        document = request.document
        self._last_model = request.parameters.model
        message = {
            "do": "start",
            "id": request.id,
            "created_at": request.created_at.isoformat(),
            "document": {name: getattr(document, name) for name in DESCRIBED},
            "parameters": request.parameters.model_dump(mode="json"),
            "background": request.background,
        }
        run = self._submit(message, document.data)
        run.wait_for("accepted")
        return run

    def preload(self, model: str) -> None:
        self._last_model = model
        self._submit({"do": "preload", "model": model}, None).wait_for("done")

    def forget(self, document_id: str) -> None:
        """A worker that is lost has forgotten everything."""
        with self._changed:
            worker = self._worker
        if worker is not None:
            with suppress(WorkerLostError):
                worker.send({"do": "forget", "number": 0, "document": document_id})

    def _submit(self, message: dict[str, Any], data: bytes | None) -> WorkerRun:
        number = next(self._numbers)
        inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        with self._changed:
            if not self._changed.wait_for(lambda: self._worker is not None or self._closed, START_SECONDS):
                raise lost()
            if self._worker is None or self._closed:
                raise EngineError("The service is closed. Make a new one.")
            worker = self._worker
            worker.inboxes[number] = inbox
        worker.send({**message, "number": number}, data)
        return WorkerRun(worker, number, inbox)

    def _spawn(self) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=main, args=(theirs, self._settings, self._open_engine), name="local-retab-worker", daemon=True
        )
        process.start()
        # Its end of the pipe must be open there alone, or its death would not be seen here.
        theirs.close()
        worker = _Worker(process, ours)
        reader = threading.Thread(target=self._listen, args=(worker,), name="local-retab-worker-reader", daemon=True)
        with self._changed:
            closed = self._closed
            if not closed:
                self._worker, self._reader = worker, reader
                self._changed.notify_all()
                reader.start()
        if closed:
            ours.close()
            process.join()

    def _listen(self, worker: _Worker) -> None:
        while True:
            try:
                kind, number, value = worker.connection.recv_bytes().split(b" ", 2)
            except (EOFError, OSError):
                break
            inbox = worker.inboxes.get(int(number))
            if inbox is not None:
                inbox.put(Message(kind.decode(), value))
        self._mourn(worker)

    def _mourn(self, worker: _Worker) -> None:
        """Tell everyone who waits for the worker, and start another one."""
        worker.process.join()
        with self._changed:
            if self._worker is worker:
                self._worker = None
            closed = self._closed
            inboxes = list(worker.inboxes.values())
            worker.inboxes.clear()
        for inbox in inboxes:
            inbox.put(Message("lost", b""))
        worker.connection.close()
        if closed:
            return
        quick = time.monotonic() - worker.started < QUICK_DEATH_SECONDS
        self._quick_deaths = self._quick_deaths + 1 if quick else 0
        logger.error("the worker process ended with exit code %s; starting another", worker.process.exitcode)
        if self._quick_deaths:
            with self._changed:
                pause = min(0.1 * 2**self._quick_deaths, MAX_PAUSE_SECONDS)
                if self._changed.wait_for(lambda: self._closed, pause):
                    return
        self._spawn()
        if self._last_model is not None:
            self._reload(self._last_model)

    def _reload(self, model: str) -> None:
        """Have the model loaded before the next request asks for it; if that fails, the request will say why."""
        try:
            self._submit({"do": "preload", "model": model}, None)
        except LocalRetabError as error:
            logger.error("the worker cannot load %s: %s", model, error.message)

    def close(self) -> None:
        """End the worker; running extractions end with an error. Safe to call again."""
        with self._changed:
            self._closed = True
            worker, reader = self._worker, self._reader
            self._changed.notify_all()
        if worker is not None:
            worker.process.terminate()
        # The reader alone waits for the process: of two that wait, one may return before the process is gone.
        if reader is not None:
            reader.join()


class WorkerRun:
    """A run in the worker process; one reader at a time."""

    def __init__(self, worker: _Worker, number: int, inbox: queue.SimpleQueue[Message]) -> None:
        self._worker = worker
        self._number = number
        self._inbox = inbox
        self._ended = False

    def __iter__(self) -> Iterator[ExtractionChunk]:
        return self

    def __next__(self) -> ExtractionChunk:
        if self._ended:
            raise StopIteration
        message = self._next()
        if message.kind == "chunk":
            return ExtractionChunk.model_validate_json(message.value)
        assert message.kind == "final"
        self._end()
        return Extraction.model_validate_json(message.value)

    def wait_for(self, kind: str) -> None:
        """Wait for a message of this kind. Raises the error that came instead."""
        message = self._next()
        assert message.kind == kind
        if kind == "done":
            self._end()

    def _next(self) -> Message:
        message = self._inbox.get()
        if message.kind == "lost":
            self._end()
            raise lost()
        if message.kind == "error":
            self._end()
            raise rebuilt(json.loads(message.value))
        return message

    def _end(self) -> None:
        self._ended = True
        self._worker.inboxes.pop(self._number, None)

    def cancel(self) -> None:
        if self._ended:
            return
        try:
            self._worker.send({"do": "cancel", "number": self._number})
        except WorkerLostError:
            # What is lost runs no more; the reader hears of it from the listening thread.
            return

    def close(self) -> None:
        if self._ended:
            return
        self.cancel()
        while not self._ended:
            try:
                next(self)
            except LocalRetabError:
                return


def rebuilt(values: dict[str, Any]) -> LocalRetabError:
    """The error that the worker raised."""
    return error_named(values["type"])(values["message"], details=values["details"])


def lost() -> WorkerLostError:
    return WorkerLostError(
        "The engine's process ended during the request: it crashed, or the system killed it for memory. A new one is "
        "starting. Send the request again; if it repeats, use a smaller model or a lower LOCAL_RETAB_CONTEXT_TOKENS.",
    )
