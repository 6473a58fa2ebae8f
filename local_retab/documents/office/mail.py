"""Mail (eml) and web archives (mhtml), by the standard library: headers, body, a list of the attachments."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Iterator
from email.message import EmailMessage
from typing import cast

from local_retab.documents.clock import ReadingClock
from local_retab.documents.document import Document
from local_retab.documents.office.hypertext import html_text
from local_retab.documents.office.page import PageText
from local_retab.errors import CorruptDocumentError
from local_retab.settings import Settings

HEADERS = ("From", "To", "Cc", "Date", "Subject")


def read(document: Document, settings: Settings, clock: ReadingClock) -> Iterator[PageText]:
    """One page. Of a body in several forms the HTML is read, which has the tables."""
    message = _parsed(document)
    page = PageText()
    if document.mime_type == "message/rfc822":
        write_headers(page, [(name, str(message[name] or "")) for name in HEADERS])
    page.write(_body(message))
    listed = [(name, content_type, len(data)) for name, content_type, data in attachments(document)]
    if document.mime_type == "message/rfc822":
        write_attachments(page, listed)
    yield page


def attachments(document: Document) -> Iterator[tuple[str, str, bytes]]:
    """Name, media type and bytes of each attached file; an attached mail is one file of its own."""
    for index, part in enumerate(_parsed(document).iter_attachments(), 1):
        data = _part_bytes(part)
        content_type = part.get_content_type()
        extension = "eml" if content_type == "message/rfc822" else content_type.partition("/")[2]
        yield part.get_filename() or f"attachment-{index}.{extension}", content_type, data


def write_headers(page: PageText, headers: list[tuple[str, str]]) -> None:
    """A line for each header that there is, and a blank one."""
    for name, value in headers:
        if value.strip():
            page.write(f"{name}: {' '.join(value.split())}\n")
    page.write("\n")


def write_attachments(page: PageText, listed: list[tuple[str, str, int]]) -> None:
    """A line for each attachment: name, media type, size."""
    if listed:
        page.write("\n\nAttachments:\n")
    for name, content_type, size in listed:
        page.write(f"- {' '.join(name.split())} ({content_type}, {size:,} bytes)\n")


def _parsed(document: Document) -> EmailMessage:
    message: EmailMessage = email.message_from_bytes(document.data, policy=email.policy.default)
    if not message.keys():
        raise CorruptDocumentError(
            f"{document.filename!r} has no mail headers. Save it again from the mail program, or send it as text."
        )
    return message


def _body(message: EmailMessage) -> str:
    part = message.get_body(preferencelist=("html", "plain"))
    if part is None:
        return ""
    text = _part_text(cast(EmailMessage, part))
    return html_text(text) if part.get_content_subtype() == "html" else text.replace("\r\n", "\n")


def _part_text(part: EmailMessage) -> str:
    try:
        return str(part.get_content())
    except LookupError:
        # A charset that nobody knows.
        return _part_bytes(part).decode("utf-8", errors="replace")


def _part_bytes(part: EmailMessage) -> bytes:
    if part.get_content_type() == "message/rfc822":
        return b"".join(cast(EmailMessage, inner).as_bytes() for inner in part.iter_parts())
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""
