"""Pages of a document of any kind that is read."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

from local_retab.documents import images, legacy, office, pdf, text
from local_retab.documents.clock import ReadingClock
from local_retab.documents.document import Document, Page
from local_retab.settings import Settings


def pages(document: Document, *, dpi: int, settings: Settings) -> Generator[Page, None, None]:
    """The pages in order, each read when it is asked for. ``dpi`` is what they are drawn at (see Page).

    Raises a DocumentError of errors.py that names the file and, where there is one, the page: on the first page
    for what concerns the whole file, else when the page is reached. Closing the iterator frees what it holds.
    """
    document = _readable(document, settings)
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
    """The number of pages: of a PDF, of frames of an image, of sheets, slides or pages of an Office file, else 1.

    Raises as ``pages`` does on opening.
    """
    document = _readable(document, settings)
    match document.kind:
        case "pdf":
            return pdf.page_count(document, settings)
        case "image":
            return images.page_count(document, settings)
        case "text":
            return 1
        case "office":
            return office.page_count(document, settings)


def _readable(document: Document, settings: Settings) -> Document:
    return legacy.converted(document, settings) if document.mime_type in legacy.LEGACY else document
