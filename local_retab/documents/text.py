"""Plain text documents: one page, decoded by rule."""

from __future__ import annotations

import codecs
import re
from typing import NoReturn

from local_retab.documents.anchors import Anchor
from local_retab.documents.clock import ReadingClock
from local_retab.documents.delimited import lay_out_records
from local_retab.documents.document import Document, Page, nothing_selected
from local_retab.errors import (
    CorruptDocumentError,
    DocumentLimitError,
    EmptyDocumentError,
    UnsupportedDocumentError,
)
from local_retab.settings import Settings

# UTF-32 before UTF-16: the little-endian mark of the one begins with that of the other.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DELIMITED = {"text/csv", "text/tab-separated-values"}
_CONTROLS = re.compile(r"[\x01-\x08\x0b\x0e-\x1f\x7f-\x9f]")
_MAX_CONTROL_SHARE = 0.02
"""Text has next to no control characters but tabs and line ends; random bytes decode to one in seven."""


def read_text(document: Document, settings: Settings, clock: ReadingClock) -> Page:
    """The document's only page.

    Raises EmptyDocumentError for nothing but blanks, UnsupportedDocumentError for binary data,
    CorruptDocumentError where the bytes break the encoding that their byte order mark names, and
    DocumentLimitError over ``max_text_chars`` or ``max_document_seconds``.
    """
    if not document.wants(1):
        raise nothing_selected(document, 1)
    text = decode(document).replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise EmptyDocumentError(f"{document.filename!r} contains no text. Send a document with content.")
    if len(text) > settings.max_text_chars:
        raise DocumentLimitError(
            f"{document.filename!r} has {len(text):,} characters, over the limit of {settings.max_text_chars:,}."
            " Split it, or raise LOCAL_RETAB_MAX_TEXT_CHARS."
        )

    anchors: tuple[Anchor, ...] = ()
    if document.mime_type in _DELIMITED:
        with clock.running():
            records = lay_out_records(document, text, clock)
        text, anchors = records.text, tuple(records.anchors)
    return Page(1, 0.0, 0.0, (), text, lambda: refuse_to_draw(document), anchors=anchors)


def refuse_to_draw(document: Document) -> NoReturn:
    """What drawing a page of a document without page images does."""
    what = "plain text" if document.kind == "text" else f"of type {document.mime_type}"
    raise UnsupportedDocumentError(f"{document.filename!r} is {what} and has no page image. Use its text.")


def decode(document: Document) -> str:
    """By byte order mark, else UTF-8, else Windows-1252, else Latin-1, which gives every byte a character."""
    data = document.data
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            try:
                return data[len(mark) :].decode(encoding)
            except UnicodeDecodeError as error:
                raise CorruptDocumentError(
                    f"{document.filename!r} begins as {encoding.upper()} text but breaks that encoding at byte"
                    f" {len(mark) + error.start:,}. Save it again as UTF-8."
                ) from error
    if b"\x00" in data:
        raise _binary(document.filename)
    for encoding in ("utf-8", "cp1252", "latin-1"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        break
    if len(_CONTROLS.findall(text)) > _MAX_CONTROL_SHARE * len(text):
        raise _binary(document.filename)
    return text


def _binary(filename: str) -> UnsupportedDocumentError:
    return UnsupportedDocumentError(
        f"{filename!r} is named as text, but its bytes are binary data. Send the right file, or save it as UTF-8."
    )
