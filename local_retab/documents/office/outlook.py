"""Outlook messages (msg), by python-oxmsg: headers, body, a list of the attachments."""

from __future__ import annotations

from collections.abc import Iterator

from oxmsg import Message

from local_retab.documents.clock import ReadingClock
from local_retab.documents.document import Document
from local_retab.documents.office.hypertext import html_text
from local_retab.documents.office.mail import write_attachments, write_headers
from local_retab.documents.office.page import PageText
from local_retab.settings import Settings


def read(document: Document, settings: Settings, clock: ReadingClock) -> Iterator[PageText]:
    """One page."""
    message = Message.load(document.data)
    recipients = ", ".join(f"{person.name} <{person.email_address}>" for person in message.recipients)
    sent = message.sent_date
    page = PageText()
    write_headers(
        page,
        [
            ("From", message.sender or ""),
            ("To", recipients),
            ("Date", sent.isoformat(sep=" ", timespec="seconds") if sent else ""),
            ("Subject", message.subject),
        ],
    )
    html = message.html_body
    page.write(html_text(html) if html else (message.body or "").replace("\r\n", "\n"))
    write_attachments(page, [(name, content_type, len(data)) for name, content_type, data in attachments(document)])
    yield page


def attachments(document: Document) -> Iterator[tuple[str, str, bytes]]:
    """Name, media type and bytes of each attached file; messages attached as such have no bytes and are left out."""
    for index, attachment in enumerate(Message.load(document.data).attachments, 1):
        data = attachment.file_bytes
        if data is not None:
            content_type = attachment.mime_type or "application/octet-stream"
            yield attachment.file_name or f"attachment-{index}", content_type, data
