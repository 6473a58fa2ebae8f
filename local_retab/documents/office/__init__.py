"""Everything that is text once it is unpacked: Word, spreadsheets, slides, OpenDocument, HTML, mail and RTF.

Nothing in a file is run or fetched: no macro, script or formula (spreadsheets give the values they were saved with),
no external entity, no link, remote image or template. The libraries are the extra ``office``; each reader imports its
own, and is itself imported when a file of its format comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Protocol, cast

from local_retab.documents.clock import ReadingClock
from local_retab.documents.document import Document, Page, nothing_selected
from local_retab.documents.office.page import PageText
from local_retab.documents.office.protection import decrypted
from local_retab.documents.text import refuse_to_draw
from local_retab.errors import (
    CorruptDocumentError,
    DocumentError,
    DocumentLimitError,
    EmptyDocumentError,
    UnsupportedDocumentError,
)
from local_retab.settings import Settings

_OOXML = "application/vnd.openxmlformats-officedocument."
_ODF = "application/vnd.oasis.opendocument."
_READERS = {
    _OOXML + "wordprocessingml.document": "wordprocessing",
    _OOXML + "spreadsheetml.sheet": "spreadsheet",
    "application/vnd.ms-excel": "spreadsheet",
    _ODF + "spreadsheet": "spreadsheet",
    _OOXML + "presentationml.presentation": "presentation",
    _ODF + "text": "opendocument",
    _ODF + "presentation": "opendocument",
    "text/html": "hypertext",
    "multipart/related": "mail",
    "message/rfc822": "mail",
    "application/vnd.ms-outlook": "outlook",
    "application/rtf": "rich_text",
}


MAILS = frozenset({"message/rfc822", "application/vnd.ms-outlook"})


class _Reader(Protocol):
    def read(self, document: Document, settings: Settings, clock: ReadingClock) -> Iterator[PageText]: ...


class _MailReader(_Reader, Protocol):
    def attachments(self, document: Document) -> Iterator[tuple[str, str, bytes]]: ...


def pages(document: Document, *, settings: Settings, clock: ReadingClock) -> Iterator[Page]:
    """The pages that have text, in order: one for each sheet, slide or page of a Word document, else one in all.

    Raises CorruptDocumentError, EncryptedDocumentError, EmptyDocumentError where no page has text,
    DocumentLimitError for pages, characters, unpacked bytes or seconds, and UnsupportedDocumentError where the
    extra is not installed.
    """
    characters = number = selected = 0
    for number, page in enumerate(_read(document, settings, clock), 1):
        if not document.wants(number):
            continue
        selected += 1
        if selected > settings.max_pages:
            raise DocumentLimitError(
                f"{document.filename!r} has more than {settings.max_pages:,} pages, slides or sheets. Split it, or"
                " raise LOCAL_RETAB_MAX_PAGES."
            )
        if not page.text.strip():
            continue
        characters += len(page.text)
        if characters > settings.max_text_chars:
            raise DocumentLimitError(
                f"{document.filename!r} has more than {settings.max_text_chars:,} characters of text on its first"
                f" {number} pages, slides or sheets. Split it, or raise LOCAL_RETAB_MAX_TEXT_CHARS."
            )
        yield Page(number, 0.0, 0.0, (), page.text, lambda: refuse_to_draw(document), anchors=tuple(page.anchors))
    if not selected and number:
        raise nothing_selected(document, number)
    if not characters:
        raise EmptyDocumentError(
            f"{document.filename!r} contains no text. Send a document with content; if it holds pictures, export it"
            " to PDF."
        )


def page_count(document: Document, settings: Settings) -> int:
    """The number of pages, slides or sheets, those without text included. Raises as ``pages`` does."""
    return sum(1 for _ in _read(document, settings, ReadingClock(document.filename, settings)))


def attached(document: Document, settings: Settings) -> list[tuple[str, str, bytes]]:
    """Name, media type and bytes of what is attached to a mail. Raises as ``pages`` does."""
    with _parsing(document), ReadingClock(document.filename, settings).running():
        reader = cast(_MailReader, import_module(f"{__name__}.{_READERS[document.mime_type]}"))
        return list(reader.attachments(document))


def _read(document: Document, settings: Settings, clock: ReadingClock) -> Iterator[PageText]:
    with _parsing(document), clock.running():
        document = decrypted(document, settings)
        reader = cast(_Reader, import_module(f"{__name__}.{_READERS[document.mime_type]}"))
        found = reader.read(document, settings, clock)
    while True:
        with _parsing(document), clock.running():
            page = next(found, None)
        if page is None:
            return
        yield page


@contextmanager
def _parsing(document: Document) -> Iterator[None]:
    try:
        yield
    except DocumentError:
        raise
    except ModuleNotFoundError as error:
        raise UnsupportedDocumentError(
            f"{document.filename!r} needs the Office readers, and {error.name!r} is not installed. Run"
            " `pip install 'local-retab[office]'`, or convert the file to PDF."
        ) from error
    except (MemoryError, RecursionError) as error:
        raise DocumentLimitError(
            f"{document.filename!r} is nested too deeply or unpacks to more than memory allows. Save it again with an"
            " Office program, or export it to PDF."
        ) from error
    # The libraries raise whatever their parsing of hostile bytes runs into: KeyError, ValueError, XMLSyntaxError,
    # BadZipFile, struct.error, UnicodeError and more.
    except Exception as error:
        raise CorruptDocumentError(
            f"{document.filename!r} cannot be read: it is damaged or not what its name says. Open it in its program"
            " and save it again, or export it to PDF."
        ) from error
