"""The readers of every kind of document, in this process."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from local_retab.documents import attachments, images, office, pdf, text
from local_retab.documents.clock import ReadingClock
from local_retab.documents.document import Document, Page
from local_retab.documents.selection import PageSelection
from local_retab.settings import Settings
from local_retab.wire import MIN_DPI

if TYPE_CHECKING:
    from PIL.Image import Image


def pages(document: Document, *, dpi: int, settings: Settings) -> Generator[Page, None, None]:
    """The pages in order, each read when it is asked for; closing the iterator frees what it holds."""
    if attachments.has_attachments(document):
        yield from attachments.pages(document, partial(pages, dpi=dpi, settings=settings), settings=settings)
        return
    clock = ReadingClock(document.filename, settings)
    match document.kind:
        case "pdf":
            with closing(pdf.pages(document, dpi=dpi, settings=settings, clock=clock)) as found:
                yield from found
        case "image":
            yield from images.pages(document, dpi=dpi, settings=settings, clock=clock)
        case "text":
            yield text.read_text(document, settings, clock)
        case "office":
            yield from office.pages(document, settings=settings, clock=clock)


def page_count(document: Document, settings: Settings) -> int:
    """The number of pages of the whole document. Raises as ``pages`` does on opening."""
    if attachments.has_attachments(document):
        return sum(1 for _ in pages(replace(document, selection=None), dpi=MIN_DPI, settings=settings))
    match document.kind:
        case "pdf":
            return pdf.page_count(document, settings)
        case "image":
            return images.page_count(document, settings)
        case "text":
            return 1
        case "office":
            return office.page_count(document, settings)


def draw(document: Document, number: int, *, dpi: int, settings: Settings) -> Image:
    """Page ``number`` of a document that was read before. Raises as ``Page.render`` does."""
    if attachments.has_attachments(document):
        found = pages(replace(document, selection=PageSelection(((number, number),))), dpi=dpi, settings=settings)
        return next(found).render()
    clock = ReadingClock(document.filename, settings)
    if document.kind == "pdf":
        return pdf.draw(document, number, dpi=dpi, settings=settings, clock=clock)
    if document.kind == "image":
        return images.draw(document, number, settings=settings, clock=clock)
    return text.refuse_to_draw(document)
