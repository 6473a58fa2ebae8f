"""Documents read in processes of their own: the same pages, and nothing that a file does reaches this process."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from in_process import in_process
from office_files import docx_file, docx_table
from PIL import Image

from local_retab.documents import Document, Page, load, page_count, pages
from local_retab.documents.isolation import client, frames, worker
from local_retab.documents.isolation.messages import decode_error, decode_job, decode_page, encode_job, encode_page
from local_retab.documents.selection import PageSelection
from local_retab.errors import (
    CorruptDocumentError,
    DocumentLimitError,
    DocumentParserError,
    EncryptedDocumentError,
    LocalRetabError,
)
from local_retab.settings import Settings

MakePdf = Callable[..., bytes]
HELLO = "BT /F 12 Tf 20 100 Td (Hello there) Tj ET"
APART = Settings()


def png() -> bytes:
    out = io.BytesIO()
    Image.linear_gradient("L").save(out, "PNG")
    return out.getvalue()


def gif() -> bytes:
    out = io.BytesIO()
    frames = [Image.new("RGB", (4, 3), colour) for colour in ("red", "green", "blue")]
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    return out.getvalue()


@pytest.fixture
def samples(make_pdf: MakePdf) -> dict[str, bytes]:
    table = docx_table(["Item", "Price"], ["Pen", "1.20"])
    return {
        "a.pdf": make_pdf([HELLO, "", HELLO]),
        "a.png": png(),
        "a.gif": gif(),
        "a.docx": docx_file("Invoice", table),
        "a.csv": b"a,b\n1,2\n",
    }


@pytest.mark.parametrize("name", ["a.pdf", "a.png", "a.gif", "a.docx", "a.csv"])
def test_pages_are_the_same_in_both_places(name: str, samples: dict[str, bytes]) -> None:
    document = load(samples[name], filename=name, settings=APART)
    here, there = (list(pages(document, dpi=72, settings=settings)) for settings in (in_process(), APART))
    assert there == here
    assert [page.anchors for page in there] == [page.anchors for page in here]
    assert page_count(document, APART) == page_count(document, in_process()) == len(here)
    if document.kind in ("pdf", "image"):
        # The workers that read the pages are gone by now.
        assert [page.render().tobytes() for page in there] == [page.render().tobytes() for page in here]


def test_a_page_is_drawn_while_the_others_are_still_to_come(samples: dict[str, bytes]) -> None:
    document = load(samples["a.gif"], settings=APART)
    colours = [page.render().getpixel((0, 0)) for page in pages(document, dpi=72, settings=APART)]
    assert colours == [(255, 0, 0), (0, 128, 0), (0, 0, 255)]


def test_errors_come_back_as_they_are(make_pdf: MakePdf) -> None:
    with pytest.raises(CorruptDocumentError, match=r"'a\.pdf' cannot be opened as a PDF"):
        page_count(load(b"%PDF-1.7 nothing", filename="a.pdf", settings=APART), APART)
    limits = Settings(max_pages=2)
    with pytest.raises(DocumentLimitError, match="has 3 pages, over the limit of 2"):
        next(pages(load(make_pdf([""] * 3), settings=limits), dpi=72, settings=limits))


def test_reading_at_once_from_many_threads(make_pdf: MakePdf) -> None:
    document = load(make_pdf([HELLO] * 3), settings=APART)
    texts: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda: texts.append([p.text for p in pages(document, dpi=72, settings=APART)]))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == [["Hello there"] * 3] * 8


def test_a_server_that_was_killed_is_started_again(make_pdf: MakePdf) -> None:
    document = load(make_pdf([HELLO]), settings=APART)
    assert page_count(document, APART) == 1
    process = client._server._process
    assert process is not None
    process.kill()
    process.wait()
    assert page_count(document, APART) == 1


def test_no_process_is_left_behind(tmp_path: Path, make_pdf: MakePdf) -> None:
    (tmp_path / "a.pdf").write_bytes(make_pdf([HELLO] * 2))
    program = f"""
from local_retab.documents import load, pages
from local_retab.documents.isolation import client
from local_retab.settings import Settings
found = pages(load({str(tmp_path / "a.pdf")!r}, settings=Settings()), dpi=72, settings=Settings())
next(found)
print(client._server._process.pid)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)


# What a worker may do, asked of a forked process under the limits of a worker


