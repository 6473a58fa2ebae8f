"""The pages of a document with their text."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Protocol

from local_retab.documents import Recognition, is_blank, pages
from local_retab.errors import EmptyDocumentError, NoTextError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from local_retab.documents import Document, Page
    from local_retab.settings import Settings


class PageSource(Protocol):
    """What gives the pages of a document: ``documents.pages``, or pages that were kept."""

    def __call__(self, document: Document, *, dpi: int, settings: Settings) -> Generator[Page, None, None]: ...


def read_pages(
    document: Document,
    *,
    dpi: int,
    settings: Settings,
    check: Callable[[], None] = lambda: None,
    seen: bool = False,
    words: bool = True,
    source: PageSource = pages,
) -> list[Page]:
    """The pages with their words and laid-out text, read by OCR where they are pictures; blank pages are empty.

    ``source`` gives the pages. ``check`` is called before each page and may raise to stop. ``seen`` pages are looked
    at as well and need no text; without ``words`` only the text that is there is read. Raises NoTextError when a page
    shows something but has no text and is not seen: the model would answer without it.
    """
    found: list[Page] = []
    unreadable: list[int] = []
    recognition = Recognition(document, settings, required=not seen)
    with closing(source(document, dpi=dpi, settings=settings)) as all_pages:
        for page in all_pages:
            check()
            found.append(recognition.read(page) if words else page)
            if not seen and not found[-1].text.strip() and not is_blank(page.render()):
                unreadable.append(page.number)
    if unreadable:
        which = ", ".join(map(str, unreadable[:10])) + (", …" if len(unreadable) > 10 else "")
        remedy = "Set LOCAL_RETAB_OCR=auto" if settings.ocr == "never" else "Send a sharper scan"
        raise NoTextError(
            f"{document.filename}: page {which} of {len(found)} is a picture in which no text was found, and the model "
            f"reads text. {remedy}, or send the document's text.",
            details={"pages": unreadable},
        )
    if not seen and not any(page.text.strip() for page in found):
        raise EmptyDocumentError(f"{document.filename}: every page is blank. Send a document with content.")
    return found
