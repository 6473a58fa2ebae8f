"""A server over a scripted engine, on a real socket, and the clients that talk to it."""

from __future__ import annotations

import base64
import json
import math
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scripted_backend import ANSWER, END, ScriptedBackend

from local_retab.engine.engine import Engine
from local_retab.server import serving
from local_retab.service import ExtractionService
from local_retab.settings import Settings
from local_retab.weights import InstalledModel

VALUE = {"number": "INV-1é\u2028", "total": 12.5}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"number": {"type": "string"}, "total": {"type": "number"}},
    "required": ["number", "total"],
    "additionalProperties": False,
}
TEXT = "Invoice INV-1, total 12.50"
ENDLESS = "an endless answer is wanted"
"""A document with this text is answered without end, until the run is stopped or its budget is spent."""
ENDLESS_QUOTING = "an endless quotation is wanted"
"""A document with this text is answered, and then quoted without end."""
TORN = "a document that can be read in two ways"
"""The votes on a document with this text differ in the total."""
SILENT = "a document without a number"
"""Answered with a null for the number, which only ``absent=null`` allows."""
CITED = {
    "source___number": [],
    "number": VALUE["number"],
    "source___total": ["Invoice INV-1, total 12.50"],
    "total": 12.5,
}
GGUF_HEAD = struct.pack("<4sIQQ", b"GGUF", 3, 1, 1)


def script(prompt: str) -> str:
    """What the scripted engine answers."""
    if ENDLESS in prompt:
        return '{"number": "' + "x" * 100_000
    if "in a list" in prompt:
        return "[12.5]"
    if SILENT in prompt:
        return json.dumps({**VALUE, "number": None})
    if "source___" in prompt:
        cited = json.dumps(CITED, ensure_ascii=False)
        return cited if ENDLESS_QUOTING not in prompt else cited.partition("INV")[0] + "x" * 100_000
    if "snake_case" in prompt:
        field = {"name": "total", "type": "number", "description": "the total"}
        table = {"name": "lines", "description": "line items", "columns": [field]}
        return json.dumps({"title": "Invoice", "fields": [field], "tables": [table]})
    return json.dumps(VALUE, ensure_ascii=False)


class Voter(ScriptedBackend):
    """Sure of what it answers, so that sampled votes are the script too; but for the total of a torn document."""

    def logits(self, row: int) -> NDArray[np.float32]:
        values = super().logits(row) * 100
        prompt, _, answer = bytes(token for token in self._rows[row] if token < END).rpartition(ANSWER.encode())
        if TORN.encode() in prompt and answer.endswith(b'"total":1'):
            values[ord("3")] = values[ord("2")] + math.log(0.7)
        return values


class Clock:
    """In place of the scheduler's ``time``: a limit is passed when a test says so, however slow the machine."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


def open_engine(_model: InstalledModel) -> Engine:
    """An engine without a model; importable by name, for worker processes."""
    backend = Voter(script, context_tokens=65536, batch_tokens=512, sequences=16)
    return Engine(backend, max_sequences=8, prefill_chunk=512)


def settings_for(home: Path, **changes: Any) -> Settings:
    """Settings with a store of their own and a model file that only looks like one."""
    home.mkdir(parents=True, exist_ok=True)
    model = home / "model.gguf"
    model.write_bytes(GGUF_HEAD)
    values: dict[str, Any] = {
        "home": home,
        "model_small": str(model),
        "chunks_per_second": 1_000_000,
        "max_string_chars": 200_000,
        "max_output_tokens": 60_000,
        "context_tokens": 65536,
        **changes,
    }
    return Settings(**values)


@contextmanager
def serving_on(service: ExtractionService, host: str = "127.0.0.1") -> Iterator[str]:
    """The address of a server over ``service`` for the time of the block."""
    addresses: list[str] = []
    started = threading.Event()
    servers: list[serving.Server] = []

    def ready(address: str) -> None:
        addresses.append(address)
        started.set()

    def run() -> None:
        try:
            serving.serve(service, host, 0, ready=ready, started=servers.append)
        finally:
            started.set()

    thread = threading.Thread(target=run)
    thread.start()
    started.wait()
    try:
        yield addresses[0]
    finally:
        servers[0].should_exit = True
        thread.join()


def data_url(text: str | bytes, media_type: str = "text/plain") -> str:
    data = text.encode() if isinstance(text, str) else text
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def document(text: str | bytes = TEXT, filename: str = "invoice.txt") -> dict[str, str]:
    return {"filename": filename, "url": data_url(text)}


def body(text: str = TEXT, **fields: Any) -> dict[str, Any]:
    """The body of an extraction request."""
    return {"document": document(text), "json_schema": SCHEMA, **fields}


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for another thread or process to get there."""
    waiting = threading.Event()
    for _ in range(int(seconds * 100)):
        if condition():
            return
        waiting.wait(0.01)
    raise AssertionError("it did not come to that")
