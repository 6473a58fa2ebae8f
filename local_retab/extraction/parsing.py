"""The text of each page of a document, with its tables in a format of choice."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

from local_retab.documents import Recognition, pages
from local_retab.extraction.tables import with_tables

if TYPE_CHECKING:
    from local_retab.documents import Document
    from local_retab.settings import Settings
    from local_retab.wire import TableFormat


def parse_pages(
    document: Document, *, table_format: TableFormat, dpi: int, settings: Settings, check: Callable[[], None]
) -> list[str]:
    """The text of each page, read by OCR where it is a picture; a page without text is empty.

    ``check`` is called before each page and may raise to stop. Raises DocumentError.
    """
    found: list[str] = []
    recognition = Recognition(document, settings, required=True)
    with closing(pages(document, dpi=dpi, settings=settings)) as all_pages:
        for page in all_pages:
            check()
            found.append(with_tables(recognition.read(page).text.strip("\n"), table_format))
    return found
