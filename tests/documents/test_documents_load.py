from __future__ import annotations

import base64
import hashlib
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from local_retab.documents import Document, load
from local_retab.errors import (
    CorruptDocumentError,
    DocumentLimitError,
    DocumentNotFoundError,
    EmptyDocumentError,
    RemoteFetchDisabledError,
    UnsupportedDocumentError,
)
from local_retab.settings import Settings
from local_retab.wire import MIMEData

Encode = Callable[..., bytes]
TEXT = b"Invoice A-17, total 12.50"
SMALL = Settings(max_document_bytes=20)


@pytest.fixture(scope="module")
def png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (4, 3), "red").save(out, "PNG")
    return out.getvalue()


def data_url(data: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


# What a document is


def test_a_document_has_the_hosted_id_of_its_bytes(settings: Settings) -> None:
    document = load(TEXT, filename="a.txt", settings=settings)
    assert document.id == "file_" + hashlib.blake2b(TEXT, digest_size=8).hexdigest()
    assert (document.filename, document.mime_type, document.kind, document.data) == (
        "a.txt", "text/plain", "text", TEXT,
    )  # fmt: skip
    assert document.ref.model_dump() == {"id": document.id, "filename": "a.txt", "mime_type": "text/plain"}


def test_a_document_travels_and_comes_back(png: bytes, settings: Settings) -> None:
    document = load(png, filename="scan.png", settings=settings)
    assert document.mime_data().url == data_url(png)
    assert load(document.mime_data(), settings=settings) == document


def test_bytes_are_not_shown_when_a_document_is(png: bytes, settings: Settings) -> None:
    assert "IHDR" not in repr(load(png, settings=settings))


# Where it comes from


def test_a_path_as_text_or_path_object(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "note.md"
    path.write_bytes(TEXT)
    expected = Document(
        "file_" + hashlib.blake2b(TEXT, digest_size=8).hexdigest(), "note.md", "text/markdown", "text", TEXT
    )
    assert load(path, settings=settings) == load(str(path), settings=settings) == expected
    assert load(path, filename="other.txt", settings=settings).filename == "other.txt"


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_of_every_kind(kind: Callable[[bytes], object], png: bytes, settings: Settings) -> None:
    document = load(kind(png), settings=settings)  # type: ignore[arg-type]
    assert (type(document.data), document.data, document.filename) == (bytes, png, "document.png")


def test_a_binary_file_is_read_from_where_it_stands_and_left_open(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "note.txt"
    path.write_bytes(b"header" + TEXT)
    with path.open("rb") as file:
        file.seek(6)
        document = load(file, settings=settings)
        assert not file.closed
    assert (document.data, document.filename) == (TEXT, "note.txt")


def test_a_file_that_gives_little_at_a_time(settings: Settings) -> None:
    class Dripping(io.RawIOBase):
        def __init__(self) -> None:
            self._rest = TEXT

        def read(self, size: int = -1) -> bytes:
            block, self._rest = self._rest[:3], self._rest[3:]
            return block

    document = load(Dripping(), filename="a.txt", settings=settings)  # type: ignore[arg-type]
    assert document.data == TEXT


def test_a_pillow_image_is_encoded_once(settings: Settings) -> None:
    document = load(Image.new("CMYK", (4, 3), (0, 255, 255, 0)), settings=settings)
    assert (document.filename, document.mime_type, document.kind) == ("image.png", "image/png", "image")
    assert Image.open(io.BytesIO(document.data)).getpixel((0, 0)) == (255, 0, 0)


def test_a_pillow_image_keeps_the_name_of_its_file(tmp_path: Path, png: bytes, settings: Settings) -> None:
    (tmp_path / "scan.gif").write_bytes(png)
    with Image.open(tmp_path / "scan.gif") as image:
        assert load(image, settings=settings).filename == "scan.png"


@pytest.mark.parametrize(
    "url",
    [
        "data:text/csv;base64,YTtiCjE7Mg==",
        "DATA:text/csv;BASE64,YTtiCjE7Mg==",
        "data:text/csv;charset=utf-8;base64,YTtiCjE7Mg==",
        "data:text/csv;base64, YTti\r\n CjE7\tMg== \n",
        "data:text/csv;base64,YTtiCjE7Mg%3D%3D",
        "data:text/csv,a%3Bb%0A1%3B2",
        "data:text/csv;charset=utf-8,a;b%0a1;2",
    ],
)
def test_data_urls_of_every_form(url: str, settings: Settings) -> None:
    for document in (
        load(MIMEData(filename="table.csv", url=url), settings=settings),
        load(url, filename="table.csv", settings=settings),
    ):
        assert (document.data, document.mime_type, document.filename) == (
            b"a;b\n1;2",
            "text/csv",
            "table.csv",
        )


def test_a_data_url_without_a_name_or_type(settings: Settings) -> None:
    document = load("data:,plain%20words", settings=settings)
    assert (document.filename, document.mime_type, document.data) == (
        "document.txt",
        "text/plain",
        b"plain words",
    )


@given(st.binary(min_size=1, max_size=40))
def test_any_bytes_come_through_a_data_url(data: bytes) -> None:
    text = b"text " + data
    for url in (data_url(text, "text/plain"), "data:text/plain," + quote(text)):
        assert load(MIMEData(filename="a.txt", url=url), settings=Settings()).data == text


# What is refused


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/a.pdf",
        "http://127.0.0.1/a.pdf",
        "HTTPS://example.com/a.pdf",
        "gs://bucket/a.pdf",
        "ftp://example.com/a.pdf",
        "https://storage.retab.com/org/file_6dd6eb00688ad8d1.pdf",
    ],
)
def test_nothing_is_fetched(url: str, settings: Settings) -> None:
    with pytest.raises(RemoteFetchDisabledError, match=r"nothing is fetched.*Send the bytes inline"):
        load(url, settings=settings)
    with pytest.raises(RemoteFetchDisabledError, match=r"^'a\.pdf' is at a"):
        load(MIMEData(filename="a.pdf", url=url), settings=settings)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "FILE://localhost/etc/passwd"])
