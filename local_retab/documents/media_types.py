"""What a document is, by its bytes first and by its name where bytes cannot tell (plain text has no signature)."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import PurePath

from local_retab.documents.containers import (
    OLE_SIGNATURE,
    ZIP_SIGNATURES,
    is_truncated_zip,
    ole_contents,
    zip_contents,
)
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
RTF = MediaType("an RTF document", "application/rtf", "office", ("rtf",), ("text/rtf",))
HTML = MediaType("an HTML page", "text/html", "office", ("html", "htm", "xhtml"), ("application/xhtml+xml",))
_OOXML = "application/vnd.openxmlformats-officedocument."
_ODF = "application/vnd.oasis.opendocument."
_MACRO = "application/vnd.ms-{}.macroEnabled.12"
_OFFICE = (
    RTF, HTML,
    MediaType("a Word document", _OOXML + "wordprocessingml.document", "office", ("docx", "docm"),
              (_MACRO.format("word.document"),)),
    MediaType("an Excel workbook", _OOXML + "spreadsheetml.sheet", "office", ("xlsx", "xlsm"),
              (_MACRO.format("excel.sheet"),)),
    MediaType("a PowerPoint presentation", _OOXML + "presentationml.presentation", "office", ("pptx", "pptm"),
              (_MACRO.format("powerpoint.presentation"),)),
    MediaType("a Word 97-2003 document", "application/msword", "office", ("doc",)),
    MediaType("an Excel 97-2003 workbook", "application/vnd.ms-excel", "office", ("xls",)),
    MediaType("a PowerPoint 97-2003 presentation", "application/vnd.ms-powerpoint", "office", ("ppt",)),
    MediaType("an OpenDocument text", _ODF + "text", "office", ("odt",)),
    MediaType("an OpenDocument spreadsheet", _ODF + "spreadsheet", "office", ("ods",)),
    MediaType("an OpenDocument presentation", _ODF + "presentation", "office", ("odp",)),
    MediaType("a web archive", "multipart/related", "office", ("mhtml", "mht")),
    MediaType("an email", "message/rfc822", "office", ("eml",)),
    MediaType("an Outlook message", "application/vnd.ms-outlook", "office", ("msg",)),
)  # fmt: skip
ENCRYPTED = MediaType("an encrypted Office document", "application/x-ole-storage", "office", ())
ZIP = MediaType("a ZIP archive", "application/zip", None, ("zip",))
OLE = MediaType("a Microsoft compound file of an unknown type", "application/x-ole-storage", None, ())
RECORDING = MediaType(
    "a recording", "audio/mpeg", None, ("mp3", "mp4", "mpeg", "mpga", "m4a", "wav", "webm", "ogg", "flac")
)
_NOT_READ = (ZIP, OLE, RECORDING, MediaType("an SVG drawing", "image/svg+xml", None, ("svg",)))
_ALL = _READ + _OFFICE + _NOT_READ
_BY_EXTENSION = {extension: media for media in _ALL for extension in media.extensions}
_BY_CONTENT_TYPE = {name: media for media in _ALL for name in (media.mime_type, *media.synonyms)}
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
    (b"{\\rtf", RTF),
    (b"ID3\x03", RECORDING),
    (b"ID3\x04", RECORDING),
    (b"OggS", RECORDING),
    (b"fLaC", RECORDING),
    (b"\x1a\x45\xdf\xa3", RECORDING),
)
_TEXTUAL = {"text/html", "multipart/related", "message/rfc822"}
"""Office formats that are text themselves: like plain text, they go by their name."""
_ZIPPED = {"docx", "docm", "xlsx", "xlsm", "pptx", "pptm", "odt", "ods", "odp"}
_HTML_BEGINNING = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]{0,200}\?>\s*)?(?:<!--.{0,1000}?-->\s*)?<(?:!doctype\s+html|html)\b",
    re.I | re.S,
)
_BMP_HEADER_SIZES = {12, 16, 40, 52, 56, 64, 108, 124}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
_PDF_HEADER_WINDOW = 1024
"""PDF readers accept junk before the header within the first 1,024 bytes (PDF 1.7, implementation note 13)."""


def identify(data: bytes, filename: str, content_type: str | None) -> MediaType:
    """The type of ``data``, which is one that is read.

    An extension says more than a content type, and bytes say more than either: a signature that contradicts the
    name is refused, while another type of image or Office file than the name's, or no name at all, is corrected.

    Raises UnsupportedDocumentError for a type that is not read and for bytes that are not what the name says,
    CorruptDocumentError for a name with a signature whose bytes are of no known type.
    """
    claimed = _by_extension(filename) or _by_content_type(content_type)
    textual = claimed is not None and (claimed.kind == "text" or claimed.mime_type in _TEXTUAL)
    found = _by_signature(data, claimed, loosely=not textual)
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
    if textual:
        return claimed
    if _is_utf8_text(data):
        raise _mislabelled(filename, claimed, PLAIN)
    raise CorruptDocumentError(
        f"{filename!r} should be {claimed.label}, but its bytes do not begin as one. The file is damaged or is"
        " something else: save or export it again."
    )


def is_read(filename: str) -> bool:
    """Whether the extension of a name is one of a type that is read."""
    media = _by_extension(filename)
    return media is not None and media.kind is not None


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


def _by_signature(data: bytes, claimed: MediaType | None, *, loosely: bool) -> MediaType | None:
    if data.startswith(ZIP_SIGNATURES):
        return _in_zip(data, claimed)
    if data.startswith(OLE_SIGNATURE):
        return _in_ole(data, claimed)
    found = next((media for signature, media in _SIGNATURES if data.startswith(signature)), None)
    if found is None:
        found = _by_header(data)
    if found is None and loosely and b"%PDF-" in data[:_PDF_HEADER_WINDOW]:
        found = PDF
    if found is None and loosely and _HTML_BEGINNING.match(data):
        found = HTML
    return found


def _by_header(data: bytes) -> MediaType | None:
    if data[:4] == b"RIFF":
        return {b"WEBP": WEBP, b"WAVE": RECORDING}.get(data[8:12])
    # "BM" alone would also be the beginning of a text.
    if data[:2] == b"BM" and len(data) >= 18 and struct.unpack_from("<I", data, 14)[0] in _BMP_HEADER_SIZES:
        return BMP
    return _by_brand(data)


def _in_zip(data: bytes, claimed: MediaType | None) -> MediaType:
    if extension := zip_contents(data):
        return _BY_EXTENSION[extension]
    # Its reader tells what is wrong with it better than its type does.
    if claimed is not None and is_truncated_zip(data) and _ZIPPED.intersection(claimed.extensions):
        return claimed
    return ZIP


def _in_ole(data: bytes, claimed: MediaType | None) -> MediaType:
    contents = ole_contents(data)
    if not contents:
        return OLE
    if contents[0] == "encrypted":
        return claimed if claimed is not None and claimed.kind == "office" else ENCRYPTED
    own = [name for name in contents if claimed is not None and name in claimed.extensions]
    return _BY_EXTENSION[(own or contents)[0]]


def _by_brand(data: bytes) -> MediaType | None:
    """ISO base media files (AVIF, HEIC, recordings) list the brands that they conform to in their first box."""
    if data[4:8] != b"ftyp" or data[:2] != b"\0\0":
        return None
    brands = {data[at : at + 4] for at in range(8, 64, 4)}
    if brands & {b"avif", b"avis"}:
        return AVIF
    return HEIC if brands & _HEIC_BRANDS else RECORDING


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
    if media is RECORDING:
        return UnsupportedDocumentError(
            f"{filename!r} is a recording, and sound is not transcribed. Send a transcript of it as text."
        )
    return UnsupportedDocumentError(
        f"{filename!r} is {what}, which is not read. Convert it to PDF, an image or plain text and send that."
    )
