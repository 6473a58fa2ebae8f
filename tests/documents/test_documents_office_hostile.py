"""Office files that want to hurt: bombs, entities, links, nesting, damage. The end is pages or a typed error."""

from __future__ import annotations

import io
import socket
import zipfile
from collections.abc import Callable
from functools import cache

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from in_process import in_process
from office_files import compound_file, docx_file, edited_zip, msg_file, odf_file, part_of, pptx_file, zip_file

from local_retab.documents import Page, load, pages
from local_retab.errors import CorruptDocumentError, DocumentError, DocumentLimitError, EncryptedDocumentError

Read = Callable[..., list[Page]]
LIMITS = in_process(max_archive_bytes=20_000_000, max_document_seconds=20)
LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c SYSTEM "file:///etc/passwd"><!ENTITY d SYSTEM "http://127.0.0.1:9/">]>"""


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def samples() -> dict[str, bytes]:
    return {
        "a.docx": docx_file("Invoice A-17", "Total"),
        "a.pptx": pptx_file(("Title", "Body")),
        "a.odt": odf_file("text", "<text:p>Words</text:p>"),
    }


@pytest.mark.parametrize("name", ["a.docx", "a.pptx", "a.odt"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_are_refused_before_anything_resolves_them(name: str, encoding: str, read: Read) -> None:
    part = {"a.docx": "word/document.xml", "a.pptx": "ppt/slides/slide1.xml", "a.odt": "content.xml"}[name]
    data = samples()[name]
    body = part_of(data, part).decode().partition("?>")[2] or part_of(data, part).decode()
    hostile = (LAUGHS.decode().replace("?>", f' encoding="{encoding}"?>') + body).encode(encoding)
    with pytest.raises(CorruptDocumentError, match=f"'{name}' declares a document type in its part '{part}'"):
        read(edited_zip(data, {part: hostile}), name)


def test_what_unpacks_to_too_much_is_refused_before_it_is_unpacked() -> None:
    bomb = edited_zip(docx_file("x"), {"word/media/image1.png": bytes(30_000_000)})
    assert len(bomb) < 100_000
    with pytest.raises(DocumentLimitError, match=r"'a\.docx' unpacks to 30,.* bytes, over the limit of 20,000,000"):
        list(pages(load(bomb, filename="a.docx", settings=LIMITS), dpi=72, settings=LIMITS))


def test_too_many_parts() -> None:
    parts = {f"word/{index}.bin": b"" for index in range(60)}
    limits = in_process(max_archive_entries=50)
    with pytest.raises(DocumentLimitError, match="parts, over the limit of 50"):
        list(
            pages(load(edited_zip(docx_file("x"), parts), filename="a.docx", settings=limits), dpi=72, settings=limits)
        )


def test_a_part_that_unpacks_to_more_than_it_declares_is_damage(read: Read) -> None:
    data = bytearray(zip_file({"word/document.xml": b" " * 1_000_000, "[Content_Types].xml": b"<Types/>"}))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        directory = archive.start_dir
    # The size in the first entry of the directory (APPNOTE 4.3.12).
    data[directory + 24 : directory + 28] = (10).to_bytes(4, "little")
    with pytest.raises(CorruptDocumentError, match=r"'a\.docx' cannot be read"):
        read(bytes(data), "a.docx")


def test_links_templates_and_remote_pictures_are_not_followed(read: Read) -> None:
    data = docx_file("Invoice A-17")
    links = b"".join(
        b'<Relationship Id="rIdX%d" TargetMode="External" Target="%s" Type="http://schemas.openxmlformats.org/'
        b'officeDocument/2006/relationships/%s"/>' % (index, target, kind)
        for index, (kind, target) in enumerate(
            [
                (b"attachedTemplate", b"http://127.0.0.1:9/evil.dotm"),
                (b"image", b"http://127.0.0.1:9/x.png"),
                (b"footnotes", b"file:///etc/passwd"),
                (b"oleObject", b"\\\\127.0.0.1\\share\\x"),
            ]
        )
    )
    part = "word/_rels/document.xml.rels"
    edited = part_of(data, part).replace(b"</Relationships>", links + b"</Relationships>")
    assert [page.text for page in read(edited_zip(data, {part: edited}), "a.docx")] == ["Invoice A-17\n"]


def test_a_cell_far_out_does_not_allocate_the_sheet_in_between(read: Read) -> None:
    import xlsxwriter

    out = io.BytesIO()
    with xlsxwriter.Workbook(out) as workbook:
        sheet = workbook.add_worksheet("Far")
        sheet.write(0, 0, "near")
        sheet.write(60_000, 1_000, "far")
    with pytest.raises(DocumentLimitError, match=r"'a\.xlsx' has a sheet .* of 60,001 rows and 1,001 columns"):
        read(out.getvalue(), "a.xlsx")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.odt", odf_file("text", "<text:p>" + "<text:span>" * 200 + "deep" + "</text:span>" * 200 + "</text:p>")),
        ("a.html", b"<div>" * 3000 + b"deep"),
        ("a.rtf", b"{\\rtf1 " + b"{" * 100_000 + b"deep" + b"}" * 100_000 + b"}"),
        ("a.odt", odf_file("text", "<text:p>x" + "<draw:frame><draw:text-box><text:p>" * 40 + "deep"
                           + "</text:p></draw:text-box></draw:frame>" * 40 + "</text:p>")),
    ],
)  # fmt: skip
def test_deep_nesting_ends(name: str, data: bytes, read: Read) -> None:
    try:
        text = read(data, name)[0].text
    except DocumentError as error:
        text = error.message
    assert "deep" in text


def test_spaces_that_repeat_without_end(read: Read) -> None:
    (page,) = read(odf_file("text", "<text:p>a<text:s text:c='2000000000'/>b</text:p>"), "a.odt")
    assert page.text == "a" + " " * 100 + "b\n"


def test_an_open_document_with_a_password(read: Read) -> None:
    data = edited_zip(odf_file("text", ""), {"META-INF/manifest.xml": b"<manifest><encryption-data/></manifest>"})
    with pytest.raises(EncryptedDocumentError, match=r"'a\.odt' is an OpenDocument file with a password"):
        read(data, "a.odt")


def test_a_mail_that_is_no_mail(read: Read) -> None:
    with pytest.raises(CorruptDocumentError, match=r"'a\.eml' has no mail headers"):
        read(b"\x00\x01\x02 just bytes", "a.eml")


@cache
def intact(name: str) -> bytes:
    properties = {0x1A: "IPM.Note", 0x37: "Subject", 0x1000: "Body"}
    return {
        **samples(),
        "a.msg": msg_file(properties, [("Bob", "b@c.d")], {"a.pdf": b"%PDF-1.4"}),
        "a.xls": compound_file({"Workbook": bytes(2000)}),
        "a.eml": b"From: a@b.c\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\nhello\n--x--\n",
        "a.html": b"<table><tr><td colspan=3>a<td>b</table><ul><li>c</ul>",
        "a.rtf": rb"{\rtf1\ansi{\fonttbl{\f0\fcharset204 A;}}\f0 \'e0\u1234? \par\bin5 xxxxx}",
        "a.csv": b'a;b\n1;"2\n3;4\n',
    }[name]


@pytest.mark.parametrize("name", ["a.docx", "a.pptx", "a.odt", "a.msg", "a.xls", "a.eml", "a.html", "a.rtf", "a.csv"])
@hypothesis_settings(deadline=None, max_examples=25)
@given(
    cut=st.floats(0, 1),
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=6)), max_size=6),
)
def test_damage(name: str, cut: float, edits: list[tuple[float, bytes]]) -> None:
    data = bytearray(intact(name))
    for place, written in edits:
        at = int(place * len(data))
        data[at : at + len(written)] = written
    for damaged in (bytes(data), bytes(data[: int(cut * len(data))])):
        assert name in read_all(damaged, name)


def read_all(data: bytes, name: str) -> str:
    """The name of the file, from its pages or from the error."""
    try:
        found = list(pages(load(data, filename=name, settings=LIMITS), dpi=72, settings=LIMITS))
    except DocumentError as error:
        return error.message
    return name if all(page.text for page in found) else "a page without text"
