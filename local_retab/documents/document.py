"""What a document is once it is loaded, and what a page of it is once it is read."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from local_retab.documents.layout import WordBox
from local_retab.wire import FileRef, MIMEData

if TYPE_CHECKING:
    from PIL.Image import Image

Kind = Literal["pdf", "image", "text"]
Rectangle = tuple[float, float, float, float]
"""Left, top, right, bottom."""


def content_id(data: bytes) -> str:
    """The hosted file id of inline bytes: ``file_`` and the 16 hex digits of their 8-byte BLAKE2b."""
    return "file_" + hashlib.blake2b(data, digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class Document:
    """A loaded document: its bytes, and what they are. ``mime_type`` is that of the bytes, not of the name."""

    id: str
    filename: str
    mime_type: str
    kind: Kind
    data: bytes = field(repr=False)

    @property
    def ref(self) -> FileRef:
        """The document by name, as responses carry it."""
        return FileRef(id=self.id, filename=self.filename, mime_type=self.mime_type)

    def mime_data(self) -> MIMEData:
        """The document as it travels: its filename and its bytes in a base64 data URL."""
        payload = base64.b64encode(self.data).decode("ascii")
        return MIMEData(filename=self.filename, url=f"data:{self.mime_type};base64,{payload}")


@dataclass(frozen=True, slots=True)
class Page:
    """One page, upright.

    ``number`` counts from 1. ``width`` and ``height`` are points (1/72 inch) as displayed; an image is taken to
    be scanned at the dpi that its pages were asked at, so there they are pixels * 72 / dpi, and they are 0 for
    plain text. ``words`` are in reading order of the file, boxes in points from the top left corner. ``text`` is
    the words laid out in space (PDF), the content (plain text), or empty (image). ``pictures`` are the boxes
    (left, top, right, bottom) of the raster images on a PDF page. ``read`` says that the words were read from the
    pixels by OCR, at least some of them.
    """

    number: int
    width: float
    height: float
    words: tuple[WordBox, ...]
    text: str
    draw: Callable[[], Image] = field(repr=False, compare=False)
    pictures: tuple[Rectangle, ...] = ()
    read: bool = False

    def render(self) -> Image:
        """The page as an upright RGB image, drawn anew by each call; usable after the iteration over the pages.

        Raises DocumentLimitError over ``max_page_pixels`` or ``max_document_seconds``, CorruptDocumentError where
        the pixels cannot be decoded, and UnsupportedDocumentError for plain text, which has no page image.
        """
        return self.draw()