def test_file_urls_are_not_followed(url: str, settings: Settings) -> None:
    with pytest.raises(UnsupportedDocumentError, match="file URL, which is not followed"):
        load(url, settings=settings)
    with pytest.raises(UnsupportedDocumentError, match=r"^'a\.txt' is a file URL"):
        load(MIMEData(filename="a.txt", url=url), settings=settings)


def test_a_url_field_is_never_a_path(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "a.txt").write_bytes(TEXT)
    for url in (str(tmp_path / "a.txt"), "a.txt", "data:text/plain;base64"):
        with pytest.raises(UnsupportedDocumentError, match=r"The URL of 'a\.txt' is not a data URL"):
            load(MIMEData(filename="a.txt", url=url), settings=settings)


def test_paths_that_name_no_readable_file(tmp_path: Path, settings: Settings) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "missing.pdf", tmp_path, tmp_path / "pipe", "", "a\x00b", "x" * 100_000):
        with pytest.raises(DocumentNotFoundError) as caught:
            load(path, settings=settings)
        assert len(caught.value.message) < 500
    with pytest.raises(DocumentNotFoundError, match=r"missing\.pdf' cannot be read: No such file"):
        load(tmp_path / "missing.pdf", settings=settings)


@pytest.mark.parametrize("payload", ["YTtiCjE7Mg", "YTti!jE7Mg==", "YTtiCjE7Mg==YQ==", "YÖ==", "Y"])
def test_broken_base64(payload: str, settings: Settings) -> None:
    with pytest.raises(CorruptDocumentError, match=r"The base64 of 'a\.csv' is broken"):
        load(MIMEData(filename="a.csv", url=f"data:text/csv;base64,{payload}"), settings=settings)


def test_no_bytes(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "none.pdf").touch()
    for source in (b"", io.BytesIO(), tmp_path / "none.pdf", "data:application/pdf;base64,"):
        with pytest.raises(EmptyDocumentError, match=r"'none\.pdf' is empty"):
            load(source, filename="none.pdf", settings=settings)


def test_too_many_bytes(tmp_path: Path) -> None:
    (tmp_path / "big.txt").write_bytes(b"x" * 21)
    with_file = io.BytesIO(b"x" * 21)
    for source in (
        b"x" * 21,
        memoryview(bytes(24)).cast("I"),
        with_file,
        tmp_path / "big.txt",
        data_url(b"x" * 21, "text/plain"),
        "data:text/plain," + "x" * 21,
        "data:text/plain," + "%20" * 21,
        Image.new("RGB", (4, 3)),
    ):
        with pytest.raises(DocumentLimitError, match=r"'big\.txt' has more than 20 bytes.*MAX_DOCUMENT_BYTES"):
            load(source, filename="big.txt", settings=SMALL)


def test_as_many_bytes_as_allowed(tmp_path: Path) -> None:
    data = b"x" * 20
    (tmp_path / "a.txt").write_bytes(data)
    for source in (
        data,
        io.BytesIO(data),
        tmp_path / "a.txt",
        data_url(data, "text/plain"),
        "data:," + "%78" * 20,
    ):
        assert load(source, filename="a.txt", settings=SMALL).data == data


def test_no_more_is_read_from_a_file_than_allowed() -> None:
    file = io.BytesIO(b"x" * 1000)
    with pytest.raises(DocumentLimitError):
        load(file, filename="a.txt", settings=SMALL)
    assert file.tell() == 21


def test_text_files_and_closed_files(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "a.txt").write_bytes(TEXT)
    with (tmp_path / "a.txt").open() as file, pytest.raises(UnsupportedDocumentError, match="binary mode"):
        load(file, filename="a.txt", settings=settings)  # type: ignore[arg-type]
    with pytest.raises(DocumentNotFoundError, match=r"file object of 'a\.txt' cannot be read"):
        load(file.buffer, filename="a.txt", settings=settings)


def test_a_source_that_is_no_document(settings: Settings) -> None:
    with pytest.raises(UnsupportedDocumentError, match=r"A document cannot be a dict\. Give a path"):
        load({"url": "data:,x"}, settings=settings)  # type: ignore[arg-type]


def test_importing_loads_no_heavy_library() -> None:
    heavy = "PIL", "pypdfium2", "pillow_heif", "numpy"
    code = f"import sys, local_retab.documents; sys.exit(bool(sys.modules.keys() & set({heavy!r})))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