def in_worker(action: Callable[[], object], settings: Settings = APART) -> tuple[int, str]:
    """How a forked process ends that is confined and then does ``action``: its status, and what it said."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            worker._confine(settings)
            os.write(writing, repr(action()).encode())
        except BaseException as error:  # noqa: BLE001
            os.write(writing, type(error).__name__.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as said:
        text = said.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text


@pytest.mark.parametrize(
    "action",
    [
        lambda: socket.create_connection(("127.0.0.1", 9)),
        lambda: socket.getaddrinfo("localhost", 80),
        lambda: subprocess.run(["true"], check=True),
        lambda: os.system("true"),
        lambda: os.execv("/bin/true", ["true"]),
        os.fork,
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_worker_opens_no_connection_and_runs_no_program(action: Callable[[], object]) -> None:
    assert in_worker(action) == (0, "PermissionError")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_worker_writes_no_file(tmp_path: Path) -> None:
    signal_or_error, said = in_worker(lambda: (tmp_path / "x").write_bytes(b"words"))
    assert signal_or_error == -signal.SIGXFSZ or said == "OSError"
    assert not (tmp_path / "x").exists() or (tmp_path / "x").stat().st_size == 0


@pytest.mark.skipif(sys.platform != "linux", reason="macOS keeps no limit on memory")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_worker_has_no_more_memory_than_its_limit() -> None:
    assert in_worker(lambda: bytes(1 << 31)) == (0, "MemoryError")


# Workers that do not do as they should


class Impostor:
    """A server whose workers answer each request with what ``answer`` gives, or end where it gives None."""

    def __init__(self, answer: Callable[[dict[str, object]], tuple[dict[str, object], bytes] | None]) -> None:
        self._answer = answer
        self._threads: list[threading.Thread] = []

    def connect(self, *, office: bool) -> socket.socket:
        ours, theirs = socket.socketpair()
        thread = threading.Thread(target=self._serve, args=(theirs,))
        thread.start()
        self._threads.append(thread)
        return ours

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(frames.ClosedError):
            frames.receive(connection, most=1 << 31)
            while (answer := self._answer(frames.receive(connection, most=1 << 31)[0])) is not None:
                frames.send(connection, *answer)

    def join(self) -> None:
        for thread in self._threads:
            thread.join()


@pytest.fixture
def impostor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    made = []

    def install(answer: Callable[[dict[str, object]], tuple[dict[str, object], bytes] | None]) -> None:
        made.append(Impostor(answer))
        monkeypatch.setattr(client, "_server", made[-1])

    yield install
    for one in made:
        one.join()


def page_message(**changes: object) -> dict[str, object]:
    return {
        "page": {
            "number": 1,
            "width": 1,
            "height": 1,
            "words": [],
            "text": "x",
            "pictures": [],
            "anchors": [],
            **changes,
        }
    }


def test_a_worker_that_dies_is_a_typed_error(
    impostor: Callable[..., None], loaded: Callable[..., Document], make_pdf: MakePdf
) -> None:
    impostor(lambda request: None)
    document = loaded(make_pdf([HELLO]), "a.pdf")
    with pytest.raises(DocumentParserError, match=r"'a\.pdf' cannot be read: its parser crashed or needed more than"):
        list(pages(document, dpi=72, settings=APART))
    with pytest.raises(DocumentParserError, match=r"'a\.pdf' cannot be read"):
        page_count(document, APART)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"page": {"number": 1}},
        {"page": [1, 2]},
        page_message(number="1"),
        page_message(text=5),
        page_message(words=[["a", 1, 2, 3]]),
        page_message(anchors=[[0, 1, "no_such_place", 1]]),
        page_message(anchors=[[0, 1, "csv_cell", "1", "A"]]),
        {"error": "SystemExit", "message": 5},
    ],
)
def test_answers_that_are_none(
    answer: dict[str, object], impostor: Callable[..., None], loaded: Callable[..., Document], make_pdf: MakePdf
) -> None:
    impostor(lambda request: (answer, b""))
    with pytest.raises(DocumentParserError, match=r"'a\.pdf' cannot be read: its parser gave an answer that is"):
        list(pages(loaded(make_pdf([HELLO]), "a.pdf"), dpi=72, settings=APART))


@pytest.mark.parametrize(
    ("size", "pixels"), [([2, 2], b"x"), ([100_000, 100_000], b""), (["a", 1], b""), ([-2, -2], bytes(12))]
)
def test_pixels_that_do_not_fit_their_size(
    size: list[object], pixels: bytes, impostor: Callable[..., None], loaded: Callable[..., Document], make_pdf: MakePdf
) -> None:
    impostor(lambda request: (page_message(), b"") if request["op"] == "next" else ({"size": size}, pixels))
    found = pages(loaded(make_pdf([HELLO]), "a.pdf"), dpi=72, settings=APART)
    page = next(found)
    with pytest.raises(DocumentParserError):
        page.render()
    found.close()


def test_an_error_of_an_unknown_class_is_a_parser_error() -> None:
    error = decode_error({"error": "KeyboardInterrupt", "message": "x"})
    assert type(error) is DocumentParserError
    assert type(decode_error({"error": "EncryptedDocumentError", "message": "x"})) is EncryptedDocumentError


# Messages


def test_a_job_says_everything_about_a_document_and_its_limits() -> None:
    settings = Settings(max_pages=7, document_password="secret", max_parser_bytes=1 << 30)
    document = Document("file_1", "ä.pdf", "application/pdf", "pdf", b"%PDF", PageSelection.parse("1-3,5-"))
    again, dpi, limits = decode_job(encode_job(document, 96, settings), b"%PDF")
    assert (again, dpi, limits.max_pages, limits.max_parser_bytes) == (document, 96, 7, 1 << 30)
    assert limits.document_isolation == "none"
    assert limits.document_password == settings.document_password


def test_a_page_survives_its_message(read: Callable[..., list[Page]]) -> None:
    for page in read(docx_file("Invoice", docx_table(["Ä"])), "a.docx"):
        assert decode_page(encode_page(page), page.draw) == page
        assert decode_page(encode_page(page), page.draw).anchors == page.anchors


def test_frames_are_whole_or_an_error() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        frames.send(ours, {"text": "ü\u2028"}, b"payload")
        assert frames.receive(theirs, most=100) == ({"text": "ü\u2028"}, b"payload")
        frames.send(ours, {}, bytes(200))
        with pytest.raises(ValueError, match="a message of 202 bytes"):
            frames.receive(theirs, most=201)
    ours, theirs = socket.socketpair()
    with theirs:
        with ours:
            ours.sendall(b"\x05\x00\x00\x00\x00\x00\x00\x00{}")
        with pytest.raises(frames.ClosedError):
            frames.receive(theirs, most=100)


def test_a_program_that_cannot_be_started_says_what_to_set(
    loaded: Callable[..., Document], make_pdf: MakePdf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_server", client._Server())
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(LocalRetabError, match="LOCAL_RETAB_DOCUMENT_ISOLATION=none"):
        page_count(loaded(make_pdf([HELLO]), "a.pdf"), APART)
