"""What a document is, by its bytes first and by its name where bytes cannot tell (plain text has no signature)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import PurePath

from local_retab.documents.document import Kind
from local_retab.errors import CorruptDocumentError, UnsupportedDocumentError


@dataclass(frozen=True, slots=True)
class MediaType:
    """A type of document. ``kind`` is None for a type that is recognised but not read."""

    label: str
    mime_type: str
    kind: Kind | None
    extensions: tuple[str, ...]
    synonyms: tuple[str, ...] = ()


PDF = MediaType("a PDF", "application/pdf", "pdf", ("pdf",), ("application/x-pdf",))
PNG = MediaType("a PNG image", "image/png", "image", ("png", "apng"), ("image/apng", "image/x-png"))
JPEG = MediaType("a JPEG image", "image/jpeg", "image", ("jpg", "jpeg", "jpe", "jfif"), ("image/jpg", "image/pjpeg"))
GIF = MediaType("a GIF image", "image/gif", "image", ("gif",))
BMP = MediaType("a BMP image", "image/bmp", "image", ("bmp", "dib"), ("image/x-ms-bmp", "image/x-bmp"))
TIFF = MediaType("a TIFF image", "image/tiff", "image", ("tiff", "tif"), ("image/tif", "image/x-tiff"))
WEBP = MediaType("a WEBP image", "image/webp", "image", ("webp",))
AVIF = MediaType("an AVIF image", "image/avif", "image", ("avif",))
HEIC = MediaType("a HEIC image", "image/heic", "image", ("heic", "heif"), ("image/heif",))
PLAIN = MediaType(
    "plain text",
    "text/plain",
    "text",
    (
        "txt", "text", "log", "ini", "conf", "cfg", "nfo", "srt", "sql", "sh", "bat", "ps1", "js", "jsx",
        "ts", "tsx", "py", "java", "c", "h", "cpp", "cs", "rb", "php", "swift", "kt", "go", "rs", "pl",
        "r", "m", "scala", "toml", "tex", "rst",
    ),
)  # fmt: skip
# "application/xml" and its like name text; a "+json" or "+xml" suffix does too.
_READ = (
    PDF, PNG, JPEG, GIF, BMP, TIFF, WEBP, AVIF, HEIC, PLAIN,
    MediaType("a Markdown text", "text/markdown", "text", ("md", "markdown"), ("text/x-markdown",)),
    MediaType("a CSV text", "text/csv", "text", ("csv",), ("application/csv",)),
    MediaType("a TSV text", "text/tab-separated-values", "text", ("tsv", "tab")),
    MediaType("a JSON text", "application/json", "text", ("json", "jsonl", "ndjson"), ("text/json",)),
    MediaType("an XML text", "application/xml", "text", ("xml",), ("text/xml",)),
    MediaType("a YAML text", "application/yaml", "text", ("yaml", "yml"), ("text/yaml", "application/x-yaml")),
)  # fmt: skip
ZIP = MediaType("a ZIP archive", "application/zip", None, ("zip",))
OLE = MediaType("a Microsoft Office 97-2003 file", "application/x-ole-storage", None, ())
RTF = MediaType("an RTF document", "application/rtf", None, ("rtf",), ("text/rtf",))
_OOXML = "application/vnd.openxmlformats-officedocument."
_ODF = "application/vnd.oasis.opendocument."
_NOT_READ = (
    ZIP, OLE, RTF,
    MediaType("a Word document", _OOXML + "wordprocessingml.document", None, ("docx",)),
    MediaType("an Excel workbook", _OOXML + "spreadsheetml.sheet", None, ("xlsx",)),
    MediaType("a PowerPoint presentation", _OOXML + "presentationml.presentation", None, ("pptx",)),
    MediaType("a Word 97-2003 document", "application/msword", None, ("doc",)),
    MediaType("an Excel 97-2003 workbook", "application/vnd.ms-excel", None, ("xls",)),
    MediaType("a PowerPoint 97-2003 presentation", "application/vnd.ms-powerpoint", None, ("ppt",)),
    MediaType("an OpenDocument text", _ODF + "text", None, ("odt",)),
    MediaType("an OpenDocument spreadsheet", _ODF + "spreadsheet", None, ("ods",)),
    MediaType("an OpenDocument presentation", _ODF + "presentation", None, ("odp",)),
    MediaType("an HTML page", "text/html", None, ("html", "htm", "xhtml"), ("application/xhtml+xml",)),
    MediaType("a web archive", "multipart/related", None, ("mhtml", "mht")),
    MediaType("an email", "message/rfc822", None, ("eml",)),
    MediaType("an Outlook message", "application/vnd.ms-outlook", None, ("msg",)),
    MediaType("an SVG drawing", "image/svg+xml", None, ("svg",)),
    MediaType("a recording", "audio/mpeg", None, ("mp3", "mp4", "mpeg", "mpga", "m4a", "wav", "webm")),
)  # fmt: skip
_BY_EXTENSION = {extension: media for media in _READ + _NOT_READ for extension in media.extensions}
_BY_CONTENT_TYPE = {name: media for media in _READ + _NOT_READ for name in (media.mime_type, *media.synonyms)}
# What senders write when they do not know; the official Node client calls every Office file a ZIP archive.
_GENERIC = {"", "application/octet-stream", "binary/octet-stream", "application/zip"}

_SIGNATURES = (
    (b"%PDF-", PDF),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"\xff\xd8\xff", JPEG),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"II*\x00", TIFF),
    (b"MM\x00*", TIFF),
    (b"II+\x00", TIFF),
    (b"MM\x00+", TIFF),
    (b"PK\x03\x04", ZIP),
    (b"PK\x05\x06", ZIP),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", OLE),
    (b"{\\rtf", RTF),
)
_BMP_HEADER_SIZES = {12, 16, 40, 52, 56, 64, 108, 124}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
_PDF_HEADER_WINDOW = 1024
"""PDF readers accept junk before the header within the first 1,024 bytes (PDF 1.7, implementation note 13)."""


def identify(data: bytes, filename: str, content_type: str | None) -> MediaType:
    """The type of ``data``, which is one that is read.

    An extension says more than a content type, and bytes say more than either: a signature that contradicts the
    name is refused, while another image type than the name's, or no name at all, is corrected.

    Raises UnsupportedDocumentError for a type that is not read and for bytes that are not what the name says,
    CorruptDocumentError for a PDF or an image by name whose bytes are of no known type.
    """
    claimed = _by_extension(filename) or _by_content_type(content_type)
    found = _by_signature(data, loosely=claimed is None or claimed.kind != "text")
    if found is not None and found.kind is not None:
        if claimed is not None and claimed.kind != found.kind:
            raise _mislabelled(filename, claimed, found)
        return found
    if claimed is None:
        if found is None and _is_utf8_text(data):
            return PLAIN
        raise _not_read(filename, found)
    if claimed.kind is None:
        raise _not_read(filename, claimed)
    if found is not None:
        raise _mislabelled(filename, claimed, found)
    if claimed.kind == "text":
        return claimed
    if _is_utf8_text(data):
        raise _mislabelled(filename, claimed, PLAIN)
    raise CorruptDocumentError(
        f"{filename!r} should be {claimed.label}, but its bytes do not begin as one. The file is damaged or is"
        " something else: save or export it again."
    )


def _by_extension(filename: str) -> MediaType | None:
    return _BY_EXTENSION.get(PurePath(filename).suffix[1:].lower())


def _by_content_type(content_type: str | None) -> MediaType | None:
    name = (content_type or "").partition(";")[0].strip().lower()
    if name in _GENERIC:
        return None
    if media := _BY_CONTENT_TYPE.get(name):
        return media
    if name.startswith(("audio/", "video/")):
        return _BY_EXTENSION["mp3"]
    if name.startswith("text/") or name.endswith(("+json", "+xml", "+yaml")):
        return PLAIN
    return None


def _by_signature(data: bytes, *, loosely: bool) -> MediaType | None:
    for signature, media in _SIGNATURES:
        if data.startswith(signature):
            return media
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return WEBP
    # "BM" alone would also be the beginning of a text.
    if data[:2] == b"BM" and len(data) >= 18 and struct.unpack_from("<I", data, 14)[0] in _BMP_HEADER_SIZES:
        return BMP
    if loosely and b"%PDF-" in data[:_PDF_HEADER_WINDOW]:
        return PDF
    return _by_brand(data)


def _by_brand(data: bytes) -> MediaType | None:
    """ISO base media files (AVIF, HEIC) list the brands that they conform to in their first box."""
    if data[4:8] != b"ftyp":
        return None
    brands = {data[at : at + 4] for at in range(8, 64, 4)}
    if brands & {b"avif", b"avis"}:
        return AVIF
    return HEIC if brands & _HEIC_BRANDS else None


def _is_utf8_text(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\x00" not in data


def _mislabelled(filename: str, claimed: MediaType, found: MediaType) -> UnsupportedDocumentError:
    return UnsupportedDocumentError(
        f"{filename!r} says that it is {claimed.label}, but its bytes are {found.label}. Send the right file, or"
        " give it the name and media type of what it is."
    )


def _not_read(filename: str, media: MediaType | None) -> UnsupportedDocumentError:
    what = "of an unknown type" if media is None else media.label
    return UnsupportedDocumentError(
        f"{filename!r} is {what}, which is not read yet. Convert it to PDF, an image or plain text and send that."
    )
