"""The text of a document's pages, for models that read text."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, cast

from local_retab.documents import pages
from local_retab.errors import EmptyDocumentError, NoTextError

if TYPE_CHECKING:
    from local_retab.documents import Document, Page
    from local_retab.settings import Settings


def read_pages(document: Document, *, dpi: int, settings: Settings) -> list[str]:
    """The laid-out text of each page; blank pages are empty.

    Raises NoTextError when a page shows something but has no text: a model that reads text would answer without it.
    """
    texts: list[str] = []
    unreadable: list[int] = []
    with closing(pages(document, dpi=dpi, settings=settings)) as all_pages:
        for page in all_pages:
            texts.append(page.text)
            if not page.text.strip() and not _is_blank(page):
                unreadable.append(page.number)
    if unreadable:
        which = ", ".join(map(str, unreadable[:10])) + (", …" if len(unreadable) > 10 else "")
        raise NoTextError(
            f"{document.filename}: page {which} of {len(texts)} is an image without a text layer, and this version "
            f"reads text only. Run the document through OCR first (for example `ocrmypdf`), or send its text.",
            details={"pages": unreadable},
        )
    if not any(text.strip() for text in texts):
        raise EmptyDocumentError(f"{document.filename}: every page is blank. Send a document with content.")
    return texts


def _is_blank(page: Page) -> bool:
    """Whether the rendered page is of one colour, within the noise of a scanner's white."""
    darkest, lightest = cast("tuple[int, int]", page.render().convert("L").getextrema())
    return lightest - darkest < 16
