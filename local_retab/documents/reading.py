"""Pages of a document of any kind that is read, each document in a process of its own where the settings say so."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

from local_retab.documents import legacy, readers
from local_retab.documents.document import Document, Page
from local_retab.documents.isolation import client as isolated
from local_retab.settings import Settings


def pages(document: Document, *, dpi: int, settings: Settings) -> Generator[Page, None, None]:
    """The selected pages in order, each read when it is asked for. ``dpi`` is what they are drawn at (see Page).

    Raises a DocumentError of errors.py that names the file and, where there is one, the page: on the first page
    for what concerns the whole file, else when the page is reached; and RequestError for a selection that selects
    nothing. Closing the iterator frees what it holds.
    """
    document = legacy.converted(document, settings) if document.mime_type in legacy.LEGACY else document
    read = isolated.pages if _apart(document, settings) else readers.pages
    with closing(read(document, dpi=dpi, settings=settings)) as found:
        yield from found


def page_count(document: Document, settings: Settings) -> int:
    """The number of pages: of a PDF, of frames of an image, of sheets, slides or pages of an Office file, else 1.

    A selection does not change it. Raises as ``pages`` does on opening.
    """
    document = legacy.converted(document, settings) if document.mime_type in legacy.LEGACY else document
    if _apart(document, settings):
        return isolated.page_count(document, settings)
    return readers.page_count(document, settings)


def prepare(document: Document, settings: Settings) -> None:
    """Start what reading the document will need, and do not wait for it."""
    if _apart(document, settings):
        isolated.start()


def _apart(document: Document, settings: Settings) -> bool:
    """Plain text is only decoded, by code that is safe in memory: a process would cost more than it saves."""
    return settings.document_isolation == "process" and document.kind != "text"
