"""What a document is once it is loaded, and what a page of it is once it is read."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from local_retab.documents.anchors import Anchor
from local_retab.documents.layout import WordBox
from local_retab.documents.selection import PageSelection
from local_retab.errors import RequestError
from local_retab.wire import FileRef, MIMEData

if TYPE_CHECKING:
    from PIL.Image import Image

Kind = Literal["pdf", "image", "text", "office"]
"""Which reader reads it. ``office`` is everything that is text once it is unpacked: docx, xlsx, html, eml and more."""
Rectangle = tuple[float, float, float, float]
"""Left, top, right, bottom."""


def content_id(data: bytes) -> str:
    """The hosted file id of inline bytes: ``file_`` and the 16 hex digits of their 8-byte BLAKE2b."""
    return "file_" + hashlib.blake2b(data, digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class Document:
    """A loaded document: its bytes, and what they are. ``mime_type`` is that of the bytes, not of the name.

    ``selection`` is which of its pages are read; None is all of them. ``attachments`` says that the documents attached
    to a mail are read after it.
    """

    id: str
    filename: str
    mime_type: str
    kind: Kind
    data: bytes = field(repr=False)
    selection: PageSelection | None = None
    attachments: bool = False

    def wants(self, number: int) -> bool:
        """Whether page ``number``, from 1, is one that is asked for."""
        return self.selection is None or number in self.selection

    @property
    def drawable(self) -> bool:
        """Whether its pages can be rendered."""
        return self.kind in {"pdf", "image"}

    @property
    def ref(self) -> FileRef:
        """The document by name, as responses carry it."""
        return FileRef(id=self.id, filename=self.filename, mime_type=self.mime_type)

    def mime_data(self) -> MIMEData:
        """The document as it travels: its filename and its bytes in a base64 data URL."""
        payload = base64.b64encode(self.data).decode("ascii")
        return MIMEData(filename=self.filename, url=f"data:{self.mime_type};base64,{payload}")


def nothing_selected(document: Document, count: int) -> RequestError:
    """The error for a selection that has none of the document's ``count`` pages."""
    return RequestError(
        f"pages: '{document.selection}' selects none of the {count:,} pages of {document.filename!r}.",
        details={"field": "pages"},
    )


@dataclass(frozen=True, slots=True)
class Page:
    """One page, upright.

    ``number`` counts from 1. ``width`` and ``height`` are points (1/72 inch) as displayed; an image is taken to
    be scanned at the dpi that its pages were asked at, so there they are pixels * 72 / dpi, and they are 0 for
    plain text and Office files. ``words`` are in reading order of the file, boxes in points from the top left
    corner. ``text`` is the words laid out in space (PDF), the content (plain text, Office), or empty (image).
    ``pictures`` are the boxes (left, top, right, bottom) of the raster images on a PDF page. ``read`` says that the
    words were read from the pixels by OCR, at least some of them. ``anchors`` say where in the file pieces of
    ``text`` stand, where the format has places: cells, paragraphs.
    """

    number: int
    width: float
    height: float
    words: tuple[WordBox, ...]
    text: str
    draw: Callable[[], Image] = field(repr=False, compare=False)
    pictures: tuple[Rectangle, ...] = ()
    read: bool = False
    anchors: tuple[Anchor, ...] = field(default=(), repr=False)

    def render(self) -> Image:
        """The page as an upright RGB image, drawn anew by each call; usable after the iteration over the pages.

        Raises DocumentLimitError over ``max_page_pixels`` or ``max_document_seconds``, CorruptDocumentError where
        the pixels cannot be decoded, and UnsupportedDocumentError for plain text and Office files, which have no
        page image.
        """
        return self.draw()
