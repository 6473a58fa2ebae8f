"""One document in one process: the limits it runs under, and the answers it gives until it is done."""

from __future__ import annotations

import resource
import signal
import socket
import sys
from collections.abc import Iterator
from typing import Any

from local_retab.documents import readers
from local_retab.documents.document import Document, Page
from local_retab.documents.isolation import frames
from local_retab.documents.isolation.messages import decode_job, encode_error, encode_page
from local_retab.errors import DocumentLimitError, DocumentParserError, LocalRetabError
from local_retab.settings import Settings

MAX_JOB_BYTES = 1 << 31
_GRACE = 2.0
"""Seconds after which the kernel ends a worker that did not end itself at the time limit."""
_OPEN_FILES = 64
# Audit events (PEP 578) of what no reader has a reason to do.
_FORBIDDEN = (
    "socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto",
    "subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system",
    "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.kill", "shutil.rmtree", "webbrowser.open",
)  # fmt: skip


def serve(connection: socket.socket) -> None:
    """Answer requests about the document that comes first, until the other end closes."""
    message, data = frames.receive(connection, most=MAX_JOB_BYTES)
    document, dpi, settings = decode_job(message, bytes(data))
    del data
    _confine(settings)
    session = _Session(document, dpi, settings)
    left = settings.max_document_seconds + _GRACE
    while True:
        try:
            request, _ = frames.receive(connection, most=MAX_JOB_BYTES)
        except frames.ClosedError:
            return
        # SIGALRM ends the process, inside of native code too; only the time spent on requests counts.
        signal.setitimer(signal.ITIMER_REAL, left)
        header, payload = session.answer(request)
        left = max(signal.setitimer(signal.ITIMER_REAL, 0.0)[0], 0.01)
        frames.send(connection, {**header, "peak_bytes": _peak_bytes()}, payload)


def _confine(settings: Settings) -> None:
    """Limits that the kernel keeps, and a refusal of what nobody should do. macOS keeps no limit on memory."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Nothing is written: sockets are no files.
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (settings.max_parser_bytes, settings.max_parser_bytes))
    sys.addaudithook(_refuse)


def _peak_bytes() -> int:
    """The most resident memory so far; ru_maxrss is in KiB on Linux and in bytes on macOS."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1024 if sys.platform == "linux" else 1)


def _refuse(event: str, _arguments: tuple[Any, ...]) -> None:
    if event in _FORBIDDEN:
        raise PermissionError(f"{event} is forbidden in a parser")


class _Session:
    """What is read of one document so far."""

    def __init__(self, document: Document, dpi: int, settings: Settings) -> None:
        self._document, self._dpi, self._settings = document, dpi, settings
        self._pages: Iterator[Page] | None = None
        self._read: dict[int, Page] = {}

    def answer(self, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """The answer to one request, which may be an error."""
        try:
            match request["op"]:
                case "count":
                    return {"count": readers.page_count(self._document, self._settings)}, b""
                case "next":
                    return self._next(), b""
                case "draw":
                    return self._draw(request["number"])
                case unknown:
                    raise DocumentParserError(f"unknown request {unknown!r}")
        except LocalRetabError as error:
            return encode_error(error), b""
        except MemoryError:
            return encode_error(self._out_of_memory()), b""
        # A fault of a reader: it is reported, and this process has nothing else to lose.
        except Exception as error:  # noqa: BLE001
            return encode_error(
                DocumentParserError(
                    f"{self._document.filename!r} cannot be read: its parser failed ({type(error).__name__}). Open it"
                    " in its program and save it again, or export it to PDF."
                )
            ), b""

    def _out_of_memory(self) -> DocumentLimitError:
        return DocumentLimitError(
            f"{self._document.filename!r} needs more than {self._settings.max_parser_bytes:,} bytes of memory to read."
            " Make it smaller or split it, or raise LOCAL_RETAB_MAX_PARSER_BYTES."
        )

    def _next(self) -> dict[str, Any]:
        if self._pages is None:
            self._pages = readers.pages(self._document, dpi=self._dpi, settings=self._settings)
        page = next(self._pages, None)
        if page is None:
            return {"page": None}
        self._read[page.number] = page
        return {"page": encode_page(page)}

    def _draw(self, number: int) -> tuple[dict[str, Any], bytes]:
        if page := self._read.get(number):
            image = page.render()
        else:
            image = readers.draw(self._document, number, dpi=self._dpi, settings=self._settings)
        return {"size": image.size}, image.tobytes()
