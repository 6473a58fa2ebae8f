"""Documents attached to a mail, read after it on request: in order, within the limits of all together."""

from __future__ import annotations

import io
from dataclasses import replace
from email.message import EmailMessage
from typing import Any

import pytest
from in_process import in_process
from office_files import msg_file
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

from local_retab.documents import Document, Page, PageSelection, load, page_count, pages
from local_retab.errors import CorruptDocumentError, DocumentLimitError, RequestError, UnsupportedDocumentError
from local_retab.settings import Settings


def pdf(*texts: str) -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out, invariant=True)
    for text in texts:
        canvas.drawString(72, 700, text)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 20), "red").save(out, "png")
    return out.getvalue()


def mail(*files: tuple[str, bytes | EmailMessage], text: str = "See below.") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["Subject"] = "a@b.c", "Invoices"
    message.set_content(text)
    for name, data in files:
        if isinstance(data, EmailMessage):
            message.add_attachment(data)
        else:
            message.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    return message


def document(message: EmailMessage | bytes, settings: Settings, name: str = "a.eml", **fields: Any) -> Document:
    data = message if isinstance(message, bytes) else message.as_bytes()
    return replace(load(data, filename=name, settings=settings), attachments=True, **fields)


def read(message: EmailMessage | bytes, *, isolated: bool = False, name: str = "a.eml", **fields: Any) -> list[Page]:
    settings = Settings() if isolated else in_process()
    return list(pages(document(message, settings, name, **fields), dpi=72, settings=settings))


@pytest.mark.parametrize("isolated", [False, True])
def test_the_pages_of_attachments_come_after_the_mail(isolated: bool) -> None:
    message = mail(("1.pdf", pdf("Invoice one", "Its end")), ("2.csv", b"item,price\npen,3\n"), ("p.png", png()))
    found = read(message, isolated=isolated)
    assert [page.number for page in found] == [1, 2, 3, 4, 5]
    assert "See below." in found[0].text
    assert "1.pdf" in found[0].text
    assert [page.text.strip() for page in found[1:3]] == ["Invoice one", "Its end"]
    assert [word.text for word in found[1].words] == ["Invoice", "one"]
    assert found[3].anchors
    assert found[4].render().getpixel((20, 10)) == (255, 0, 0)
    assert found[1].render().size == (596, 842)


def test_by_default_they_are_only_listed() -> None:
    settings = in_process()
    plain = load(mail(("1.pdf", pdf("Invoice"))).as_bytes(), filename="a.eml", settings=settings)
    (page,) = pages(plain, dpi=72, settings=settings)
    assert "1.pdf" in page.text
    assert page_count(plain, settings) == 1
    assert page_count(replace(plain, attachments=True), settings) == 2


def test_pages_are_selected_from_all_of_them() -> None:
    message = mail(("1.pdf", pdf("Invoice one", "Its end")))
    (page,) = read(message, selection=PageSelection.parse("3"))
    assert (page.number, page.text.strip()) == (3, "Its end")
    with pytest.raises(RequestError, match="selects none of the 3 pages"):
        read(message, selection=PageSelection.parse("4"))


def test_an_outlook_message_has_them_too() -> None:
    data = msg_file({0x0037: "Invoices", 0x1000: "See below."}, [], {"1.pdf": pdf("Invoice one")})
    assert [page.text.strip() for page in read(data, name="a.msg")][1:] == ["Invoice one"]


def test_what_is_no_document_is_left_to_the_list() -> None:
    message = mail(("smime.p7s", b"\x30\x82\x01"), ("empty.pdf", b""), ("setup.exe", b"MZ\x90"), ("1.csv", b"a,b\n"))
    found = read(message)
    assert len(found) == 2
    assert "setup.exe" in found[0].text


def nested(levels: int) -> EmailMessage:
    message = mail(("in.csv", b"deep,1\n"))
    for _ in range(levels):
        message = mail(("", message))
    return message


def test_mails_in_mails_are_read_to_a_depth() -> None:
    assert [page.text.strip()[:4] for page in read(nested(2))] == ["From", "From", "From", "deep"]
    assert len(read(nested(4))) == 6
    with pytest.raises(DocumentLimitError, match="is a mail in more than 5 others"):
        read(nested(5))


def test_a_damaged_attachment_is_an_error_that_names_it() -> None:
    with pytest.raises(CorruptDocumentError, match=r"a\.eml/1\.pdf"):
        read(mail(("1.pdf", b"%PDF-1.7 broken")))


def test_the_limits_are_for_all_together() -> None:
    message = mail(*((f"{index}.pdf", pdf("one", "two")) for index in range(3)))
    settings = in_process(max_pages=5)
    with pytest.raises(DocumentLimitError, match=r"a\.eml/2\.pdf"):
        list(pages(document(message, settings), dpi=72, settings=settings))
    settings = in_process(max_archive_entries=2)
    with pytest.raises(DocumentLimitError, match="more than 2 attachments"):
        list(pages(document(message, settings), dpi=72, settings=settings))


def test_other_documents_have_none() -> None:
    settings = in_process()
    text = replace(load(b"a,b\n", filename="a.csv", settings=settings), attachments=True)
    assert [page.number for page in pages(text, dpi=72, settings=settings)] == [1]
    with pytest.raises(UnsupportedDocumentError):
        next(iter(pages(text, dpi=72, settings=settings))).render()
