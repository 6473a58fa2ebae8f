"""Mail with its attachments: the pages of the mail, then those of each attached document, numbered on.

What is attached and is no document (a signature, a calendar) is only listed on the mail's page. An attached mail is
read with its own attachments, to a depth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from local_retab.documents import legacy, office
from local_retab.documents.document import Document, content_id, nothing_selected
from local_retab.documents.media_types import identify, is_read
from local_retab.errors import CorruptDocumentError, DocumentLimitError, UnsupportedDocumentError

if TYPE_CHECKING:
    from collections.abc import Generator

    from local_retab.documents.document import Page
    from local_retab.settings import Settings

MAX_DEPTH = 5  # mails in one another

Reader = Callable[[Document], "Generator[Page, None, None]"]


def has_attachments(document: Document) -> bool:
    """Whether the attachments of this document are asked for, and it may have some."""
    return document.attachments and document.mime_type in office.MAILS


def pages(document: Document, read: Reader, *, settings: Settings) -> Iterator[Page]:
    """The selected pages; ``read`` gives those of one document without attachments.

    Raises what ``read`` does, naming the attachment after its mail, and DocumentLimitError for mails too deep in one
    another and for pages, characters and attachments over the limits of all together.
    """
    number = characters = selected = 0
    for part in _parts(document, settings, 0):
        with closing(read(part)) as found:
            for page in found:
                number += 1
                if not document.wants(number):
                    continue
                selected += 1
                characters += len(page.text)
                if selected > settings.max_pages or characters > settings.max_text_chars:
                    raise _too_much(part)
                yield replace(page, number=number)
    if not selected and number:
        raise nothing_selected(document, number)


def _parts(document: Document, settings: Settings, depth: int) -> Iterator[Document]:
    """The mail itself, then what is attached, in order."""
    yield replace(document, attachments=False, selection=None)
    for index, (name, content_type, data) in enumerate(office.attached(document, settings), 1):
        if index > settings.max_archive_entries:
            raise DocumentLimitError(
                f"{document.filename!r} has more than {settings.max_archive_entries:,} attachments. Save those that are"
                " needed, and send them on their own."
            )
        attached = _document(f"{document.filename}/{name}", content_type, data)
        if attached is None:
            continue
        if attached.mime_type not in office.MAILS:
            yield attached
        elif depth + 1 < MAX_DEPTH:
            yield from _parts(attached, settings, depth + 1)
        else:
            raise DocumentLimitError(
                f"{attached.filename!r} is a mail in more than {MAX_DEPTH} others. Save it, and send it on its own."
            )


def _document(filename: str, content_type: str, data: bytes) -> Document | None:
    """What is attached, as a document; None where it is none, or one that another program would have to convert."""
    if not data:
        return None
    try:
        media = identify(data, filename, content_type)
    except UnsupportedDocumentError:
        return None
    except CorruptDocumentError:
        if is_read(filename):
            raise
        return None
    if media.kind is None or media.mime_type in legacy.LEGACY:
        return None
    return Document(content_id(data), filename, media.mime_type, media.kind, data)


def _too_much(part: Document) -> DocumentLimitError:
    return DocumentLimitError(
        f"{part.filename!r} has too many pages or characters together with what comes before it. Select pages, send"
        " the attachments on their own, or raise LOCAL_RETAB_MAX_PAGES or LOCAL_RETAB_MAX_TEXT_CHARS."
    )
