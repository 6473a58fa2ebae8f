"""This process's side: starts the fork server when it is first needed, and reads documents through its workers."""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

from local_retab.documents.document import Document, Page
from local_retab.documents.isolation import frames
from local_retab.documents.isolation.messages import decode_error, decode_page, encode_job
from local_retab.documents.isolation.server import OFFICE, OTHER
from local_retab.errors import DocumentLimitError, DocumentParserError
from local_retab.settings import Settings

if TYPE_CHECKING:
    from typing import Self

    from PIL.Image import Image

_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_PATIENCE = 10.0
"""Seconds beyond twice the time limit, after which a worker that answers nothing is given up."""
_BYTES_PER_CHARACTER = 120
"""Most bytes of a character of text in a message: its escape, and a word box and an anchor of its own."""


class _Server:
    """The fork server of this process; a fork of this process starts its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner = 0
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it if it does not run; does not wait until it is ready. Raises DocumentParserError."""
        with self._lock:
            self._start()

    def connect(self, *, office: bool) -> socket.socket:
        """A socket to a new worker. Raises DocumentParserError."""
        with self._lock:
            for _ in range(2):
                control = self._start()
                ours, theirs = socket.socketpair()
                with theirs:
                    try:
                        socket.send_fds(control, [OFFICE if office else OTHER], [theirs.fileno()])
                    except OSError:
                        # It was killed: the next one is started.
                        ours.close()
                        self._stop()
                    else:
                        return ours
        raise _not_started("it ended at once")

    def _start(self) -> socket.socket:
        if self._control is not None and self._owner == os.getpid():
            return self._control
        if self._owner != os.getpid():
            self._control = self._process = None
        ours, theirs = socket.socketpair()
        program = (
            f"import sys; sys.path[:] = {sys.path!r}\n"
            f"from local_retab.documents.isolation.server import main; main({theirs.fileno()})"
        )
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-c", program],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
                    pass_fds=[theirs.fileno()],
                    # Ctrl-C in a terminal is for this process, which then closes its sockets.
                    start_new_session=True,
                )
        except OSError as error:
            ours.close()
            raise _not_started(error.strerror or str(error)) from error
        self._control, self._owner = ours, os.getpid()
        return ours

    def _stop(self) -> None:
        if self._control is not None and self._owner == os.getpid():
            self._control.close()
            if self._process is not None:
                self._process.kill()
                self._process.wait()
        self._control = self._process = None

    def stop(self) -> None:
        """End it. Workers end when their sockets close."""
        with self._lock:
            self._stop()


def _not_started(reason: str) -> DocumentParserError:
    return DocumentParserError(
        f"The process that parses documents cannot be started: {reason}. Check that {sys.executable!r} runs, or set"
        " LOCAL_RETAB_DOCUMENT_ISOLATION=none to parse in this process."
    )


_server = _Server()
atexit.register(_server.stop)
start = _server.start
stop = _server.stop


class Worker:
    """The worker that reads one document; closing it ends the process. ``peak_bytes`` is the most memory it had."""

    def __init__(self, document: Document, dpi: int, settings: Settings) -> None:
        self._document, self._settings = document, settings
        self._limit = _BYTES_PER_CHARACTER * settings.max_text_chars + 3 * settings.max_page_pixels
        self._lock = threading.Lock()
        self.peak_bytes = 0
        self._connection = _server.connect(office=document.kind == "office")
        self._connection.settimeout(2 * settings.max_document_seconds + _PATIENCE)
        try:
            frames.send(self._connection, encode_job(document, dpi, settings), document.data)
        except (frames.ClosedError, TimeoutError) as error:
            self.close()
            raise self._died(0.0) from error

    @property
    def open(self) -> bool:
        return self._connection.fileno() >= 0

    def ask(self, op: str, **arguments: Any) -> tuple[dict[str, Any], bytearray]:
        """The answer to one request. Raises the error that the document or the worker's end gives."""
        began = time.monotonic()
        with self._lock:
            try:
                frames.send(self._connection, {"op": op, **arguments})
                header, payload = frames.receive(self._connection, most=self._limit)
                self.peak_bytes = int(header.get("peak_bytes", 0))
                if "error" in header:
                    raise decode_error(header)
            except (frames.ClosedError, TimeoutError) as error:
                self.close()
                raise self._died(time.monotonic() - began) from error
            except (ValueError, TypeError, KeyError) as error:
                self.close()
                raise self.broken() from error
        return header, payload

    def _died(self, seconds: float) -> DocumentLimitError | DocumentParserError:
        name, limits = self._document.filename, self._settings
        if seconds >= limits.max_document_seconds:
            return DocumentLimitError(
                f"{name!r} takes more than {limits.max_document_seconds:g} seconds to read. Send fewer or simpler"
                " pages, or raise LOCAL_RETAB_MAX_DOCUMENT_SECONDS."
            )
        return DocumentParserError(
            f"{name!r} cannot be read: its parser crashed or needed more than {limits.max_parser_bytes:,} bytes of"
            " memory. Export it anew, for example by printing it to PDF, or raise LOCAL_RETAB_MAX_PARSER_BYTES."
        )

    def broken(self) -> DocumentParserError:
        """The error for an answer that is not one."""
        return DocumentParserError(
            f"{self._document.filename!r} cannot be read: its parser gave an answer that is not one. Export the file"
            " anew, for example by printing it to PDF."
        )

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def pages(document: Document, *, dpi: int, settings: Settings) -> Generator[Page, None, None]:
    """As ``readers.pages``, through a worker that lives as long as the iteration."""
    with closing(Worker(document, dpi, settings)) as worker:
        while True:
            header, _ = worker.ask("next")
            try:
                found = header["page"]
                if found is None:
                    return
                page = decode_page(found, partial(_draw, worker, document, found["number"], dpi, settings))
            except (ValueError, TypeError, KeyError) as error:
                raise worker.broken() from error
            yield page


def page_count(document: Document, settings: Settings) -> int:
    """As ``readers.page_count``, through a worker."""
    with Worker(document, 0, settings) as worker:
        count = worker.ask("count")[0].get("count")
        if type(count) is not int:
            raise worker.broken()
        return count


def _draw(worker: Worker, document: Document, number: int, dpi: int, settings: Settings) -> Image:
    """The pixels of a page, from the worker that read it while it lives, else from a new one."""
    if not worker.open:
        with Worker(document, dpi, settings) as fresh:
            return _drawn(fresh, number, settings)
    return _drawn(worker, number, settings)


def _drawn(worker: Worker, number: int, settings: Settings) -> Image:
    from PIL import Image

    header, pixels = worker.ask("draw", number=number)
    try:
        width, height = map(int, header["size"])
        if width * height > settings.max_page_pixels or len(pixels) != 3 * width * height:
            raise worker.broken()
        return Image.frombytes("RGB", (width, height), pixels)
    except (ValueError, TypeError, KeyError) as error:
        raise worker.broken() from error
