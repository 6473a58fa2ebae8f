from __future__ import annotations

import pytest
from office_files import compound_file, odf_file, zip_file

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
AUDIO = ("mp3", "mp4", "mpeg", "mpga", "m4a", "wav", "webm")
ZIPPED = {
    "docx": ("word/document.xml", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    "xlsx": ("xl/workbook.xml", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    "pptx": ("ppt/presentation.xml", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
}
COMPOUND = {
    "doc": ("WordDocument", "application/msword"),
    "xls": ("Workbook", "application/vnd.ms-excel"),
    "ppt": ("PowerPoint Document", "application/vnd.ms-powerpoint"),
    "msg": ("__properties_version1.0", "application/vnd.ms-outlook"),
}
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


@pytest.mark.parametrize("extension", ["svg", "zip"])
def test_types_that_are_not_read(extension: str) -> None:
    for data in (ZIP, OLE, b"plain words", BINARY):
        with pytest.raises(UnsupportedDocumentError, match=rf"'x\.{extension}' is an? .*not read\. Convert it"):
            identify(data, f"x.{extension}", None)


@pytest.mark.parametrize("extension", AUDIO)
def test_recordings_are_refused_by_name(extension: str) -> None:
    for data in (b"\xff\xfbsound", b"plain words", BINARY):
        with pytest.raises(UnsupportedDocumentError, match=rf"'x\.{extension}' is a recording.*Send a transcript"):
            identify(data, f"x.{extension}", None)


@pytest.mark.parametrize(
    "data",
    [
        b"ID3\x04\x00",
        b"RIFF\x24\x00\x00\x00WAVEfmt ",
        b"\x1a\x45\xdf\xa3\x01",
        b"OggS\x00",
        b"\x00\x00\x00\x18ftypM4A \x00\x00\x00\x00",
    ],
)
def test_recordings_are_refused_by_their_bytes(data: bytes) -> None:
    with pytest.raises(UnsupportedDocumentError, match="'document' is a recording"):
        identify(data, "document", None)
    with pytest.raises(UnsupportedDocumentError, match="says that it is a PDF, but its bytes are a recording"):
        identify(data, "a.pdf", None)


# Office files


@pytest.mark.parametrize("extension", ZIPPED)
def test_office_archives_go_by_what_is_in_them(extension: str) -> None:
    part, expected = ZIPPED[extension]
    data = zip_file({"[Content_Types].xml": "", part: ""})
    for name in ("document", f"a.{extension}", "a.docx", "a.xls"):
        assert mime(data, name) == mime(data, name, "application/zip") == expected
    with pytest.raises(UnsupportedDocumentError, match=r"says that it is a PDF, but its bytes are an? "):
        identify(data, "a.pdf", None)


@pytest.mark.parametrize("kind", ["text", "spreadsheet", "presentation"])
def test_open_documents_go_by_their_first_part(kind: str) -> None:
    assert mime(odf_file(kind, "")) == f"application/vnd.oasis.opendocument.{kind}"


@pytest.mark.parametrize("extension", COMPOUND)
def test_compound_files_go_by_their_streams(extension: str) -> None:
    stream, expected = COMPOUND[extension]
    data = compound_file({stream: b"x"})
    assert mime(data) == mime(data, f"a.{extension}") == mime(data, "a.doc") == expected


def test_a_name_chooses_among_what_a_compound_file_may_be() -> None:
    data = compound_file({"WordDocument": b"x", "Workbook": b"x"})
    assert mime(data, "a.xls") == "application/vnd.ms-excel"
    assert mime(data, "a") == "application/msword"


def test_a_truncated_archive_is_left_to_its_reader() -> None:
    assert mime(ZIP + b"junk", "a.docx").endswith("wordprocessingml.document")
    with pytest.raises(UnsupportedDocumentError, match="a ZIP archive"):
        identify(zip_file({"a.txt": "words"}), "a.docx", None)


@pytest.mark.parametrize("data", [b"<!DOCTYPE html><p>x", b"\n<html><p>x", b"<?xml version='1.0'?>\n<HTML>"])
def test_html_is_known_by_its_beginning(data: bytes) -> None:
    assert mime(data) == mime(data, "export.xls") == mime(data, "letter.doc") == "text/html"
    assert mime(data, "page.txt") == "text/plain"
    with pytest.raises(UnsupportedDocumentError, match="says that it is a PDF, but its bytes are an HTML page"):
        identify(data, "download.pdf", None)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.html", "text/html"), ("a.eml", "message/rfc822"), ("a.mht", "multipart/related")],
)
def test_office_formats_that_are_text_go_by_their_name(name: str, expected: str) -> None:
    assert mime(b"some words", name) == expected
    assert mime(b"words about %PDF-1.4", name) == expected


def test_rtf_is_known_by_its_signature() -> None:
    assert mime(b"{\\rtf1 words}", "a.doc") == mime(b"{\\rtf1 words}") == "application/rtf"
    with pytest.raises(UnsupportedDocumentError, match="says that it is an RTF document, but its bytes are plain text"):
        identify(b"words", "a.rtf", None)


@pytest.mark.parametrize(
    ("content_type", "label"),
    [
        ("image/svg+xml", "an SVG drawing"),
        ("audio/ogg", "a recording"),
        ("video/mp4", "a recording"),
    ],
)
def test_content_types_that_are_not_read(content_type: str, label: str) -> None:
    with pytest.raises(UnsupportedDocumentError, match=f"'document' is {label}"):
        identify(b"something", "document", content_type)


@pytest.mark.parametrize(
    ("data", "label"), [(ZIP, "a ZIP archive"), (OLE, "a Microsoft compound file"), (BINARY, "of an unknown type")]
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
