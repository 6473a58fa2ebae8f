from __future__ import annotations

import pytest

from local_retab.documents.media_types import identify
from local_retab.errors import CorruptDocumentError, UnsupportedDocumentError

PDF = b"%PDF-1.7\n1 0 obj"
BEGINNINGS = {
    "application/pdf": PDF,
    "image/png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
    "image/jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF",
    "image/gif": b"GIF89a\x01\x00\x01\x00",
    "image/tiff": b"II*\x00\x08\x00\x00\x00",
    "image/webp": b"RIFF\x24\x00\x00\x00WEBPVP8 ",
    "image/bmp": b"BM\x46\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00",
    "image/avif": b"\x00\x00\x00\x1cftypavif\x00\x00\x00\x00mif1avif",
    "image/heic": b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic",
}
ZIP = b"PK\x03\x04\x14\x00\x06\x00"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(8)
NOT_READ = (
    "docx", "xlsx", "pptx", "odt", "ods", "odp", "doc", "xls", "ppt", "rtf", "eml", "msg", "mhtml",
    "html", "htm", "svg", "mp3", "mp4", "mpeg", "mpga", "m4a", "wav", "webm",
)  # fmt: skip
PLAIN = (
    "log", "ini", "conf", "cfg", "nfo", "srt", "sql", "sh", "bat", "ps1", "js", "jsx", "ts", "tsx",
    "py", "java", "c", "cpp", "cs", "rb", "php", "swift", "kt", "go", "rs", "pl", "r", "m",
    "scala",
)  # fmt: skip
BINARY = b"\x00\x01\x02\xff\xfe"


def mime(data: bytes, filename: str = "document", content_type: str | None = None) -> str:
    return identify(data, filename, content_type).mime_type


@pytest.mark.parametrize("expected", BEGINNINGS)
def test_bytes_decide_where_the_name_says_nothing(expected: str) -> None:
    data = BEGINNINGS[expected]
    assert mime(data) == mime(data, "scan.unknown") == expected
    for content_type in (
        "application/octet-stream",
        "application/zip",
        "",
        "x/y",
        "Binary/Octet-Stream; a=b",
    ):
        assert mime(data, content_type=content_type) == expected


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("a.jpg", "image/jpeg"),
        ("a.JPEG", "image/jpeg"),
        ("a.tif", "image/tiff"),
        ("a.heif", "image/heic"),
        ("a.PDF", "application/pdf"),
    ],
)
def test_names_that_mean_the_same(filename: str, expected: str) -> None:
    assert mime(BEGINNINGS[expected], filename) == expected


def test_another_image_type_than_the_name_says_is_corrected() -> None:
    assert mime(BEGINNINGS["image/png"], "photo.jpg", "image/jpeg") == "image/png"
    assert mime(BEGINNINGS["image/tiff"], "photo.webp") == "image/tiff"


@pytest.mark.parametrize(
    ("data", "filename", "claimed", "found"),
    [
        (BEGINNINGS["image/png"], "x.pdf", "a PDF", "a PNG image"),
        (PDF, "x.png", "a PNG image", "a PDF"),
        (PDF, "x.txt", "plain text", "a PDF"),
        (PDF, "x.docx", "a Word document", "a PDF"),
        (b"plain words", "x.pdf", "a PDF", "plain text"),
        (b"plain words", "x.png", "a PNG image", "plain text"),
        (ZIP, "x.pdf", "a PDF", "a ZIP archive"),
        (ZIP, "x.csv", "a CSV text", "a ZIP archive"),
        (b"{\\rtf1 text}", "x.txt", "plain text", "an RTF document"),
    ],
)
def test_a_false_label_names_both_types(data: bytes, filename: str, claimed: str, found: str) -> None:
    with pytest.raises(UnsupportedDocumentError) as caught:
        identify(data, filename, None)
    assert f"'{filename}' says that it is {claimed}, but its bytes are {found}." in caught.value.message


def test_a_content_type_is_a_label_where_there_is_no_extension() -> None:
    with pytest.raises(UnsupportedDocumentError, match="says that it is a PDF, but its bytes are a PNG image"):
        identify(BEGINNINGS["image/png"], "upload", "application/pdf; version=1.7")
    assert mime(BEGINNINGS["image/png"], "upload.png", "application/pdf") == "image/png"


@pytest.mark.parametrize("extension", ["pdf", "png", "jpg", "tiff", "webp", "gif", "bmp"])
def test_bytes_that_are_nothing_known(extension: str) -> None:
    with pytest.raises(CorruptDocumentError, match=rf"'x\.{extension}' should be .*do not begin as one"):
        identify(BINARY, f"x.{extension}", None)


@pytest.mark.parametrize("extension", NOT_READ)
def test_types_that_are_not_read_yet(extension: str) -> None:
    for data in (ZIP, OLE, b"plain words", BINARY):
        with pytest.raises(UnsupportedDocumentError, match=rf"'x\.{extension}' is an? .*not read yet.*Convert it"):
            identify(data, f"x.{extension}", None)


@pytest.mark.parametrize(
    ("content_type", "label"),
    [
        ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "a Word document"),
        ("text/html; charset=utf-8", "an HTML page"),
        ("message/rfc822", "an email"),
        ("image/svg+xml", "an SVG drawing"),
        ("audio/ogg", "a recording"),
        ("video/mp4", "a recording"),
    ],
)
def test_content_types_that_are_not_read_yet(content_type: str, label: str) -> None:
    with pytest.raises(UnsupportedDocumentError, match=f"'document' is {label}, which is not read yet"):
        identify(b"something", "document", content_type)


@pytest.mark.parametrize(
    ("data", "label"), [(ZIP, "a ZIP archive"), (OLE, "a Microsoft Office"), (BINARY, "of an unknown type")]
)
def test_unnamed_bytes_that_are_not_read(data: bytes, label: str) -> None:
    with pytest.raises(UnsupportedDocumentError, match=f"'document' is {label}"):
        identify(data, "document", None)


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("a.txt", "text/plain"),
        ("a.MD", "text/markdown"),
        ("a.csv", "text/csv"),
        ("a.tsv", "text/tab-separated-values"),
        ("a.json", "application/json"),
        ("a.xml", "application/xml"),
        ("a.yml", "application/yaml"),
        *[(f"a.{extension}", "text/plain") for extension in PLAIN],
    ],
)
def test_text_goes_by_its_name(filename: str, expected: str) -> None:
    assert mime("Größe".encode("cp1252"), filename) == expected


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("text/csv; charset=utf-8", "text/csv"),
        ("text/xml", "application/xml"),
        ("text/x-log", "text/plain"),
        ("application/ld+json", "text/plain"),
    ],
)
def test_text_goes_by_its_content_type_where_there_is_no_extension(content_type: str, expected: str) -> None:
    assert mime("Größe".encode("cp1252"), "document", content_type) == expected


def test_unnamed_utf_8_is_plain_text() -> None:
    assert mime("Größe".encode()) == mime(b"words", "README") == mime(b"words", "a.unknown") == "text/plain"


def test_a_text_that_begins_like_a_bitmap_is_text() -> None:
    assert mime(b"BMW invoice 2024 and more words", "a.txt") == mime(b"BMW invoice 2024 and more words") == "text/plain"


def test_junk_before_a_pdf_header_is_tolerated_but_not_in_a_text() -> None:
    data = b"\r\n  junk\n" + PDF
    assert mime(data) == mime(data, "scan.pdf") == "application/pdf"
    assert mime(b"A file begins with %PDF-1.7", "notes.md") == "text/markdown"
